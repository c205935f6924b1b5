"""What is on record to a receiver, once: a run, or what ended within a window of time.

In: a history, which part of it, and a receiver. Out: how much was accepted and refused. Rows go a page at a time,
whatever their number, so that memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain

from toolkit.errors import RunError
from toolkit.ledger.reading.history import History
from toolkit.ledger.views import telemetry as statements
from toolkit.runs.run_names import chosen
from toolkit.telemetry import facts
from toolkit.telemetry.conventions import DEFAULT, conventions
from toolkit.telemetry.facts import BATCH, Window
from toolkit.telemetry.points import metrics
from toolkit.telemetry.sending import Sender, Sent
from toolkit.telemetry.span import Span, Telling
from toolkit.telemetry.spans import row_spans, run_spans

BATCH_SPANS = 512
"""So many spans, or a few more, are one request: whole rows only."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an export did. With `dry_run` nothing was sent, and `accepted` is what would have been."""

    rows: int = 0
    runs: int = 0
    spans: Sent = field(default_factory=Sent)
    points: Sent = field(default_factory=Sent)

    @property
    def refused(self) -> int:
        return self.spans.refused + self.points.refused


def export(
    history: History,
    *,
    run_id: str | None = None,
    since: datetime | None = None,
    endpoint: str | None = None,
    version: str = DEFAULT,
    content: bool = False,
    with_metrics: bool = True,
    dry_run: bool = False,
    progress: Callable[[Told], None] | None = None,
    sample: Callable[[Sequence[Span]], None] | None = None,
) -> Told:
    """Send a run, or all that ended `since` then, and say how much of it was accepted.

    `run_id` may be cut short, or `latest`; without it and `since` all that is on record is sent. `endpoint` is the
    receiver's base address, by default that of OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318. `version` names
    the conventions, `content` adds prompts, outputs and values. `progress` is called after each batch, `sample` with
    the spans of each row. Raises RunError where there is no such run, Unreachable where no receiver answers, and
    SetupError where the extra is not installed.
    """
    told = Told()
    names = conventions(version)
    window = _window(history, run_id, since)
    batches = batched(_spans(history, window, Telling(names, content)))
    if dry_run:
        for rows, runs, spans in batches:
            told = _counted(told, rows, runs, Sent(accepted=len(spans)))
            if sample is not None:
                sample(spans)
        points = sum(len(m.points) for m in metrics(history, window, names)) if with_metrics else 0
        return replace(told, points=Sent(accepted=points))
    with Sender(endpoint, names) as sender:
        for rows, runs, spans in batches:
            told = _counted(told, rows, runs, sender.spans(spans))
            if progress is not None:
                progress(told)
        if with_metrics:
            told = replace(told, points=sender.metrics(metrics(history, window, names), window))
    return told


def batched(pieces: Iterator[tuple[int, int, Sequence[Span]]]) -> Iterator[tuple[int, int, list[Span]]]:
    """Pieces of (rows, runs, spans) put together to batches of at least `BATCH_SPANS` spans, and what is left."""
    rows, runs, spans = 0, 0, list[Span]()
    for more_rows, more_runs, more in pieces:
        rows, runs = rows + more_rows, runs + more_runs
        spans.extend(more)
        if len(spans) >= BATCH_SPANS:
            yield rows, runs, spans
            rows, runs, spans = 0, 0, []
    if spans:
        yield rows, runs, spans


def now_us() -> int:
    """The time, in microseconds since 1970."""
    return round(datetime.now(UTC).timestamp() * 1e6)


# ------------------------------------------------------------------------------------------------------------ helpers
def _window(history: History, run_id: str | None, since: datetime | None) -> Window:
    """What to read: of a run from its start to its end, else from `since` (or from the first run) until now."""
    if run_id is None:
        if since is not None:
            return Window(since_us=round(since.timestamp() * 1e6), until_us=now_us())
        return Window(since_us=facts.read(history, statements.FIRST).rows[0][0] or now_us(), until_us=now_us())
    names = facts.read(history, statements.RUN_NAMES).column("id")
    if not names:
        raise RunError(f"no run is on record in {history.home}")
    run = facts.run(history, chosen(run_id, names, home=history.home))
    assert run is not None
    last = facts.read(history, statements.LAST, run_id=run.run_id).rows[0][0]
    until = now_us() if run.status == "running" or last is None else last + 1
    return Window(run.run_id, since_us=run.started_us, until_us=until)


def _spans(history: History, window: Window, telling: Telling) -> Iterator[tuple[int, int, Sequence[Span]]]:
    """Row by row and then run by run: (rows, runs, spans), each with 1 and 0 or 0 and 1."""
    for page in chain(facts.rows_ended(history, window), facts.rows_ended(history, window, left=True)):
        for row, own in facts.with_belongings(history, page, content=telling.content):
            yield 1, 0, row_spans(row, own, telling)
    for run in facts.runs_ended(history, window):
        name = (run.run_id, BATCH)
        found = facts.belongings(history, [name], content=telling.content)
        yield 0, 1, run_spans(run, found[name], telling)


def _counted(told: Told, rows: int, runs: int, sent: Sent) -> Told:
    return replace(told, rows=told.rows + rows, runs=told.runs + runs, spans=told.spans + sent)
