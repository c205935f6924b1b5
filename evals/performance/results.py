"""What was measured, and how it is told: a table for people, JSON for machines, and on what machine it was."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evals.performance.variants import CALLS, IN_FLIGHT

PACKAGES = ("toolkit", "aiohttp", "httpx", "orjson", "pydantic", "sqlalchemy", "duckdb", "prefect")
TITLES = {
    "httpx_over_aiohttp": "bare httpx over aiohttp (the floor)",
    "httpx_own_pool": "bare httpx with its own pool",
    "toolkit_recorded": "toolkit, recorded",
    "toolkit_in_prefect": "toolkit, recorded, in a Prefect flow",
    "prefect_task_per_call": "a Prefect task per call",
}
HEADINGS = ("variant", "latency", "rows", "wall", "÷ ideal", "CPU a step", "steps/s", "peak memory")


@dataclass(frozen=True)
class Measurement:
    """One variant at one latency: the fastest of `repeats` runs. CPU and memory are those of its own process."""

    variant: str
    latency_seconds: float
    rows: int
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    repeats: int = 1

    @property
    def steps(self) -> int:
        return self.rows * CALLS

    @property
    def over_ideal(self) -> float | None:
        """Wall ÷ (calls × latency ÷ in flight); None without a latency."""
        ideal = self.steps * self.latency_seconds / IN_FLIGHT
        return self.wall_seconds / ideal if ideal else None

    @property
    def cpu_milliseconds_per_step(self) -> float:
        return 1000 * self.cpu_seconds / self.steps

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.wall_seconds

    @property
    def told(self) -> dict[str, Any]:
        """The record with what follows from it."""
        derived = ("over_ideal", "cpu_milliseconds_per_step", "steps_per_second")
        return {**asdict(self), "steps": self.steps, **{name: getattr(self, name) for name in derived}}


def table(measured: Sequence[Measurement]) -> str:
    """The measurements as a table in Markdown, aligned so that it reads well in a terminal too."""
    lines = [HEADINGS, *map(_line, measured)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]

    def joined(line: Sequence[str]) -> str:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        return f"| {' | '.join(cells)} |"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([joined(lines[0]), rule, *map(joined, lines[1:])])


def _line(m: Measurement) -> tuple[str, ...]:
    return (
        TITLES[m.variant],
        f"{1000 * m.latency_seconds:g} ms",
        f"{m.rows:,}",
        f"{m.wall_seconds:.2f} s",
        "" if m.over_ideal is None else f"{m.over_ideal:.2f}",
        f"{m.cpu_milliseconds_per_step:.2f} ms",
        f"{m.steps_per_second:,.0f}",
        f"{m.peak_megabytes:.0f} MB",
    )


def surroundings() -> dict[str, Any]:
    """When and on what it was measured. `load` is how many others wanted the processor at the start."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in PACKAGES},
    }


def report(measured: Sequence[Measurement], notes: Sequence[str], about: dict[str, Any]) -> str:
    """The whole report in Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        "# What orchestration costs",
        "",
        f"{CALLS} chained chat calls a row, {IN_FLIGHT} rows at once, against a server in another process that answers "
        "after a fixed latency. Ideal is calls × latency ÷ rows at once. CPU and memory are those of the measured "
        "process alone: all its threads, the journal's writer and the merge into the history among them, closing "
        "included; imports and a warm-up are not. Each line is the fastest of three runs (fewer where they take over "
        "20 s). `make bench` measures again.",
        "",
        table(measured),
        "",
        *(f"* {note}" for note in notes),
        *([""] if notes else []),
        f"{about['processor']}, {about['cores']} cores (load {about['load']} at the start), {about['system']}, "
        f"Python {about['python']}, {about['measured_at'][:10]}. {versions}.",
    ]
    return "\n".join(lines) + "\n"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
