"""The server: listens for as long as it is wanted. `serving` in an event loop, `serve` as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import BinaryIO

import orjson

from toolkit.errors import SetupError
from toolkit.fake.desk import Desk
from toolkit.fake.fleet_file import fleet_toml
from toolkit.fake.ports import BACKLOG, HOST, Port
from toolkit.fake.profiles import Settings
from toolkit.fake.wire import Connection
from toolkit.records import Json

FLUSH_SECONDS = 0.1
STANDARD_INPUT = 0


@dataclass(frozen=True)
class Served:
    """A server in this event loop. `url` ends in /v1; `tls_url` is that of the listener with a wrong certificate."""

    url: str
    desk: Desk
    tls_url: str | None = None

    def endpoint(self, model: str) -> str:
        """Where a model is reached: its own port, where it has one."""
        return self.desk.endpoints[model]

    def counts(self) -> dict[str, Json]:
        return self.desk.told()

    def reset(self) -> None:
        self.desk.reset()


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    """A server in this event loop, for as long as the context lasts. Raises OSError where its port is taken."""
    loop = asyncio.get_running_loop()
    if any("schema_violation" in profile.faults for profile in settings.models.values()):
        import jsonschema.validators  # noqa: F401  which may take a second, and is not to stop the loop later
    async with contextlib.AsyncExitStack() as stack:
        log = stack.enter_context(settings.log.open("ab", buffering=2**20)) if settings.log is not None else None
        desk = Desk(settings, log=log)
        server = await loop.create_server(lambda: Connection(desk), HOST, settings.port, backlog=BACKLOG)
        stack.callback(server.close)
        origin = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        desk.endpoints.update(dict.fromkeys(settings.models, f"{origin}/v1"))
        ports = {name: Port(profile, desk) for name, profile in settings.models.items() if profile.has_own_port}
        for name, port in ports.items():
            await port.start()
            stack.push_async_callback(port.stop)
            desk.endpoints[name] = f"http://{HOST}:{port.number}/v1"
        desk.struck = lambda model, kind: ports[model].strike(kind) if model in ports else None
        desk.restarted = partial(_restart, tuple(ports.values()))
        tls_url = await _untrusted(stack, desk) if settings.tls else None
        if log is not None:
            flushing = asyncio.create_task(_flushed(log))
            stack.callback(flushing.cancel)
        yield Served(f"{origin}/v1", desk, tls_url)


def _restart(ports: tuple[Port, ...]) -> None:
    for port in ports:
        port.restart()


async def _untrusted(stack: contextlib.AsyncExitStack, desk: Desk) -> str:
    from toolkit.fake.tls import wrong_certificate

    context = wrong_certificate()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(desk), HOST, 0, ssl=context)
    stack.callback(server.close)
    return f"https://{HOST}:{server.sockets[0].getsockname()[1]}/v1"


async def _flushed(log: BinaryIO) -> None:
    """What was logged reaches the file soon, whoever reads it meanwhile."""
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        log.flush()


def serve(settings: Settings, *, ends_with_parent: bool = False) -> None:
    """Serve until SIGTERM or SIGINT (or until standard input ends); prints one line with the URL once it listens.

    For the main thread. Raises SetupError where the port is taken or a file cannot be written.
    """
    try:
        asyncio.run(_serve(settings, ends_with_parent=ends_with_parent))
    except OSError as error:
        raise SetupError(f"the fake server cannot run: {error}") from error


async def _serve(settings: Settings, *, ends_with_parent: bool) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with serving(settings) as served:
        if settings.fleet is not None:
            _write(settings.fleet, fleet_toml(settings, served.desk.endpoints).encode())
        untrusted = f" and, with a wrong certificate, on {served.tls_url}" if served.tls_url else ""
        print(f"fake {', '.join(settings.models)} on {served.url}{untrusted}", flush=True)
        if ends_with_parent:
            ending = partial(loop.call_soon_threadsafe, ended.set)
            Thread(target=_until_input_ends, args=(ending,), daemon=True).start()
        await ended.wait()
        if settings.counts is not None:
            _write(settings.counts, orjson.dumps(served.counts(), option=orjson.OPT_INDENT_2))


def _until_input_ends(ending: Callable[[], object]) -> None:
    """Read standard input past Python's own buffer, whose lock would be held when the process ends."""
    with contextlib.suppress(OSError):
        while os.read(STANDARD_INPUT, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
        ending()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
