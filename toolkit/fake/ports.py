"""A port of a model's own, which can be shut, or open and deaf: for faults that strike before a request is read.

open   connections are taken
shut   nobody listens: connecting is refused
deaf   connections are not taken: connecting times out (on Linux, where a full queue drops them)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Literal

from toolkit.fake.desk import Desk
from toolkit.fake.profiles import Profile
from toolkit.fake.wire import Connection

HOST = "127.0.0.1"
BACKLOG = 1024
FILLING = 4
MOST_SECONDS_ASLEEP = 3600.0
State = Literal["open", "shut", "deaf"]
STATES: dict[str | None, State] = {"refused": "shut", "connect_timeout": "deaf"}


def state_at(profile: Profile, seconds: float, *, struck: str | None) -> State:
    """How a model's port is so many seconds after the start; `struck` is the fault that a call drew just before."""
    always = next((kind for kind in STATES if kind and profile.faults.get(kind, 0.0) >= 1.0), None)
    return STATES.get(always or profile.outage_at(seconds) or struck, "open")


class Port:
    """One model's port, from `start` to `stop`. It follows the profile's outages, and the faults that calls draw."""

    def __init__(self, profile: Profile, desk: Desk) -> None:
        self.profile = profile
        self._desk = desk
        self._state: State = "shut"
        self._struck: str | None = None
        self._struck_until = 0.0
        self._changed = asyncio.Event()
        self._fillers: list[socket.socket] = []
        self._server: asyncio.Server | None = None
        self._socket = _bound(0)
        self.number: int = self._socket.getsockname()[1]

    async def start(self) -> None:
        await self._be(self._wanted())
        self._task = asyncio.create_task(self._follow())

    def strike(self, kind: str) -> None:
        """A call has drawn a fault of the port: it lasts for `shut_seconds`."""
        self._struck, self._struck_until = kind, self._desk.elapsed + self.profile.shut_seconds
        self._changed.set()

    def restart(self) -> None:
        """Time begins anew: what was struck is forgotten."""
        self._struck, self._struck_until = None, 0.0
        self._changed.set()

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._close()

    async def _follow(self) -> None:
        while True:
            self._changed.clear()
            await self._be(self._wanted())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_change()):
                    await self._changed.wait()

    def _wanted(self) -> State:
        elapsed = self._desk.elapsed
        struck = self._struck if elapsed < self._struck_until else None
        return state_at(self.profile, elapsed, struck=struck)

    def _seconds_to_change(self) -> float:
        elapsed = self._desk.elapsed
        changes = [at for outage in self.profile.outages if (at := outage.changes_after(elapsed)) is not None]
        changes += [self._struck_until] if self._struck_until > elapsed else []
        return min([*(max(0.001, at - elapsed + 0.001) for at in changes), MOST_SECONDS_ASLEEP])

    async def _be(self, state: State) -> None:
        if state == self._state and (state != "shut" or self._socket.fileno() >= 0):
            return
        self._close()
        self._socket = _bound(self.number)
        self._state = state
        if state == "open":
            loop = asyncio.get_running_loop()
            make: Callable[[], Connection] = lambda: Connection(self._desk, self.profile.name)  # noqa: E731
            self._server = await loop.create_server(make, sock=self._socket, backlog=BACKLOG)
        elif state == "deaf":
            self._socket.listen(0)
            self._fillers = [_knocking(self.number) for _ in range(FILLING)]

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._socket.close()
        for filler in self._fillers:
            filler.close()
        self._fillers = []


def _bound(port: int) -> socket.socket:
    """A socket that holds a port, and does not listen yet."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((HOST, port))
    return made


def _knocking(port: int) -> socket.socket:
    """A connection under way that nobody takes."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        made.connect((HOST, port))
    return made
