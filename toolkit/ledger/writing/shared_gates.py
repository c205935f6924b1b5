"""Gates that several processes share: a row of the journal for each model, looked at often and changed seldom.

In: a pure step from one state of a gate to the next. Out: the state that all processes see from then on. A change is a
transaction of the writer, so no two processes book the same minute or send the same probe.

Rows hold seconds since 1970, callers have clocks of their own. Where the clock was set back by more than
`STEP_SECONDS`, what was written before counts from now on: nobody waits for a time that is an hour away by mistake.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from toolkit.gates import Breaker, Gate, Load, Step, Timetable
from toolkit.ledger import entries
from toolkit.ledger.writing.transaction import Transaction
from toolkit.records import Event, now

if TYPE_CHECKING:
    from toolkit.ledger.writing.journal import Journal

T = TypeVar("T")
STEP_SECONDS = 5.0
KEPT_SECONDS = 7 * 86_400.0

GATE = "select body, changed_at from gates where name = :name"
SET_GATE = """insert into gates (name, body, changed_at) values (:name, :body, :moment)
    on conflict (name) do update set body = excluded.body, changed_at = excluded.changed_at"""
FORGET_GATES = "delete from gates where changed_at < :before"


class SharedKeeper:
    """Keeps gates in a journal. `clock` is that of the caller, in seconds."""

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock

    async def change(self, name: str, step: Step[T], *, run_id: str, model: str) -> tuple[Gate, T]:
        """The gate after a step; an event is on record with it where that shut or opened the model."""

        def act(transaction: Transaction) -> tuple[Gate, T]:
            moment, here = time.time(), self._clock()
            found = transaction.rows(GATE, name=name)
            kept = _read(*found[0], moment=moment) if found else Gate()
            before = kept.moved(here - moment)
            after, outcome = step(before, here)
            if after != before:
                transaction.run(SET_GATE, name=name, body=_written(after.moved(moment - here)), moment=moment)
                transaction.run(FORGET_GATES, before=moment - KEPT_SECONDS)
                event = turned(before, after, run_id, model, at=here)
                if event is not None:
                    transaction.write(entries.event_entry(event))
            return after, outcome

        return await self._journal.decide(act)

    def look(self) -> Mapping[str, Gate]:
        """All gates that anybody keeps here, by name."""
        moment = time.time()
        ahead = self._clock() - moment
        found = self._journal.gates(since=moment - KEPT_SECONDS)
        return {name: _read(body, changed_at, moment=moment).moved(ahead) for name, body, changed_at in found}


def turned(before: Gate, after: Gate, run_id: str, model: str, *, at: float) -> Event | None:
    """What is told where a step shut a model's gate (its circuit is open then) or opened it (the circuit is closed)."""
    if before.breaker.is_shut == after.breaker.is_shut:
        return None
    if after.breaker.shut_until is None:
        return Event("toolkit.model.closed", run_id, now(), {"model": model})
    about = {"model": model, "failures": after.breaker.failures, "seconds": round(after.breaker.shut_until - at, 3)}
    return Event("toolkit.model.open", run_id, now(), about)


# ----------------------------------------------------------------------------------------------------------- helpers
def _written(gate: Gate) -> str:
    breaker, times, load = gate.breaker, gate.timetable, gate.load
    return orjson.dumps(
        {
            "failures": breaker.failures,
            "shut_until": breaker.shut_until,
            "probe_until": breaker.probe_until,
            "requests_at": times.requests_at,
            "tokens_at": times.tokens_at,
            "limit": load.limit,
            "limit_changed_at": load.changed_at,
        }
    ).decode()


def _read(body: str, changed_at: float, *, moment: float) -> Gate:
    """The gate in a row. Raises KeyError where it is none."""
    kept: dict[str, Any] = orjson.loads(body)
    gate = Gate(
        Breaker(kept["failures"], kept["shut_until"], kept["probe_until"]),
        Timetable(kept["requests_at"], kept["tokens_at"]),
        Load(kept["limit"], kept["limit_changed_at"]),
    )
    ahead = changed_at - moment
    return gate.moved(-ahead) if ahead > STEP_SECONDS else gate
