"""`python -m evals.judges`: how often the intervals for judges hold the truth, where it is known, and how wide they are
beside those of labels alone. Prints the table and keeps it in results.md; exit code 1 where a bound is passed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from evals.judges.worlds import JUDGES, World
from toolkit.evaluation.agreement import ac1, alpha, kappa
from toolkit.evaluation.estimates import Estimate
from toolkit.evaluation.prediction_powered import corrected_difference, corrected_mean, labels_alone

RESULTS = Path(__file__).with_name("results.md")
LEAST_COVERED, WIDEST_USELESS = 0.93, 1.03
SIZES = ((10, 500), (20, 500), (50, 500), (100, 1_000), (20, 20))
RIGHT = (0.5, 0.9, 0.97)
ADDS_NOTHING = ("useless", "constant", "contrary", "nearly constant")


@dataclass(frozen=True)
class Row:
    """Shares of intervals that hold the truth, mean width beside the labels' alone, and shares refused."""

    world: World
    covered: float
    covered_alone: float
    width: float
    bias: float
    refused: float

    @property
    def holds(self) -> bool:
        return self.covered >= LEAST_COVERED and (self.world.judge not in ADDS_NOTHING or self.width <= WIDEST_USELESS)


def simulated(world: World, *, times: int, seed: int = 0) -> Row:
    """So many draws of a world."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(times):
        labels, grades = world.drawn(rng)
        both = corrected_mean(labels, grades), labels_alone(labels)
        if isinstance(both[0], Estimate) and isinstance(both[1], Estimate):
            pairs.append((both[0], both[1]))
    with_judge, alone = [a for a, _ in pairs], [b for _, b in pairs]
    return Row(
        world,
        covered=_covered(with_judge, world.truth),
        covered_alone=_covered(alone, world.truth),
        width=sum(each.width for each in with_judge) / sum(each.width for each in alone),
        bias=float(np.mean([each.value for each in with_judge])) - world.truth,
        refused=1 - len(pairs) / times,
    )


def difference_covered(*, times: int, labels: int, seed: int = 0) -> float:
    """How often the interval for two models holds the truth, with a judge that likes the second model too well."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(times):
        first, judged_first = World(0.8, labels, 500, "good").drawn(rng)
        second, judged_second = World(0.7, labels, 500, "lenient").drawn(rng)
        found.append(corrected_difference((first, judged_first), (second, judged_second)))
    return _covered([each for each in found if isinstance(each, Estimate)], 0.8 - 0.7)


def agreement_covered(*, times: int, rows: int, right: float, seed: int = 0) -> dict[str, float]:
    """How often the intervals of kappa, AC1 and alpha hold their values in the limit, for a judge right 9 in 10."""
    rng = np.random.default_rng(seed)
    shares = np.array([[0.9 * right, 0.1 * (1 - right)], [0.1 * right, 0.9 * (1 - right)]])
    limits = {"kappa": _kappa(shares), "AC1": _ac1(shares), "alpha": _alpha(shares)}
    held: dict[str, list[Estimate]] = {name: [] for name in limits}
    for _ in range(times):
        counted = rng.multinomial(rows, shares.ravel()).reshape(2, 2)
        both = np.repeat([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], counted.ravel(), axis=0)
        for name, found in (("kappa", kappa(counted)), ("AC1", ac1(counted)), ("alpha", alpha(both))):
            if isinstance(found, Estimate):
                held[name].append(found)
    return {name: _covered(held[name], limit) for name, limit in limits.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.judges", description="Do the intervals hold the truth?")
    parser.add_argument("--times", type=int, default=1_000, help="draws of each world")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    worlds = [
        World(right, labels, others, judge, scored)
        for scored, right, (labels, others), judge in product((False, True), RIGHT, SIZES, JUDGES)
    ]
    rows = [simulated(world, times=given.times, seed=n) for n, world in enumerate(worlds)]
    text = "\n".join(_told(rows, times=given.times)) + "\n"
    print(text)
    given.out.write_text(text, encoding="utf-8")
    return 0 if all(row.holds for row in rows) else 1


# ----------------------------------------------------------------------------------------------------------- helpers
def _told(rows: list[Row], *, times: int) -> Iterator[str]:
    yield "# Judges corrected by people's labels"
    yield ""
    yield f"{len(rows)} worlds with a known truth, {times:,} draws of each; intervals of 95 %. `held` is the share of"
    yield "intervals that hold the truth, `alone` the same for people's labels alone, `width` the mean width beside"
    yield "theirs, `refused` the share of draws without a number (labels all the same). `bias` counts the other draws:"
    yield "where many are refused it is the bias of looking at those alone."
    yield ""
    worst = min(rows, key=lambda row: row.covered)
    idle = max((row for row in rows if row.world.judge in ADDS_NOTHING), key=lambda row: row.width)
    useful = [row for row in rows if row.world.judge not in ADDS_NOTHING]
    yield f"Least held: {worst.covered:.3f} ({_name(worst.world)}). Bound: {LEAST_COVERED}."
    yield f"Widest for a judge that adds nothing: {idle.width:.3f} ({_name(idle.world)}). Bound: {WIDEST_USELESS}."
    wide = max(useful, key=lambda row: row.width)
    yield f"Widest for a judge that adds something: {wide.width:.3f} ({_name(wide.world)})."
    yield ""
    yield "| labels are | mean | labels | others | judge | held | alone | width | bias | refused |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        world, kind = row.world, "marks" if row.world.scored else "0 or 1"
        yield (
            f"| {kind} | {world.right} | {world.labels} | {world.others} | {world.judge} | {row.covered:.3f} | "
            f"{row.covered_alone:.3f} | {row.width:.3f} | {row.bias:+.4f} | {row.refused:.2f} |"
        )
    yield ""
    yield "## Two models"
    yield ""
    yield "The judge is right 9 times in 10 on the first, and lets 4 in 10 bad answers of the second pass."
    yield ""
    for labels in (20, 50, 200):
        yield f"* {labels} labels: held {difference_covered(times=times, labels=labels):.3f}"
    yield ""
    yield "## Agreement"
    yield ""
    yield "A judge right 9 times in 10. `held` is the share of jackknife intervals that hold the value in the limit."
    yield ""
    yield "| rows | share right | kappa | AC1 | alpha |"
    yield "|---|---|---|---|---|"
    for size, right in product((30, 100, 300), (0.5, 0.9)):
        held = agreement_covered(times=times, rows=size, right=right)
        yield f"| {size} | {right} | {held['kappa']:.3f} | {held['AC1']:.3f} | {held['alpha']:.3f} |"


def _name(world: World) -> str:
    return f"{world.judge} judge, {world.labels} labels of mean {world.right}"


def _covered(found: list[Estimate], truth: float) -> float:
    return sum(each.low <= truth <= each.high for each in found) / len(found) if found else float("nan")


def _kappa(shares: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    chance = float((shares.sum(axis=0) * shares.sum(axis=1)).sum())
    return (float(np.trace(shares)) - chance) / (1 - chance)


def _ac1(shares: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    mean = (shares.sum(axis=0) + shares.sum(axis=1)) / 2
    chance = float((mean * (1 - mean)).sum())
    return (float(np.trace(shares)) - chance) / (1 - chance)


def _alpha(shares: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    mean = (shares.sum(axis=0) + shares.sum(axis=1)) / 2
    chance = 1 - float((mean**2).sum())
    return 1 - (1 - float(np.trace(shares))) / chance


if __name__ == "__main__":
    sys.exit(main())
