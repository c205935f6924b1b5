"""`toolkit up` for as long as a block runs: Prefect's server with its UI, and the deployments of prefect.yaml."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Up:
    """A standing server: its UI, its API, and the process of `toolkit up`."""

    url: str
    process: subprocess.Popen[str]
    folder: Path

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    def client(self) -> httpx.Client:
        """Prefect's API, for looking at what was done in the UI."""
        return httpx.Client(base_url=self.api, timeout=30)


@contextmanager
def up(folder: Path, *options: str) -> Iterator[Up]:
    """`toolkit up` on a free port with Prefect's data in `folder`, ready; all of it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit.cli", "up", "--port", str(port), *options],
        cwd=ROOT,
        env={**kept, "PREFECT_HOME": str(folder / "prefect")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("ready after"), first
        yield Up(f"http://127.0.0.1:{port}", process, folder)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
