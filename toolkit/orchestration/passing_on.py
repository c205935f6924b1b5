"""From the record to Prefect: what happens in a run as events that automations can act on, and as lines of the log.

    toolkit.row.parked, toolkit.model.open, toolkit.budget.reached, … ─▶ a Prefect event each, and a line of the log
    rows that failed, or were set aside                               ─▶ a line of the log

What is passed on is what is on record, so it is redacted as that is. A model's events are about the resource
`toolkit.model.NAME`, all others about `toolkit.run.ID`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from prefect.events import emit_event

from toolkit.errors import LedgerError
from toolkit.ledger import History
from toolkit.ledger.views import following
from toolkit.records import Event, Json, canonical

EVERY_SECONDS = 2.0
OVERLAP = timedelta(seconds=10)
"""How far back each look reaches: what happened first may be on record second."""
SHARE_OF_TIME = 0.05
"""The most of the time that reading may take: of a large record it reads less often."""
PATIENCE_SECONDS = 10.0
LINES = 5
BAD = ("toolkit.budget", "toolkit.model.open", "toolkit.quality", "toolkit.step.failed")

Log = Any


@dataclass(frozen=True)
class Happened:
    """An event as Prefect is told of it."""

    event: Event
    workflow: str

    @property
    def id(self) -> UUID:
        """The same for the same event, however often it is told."""
        told = (self.event.name, self.event.run_id, self.event.at.isoformat(), canonical(self.event.about).decode())
        return uuid5(NAMESPACE_URL, "\n".join(told))

    @property
    def resource(self) -> dict[str, str]:
        """What it is about, with labels that an automation can match."""
        about, run_id = self.event.about, self.event.run_id
        model = about.get("model") if self.event.name.startswith("toolkit.model.") else None
        subject = f"toolkit.model.{model}" if model else f"toolkit.run.{run_id}"
        labels = {name: about[name] for name in ("model", "step", "row_id", "suite") if about.get(name)}
        told = {"workflow": self.workflow, "run_id": run_id, **labels}
        return {
            "prefect.resource.id": subject,
            "prefect.resource.name": str(model or run_id),
            **{f"toolkit.{name}": str(value) for name, value in told.items()},
        }

    @property
    def payload(self) -> dict[str, Json]:
        return {"run_id": self.event.run_id, "workflow": self.workflow, **self.event.about}

    @property
    def line(self) -> str:
        """The event in a line: `model large is open: 5 failures, shut for 30 s`."""
        about = self.event.about
        subject = " ".join(f"{name.removesuffix('_id')} {about[name]}" for name in SUBJECTS if about.get(name))
        rest = [f"{name} {value}" for name, value in about.items() if name not in (*SUBJECTS, "reason", "why")]
        said = [str(about.get("reason") or about.get("why") or ""), ", ".join(rest)]
        told = f"{subject} {self.event.name.removeprefix('toolkit.')}".strip()
        return ": ".join([told, *filter(None, said)])


SUBJECTS = ("model", "row_id", "step", "suite")


class PassingOn:
    """Passes on what is new in a run, when it is asked to look; nothing that happened before `since`.

    `begin` looks again and again in a thread of its own: a query takes Ctrl-C, and what Prefect stops a flow run with,
    for its own, so the thread that is to be stopped must not be in one.
    """

    def __init__(self, history: History, run_id: str, workflow: str, *, log: Log, since: datetime) -> None:
        self._history = history
        self._run_id = run_id
        self._workflow = workflow
        self._log = log
        self._begun = self._events_since = self._rows_since = since
        self._seen: set[object] = set()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Look until `end`."""
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._follow,), name="passing on", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look for the last time."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)
            self._thread = None

    def look(self) -> None:
        """Pass on what is new. A record that cannot be read now is read the next time."""
        try:
            events, rows = list(self._events()), list(self._rows())
        except LedgerError as error:
            self._log.debug("the record cannot be read now: %s", error)
            return
        self._tell(events)
        for line in shortened([f"row {row_id} {status}: {reason}" for row_id, status, reason in rows], "rows more"):
            self._log.warning("%s", line)

    def _follow(self) -> None:
        took = 0.0
        while not self._over.wait(max(EVERY_SECONDS, took / SHARE_OF_TIME)):
            began = time.monotonic()
            self.look()
            took = time.monotonic() - began
        self.look()

    def _events(self) -> Iterator[Happened]:
        since = self._events_since - OVERLAP
        for name, at, about in self._history.sql(following.EVENTS_SINCE, {"since": since}, run_id=self._run_id):
            self._events_since = max(self._events_since, at)
            happened = Happened(Event(name, self._run_id, at.astimezone(UTC), _read(about)), self._workflow)
            if at > self._begun and self._is_new(happened.id):
                yield happened

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        since = self._rows_since - OVERLAP
        found = self._history.sql(following.ROWS_LOST_SINCE, {"since": since}, run_id=self._run_id)
        for row_id, status, reason, at in found:
            self._rows_since = max(self._rows_since, at)
            if at > self._begun and self._is_new((row_id, at)):
                yield row_id, status.replace("_", " "), reason

    def _is_new(self, each: object) -> bool:
        known = each in self._seen
        self._seen.add(each)
        return not known

    def _tell(self, events: list[Happened]) -> None:
        by_name = defaultdict(list)
        for happened in events:
            emit(happened)
            by_name[happened.event.name].append(happened.line)
        for name, lines in by_name.items():
            level = logging.WARNING if name.startswith(BAD) else logging.INFO
            for line in shortened(lines, f"times more: {name}"):
                self._log.log(level, "%s", line)


def emit(happened: Happened) -> None:
    """Tell Prefect, in whose flow run this is; told twice it is one event."""
    emit_event(
        event=happened.event.name,
        resource=happened.resource,
        payload=happened.payload,
        occurred=happened.event.at,
        id=happened.id,
    )


@contextmanager
def overheard(log: Log) -> Iterator[None]:
    """What the engine logs while the block runs (a history that somebody keeps closed, say) stands in that log too."""
    ear, engine = _Ear(log), logging.getLogger("toolkit")
    engine.addHandler(ear)
    try:
        yield
    finally:
        engine.removeHandler(ear)


class _Ear(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "%s", record.getMessage())


def shortened(lines: list[str], rest: str) -> list[str]:
    """The first few, and how many more there are."""
    return lines if len(lines) <= LINES + 1 else [*lines[:LINES], f"… and {len(lines) - LINES:,} {rest}"]


def _read(about: Any) -> Mapping[str, Json]:
    found = orjson.loads(about) if isinstance(about, str) else about
    return found if isinstance(found, dict) else {}
