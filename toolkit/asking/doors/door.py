"""The queue before one model. In: requests that want to be sent. Out: a pass for each in its turn, or a refusal."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from toolkit.asking.doors.known import BROKEN_OFF, Known, Outcome
from toolkit.errors import Unavailable
from toolkit.gates import BURST_SECONDS, PROBE_SECONDS, Keeper, Pace
from toolkit.models.spec import ModelSpec

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
FIRST_GUESS_TOKENS = 256.0
"""What an answer is taken to have before one is known."""
LONGEST_MEMORY = 20


class Refused(Unavailable):
    """Nothing was sent: the door is shut, and somebody else can be asked or it was waited for long enough."""

    transient: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Pass:
    """Whoever has it is inside: as a probe or not, with so many tokens booked, where it was thought to send so many."""

    tokens: float = 0.0
    input_tokens: int = 0
    probe: bool = False


PLAIN = Pass()


@dataclass(slots=True, eq=False)
class _Waiter:
    done: asyncio.Future[Pass]
    input_tokens: int
    run_id: str
    elsewhere: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Booking:
    at: float
    tokens: float


class Door:
    """The door of one model for one run. `look` is to be called now and then: it may tell what others know."""

    def __init__(
        self,
        spec: ModelSpec,
        keeper: Keeper,
        *,
        clock: Callable[[], float],
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self.known = Known(spec, keeper, clock=clock)
        self.in_flight = 0
        self._pace = Pace.per_minute(spec.requests_per_minute, spec.tokens_per_minute)
        self._clock = clock
        self._look = look
        self._waiting: deque[_Waiter] = deque()
        self._booked: deque[_Booking] = deque()
        self._debt = 0.0
        self._more_tokens = FIRST_GUESS_TOKENS
        self._reports = 0
        self._asking: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counts_tokens(self) -> bool:
        """Whether it wants to know how large a request is."""
        return self._pace.tokens is not None

    @property
    def waiting(self) -> int:
        """How many wait before it."""
        return len(self._waiting)

    def admits(self, now: float) -> bool:
        """Whether it is open, or would let a probe in."""
        return self.known.breaker.admits(now) and "probe" not in self._asking

    def opens_in(self, now: float) -> float:
        """Seconds until it is worth asking that again."""
        return 0.0 if self.admits(now) else max(self.known.breaker.opens_in(now), PROBE_SECONDS)

    # --------------------------------------------------------------------------------------------------- in and out
    def pass_at_once(self) -> Pass | None:
        """A pass, where there is nothing to wait for."""
        known = self.known
        if self._waiting or known.breaker.is_shut or self.in_flight >= known.room or self._pace.is_limited:
            return None
        self.in_flight += 1
        return PLAIN

    async def enter(self, input_tokens: int, *, run_id: str, elsewhere: Callable[[], bool]) -> Pass:
        """A pass, as soon as it is this request's turn.

        While the door is shut, a request is refused (`Refused`) that can go `elsewhere`; one that cannot waits, but not
        for ever.
        """
        waiter = _Waiter(asyncio.get_running_loop().create_future(), input_tokens, run_id, elsewhere)
        self._waiting.append(waiter)
        self._serve()
        try:
            return await waiter.done
        except asyncio.CancelledError:
            if waiter.done.done() and not waiter.done.cancelled() and waiter.done.exception() is None:
                self.leave(waiter.done.result(), BROKEN_OFF, run_id=run_id)
            with suppress(ValueError):
                self._waiting.remove(waiter)
            self._serve()
            raise

    def leave(self, passed: Pass, outcome: Outcome, *, run_id: str) -> None:
        """Give a pass back, and say what came of the call."""
        self.known.heard(outcome, probe=passed.probe, in_flight=self.in_flight, run_id=run_id)
        self.in_flight -= 1
        if self.counts_tokens and outcome.input_tokens is not None:
            used = outcome.input_tokens + (outcome.output_tokens or 0)
            self._owe(used - passed.tokens)
            self._reports += 1
            self._more_tokens += (used - passed.input_tokens - self._more_tokens) / min(self._reports, LONGEST_MEMORY)
        if self._waiting:
            self._serve()

    def refuse(self, error: Exception) -> None:
        """Tell all who wait that it is of no use."""
        while self._waiting:
            _answer(self._waiting.popleft(), error)

    def look_again(self) -> None:
        """Something may have changed for those who wait."""
        if self._waiting:
            self._serve()

    async def close(self) -> None:
        """Come back no more; wait until others know what is known here."""
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.known.told()

    # ---------------------------------------------------------------------------------------------------- who waits
    def _serve(self) -> None:
        """Let in whoever may go in now, in turn; where nobody may, come back in time."""
        now = self._clock()
        while self._waiting:
            if self._waiting[0].done.done():
                self._waiting.popleft()
            elif self.known.breaker.is_shut:
                self._wait_outside(now)
                return
            elif self.in_flight >= self.known.room:
                return
            elif self._pace.is_limited:
                if not self._in_time(now):
                    return
                self._let_in(booked=self._booked.popleft().tokens)
            else:
                self._let_in()

    def _let_in(self, *, booked: float = 0.0, probe: bool = False) -> None:
        """The first in the queue goes in."""
        waiter = self._waiting.popleft()
        self.in_flight += 1
        if not self.counts_tokens:
            waiter.done.set_result(Pass(probe=True) if probe else PLAIN)
            return
        size = self._size(waiter)
        self._owe(size - booked)
        waiter.done.set_result(Pass(size, waiter.input_tokens, probe))

    def _size(self, waiter: _Waiter) -> float:
        """The tokens that a request is taken to need: its own by estimate, and what came on top of that of late."""
        return max(1.0, waiter.input_tokens + self._more_tokens)

    def _owe(self, tokens: float) -> None:
        """What was used beyond what was booked is paid with the next booking, what was left makes up for it.

        But not for long: the time that was booked for it has passed, and others have booked what came after.
        """
        least = -(self._pace.tokens or 0.0) * BURST_SECONDS / 2
        self._debt = max(least, self._debt + tokens)

    def _wait_outside(self, now: float) -> None:
        """The door is shut: those who can go elsewhere do, and one of the others may be the probe."""
        breaker = self.known.breaker
        may_probe = breaker.admits(now)
        given_up = not may_probe and now - self.known.shut_since > PATIENCE_SECONDS
        for waiter in islice(self._waiting, 1 if may_probe else 0, None):
            if not waiter.done.done() and (given_up or waiter.elsewhere()):
                name, seconds = self.known.model, breaker.opens_in(now)
                _answer(
                    waiter, Refused(f"not sent: the circuit breaker of {name} is open, for {seconds:.0f} s or more")
                )
        self._waiting = deque(waiter for waiter in self._waiting if not waiter.done.done())
        if self._waiting and may_probe:
            self._ask("probe", self._probe)
        elif self._waiting:
            self._come_back(min(breaker.opens_in(now), LOOK_SECONDS))

    def _in_time(self, now: float) -> bool:
        """Whether the next request may go out now; if not, see to it that one may soon."""
        while self._booked and self._booked[0].at < now - BURST_SECONDS:
            self._booked.popleft()
        slab = self._pace.slab([self._size(waiter) for waiter in self._waiting])
        if len(self._booked) <= slab // 2 and len(self._booked) < len(self._waiting):
            self._ask("times", self._book)
        if self._booked and self._booked[0].at > now:
            self._come_back(self._booked[0].at - now)
        return bool(self._booked) and self._booked[0].at <= now

    def _come_back(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._come)

    def _come(self) -> None:
        self._timer = None
        self._look()
        self._serve()

    # ----------------------------------------------------------------------------------------------- asked of others
    async def _probe(self) -> None:
        """Claim the one probe that may be under way, and send the first in with it."""
        if not self._waiting:
            return
        run_id = self._waiting[0].run_id
        if not await self.known.claim(run_id):
            return
        while self._waiting and self._waiting[0].done.done():
            self._waiting.popleft()
        if self._waiting:
            self._let_in(probe=True)
        else:
            self.known.release(run_id)

    async def _book(self) -> None:
        """Book times for those who wait and have none: a second's worth at most."""
        unbooked = list(islice(self._waiting, len(self._booked), None))
        if not unbooked:
            return
        sizes = [self._size(waiter) for waiter in unbooked]
        sizes = sizes[: self._pace.slab(sizes)]
        debt = max(0.0, self._debt)
        self._debt -= debt
        times = await self.known.book(sizes, self._pace, debt=debt, run_id=unbooked[0].run_id)
        self._booked.extend(map(_Booking, times, sizes))

    def _ask(self, what: str, asking: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Ask others for something, once at a time. Where that fails, whoever waits hears why."""
        if what in self._asking:
            return
        self._asking.add(what)

        async def ask() -> None:
            try:
                await asking()
            except Exception as error:
                self.refuse(error)
            finally:
                self._asking.discard(what)
            self._serve()

        task = asyncio.get_running_loop().create_task(ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _answer(waiter: _Waiter, error: Exception) -> None:
    if not waiter.done.done():
        waiter.done.set_exception(error)
