"""What ends from now on, to a receiver, as runs go on; a receiver that is down is waited for, and nothing is lost.

In: a history, a receiver and a way to stop. Out: what was sent until then. The place is kept in the home after every
batch, so that another follower goes on where this one stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from toolkit.errors import LedgerError
from toolkit.ledger.homes import has_record
from toolkit.ledger.reading.history import History
from toolkit.telemetry import facts
from toolkit.telemetry.conventions import DEFAULT, conventions
from toolkit.telemetry.exporting import BATCH_SPANS, Told, now_us
from toolkit.telemetry.facts import BATCH, Window
from toolkit.telemetry.place import Place
from toolkit.telemetry.points import metrics
from toolkit.telemetry.sending import Denied, Sender, Sent, Unreachable
from toolkit.telemetry.span import Span, Telling
from toolkit.telemetry.spans import row_spans, run_spans

LOOK_SECONDS = 2.0
METRICS_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 60.0
DONE_ROWS = ("answered", "set_aside")
"""A row that ended otherwise may be taken up again."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A row or a run that ended, with its spans, ready to be sent."""

    name: tuple[str, str]
    ended_us: int
    done: bool
    spans: tuple[Span, ...]


def follow(
    history: History,
    *,
    stop: threading.Event,
    since: datetime | None = None,
    endpoint: str | None = None,
    version: str = DEFAULT,
    content: bool = False,
    with_metrics: bool = True,
    progress: Callable[[Told], None] | None = None,
    complain: Callable[[str], None] = lambda _: None,
) -> Told:
    """Send rows and runs as they end, until `stop` is set; then say how much was accepted.

    It goes on from the place kept in the home for this endpoint; the first time it begins with what ended `since` then,
    by default with what ends from now on. `complain` is told once when the receiver cannot be reached, and once when it
    is back. Grades that come after a row was sent are not sent.
    """
    names = conventions(version)
    with Sender(endpoint, names) as sender:
        begin = round(since.timestamp() * 1e6) if since is not None else now_us()
        place = Place.of(history.home, sender.endpoint, begin_us=begin)
        follower = _Follower(history, sender, place, Telling(names, content), stop, complain, progress)
        while True:
            is_last = stop.is_set()  # what ended until now is still sent
            try:
                if follower.is_there() and follower.send_ended() and with_metrics:
                    follower.send_metrics(now=is_last)
                follower.trouble = ""
            except LedgerError as error:
                follower.hindered(error)
            if is_last:
                return follower.told
            stop.wait(LOOK_SECONDS)


@dataclass
class _Follower:
    """What a follower needs, and what it has sent."""

    history: History
    sender: Sender
    place: Place
    telling: Telling
    stop: threading.Event
    complain: Callable[[str], None]
    progress: Callable[[Told], None] | None
    told: Told = field(default_factory=Told)
    measured_at: float = 0.0
    measured: int = -1
    trouble: str = ""

    def is_there(self) -> bool:
        """Whether there is a record: a follower may be started before the first run."""
        return has_record(self.history.home)

    def hindered(self, error: LedgerError) -> None:
        """Say once what keeps the record from being read; it is looked at again."""
        if not self.trouble:
            self.complain(f"{error}; nothing is lost, looking again until it can be read")
        self.trouble = str(error)

    def send_ended(self) -> bool:
        """Send what has ended; False where it was stopped before it could."""
        for batch in self._batches():
            sent = self._patiently(partial(self.sender.spans, [span for ended in batch for span in ended.spans]))
            if sent is None:
                return False
            for ended in batch:
                self.place.note(ended.name, ended.ended_us, done=ended.done)
            self.place.keep()
            runs = sum(ended.name[1] == BATCH for ended in batch)
            told = self.told
            self.told = replace(
                told, rows=told.rows + len(batch) - runs, runs=told.runs + runs, spans=told.spans + sent
            )
            if self.progress is not None:
                self.progress(self.told)
        return True

    def send_metrics(self, *, now: bool) -> None:
        """Send metrics of all since the follower first began, if something came and the last were a while ago."""
        is_due = now or time.monotonic() - self.measured_at >= METRICS_SECONDS
        if not is_due or self.told.spans.accepted == self.measured:
            return
        window = Window(since_us=self.place.began_us, until_us=now_us())
        found = metrics(self.history, window, self.telling.conventions)
        sent = self._patiently(partial(self.sender.metrics, found, window))
        if sent is not None:
            self.measured_at, self.measured = time.monotonic(), self.told.spans.accepted
            self.told = replace(self.told, points=self.told.points + sent)

    def _batches(self) -> Iterator[Sequence[Ended]]:
        """What has ended and was not sent: whole rows and runs, in batches of about `BATCH_SPANS` spans."""
        batch: list[Ended] = []
        spans = 0
        for ended in self._ended():
            batch.append(ended)
            spans += len(ended.spans)
            if spans >= BATCH_SPANS:
                yield batch
                batch, spans = [], 0
        if batch:
            yield batch

    def _ended(self) -> Iterator[Ended]:
        place, content = self.place, self.telling.content
        window = Window(since_us=place.since_us)
        for page in facts.rows_ended(self.history, window):
            new = [row for row in page if place.is_new((row.run_id, row.row_id), row.finished_us)]
            for row, own in facts.with_belongings(self.history, new, content=content):
                name = (row.run_id, row.row_id)
                spans = row_spans(row, own, self.telling, before_us=place.before(name))
                yield Ended(name, row.finished_us, row.status in DONE_ROWS, spans)
        for run in facts.runs_ended(self.history, window):
            name = (run.run_id, BATCH)
            ended_us = run.finished_us or run.started_us
            if place.is_new(name, ended_us):
                found = facts.belongings(self.history, [name], content=content)
                spans = run_spans(run, found[name], self.telling, before_us=place.before(name))
                yield Ended(name, ended_us, done=False, spans=spans)

    def _patiently(self, send: Callable[[], Sent]) -> Sent | None:
        """What `send` gives, however often it must be tried; None where it was stopped before it could."""
        wait, is_told = 1.0, False
        while True:
            try:
                sent = send()
            except (Unreachable, Denied) as error:
                if not is_told:
                    self.complain(f"{error}; nothing is lost, trying again until it can be sent")
                    is_told = True
                if self.stop.is_set():
                    return None
                self.stop.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
            else:
                if is_told:
                    self.complain("the receiver answers again; going on")
                return sent
