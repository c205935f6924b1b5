"""What a resume of a run would do, before it does: what is on record, what would be asked and why, and at what price.

In: the record of a run. Out: a `Prospect`. Nothing but the record is read: neither the workflow nor the rows, so that
steps which no row has reached yet are not in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from toolkit.ledger import History
from toolkit.ledger.views import questions

Why = Literal["failed", "never reached", "content was not kept", "erased"]
State = Literal["answered", "withheld", "erased", "skipped", "parked", "failed"]

BATCH_ROW = "*"
DONE = ("answered", "set_aside")
FIT = "/fit"


@dataclass(frozen=True)
class Settled:
    """How a step of a row stands, by the record; `asks`: a model gave it."""

    row_id: str
    step: str
    turn: int
    state: State
    asks: bool


@dataclass(frozen=True)
class Asked:
    """What a step has cost so far: attempts, the rows they were for, US dollars (None where unknown)."""

    calls: int
    rows: int
    cost_usd: float | None


@dataclass(frozen=True)
class Facts:
    """The record of a run, as far as a resume depends on it. `parents` are those of rows of nested workflows."""

    rows_total: int | None
    rows: Mapping[str, str]
    parents: Mapping[str, str]
    settled: tuple[Settled, ...]
    asked: Mapping[str, Asked]

    def root(self, row_id: str) -> str:
        """The row of the batch that a row belongs to; one of a nested workflow is named after it."""
        while row_id in self.parents:
            row_id = self.parents[row_id]
        if row_id in self.rows or "/" not in row_id:
            return row_id
        return next((row_id[:at] for at, mark in enumerate(row_id) if mark == "/" and row_id[:at] in self.rows), row_id)


@dataclass(frozen=True)
class StepProspect:
    """One step: rows whose answer stays, rows that go on waiting for a person, and rows to be asked, by reason.

    `calls` and `cost_usd` are estimated by this run's own averages; a cost that cannot be known is None.
    """

    step: str
    on_record: int = 0
    waiting: int = 0
    ask: Mapping[Why, int] = field(default_factory=dict)
    calls: float = 0.0
    cost_usd: float | None = 0.0


@dataclass(frozen=True)
class Prospect:
    """What a resume would do. Rows are done, run again, or were never reached (None where their number is unknown)."""

    rows_done: int
    rows_again: int
    rows_unreached: int | None
    steps: tuple[StepProspect, ...]

    @property
    def calls(self) -> float:
        return sum(step.calls for step in self.steps)

    @property
    def cost_usd(self) -> float | None:
        costs = [step.cost_usd for step in self.steps]
        return None if None in costs else sum(cost or 0.0 for cost in costs)

    @property
    def asked_again(self) -> tuple[str, ...]:
        """The steps that are asked once more although they were answered."""
        lost: tuple[Why, ...] = ("content was not kept", "erased")
        return tuple(step.step for step in self.steps if any(step.ask.get(why) for why in lost))


def planned(facts: Facts) -> Prospect:
    """What a resume would do, by the record. Pure."""
    started = {facts.root(each.row_id) for each in facts.settled} - {BATCH_ROW}
    known = {**dict.fromkeys(started, "cut off"), **facts.rows}
    done = {row_id for row_id, status in known.items() if status in DONE}
    unreached = None if facts.rows_total is None else max(0, facts.rows_total - len(known))
    standing = _standing(facts)
    steps = dict.fromkeys(each.step for each in facts.settled)
    return Prospect(
        rows_done=len(done),
        rows_again=len(known) - len(done),
        rows_unreached=unreached,
        steps=tuple(_of_step(facts, step, standing, known, unreached or 0) for step in steps),
    )


def facts_of(history: History, run_id: str) -> Facts:
    """The facts of a run on record."""
    ((_, _, _, total, _),) = history.sql(questions.PLAN_RUN, run_id=run_id).rows
    rows = history.sql(questions.PLAN_ROWS, run_id=run_id).rows
    settled = history.sql(questions.PLAN_SETTLED, run_id=run_id).rows
    names = {step for _, step, _, _, _ in settled}
    fits = {f"{name}{FIT}" for name in names}  # what a fitting strategy asked on the way to its step
    found = [
        Settled(row_id, step, turn, state, model is not None)
        for row_id, step, turn, model, state in settled
        if step not in fits
    ]
    asked: dict[str, Asked] = {}
    for step, calls, asked_rows, cost_usd, unpriced in history.sql(questions.PLAN_ASKED, run_id=run_id):
        base = step.removesuffix("/route").removesuffix("/grade").removesuffix(FIT)
        name = base if base in names else step  # what its router, graders or fitting ask is paid for by a step
        before = asked.get(name, Asked(0, 0, 0.0))
        cost = None if unpriced or before.cost_usd is None else before.cost_usd + (cost_usd or 0.0)
        asked[name] = Asked(before.calls + calls, max(before.rows, asked_rows), cost)
    return Facts(
        rows_total=total,
        rows={row_id: status for row_id, status, parent in rows if parent is None},
        parents={row_id: parent for row_id, _, parent in rows if parent is not None},
        settled=tuple(found),
        asked=asked,
    )


def settings_of(history: History, run_id: str) -> dict[str, str]:
    """What the run says of itself: workflow, status, redact, content."""
    ((_, workflow, status, _, settings),) = history.sql(questions.PLAN_RUN, run_id=run_id).rows
    told = orjson.loads(settings or "{}")
    kept = {name: str(told.get(name, default)) for name, default in (("redact", "none"), ("content", "full"))}
    return {"workflow": workflow, "status": status, **kept}


# ----------------------------------------------------------------------------------------------------------- helpers
def _standing(facts: Facts) -> dict[tuple[str, str], State | None]:
    """(row, step) → how it stands, all turns and all child rows taken together; None where it is not finished."""
    turns: dict[tuple[str, str], list[Settled]] = {}
    for each in facts.settled:
        turns.setdefault((facts.root(each.row_id), each.step), []).append(each)
    return {place: _together(found) for place, found in turns.items()}


def _together(found: Iterable[Settled]) -> State | None:
    found = list(found)
    states = {each.state for each in found}
    worst: tuple[State, ...] = ("failed", "parked", "withheld", "erased")
    for state in worst:
        if state in states:
            return state
    return next((each.state for each in found if each.turn == 0), None)


def _of_step(
    facts: Facts,
    step: str,
    standing: Mapping[tuple[str, str], State | None],
    known: Mapping[str, str],
    unreached: int,
) -> StepProspect:
    rows = [BATCH_ROW] if (BATCH_ROW, step) in standing else list(known)
    kept, waiting, ask = 0, 0, Counter[Why]()
    for row_id in rows:
        state = standing.get((row_id, step))
        if known.get(row_id) in DONE:
            kept += state is not None
            continue
        match state:
            case "answered" | "skipped":
                kept += 1
            case "parked":
                waiting += 1
            case "failed":
                ask["failed"] += 1
            case "withheld":
                ask["content was not kept"] += 1
            case "erased":
                ask["erased"] += 1
            case None if known.get(row_id) == "parked":
                waiting += 1
            case None:
                ask["never reached"] += 1
    if rows != [BATCH_ROW]:
        ask["never reached"] += unreached
    calls, cost_usd = _estimate(facts, step, standing, +ask)
    return StepProspect(step, kept, waiting, dict(+ask), calls, cost_usd)


def _estimate(
    facts: Facts, step: str, standing: Mapping[tuple[str, str], State | None], ask: Mapping[Why, int]
) -> tuple[float, float | None]:
    """Calls and cost: a row that was asked before costs what those asked did; one never reached, what an average row
    did, which may have found its answer on record or asked nobody."""
    asks = any(each.asks for each in facts.settled if each.step == step)
    so_far = facts.asked.get(step)
    if not ask or (so_far is None and not asks):
        return 0.0, 0.0
    so_far = so_far or Asked(0, 0, None)
    through = sum(name == step for _, name in standing)
    again = sum(count for why, count in ask.items() if why != "never reached")
    each = so_far.calls / so_far.rows if so_far.rows else 1.0
    calls = again * each + ask.get("never reached", 0) * (so_far.calls / through if through and so_far.rows else each)
    if so_far.cost_usd is None or not so_far.calls:
        return calls, None
    return calls, calls * so_far.cost_usd / so_far.calls
