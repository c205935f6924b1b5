"""The batch that is killed: rows through three models, a step that all rows share, and one that sees them all.

In: a home, a run's name and the URL of a fake server. Out: the run goes on in this process, which says on a pipe where
it is (`evals.record.harness.Marks`), and dies there if it is to.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from evals.record.harness import Marks, WatchedJournal
from toolkit import Fixed, Fleet, ModelSpec, Workflow, prompt, step
from toolkit.errors import LedgerError
from toolkit.fake import settings
from toolkit.fake.profiles import Settings as FakeSettings
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.writing import holders
from toolkit.models.http import HttpModel
from toolkit.records import Reply, Request
from toolkit.runs import beginning as beginning_module
from toolkit.runs.claiming import Holding

MODELS = ("reader", "writer", "checker", "keeper")
STEPS = ("label", "reply", "check")
LATENCY_SECONDS = 0.02
IN_FLIGHT = 16
MERGE_SECONDS = 0.1
FENCED = 3
"""How a process ends that was given up and noticed."""


def server_settings() -> FakeSettings:
    """A fake server whose models answer after 20 ms, and the same request always alike."""
    told = {"latency_seconds": LATENCY_SECONDS}
    return settings({"seed": 7, "models": {name: dict(told) for name in MODELS}})


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"r{number:04d}", "ticket": f"Ticket {number:04d}: where is my parcel?"} for number in range(count)]


def fleet(url: str) -> Fleet:
    capabilities = frozenset({"chat", "json"})
    return Fleet(
        {
            name: ModelSpec(name, "openai", name, endpoint=url, capabilities=capabilities, concurrency=64)
            for name in MODELS
        }
    )


@step(route=Fixed("keeper"))
def rules() -> Request:
    """Asked once for the batch."""
    return prompt("Repeat the rules.", rules="Parcels are replaced after 30 days.")


@step(route=Fixed("reader"), output=bool)
def label(ticket: str) -> Request:
    return prompt("Is this urgent?", ticket=ticket)


@step(route=Fixed("writer"))
def reply(ticket: str, label: bool, rules: str) -> Request:
    return prompt("Answer by the rules.", rules=rules, urgent=label, ticket=ticket)


@step(route=Fixed("checker"))
def check(reply: str, ticket: str) -> Request:
    return prompt("Check this answer.", answer=reply, ticket=ticket)


@step(reduces=True)
def report(check: list[str]) -> dict[str, int]:
    _here("reporting")
    return {"rows": len(check), "characters": sum(map(len, check))}


BATCH = Workflow("batch", [rules, label, reply, check, report])


# ------------------------------------------------------------------------------------------------- what is killed
def drive(marks: Marks, home: Path, run_id: str, url: str, count: int, seconds: tuple[float, float] | None) -> None:
    """Begin the run or go on with it, to its end. `seconds`: of a sign of life, and after how many a holder expires."""
    if seconds is not None:
        holders.BEAT_SECONDS, holders.EXPIRES_SECONDS = seconds
    _watch(marks)
    try:
        running = BATCH.start(rows(count), fleet(url), home=home, run_id=run_id, in_flight=IN_FLIGHT)
        running.wait(show=False)
    except LedgerError:
        os._exit(FENCED)
    if running.run.status != "finished" or running.progress.done != count:
        raise RuntimeError(f"{running!r} of {count} rows")
    marks.acknowledged(run_id, running.progress.answered)


_marks: list[Marks] = []


def _here(point: str) -> None:
    for marks in _marks:
        marks.reached(point)


def _watch(marks: Marks) -> None:
    """Have the journal, the merger, the models and the end of the run say where they are."""
    _marks.append(marks)
    WatchedJournal.marks = marks
    merging.EVERY_SECONDS = MERGE_SECONDS
    beginning_module.Journal = _Journal  # type: ignore[attr-defined]
    send, leave, ends = HttpModel.send, Holding.leave, Holding.is_ours_to_end

    async def sending(self: HttpModel, request: Request) -> Reply:
        marks.reached("sending")
        found = await send(self, request)
        marks.reached("replied")
        return found

    async def ending(self: Holding) -> bool:
        marks.reached("rows_done")
        found = await ends(self)
        marks.reached("end_claimed")
        return found

    async def leaving(self: Holding, status: Any) -> Any:
        marks.reached("leaving")
        found = await leave(self, status)
        marks.reached("left")
        return found

    HttpModel.send, Holding.leave = sending, leaving  # type: ignore[method-assign]
    Holding.is_ours_to_end = ending  # type: ignore[method-assign]


class _Journal(WatchedJournal):
    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._merger.reached = self.marks.reached
