"""A run's purse: before a call its worst case is held back, after it the cost is put in its place.

    reserve ─▶ the call ─▶ its attempt on record ─▶ settle

One transaction each, over all processes (`toolkit.ledger.writing.reservations`). A call that does not fit beside those
under way waits until one of them turns out cheaper; one that could pass a budget even so is denied, and where that
speaks for all calls of the run, the run stops: it can be resumed with a larger budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import Any

from toolkit.asking.doors import Refused
from toolkit.asking.questions import Tally
from toolkit.asking.reconciling import dead, reconciled
from toolkit.asking.worst import limited, worst
from toolkit.errors import (
    AccessDenied,
    CallError,
    ContextOverflow,
    InvalidRequest,
    OverBudget,
    Overloaded,
    RateLimited,
)
from toolkit.fleet import Fleet
from toolkit.ledger.recording import Recorder
from toolkit.ledger.writing import reservations
from toolkit.ledger.writing.reservations import NOTHING, UNKNOWN, Reservation, Spent
from toolkit.models.spec import ModelSpec
from toolkit.models.tokenizers import tokenizer_of
from toolkit.money.budgets import SLACK, Balance, Budgets, Cap, Denied, Unit, Worst, amount, tightest
from toolkit.records import Attempt, Event, Json, Place, Request, now

FREE = (RateLimited, Overloaded, InvalidRequest, AccessDenied, ContextOverflow, Refused)
"""Errors of a call that was refused before any work was done, by its provider or at our own door."""
UNSENT = ("ConnectError", "ConnectTimeout")
"""What httpx calls a connection that was never made."""
POLL_SECONDS = 0.25
BURIAL_SECONDS = 5.0

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Hold:
    """What is held back for a call under way."""

    place: Place
    worst: Worst
    caps: tuple[Cap, ...] = ()


class Purse:
    """The budgets of one run, in this process. Once one of them stops the run, `stopped` says why."""

    def __init__(
        self,
        budgets: Budgets,
        fleet: Fleet,
        recorder: Recorder,
        *,
        tally: Tally,
        holder: str | None,
        stop: asyncio.Event,
        pause: Pause,
    ) -> None:
        self.budgets = budgets
        self.stopped = ""
        self._fleet = fleet
        self._tally = tally
        self._holder = holder
        self._recorder = recorder
        self._journal = recorder.journal
        self._stop = stop
        self._pause = pause
        self._holds: dict[str, Hold] = {}
        self._balances: dict[tuple[str, Unit], Balance] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._line = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def left_usd(self) -> float | None:
        """What is left in US dollars of the budget that is nearest to its end, as far as this process knows."""
        standing = self._tally.budget
        return standing.left if standing is not None and standing.cap.unit == "usd" else None

    def unspent_usd(self, place: Place) -> float | None:
        """What the budgets that cover whatever model the place asks leave in US dollars, as far as this process knows.

        What is held back for calls under way is not counted as gone. None where no budget limits money there.
        """
        caps = self._caps(place, model="")
        left = [
            cap.most - self._balances.get((cap.scope, cap.unit), Balance()).spent for cap in caps if cap.unit == "usd"
        ]
        return min(left, default=None)

    async def reserve(self, attempt_id: str, place: Place, spec: ModelSpec, request: Request) -> Request:
        """Hold back what a call may cost at most; the request as it may be sent, with a limit of its output.

        Waits while it does not fit beside the calls under way. Raises OverBudget, and Stopped.
        """
        counter = tokenizer_of(spec)
        request = limited(request, spec, counter)
        price = self._fleet.facts[spec.name].price
        needs = worst(request, spec, price=price, ceiling_usd=self.budgets.ceiling_usd, counter=counter)
        caps = self._caps(place, model=spec.name)
        if needs.usd is None and (cap := next((cap for cap in caps if cap.unit == "usd"), None)):
            raise OverBudget(f"the budget of {cap.budget} cannot hold: {unpriced(spec.name)}")
        if caps:
            wanted = Reservation(attempt_id, place.run_id, self._holder, caps, needs)
            found = await self._reserved(wanted)
            if isinstance(found, Denied):
                raise OverBudget(str(found), stops_the_run=found.stops_the_run)
            self._know(caps, found)
            self._holds[attempt_id] = Hold(place, needs, caps)
        return request

    def held_usd(self, attempt_id: str) -> float | None:
        """What is held back for a call, None where nothing is, or no money."""
        hold = self._holds.get(attempt_id)
        return None if hold is None else hold.worst.usd

    def settle(self, attempt: Attempt, *, sent: bool = True) -> None:
        """Put the cost of an attempt, which is on record, in the place of what was held back for it."""
        hold = self._holds.pop(attempt.id, None)
        if hold is None:
            return
        spent = spent_on(attempt) if sent else NOTHING
        self._settle(attempt.id, spent, hold.caps)
        self._note(hold, spent)
        over = [
            f"{amount(used, unit)} where {amount(hold.worst.of(unit), unit)} were held back"
            for unit, used, most in _both(spent, hold.worst)
            if used > most * (1 + SLACK)
        ]
        if over:
            about = {"attempt_id": attempt.id, "model": attempt.model}
            why = (
                f"{attempt.model} used {' and '.join(over)}; its output limit or its price is not what it is told to be"
            )
            self.halt("toolkit.budget.exceeded", why, place=hold.place, about=about)

    def release(self, attempt_id: str, *, sent: bool) -> None:
        """A call is given up that leaves no attempt: once sent, nobody will know what it cost, and all that was held
        back for it counts."""
        hold = self._holds.pop(attempt_id, None)
        if hold is not None:
            self._settle(attempt_id, UNKNOWN if sent else NOTHING, hold.caps)

    def halt(self, event: str, why: str, *, place: Place, about: Mapping[str, Json] | None = None) -> None:
        """Stop the run between attempts, and put on record why."""
        if not self.stopped:
            self.stopped = why
            told = {"reason": why, "step": place.step, "row_id": place.row_id, **(about or {})}
            self._recorder.event(Event(event, place.run_id, now(), told))
        self._stop.set()

    async def close(self) -> None:
        """Wait until all that was settled is durable."""
        while self._settling:
            await asyncio.gather(*self._settling)

    # ------------------------------------------------------------------------------------------------------- helpers
    def _note(self, hold: Hold, spent: Spent) -> None:
        """What is spent is known here before the next call asks the journal for it."""
        for cap in hold.caps:
            known = self._balances.get((cap.scope, cap.unit), Balance())
            more = hold.worst.of(cap.unit) if (used := spent.of(cap.unit)) is None else used
            held = max(0.0, known.reserved - hold.worst.of(cap.unit))
            self._know(hold.caps, {(cap.scope, cap.unit): Balance(known.spent + more, held)})

    def _know(self, caps: tuple[Cap, ...], found: Mapping[tuple[str, Unit], Balance]) -> None:
        """The balances as they are now. What the journal said last is right: it settles one call after another."""
        self._balances.update(found)
        self._tally.budget = tightest(caps, self._balances)

    def _caps(self, place: Place, *, model: str) -> tuple[Cap, ...]:
        day = now().astimezone(UTC).date().isoformat()
        return self.budgets.caps(run_id=place.run_id, day=day, step=place.step, model=model)

    async def _reserved(self, wanted: Reservation) -> Denied | reservations.Balances:
        """The balances with the call's worst case held back, once there is room for it; or that there never will be.

        Who does not fit at first waits in line, so that only the first in it asks again, and none is overtaken.
        """
        action = partial(reservations.reserve, wanted=wanted)
        if not self._line.locked():
            found = await self._journal.decide(action)
            if not isinstance(found, Denied) or found.for_good:
                return found
        async with self._line:
            waited = 0.0
            while True:
                self._changed.clear()
                found = await self._journal.decide(action)
                if not isinstance(found, Denied) or found.for_good:
                    return found
                await self._pause(0)
                waited += await self._until_something_settles()
                if waited >= BURIAL_SECONDS:
                    waited = 0.0
                    await self._bury()

    async def _until_something_settles(self) -> float:
        """Wait for a call of this process to be settled, but not for long: others settle too. The seconds waited."""
        try:
            await asyncio.wait_for(self._changed.wait(), POLL_SECONDS)
        except TimeoutError:
            return POLL_SECONDS
        return 0.0

    async def _bury(self) -> None:
        """Free what processes that are gone hold back."""
        if gone := await self._journal.decide(dead):
            await asyncio.to_thread(reconciled, self._journal, gone)

    def _settle(self, attempt_id: str, spent: Spent, caps: tuple[Cap, ...]) -> None:
        task = asyncio.ensure_future(self._settled(attempt_id, spent, caps))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settled(self, attempt_id: str, spent: Spent, caps: tuple[Cap, ...]) -> None:
        found = await self._journal.decide(partial(reservations.settled, id=attempt_id, spent=spent, caps=caps))
        self._know(caps, found)
        self._changed.set()


def spent_on(attempt: Attempt) -> Spent:
    """What an attempt has cost, as far as is known; nothing where it was refused, or never left this machine."""
    if attempt.reply is None:
        return NOTHING if attempt.error is not None and is_free(attempt.error) else UNKNOWN
    usage = attempt.reply.usage
    known = usage.input_tokens is not None and usage.output_tokens is not None
    tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0) if known else None
    return Spent(attempt.cost_usd, tokens)


def is_free(error: CallError) -> bool:
    """Whether a call that failed so has certainly cost nothing."""
    return isinstance(error, FREE) or type(error.__cause__).__name__ in UNSENT


def unpriced(model: str) -> str:
    """Why a model of unknown price is not asked, and what to do."""
    return (
        f"the price of {model} is unknown; declare it in models.toml (price = {{ input = 0.0, output = 0.0 }} where it "
        "is free), or take a ceiling for each such call: --budget '…; ceiling: 0.05 USD', Budget(ceiling_usd=0.05)"
    )


def _both(spent: Spent, most: Worst) -> list[tuple[Unit, float, float]]:
    """(unit, what was used, what was held back) where both are known."""
    known: list[tuple[Unit, Any, Any]] = [("usd", spent.usd, most.usd), ("tokens", spent.tokens, most.tokens)]
    return [(unit, used, held) for unit, used, held in known if used is not None and held is not None]
