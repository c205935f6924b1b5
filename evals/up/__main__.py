"""`python -m evals.up`: how long `toolkit up` takes until it is ready, and to end: on a new Prefect home, then again.

Exit code 1 where it is ready later than demanded, or leaves a process behind.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from evals.record.telling import Figure, figures_table, footer, where

FILE = Path(__file__).parent / "results.md"
ROOT = Path(__file__).parents[2]
MOST_SECONDS = 60.0


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m evals.up", description="Until toolkit up is ready, and to end."
    ).parse_args()
    about = where()
    figures = []
    with tempfile.TemporaryDirectory(prefix="toolkit-up-") as folder:
        for name, told in (("new", "its first start"), ("again", "a later start")):
            ready, ended, deployments, left = started_and_stopped(Path(folder))
            figures += [
                Figure(name, f"{told}: ready, with {deployments} deployments served", ready, "s", MOST_SECONDS),
                Figure(f"{name}_end", f"{told}: from Ctrl-C until all of it has ended", ended, "s"),
                Figure(f"{name}_left", f"{told}: processes left behind", left, "", 0),
            ]
    text = "\n\n".join(["# Until `toolkit up` is ready", figures_table(figures), footer(about)]) + "\n"
    print(text)
    FILE.write_text(text, encoding="utf-8")
    return int(any(figure.met is False for figure in figures))


def started_and_stopped(folder: Path) -> tuple[float, float, int, int]:
    """Seconds until it says that it is ready and its API answers, seconds to end, deployments, processes left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit.cli", "up", "--port", str(port)],
        cwd=ROOT,
        env={**kept, "PREFECT_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready after"), line
        wanted = {"deployments": {"tags": {"all_": ["toolkit"]}}}
        found = httpx.post(f"http://127.0.0.1:{port}/api/deployments/filter", json=wanted, timeout=30)
        ready = time.perf_counter() - began
        tree = psutil.Process(process.pid).children(recursive=True)
        began = time.perf_counter()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        return (
            ready,
            time.perf_counter() - began,
            len(found.raise_for_status().json()),
            len(psutil.wait_procs(tree, 0)[1]),
        )
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
