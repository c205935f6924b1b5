"""Where a run stands, as it is to be shown. Pure: what the record had at one moment in, a `Standing` out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson

from toolkit.ledger.reading.history import History
from toolkit.ledger.reading.watching import Watched, watched
from toolkit.ledger.writing.processes import this_process
from toolkit.ledger.writing.wishes import Wish
from toolkit.money import budgets
from toolkit.runs.run_names import going_on

QUIET_SECONDS = 30.0


@dataclass(frozen=True)
class Worker:
    """A living process that works on a run."""

    host: str
    pid: int
    is_here: bool = False

    def __str__(self) -> str:
        return "this kernel" if self.is_here else f"process {self.pid} on {self.host.split()[0]}"


@dataclass(frozen=True)
class Fault:
    """An attempt that failed, whether it was mended or not; or a row that did, without step and model."""

    happened_at: datetime
    row_id: str
    step: str
    model: str
    kind: str
    message: str


@dataclass(frozen=True)
class Speed:
    """How a model serves: service and waiting in seconds, of `calls` that gave a reply."""

    model: str
    calls: int
    p50_seconds: float
    p95_seconds: float
    p95_wait_seconds: float


@dataclass(frozen=True)
class Standing:
    """A run at the moment `as_of`. Rows are those of the table that was given; `total` is None where it is not known.

    `in_flight` rows are in the hands of a living process: under way, or claimed to begin next. `rows_per_second` is the
    pace of the last minute, and that of the whole where the run is over. `cost_usd` is the sum of what is known,
    `unpriced` counts calls of unknown cost. `budget` is the one that is nearest to its end. `wish` is what
    somebody wishes of those who work on it. `further` says how to go on with it where it is over.
    """

    run_id: str
    workflow: str
    origin: str
    status: str
    as_of: datetime
    started_at: datetime
    seconds: float
    total: int | None = None
    answered: int = 0
    parked: int = 0
    failed: int = 0
    set_aside: int = 0
    in_flight: int = 0
    rows_per_second: float | None = None
    calls: int = 0
    errors: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    budget: budgets.Standing | None = None
    slowest: Speed | None = None
    faults: tuple[Fault, ...] = ()
    workers: tuple[Worker, ...] = ()
    quiet_seconds: float = 0.0
    wish: Wish | None = None
    note: str = ""
    further: str = ""

    @property
    def done(self) -> int:
        return self.answered + self.parked + self.failed + self.set_aside

    @property
    def is_over(self) -> bool:
        return self.status != "running"

    @property
    def is_here(self) -> bool:
        """Whether this process works on it."""
        return any(worker.is_here for worker in self.workers)

    @property
    def is_silent(self) -> bool:
        """Whether it says that it is running, while nobody is known to work on it and nothing was heard for long."""
        return not self.is_over and not self.workers and self.quiet_seconds > QUIET_SECONDS

    @property
    def is_paused(self) -> bool:
        return not self.is_over and self.wish == "pause"

    @property
    def is_stopping(self) -> bool:
        """Whether it was cancelled, and calls under way have not ended."""
        return not self.is_over and self.wish == "cancel"

    @property
    def seconds_left(self) -> float | None:
        """By the pace of the last minute; None without a pace or a total, and where it is over."""
        if self.is_over or self.wish or self.total is None or not self.rows_per_second:
            return None
        return max(0, self.total - self.done) / self.rows_per_second


def standing_of(history: History, run_id: str) -> Standing:
    """Where that run stands now, by its record. Raises RunError where there is no such run."""
    seen = watched(history, run_id)
    return replace(stands(seen), further=_further(seen, history))


def stands(seen: Watched) -> Standing:
    """What is to be shown of what the record had."""
    run, is_over = seen.run, seen.run["status"] != "running"
    counts = {name: run[name] for name in ("answered", "parked", "failed", "set_aside")}
    until = run["last_at"] if is_over else seen.as_of
    seconds = max(0.0, (until - run["started_at"]).total_seconds())
    ended, during = (sum(counts.values()), seconds) if is_over else (seen.ended_lately, seen.window_seconds)
    return Standing(
        run_id=seen.run_id,
        workflow=run["workflow"],
        origin=run["origin"],
        status=run["status"],
        as_of=seen.as_of,
        started_at=run["started_at"],
        seconds=seconds,
        total=run["rows_total"],
        **counts,
        in_flight=0 if is_over else seen.in_hand,
        rows_per_second=ended / during if ended and during else None,
        calls=run["calls"],
        errors=run["errors"],
        cost_usd=run["cost_usd"] or 0.0,
        unpriced=seen.unpriced,
        budget=_budget(seen),
        slowest=None if seen.slowest is None else Speed(**seen.slowest),
        faults=tuple(Fault(**fault) for fault in seen.faults),
        workers=tuple(Worker(each.host, each.pid, is_here=_is_here(each)) for each in seen.holders),
        quiet_seconds=max(0.0, (seen.as_of - run["last_at"]).total_seconds()),
        wish=seen.wish if seen.holders else None,
        note=seen.note,
    )


def _further(seen: Watched, history: History) -> str:
    """How to go on with it: a command where its job is on record, else the call that began it."""
    if "job" in (orjson.loads(seen.run["settings"] or "{}") or {}):
        return going_on(seen.run_id, history.home)
    return f"call .run(…, run_id={seen.run_id!r}) where it was started"


def _is_here(holder: object) -> bool:
    return this_process() == " | ".join(str(getattr(holder, name)) for name in ("host", "pid", "process_started"))


def _budget(seen: Watched) -> budgets.Standing | None:
    limits = budgets.budgets_of((orjson.loads(seen.run["settings"] or "{}") or {}).get("budget"))
    if limits is None:
        return None
    day = f"{(seen.run['finished_at'] or seen.as_of).astimezone(UTC):%Y-%m-%d}"
    caps = [
        budgets.Cap(part.scope(seen.run_id, day), unit, most, part)
        for part in limits.parts
        for unit, most in part.limits
    ]
    return budgets.tightest(caps, seen.balances)
