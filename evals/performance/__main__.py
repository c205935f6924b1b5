"""`python -m evals.performance`: measure all variants, each in a process of its own, and write what came out."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from evals.performance.results import TITLES, Measurement, report, surroundings
from evals.performance.variants import CALLS, CHUNK_ROWS, VARIANTS, WARM_UP_ROWS

FOLDER = Path(__file__).parent
LATENCIES = (0.05, 0.0)
PREFECT = ("toolkit_in_prefect", "prefect_task_per_call")
TASK_ROWS = 256
REPEATS, PATIENCE_SECONDS = 3, 20.0
TICKET = "My parcel L-{number} was to arrive on Monday, and the tracking page has not moved since. Where is it now? "
START_UP_SECONDS = 120.0
Environment = Mapping[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.performance", description="What orchestration costs.")
    parser.add_argument("--rows", type=int, help="default 2,000; with --quick 200")
    parser.add_argument("--quick", action="store_true", help="few rows, nothing of Prefect, and no file is written")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="measure these alone")
    given = parser.parse_args()
    rows = given.rows or (200 if given.quick else 2_000)
    wanted = [name for name in VARIANTS if name in given.only and not (given.quick and name in PREFECT)]
    about = surroundings()
    measured, notes = _measured(wanted, rows)
    text = report(measured, notes, about)
    print(text)
    if wanted == list(VARIANTS):
        everything = {**about, "notes": notes, "results": [m.told for m in measured]}
        (FOLDER / "results.json").write_text(json.dumps(everything, indent=2, ensure_ascii=False) + "\n")
        (FOLDER / "results.md").write_text(text)


def _measured(wanted: list[str], rows: int) -> tuple[list[Measurement], list[str]]:
    """The measurements, and what there is to say about those that are missing or smaller."""
    measured: list[Measurement] = []
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        table = _table(folder / "rows.jsonl", rows)
        environment = _environment(folder)
        if any(name in PREFECT for name in wanted):
            environment["PREFECT_API_URL"] = stack.enter_context(_prefect_server(environment))
        for latency in LATENCIES:
            url = stack.enter_context(_server(latency))
            for name in wanted:
                few = min(rows, TASK_ROWS) if name == "prefect_task_per_call" else rows
                try:
                    measured.append(_measure(name, url, latency, table=table, rows=few, environment=environment))
                except RuntimeError as error:
                    notes.append(f"{TITLES[name]}, {1000 * latency:g} ms: not measured ({error})")
                    print(notes[-1], file=sys.stderr)
    if "prefect_task_per_call" in wanted and rows > TASK_ROWS:
        notes.append(f"A Prefect task per call ran over {TASK_ROWS} rows only; what is told per step compares.")
    if any(name in PREFECT for name in wanted):
        notes.append(f"The flow runs chunks of {CHUNK_ROWS:,} rows; smaller ones cost more: each drains first.")
        notes.append("Prefect's server runs in a process of its own, whose CPU is not counted here.")
    return measured, notes


def _measure(name: str, url: str, latency: float, *, table: Path, rows: int, environment: Environment) -> Measurement:
    """The least disturbed of a few runs: others on the machine can only make it slower. Raises RuntimeError."""
    print(f"{TITLES[name]}, {1000 * latency:g} ms, {rows:,} rows …", file=sys.stderr, flush=True)
    found: list[Measurement] = []
    while len(found) < REPEATS and sum(m.wall_seconds for m in found) < PATIENCE_SECONDS:
        told = _run(name, url, table, rows, environment)
        found.append(Measurement(name, latency, rows, repeats=len(found) + 1, **told))
    return replace(min(found, key=lambda m: m.wall_seconds), repeats=len(found))


def _run(name: str, url: str, table: Path, rows: int, environment: Environment) -> dict[str, float]:
    """One run in its own process. Raises RuntimeError with its last words where it failed or made other calls."""
    before = _count(url)
    command = [sys.executable, "-m", "evals.performance.variants", name, url, str(table), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[-1][:300])
    calls, made = (rows + min(rows, WARM_UP_ROWS)) * CALLS, _count(url) - before
    if made != calls:
        raise RuntimeError(f"{made:,} calls reached the server, {calls:,} should have")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _table(path: Path, rows: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for index in range(rows):
            file.write(json.dumps({"id": f"t{index}", "ticket": TICKET.format(number=20_000 + index) * 3}) + "\n")
    return path


# ------------------------------------------------------------------------------------------------------------ servers
@contextlib.contextmanager
def _server(latency: float) -> Iterator[str]:
    """The model's stand-in; it ends when its standard input is closed."""
    command = [sys.executable, "-m", "evals.performance.server", "--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def _count(url: str) -> int:
    with urlopen(f"{url}/count") as answer:
        return int(answer.read())


def _environment(folder: Path) -> dict[str, str]:
    """Prefect keeps its data in our folder, says little, and calls nobody."""
    return {
        **os.environ,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


@contextlib.contextmanager
def _prefect_server(environment: Environment) -> Iterator[str]:
    """A Prefect server of our own, with an empty database; gives the URL of its API."""
    print("starting a Prefect server …", file=sys.stderr, flush=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=dict(environment), **quiet) as process:
        try:
            url = f"http://127.0.0.1:{port}/api"
            _await(f"{url}/health")
            yield url
        finally:
            process.terminate()


def _await(url: str) -> None:
    deadline = time.monotonic() + START_UP_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(URLError, ConnectionError), urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    raise SystemExit(f"Prefect's server did not answer at {url} within {START_UP_SECONDS:g} s")


if __name__ == "__main__":
    main()
