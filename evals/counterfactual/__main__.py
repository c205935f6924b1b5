"""`python -m evals.counterfactual`: how often the intervals hold the truth, in simulated worlds; exit code 1 where they
do not hold it often enough."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np

from evals.counterfactual import pools
from evals.counterfactual.worlds import PASTS, REWARDS, SIZES, TARGETS, World
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.offpolicy import Method, estimate

FOLDER = Path(__file__).parent
METHODS: tuple[Method, ...] = ("dr", "snips", "ips", "clipped", "dm")
JUDGED: tuple[Method, ...] = ("dr", "snips")
LEAST_COVERAGE, LEAST_COVERAGE_IN_A_CELL, MOST_REFUSED, WIDEST = 0.93, 0.90, 0.05, 1.5
NORMAL = 1.96


@dataclass(frozen=True)
class Result:
    """One estimate beside the truth; `efficient_error` is the least standard error that is possible."""

    method: Method
    reward: str
    past: str
    target: str
    size: int
    truth: float
    efficient_error: float
    found: Estimate | Refusal


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.counterfactual", description="Do the intervals hold?")
    parser.add_argument("--worlds", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="100 worlds, and no file is written")
    parser.add_argument("--pools", type=Path, help="a folder with outcomes.parquet: recorded answers instead of worlds")
    given = parser.parse_args()
    if given.pools is not None:
        return on_pools(given.pools)
    began = time.perf_counter()
    worlds = 100 if given.quick else given.worlds
    results = [result for number in range(worlds) for result in in_world(number, given.seed)]
    text, faults = report(
        results, worlds=worlds, seed=given.seed, seconds=time.perf_counter() - began, cells=not given.quick
    )
    print(text)
    if not given.quick:
        (FOLDER / "results.md").write_text(text)
    return 1 if faults else 0


def on_pools(folder: Path) -> int:
    """The same question on recorded answers; exit code 1 where intervals do not hold the truth, 2 without the data."""
    table = folder / "outcomes.parquet"
    if not table.exists():
        print(f"there is no {table}", file=sys.stderr)
        return 2
    lines, faults = pools.report(list(pools.told(table)), logs=pools.LOGS)
    text = "\n".join(lines) + "\n"
    print(text)
    (FOLDER / "pools.md").write_text(text)
    return 1 if faults else 0


def in_world(number: int, seed: int) -> Iterator[Result]:
    """All targets by all methods in one world."""
    settings = list(product(REWARDS, PASTS, SIZES))
    reward, past_kind, size = settings[number % len(settings)]
    rng = np.random.default_rng([seed, number])
    world = World.drawn(rng, reward, population=20_000)
    past = world.past(past_kind, rng)
    logged, rows = world.log(past, size, rng)
    for kind in TARGETS:
        target = world.target(kind, past, rng)
        truth, error = world.value(target), world.efficient_error(target, past, size)
        for method in METHODS:
            found = estimate(logged, target[rows], method)
            yield Result(method, reward, past_kind, kind, size, truth, error, found)


def report(
    results: list[Result], *, worlds: int, seed: int, seconds: float, cells: bool = True
) -> tuple[str, list[str]]:
    """The tables, and what does not hold. Few worlds say little of a cell: `cells=False` judges the whole alone."""
    faults: list[str] = []
    lines = [
        "# Counterfactual estimates in simulated worlds",
        "",
        f"`python -m evals.counterfactual --worlds {worlds} --seed {seed}`: {worlds:,} worlds × "
        f"{len(TARGETS)} routers, "
        f"{seconds:.0f} s. Intervals at 95 %. Width: beside that of the least error that is possible (Hahn 1998).",
        "",
        "| method | covered | width | refused | bias | mean absolute error |",
        "|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        mine = [result for result in results if result.method == method]
        told = _told(mine)
        lines.append(f"| {method} | {_row(told)} |")
        if method in JUDGED:
            faults += _faults(method, told, LEAST_COVERAGE)
    lines += [
        "",
        "The default, `dr`, cell by cell. "
        "Refused are worlds of 200 rows in which the past left fewer than 5 effective rows at what the target chooses, "
        "as one in ten\nrows explored over several models does: there overlap does not hold.",
        "",
        "| cell | covered | width | refused | bias | mean absolute error |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, members in sorted(_cells([result for result in results if result.method == "dr"]).items()):
        told = _told(members)
        lines.append(f"| {name} | {_row(told)} |")
        if cells and told["covered"] < LEAST_COVERAGE_IN_A_CELL:
            faults.append(f"dr covers {100 * told['covered']:.1f} % in the cell {name}")
    lines += ["", *(f"* does not hold: {fault}" for fault in faults)]
    lines.append(f"Python {platform.python_version()}, numpy {version('numpy')}, {platform.machine()}.")
    return "\n".join(lines) + "\n", faults


def _cells(results: list[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        found[f"{result.reward}, {result.size:,} rows"].append(result)
        found[f"past {result.past}, target {result.target}"].append(result)
    return found


def _told(results: list[Result]) -> dict[str, float]:
    answered = [(result, result.found) for result in results if isinstance(result.found, Estimate)]
    errors = np.array([found.value - result.truth for result, found in answered])
    return {
        "covered": float(np.mean([found.low <= result.truth <= found.high for result, found in answered])),
        "width": float(np.mean([found.width / (2 * NORMAL * result.efficient_error) for result, found in answered])),
        "refused": 1 - len(answered) / len(results),
        "bias": float(errors.mean()),
        "error": float(np.abs(errors).mean()),
    }


def _row(told: dict[str, float]) -> str:
    return (
        f"{100 * told['covered']:.1f} % | {told['width']:.2f} × | {100 * told['refused']:.1f} % | "
        f"{told['bias']:+.4f} | {told['error']:.4f}"
    )


def _faults(method: str, told: dict[str, float], least: float) -> list[str]:
    found = []
    if told["covered"] < least:
        found.append(f"{method} covers {100 * told['covered']:.1f} %")
    if told["refused"] > MOST_REFUSED:
        found.append(f"{method} refuses {100 * told['refused']:.1f} %")
    if told["width"] > WIDEST:
        found.append(f"{method} is {told['width']:.2f} times as wide as need be")
    return found


if __name__ == "__main__":
    sys.exit(main())
