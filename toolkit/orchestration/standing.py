"""A standing Prefect server for as long as a block runs: `prefect server start` as a child, with its UI.

Out: the URL of its API, which is also what flows called within the block use. It ends with the block.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from toolkit.errors import SetupError
from toolkit.guarding import ROLE, SERVER
from toolkit.orchestration.server import START_UP_SECONDS, drained, everywhere


@contextmanager
def running_server(
    port: int | None = None, *, database: str | None = None, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[str]:
    """Start a Prefect server on 127.0.0.1 (a free port, or `port`); its data are in PREFECT_HOME, or in `database`.

    What is to be done `meanwhile` is done while it starts. The UI asks the port that it is served from, and no other
    machine. Raises SetupError where the port is taken, saying
    by what, and with the server's last words where it does not start.
    """
    if port is not None:
        _check_free(port)
    port = port or _free_port()
    url = f"http://127.0.0.1:{port}/api"
    settings = {
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        ROLE: SERVER,
    }
    if database is not None:
        settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
    # The newer of Prefect's two UIs asks a counter of its users on another machine, whatever is set; one click away.
    settings |= {name: os.environ.get(name, "false") for name in ("PREFECT_SERVER_UI_V2_ENABLED",)}
    with tempfile.TemporaryFile() as log:
        print("starting a Prefect server, about 20 s…", file=sys.stderr, flush=True)
        server = subprocess.Popen(
            [str(Path(sys.executable).with_name("prefect")), "server", "start"],
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # deaf to a terminal's Ctrl-C: flows still have to tell it how they ended
        )
        try:
            meanwhile()
            _wait_until_up(server, url, log)
            with everywhere(url), drained():
                yield url
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _check_free(port: int) -> None:
    """Raises SetupError where somebody listens at the port already, and says whether that is Prefect."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SetupError(f"port {port} cannot be had: {error.strerror}; choose another with --port") from error
    url = f"http://127.0.0.1:{port}/api"
    try:
        is_prefect = httpx.get(f"{url}/health", timeout=2).text.strip() == "true"
    except httpx.HTTPError:
        is_prefect = False
    if is_prefect:
        raise SetupError(
            f"a Prefect server runs at port {port} already; to serve the deployments there, set PREFECT_API_URL={url}, "
            "or start another one with --port"
        )
    raise SetupError(f"port {port} is taken by another program; choose another with --port")


def _wait_until_up(server: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_UP_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.25)
    log.seek(0)
    last = log.read()[-600:].decode("utf-8", "replace").strip()
    raise SetupError(f"the Prefect server did not start within {START_UP_SECONDS} s; its last words: {last}")
