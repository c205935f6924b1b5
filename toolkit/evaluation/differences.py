"""Differences from the first contender, by measure and segment, all corrected together. Pure: `Scored` in.

What cannot be told is a `Refusal` with its reason, and has no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.frontiers import MOST_ONE_SIDED
from toolkit.evaluation.pairs import Difference, Verdict, corrected, more_rows, paired, verdict
from toolkit.evaluation.resampling import Floats
from toolkit.evaluation.scored import Measure, Scored

ALL = "all rows"
NUMBERS = (
    "difference", "low", "high", "bootstrap_low", "bootstrap_high", "p_value", "p_corrected", "comparisons", "rows",
    "groups", "test", "verdict", "more_rows_needed",
)  # fmt: skip
WORDS = {"cost": ("dearer", "cheaper"), "seconds": ("slower", "faster")}


@dataclass(frozen=True)
class Compared:
    """How much more the contender has of a measure than the one it is held against, in a segment.

    `drawn` is the bootstrap's interval, where it was drawn.
    """

    contender: str
    against: str
    measure: Measure
    segment: str
    result: Difference | Refusal
    drawn: tuple[float, float] | None = None


def differences_of(scored: Scored, measures: Sequence[Measure], level: float) -> Iterator[Compared]:
    parts: list[tuple[str, NDArray[np.bool_] | None]] = [(ALL, None)]
    if scored.segments is not None:
        parts += [(_named(name), scored.segments == name) for name in dict.fromkeys(scored.segments.tolist())]
    for segment, rows in parts:
        for measure in measures:
            table = scored.table(measure)
            if table is None:
                continue
            for place, contender in enumerate(scored.contenders[1:], start=1):
                result = _difference(scored, measure, table, place, rows, level)
                yield Compared(contender, scored.contenders[0], measure, segment, result)


def with_correction(differences: Sequence[Compared]) -> tuple[Compared, ...]:
    """The same, each difference corrected for all of them."""
    known = {str(n): each.result for n, each in enumerate(differences) if isinstance(each.result, Difference)}
    found = corrected(known)
    return tuple(replace(each, result=found.get(str(n), each.result)) for n, each in enumerate(differences))


def told(each: Compared, margin: float | None) -> dict[str, Any]:
    """A line of the table: all numbers, or the reason why there are none."""
    place = {"contender": each.contender, "against": each.against, "measure": each.measure, "segment": each.segment}
    result = each.result
    if isinstance(result, Refusal):
        return {**place, **dict.fromkeys(NUMBERS), "reason": result.reason}
    said = verdict(result, margin=margin)
    drawn = each.drawn or (None, None)
    numbers = (
        result.value, result.low, result.high, *drawn, result.p_value, result.settled, result.comparisons, result.n,
        result.groups, result.test, _in_words(each.measure, said, result.value),
        more_rows(result) if said == "not told apart" else None,
    )  # fmt: skip
    return {**place, **dict(zip(NUMBERS, numbers, strict=True)), "reason": None}


# ----------------------------------------------------------------------------------------------------------- helpers
def _named(segment: object) -> str:
    """The name of a segment; one that is called as all of them together are gets quotation marks."""
    return f"'{segment}'" if str(segment) == ALL else str(segment)


def _difference(
    scored: Scored, measure: Measure, table: Floats, place: int, rows: NDArray[np.bool_] | None, level: float
) -> Difference | Refusal:
    if reason := scored.faults.get(measure):
        return Refusal(measure, reason)
    at = np.ones(len(table), dtype=bool) if rows is None else rows
    first, second = table[at, place], table[at, 0]
    names = scored.contenders[place], scored.contenders[0]
    if reason := _incomparable(measure, first, second, names):
        return Refusal(measure, reason)
    clusters = None if scored.clusters is None else scored.clusters[at]
    return paired(first, second, clusters=clusters, bounds=_bounds(measure, table), level=level)


def _incomparable(measure: Measure, first: Floats, second: Floats, names: tuple[str, str]) -> str | None:
    """Why the rows left over would not speak for the whole, or say nothing."""
    have, other = np.isfinite(first), np.isfinite(second)
    both, either = int((have & other).sum()), int((have | other).sum())
    if not both:
        return f"{names[0]} and {names[1]} have no {measure} of the same row"
    one_sided = either - both
    if measure == "cost" and one_sided:
        lacking = names[0] if (other & ~have).sum() >= (have & ~other).sum() else names[1]
        return f"the cost of {one_sided:,} rows of {lacking} is unknown; give the price of its models"
    if one_sided > MOST_ONE_SIDED * either:
        lacking = names[0] if (other & ~have).sum() >= (have & ~other).sum() else names[1]
        return (
            f"{one_sided:,} of {either:,} rows have a {measure} of one of the two alone, most not of {lacking}: "
            "what is left over would not speak for the rest; grade those too"
        )
    kept = np.concatenate([first[have & other], second[have & other]])
    if measure == "quality" and (kept == kept[0]).all():
        return f"all {len(kept):,} grades are {kept[0]:g}: such a grade tells nothing apart"
    return None


def _bounds(measure: Measure, table: Floats) -> tuple[float, float]:
    known = table[np.isfinite(table)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return (min(low, 0.0), max(high, 1.0)) if measure == "quality" else (min(low, 0.0), high or 1.0)


def _in_words(measure: Measure, said: Verdict, value: float) -> str:
    """More of a cost or of time is neither better nor worse, but dearer or slower."""
    if measure == "quality" or said not in ("better", "worse"):
        return said
    return WORDS[measure][0 if value > 0 else 1]
