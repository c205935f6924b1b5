"""All doors of a run: made where they are first needed, told of each other's news, emptied when the run is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from toolkit.asking.doors.door import LOOK_SECONDS, Door
from toolkit.errors import Stopped
from toolkit.gates import Gate, Keeper
from toolkit.models.spec import ModelSpec
from toolkit.routing.router import ModelFacts


class Doors:
    """`own` keeps the gates of models that live in this process, `shared` those of all others."""

    def __init__(self, *, own: Keeper, shared: Keeper, stop: asyncio.Event, clock: Callable[[], float]) -> None:
        self._own = own
        self._shared = shared
        self._stop = stop
        self._clock = clock
        self._doors: dict[str, Door] = {}
        self._shared_doors: dict[str, Door] = {}
        self._look_at = 0.0
        self._watching: asyncio.Task[None] | None = None

    def of(self, spec: ModelSpec) -> Door:
        """The door of a model."""
        door = self._doors.get(spec.name)
        if door is None:
            is_shared = spec.is_hosted or spec.requests_per_minute is not None or spec.tokens_per_minute is not None
            keeper = self._shared if is_shared else self._own
            door = self._doors[spec.name] = Door(spec, keeper, clock=self._clock, look=self.look)
            if is_shared:
                self._shared_doors[spec.name] = door
                self._look_at = 0.0
        return door

    def look(self) -> None:
        """Hear what other processes found out; at most once a second."""
        if not self._shared_doors or (now := self._clock()) < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        gates = self._shared.look()
        for door in self._shared_doors.values():
            door.known.meet(gates.get(door.known.name, _UNKNOWN))
            door.look_again()

    def facts(self, members: Mapping[str, ModelFacts]) -> Mapping[str, ModelFacts]:
        """The members of the fleet as routers see them now: whether they may be asked, and who waits for them."""
        self.look()
        now, seen = self._clock(), {}
        for name, door in self._doors.items():
            if door.waiting or door.known.breaker.is_shut:
                seen[name] = replace(
                    members[name], available=door.admits(now), opens_in=door.opens_in(now), waiting=door.waiting
                )
        return {**members, **seen} if seen else members

    def opens_in(self, name: str) -> float:
        """Seconds until a model may be asked again."""
        door = self._doors.get(name)
        return 0.0 if door is None else door.opens_in(self._clock())

    def watch(self) -> None:
        """From now on whoever waits is told when the run is stopped."""
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Send away whoever waits, and wait until other processes know what is known here."""
        if self._watching is not None:
            self._watching.cancel()
        self._send_away()
        for door in self._doors.values():
            await door.close()

    async def _watch(self) -> None:
        await self._stop.wait()
        self._send_away()

    def _send_away(self) -> None:
        for door in self._doors.values():
            door.refuse(Stopped("the run was cancelled"))


_UNKNOWN = Gate()
