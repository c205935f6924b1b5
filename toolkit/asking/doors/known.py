"""What a process knows of a model, and what it and others tell each other: is it well, and how much does it take.

In: how calls ended, and what others say. Out: whether the model may be asked and how often at once; and for them, what
they should know, as soon as it is known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b

from toolkit.errors import CallError, LedgerError
from toolkit.gates import FREE, OPEN, Breaker, Gate, Keeper, Load, Pace, Window
from toolkit.models.spec import ModelSpec

TOLD_SECONDS = 1.0
PROBE_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call. `known` is False where it was broken off, so that it says nothing of the model."""

    error: CallError | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    known: bool = True


BROKEN_OFF = Outcome(known=False)


def gate_name(spec: ModelSpec) -> str:
    """What stands for a model in all processes: who serves it, where, and by whose key (its variable's name)."""
    where = blake2b(f"{spec.endpoint}\x1f{spec.key_env}".encode(), digest_size=6).hexdigest()
    return f"{spec.provider}:{spec.model}@{where}"


class Known:
    """What is known of one model. `keeper` keeps what is shared of it; times are on `clock`."""

    def __init__(self, spec: ModelSpec, keeper: Keeper, *, clock: Callable[[], float]) -> None:
        self.name = gate_name(spec)
        self.model = spec.name
        self.breaker: Breaker = OPEN
        self.load: Load = FREE
        self.room = spec.concurrency
        self.shut_since = 0.0
        self._most = spec.concurrency
        self._probe_seconds = spec.timeout_seconds + PROBE_GRACE_SECONDS
        self._keeper = keeper
        self._clock = clock
        self._window = Window()
        self._told_until = 0.0
        self._told_at = 0.0
        self._telling: set[asyncio.Task[None]] = set()

    # ---------------------------------------------------------------------------------------------------- heard here
    def heard(self, outcome: Outcome, *, probe: bool, in_flight: int, run_id: str) -> None:
        """A call ended, one of so many that were under way."""
        if outcome.known:
            now = self._clock()
            breaker = self.breaker.after(outcome.error, now, probe=probe)
            if breaker is not self.breaker:
                self._turned(breaker, now, probe=probe, run_id=run_id)
            self._window = self._window.after(outcome.error, in_flight=in_flight)
            if self.load.is_over(self._window, most=self._most):
                self._loaded(now, run_id)
        elif probe:
            self.release(run_id)

    def _turned(self, breaker: Breaker, now: float, *, probe: bool, run_id: str) -> None:
        """Take over the breaker's next state, and tell of it unless it is the same for others."""
        before, self.breaker = self.breaker, breaker
        if breaker.is_shut and not before.is_shut:
            self.shut_since, self._told_until = now, 0.0
        until = breaker.shut_until or 0.0
        longer = breaker.is_shut and until - self._told_until > TOLD_SECONDS
        if probe or longer or breaker.is_shut != before.is_shut:
            self._told_until = until
            self._tell(lambda gate: replace(gate, breaker=gate.breaker.told(breaker, probe=probe)), run_id)

    def _loaded(self, now: float, run_id: str) -> None:
        """Take over the load after a round; others hear of it once a second."""
        before, self.load = self.load, self.load.after(self._window, most=self._most, now=now)
        self.room, self._window = self.load.calls(self._most), Window()
        if self.load != before and now - self._told_at >= TOLD_SECONDS:
            self._told_at, load = now, self.load
            self._tell(lambda gate: replace(gate, load=load), run_id)

    # ------------------------------------------------------------------------------------------------ heard elsewhere
    def meet(self, gate: Gate) -> None:
        """What others say. While something of ours is on its way to them, theirs is old."""
        if self._telling:
            return
        now = self._clock()
        if gate.breaker.is_shut and not self.breaker.is_shut:
            self.shut_since = now
        if gate.breaker.is_shut or self.breaker.is_shut:
            self.breaker, self._told_until = gate.breaker, gate.breaker.shut_until or 0.0
        self.load = self.load.met(gate.load, now=now)
        self.room = self.load.calls(self._most)

    # ----------------------------------------------------------------------------------------------- asked of others
    async def claim(self, run_id: str) -> bool:
        """Whether this process may send the one probe now."""
        seconds = self._probe_seconds

        def claimed(gate: Gate, now: float) -> tuple[Gate, bool]:
            if not gate.breaker.is_shut or not gate.breaker.admits(now):
                return gate, False
            return replace(gate, breaker=gate.breaker.probed(now + seconds)), True

        gate, mine = await self._keeper.change(self.name, claimed, run_id=run_id, model=self.model)
        if self.breaker.is_shut and not self._telling:
            self.breaker, self._told_until = gate.breaker, gate.breaker.shut_until or 0.0
        return mine

    async def book(self, sizes: Sequence[float], pace: Pace, *, debt: float, run_id: str) -> tuple[float, ...]:
        """When the next requests, of so many tokens each, may go out."""

        def booked(gate: Gate, now: float) -> tuple[Gate, tuple[float, ...]]:
            timetable, times = gate.timetable.booked(sizes, pace, now=now, debt=debt)
            return replace(gate, timetable=timetable), times

        return (await self._keeper.change(self.name, booked, run_id=run_id, model=self.model))[1]

    def release(self, run_id: str) -> None:
        """The probe that was claimed came to nothing: somebody else may make one."""
        self.breaker = self.breaker.released()
        self._tell(lambda gate: replace(gate, breaker=gate.breaker.released()), run_id)

    async def told(self) -> None:
        """Wait until others know all that is known here."""
        while self._telling:
            await asyncio.wait(self._telling)

    def _tell(self, changed: Callable[[Gate], Gate], run_id: str) -> None:
        async def tell() -> None:
            with suppress(LedgerError):  # whoever records the attempt hears of that
                await self._keeper.change(self.name, step, run_id=run_id, model=self.model)

        def step(gate: Gate, _now: float) -> tuple[Gate, None]:
            return changed(gate), None

        task = asyncio.get_running_loop().create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
