"""`python -m evals.comparison`: two routers on a million decisions, compared and inferred, each in a process of its own
so that its memory is its own; then the same out of a file, where each router is asked about each request. Exit code 1
where a bound is passed. `--write` keeps the tables in results.md."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from evals.comparison import drift, from_history
from evals.comparison.speed import T, compare_clustered, compare_two, infer_two, timed

DECISIONS = 1_000_000
RESULTS = Path(__file__).with_name("results.md")


@dataclass(frozen=True)
class Measured:
    """Seconds of wall and of processor, the peak of resident memory in GB, and what came out."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_gb: float
    bound_seconds: float
    bound_gb: float
    said: str

    @property
    def holds(self) -> bool:
        """By the processor's time: a busy machine is no slow program."""
        return self.cpu_seconds <= self.bound_seconds and self.peak_gb <= self.bound_gb


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.comparison", description="How fast, and how sure?")
    parser.add_argument("--decisions", type=int, default=DECISIONS)
    parser.add_argument("--years", type=int, default=200, help="simulated years for the monitoring")
    parser.add_argument("--write", action="store_true", help="keep the tables in results.md")
    given = parser.parse_args()
    measured = [
        _apart("compare, 1,000 replicates", compare_two, given.decisions, (5.0, 2.0)),
        _apart("compare, 100,000 clusters", compare_clustered, given.decisions, (5.0, 2.0)),
        _apart("counterfactual, doubly robust", infer_two, given.decisions, (10.0, 2.0)),
    ]
    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        home = str(from_history.made(Path(folder), given.decisions))
        out_of_file = [
            _apart("`tk.compare` of two runs", from_history.compare_runs, home),
            _apart("`tk.counterfactual` of two routers", from_history.suppose_routers, home),
        ]
    lines = [
        "# Comparing and inferring",
        "",
        f"Two routers on {given.decisions:,} decisions, arrays in memory.",
        "",
        "| what | seconds | CPU seconds | peak memory | bound | says |",
        "|---|---|---|---|---|---|",
        *(
            f"| {each.name} | {each.seconds:.2f} | {each.cpu_seconds:.2f} | {each.peak_gb:.2f} GB | "
            f"{each.bound_seconds:g} s, {each.bound_gb:g} GB | {each.said} |"
            for each in measured
        ),
        "",
        f"{given.decisions:,} decisions of two runs over the same rows, graded, out of a file, imports and all:",
        "",
        "| what | seconds | CPU seconds | peak memory | says |",
        "|---|---|---|---|---|",
        *(
            f"| {each.name} | {each.seconds:.1f} | {each.cpu_seconds:.1f} | {each.peak_gb:.2f} GB | {each.said} |"
            for each in out_of_file
        ),
        "",
    ]
    told, promise_kept = drift.report(years=given.years)
    lines += [*told, "", f"Python {platform.python_version()}, numpy {version('numpy')}, {platform.machine()}."]
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        RESULTS.write_text(text, encoding="utf-8")
    return 0 if promise_kept and all(each.holds for each in measured) else 1


def _apart(name: str, work: Callable[[T], str], of: T, bounds: tuple[float, float] = (math.inf, math.inf)) -> Measured:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        seconds, cpu_seconds, peak_gb, said = pool.apply(timed, (work, of))
    return Measured(name, seconds, cpu_seconds, peak_gb, *bounds, said)


if __name__ == "__main__":
    sys.exit(main())
