"""A Prefect server for a script or a notebook: the one that PREFECT_API_URL names, else a temporary one.

Prefect would start the temporary one by itself, but gives up after 20 seconds, which a busy machine needs.
"""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import prefect.context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings, temporary_settings
from prefect.utilities.asyncutils import run_coro_as_sync

from toolkit.errors import SetupError

START_UP_SECONDS = 240
PATIENCE_SECONDS = 10.0


@contextmanager
def local_server() -> Iterator[str]:
    """A Prefect server while the block runs; gives the URL of its API.

    Where PREFECT_API_URL is set (in the environment or in Prefect's profile) that server is used and left as it is.
    Else a temporary one is started and stopped again; its data stay in PREFECT_HOME (default `~/.prefect`), so that
    `prefect server start` shows the flow runs later. Raises SetupError where no server answers.
    """
    url = get_current_settings().api.url
    if url:
        check_answers(url)
        yield url
        return
    ours: dict[Any, Any] = {
        "server.ephemeral.enabled": True,
        "server.ephemeral.startup_timeout_seconds": START_UP_SECONDS,
        "server.analytics_enabled": False,
    }
    with temporary_settings(ours), _unwinding(), ExitStack() as stack:
        server = _Server()
        if not server.running:
            stack.callback(server.stop)
            _start(server)
        stack.enter_context(everywhere(server.api_url))
        stack.enter_context(drained())
        yield server.api_url


@contextmanager
def everywhere(url: str) -> Iterator[None]:
    """That server for this context, and for Prefect's own threads, which look at the process-wide settings."""
    address: dict[Any, Any] = {"api.url": url}
    with temporary_settings(address):
        shared = prefect.context.get_settings_context()
        with prefect.context._temporary_global_settings_context(shared):
            yield


@contextmanager
def drained() -> Iterator[None]:
    """At the end of the block, send what Prefect still holds back (logs, states of tasks) before its server goes."""

    async def drain() -> None:
        for drain_all in (APILogWorker.drain_all, EventsWorker.drain_all):
            pending = drain_all()
            if inspect.isawaitable(pending):
                await pending

    try:
        yield
    finally:
        run_coro_as_sync(drain())


@contextmanager
def _unwinding() -> Iterator[None]:
    """Where a SIGTERM would end the process on the spot, let it unwind, so that the server ends too."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _Server(SubprocessASGIServer):
    """Deaf to Ctrl-C, which a terminal sends to all it started: the flow still has to tell the server how it ended."""

    def _run_uvicorn_command(self) -> Any:
        if not hasattr(signal, "pthread_sigmask"):
            return super()._run_uvicorn_command()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super()._run_uvicorn_command()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check_answers(url: str) -> None:
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=PATIENCE_SECONDS)
    except httpx.HTTPError as error:
        raise SetupError(
            f"no Prefect server answers at {url}, which PREFECT_API_URL names ({type(error).__name__}: {error}); "
            "start it with `prefect server start`, or unset PREFECT_API_URL to have a temporary one"
        ) from error


def _start(server: SubprocessASGIServer) -> None:
    print("starting Prefect's temporary server, about 20 s…", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        server.start(timeout=START_UP_SECONDS)
    except RuntimeError as error:
        raise SetupError(
            f"Prefect's temporary server did not start ({error}); try `prefect server start` in another terminal, "
            "and set PREFECT_API_URL=http://127.0.0.1:4200/api here"
        ) from error
    print(f"Prefect's temporary server is up after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
