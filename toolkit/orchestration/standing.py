"""A standing Prefect server for as long as a block runs: `prefect server start` as a child, with its UI.

Out: the URL of its API, which is also what flows called within the block use. It ends with the block.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from toolkit.errors import SetupError
from toolkit.orchestration.server import START_UP_SECONDS, drained, everywhere


@contextmanager
def running_server(port: int | None = None) -> Iterator[str]:
    """Start a Prefect server on 127.0.0.1 (a free port, or `port`); its data are in PREFECT_HOME.

    The UI asks the port that it is served from. Raises SetupError with the server's last words where it does not start.
    """
    port = port or _free_port()
    url = f"http://127.0.0.1:{port}/api"
    settings = {
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
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
