"""Contenders compared on the very same rows: differences, who is worth its price, and a sentence. Pure: arrays in.

    Scored (n rows × k contenders: quality, cost, seconds) ─▶ compared ─▶ Comparison

The first contender is what the others are held against. Every difference in the table is one claim, and all of them
are corrected together (Holm 1979). What cannot be told is a `Refusal` with its reason, and has no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.pairs import (
    Difference,
    Verdict,
    corrected,
    frontier,
    more_rows,
    paired,
    verdict,
)
from toolkit.evaluation.resampling import REPLICATES, Floats, Ints, means_drawn, percentiles

Measure = Literal["quality", "cost", "seconds"]
MEASURES: tuple[Measure, ...] = ("quality", "cost", "seconds")
UNITS = {"quality": "", "cost": " USD a row", "seconds": " s a row"}
MOST_ONE_SIDED = 0.05
ALL = "all rows"


@dataclass(frozen=True, eq=False)
class Scored:
    """n rows as k contenders answered them: quality, cost in US dollars and seconds, (n, k) each, NaN where unknown.

    `clusters` (n,) name rows that belong together, `segments` (n,) the part of the table that a row is in; `prints`
    (n,) stand for what a row said, so that rows of several records are told apart where they share an id. `faults` are
    measures that cannot be compared, with the reason; `notes` what a reader of the numbers should know.
    """

    contenders: tuple[str, ...]
    quality: Floats
    cost: Floats | None = None
    seconds: Floats | None = None
    row_ids: Sequence[str] | None = None
    clusters: Ints | None = None
    segments: NDArray[Any] | None = None
    segment: str = ""
    prints: NDArray[Any] | None = None
    faults: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, k = self.quality.shape if self.quality.ndim == 2 else (-1, -1)
        if k != len(self.contenders):
            raise ValueError(f"quality has shape {self.quality.shape}, for {len(self.contenders)} contenders")
        for name in ("cost", "seconds"):
            table = getattr(self, name)
            if table is not None and table.shape != (n, k):
                raise ValueError(f"{name} has shape {table.shape}, quality {self.quality.shape}")
        for name in ("row_ids", "clusters", "segments"):
            listed = getattr(self, name)
            if listed is not None and len(listed) != n:
                raise ValueError(f"{name} has {len(listed)} rows, quality {n}")
        if np.isinf(self.quality).any():
            raise ValueError("a quality is infinite; grades are numbers")
        if len(set(self.contenders)) < len(self.contenders):
            raise ValueError("two contenders have one name")

    def table(self, measure: Measure) -> Floats | None:
        """(n, k) one measure."""
        found: Floats | None = getattr(self, measure)
        return found

    @cached_property
    def common(self) -> NDArray[np.bool_]:
        """(n,) the rows whose quality is known of all contenders."""
        return np.asarray(np.isfinite(self.quality).all(axis=1))


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


@dataclass(frozen=True)
class Point:
    """A contender on the plane of cost and quality, with its bootstrap intervals, over the rows that all answered.

    `on_frontier`: none other is both cheaper and better; `frontier_share` of the draws agree. NaN where unknown.
    """

    contender: str
    quality: float
    quality_low: float
    quality_high: float
    cost: float
    cost_low: float
    cost_high: float
    on_frontier: bool | None
    frontier_share: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the rows say of the contenders. `frame()` gives a DataFrame, `plot()` a chart."""

    scored: Scored
    differences: tuple[Compared, ...]
    points: tuple[Point, ...]
    margin: float | None
    level: float

    def of(self, contender: str, measure: Measure = "quality", *, segment: str = ALL) -> Difference | Refusal:
        """One difference. Raises KeyError where there is none such."""
        for each in self.differences:
            if (each.contender, each.measure, each.segment) == (contender, measure, segment):
                return each.result
        raise KeyError(f"no {measure} of {contender!r} in {segment!r} was compared")

    @property
    def sentence(self) -> str:
        """What the numbers allow to be said of quality, in one sentence."""
        from toolkit.evaluation.telling import comparison_sentence

        return comparison_sentence(self)

    def frame(self) -> Any:
        """A DataFrame with a row for each contender, measure and segment; numbers are missing where `reason` is not."""
        from pandas import DataFrame

        return DataFrame([_told(each, self._margin(each.measure)) for each in self.differences])

    def frontier(self) -> Any:
        """A DataFrame with a row per contender: mean quality and cost with their intervals, and who is worth it."""
        from pandas import DataFrame

        return DataFrame([vars(point) for point in self.points])

    def changed(self, contender: str | None = None, *, by: float = 0.0) -> Any:
        """A DataFrame of the rows whose quality differs by more than `by` from the first contender's, losses first."""
        return _changed(self.scored, contender or self.scored.contenders[1], by)

    def plot(self) -> Any:
        """Differences with their intervals, and cost against quality, in Altair."""
        from toolkit.charts import comparison

        return comparison(self)

    def _margin(self, measure: str) -> float | None:
        return self.margin if measure == "quality" else None

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        from html import escape

        notes = "".join(f"<li>{escape(note)}</li>" for note in self.scored.notes)
        return f"<p>{escape(self.sentence)}</p>{self.frame().to_html(index=False, na_rep='')}<ul>{notes}</ul>"


def compared(
    scored: Scored,
    *,
    margin: float | None = None,
    level: float = 0.95,
    measures: Sequence[Measure] = MEASURES,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Each contender against the first, by each measure that is there, in all rows and in each segment.

    `margin` (at least 0) is how much worse in quality counts as no worse. Raises ValueError where it is negative.
    """
    if margin is not None and not margin >= 0:
        raise ValueError(f"the margin is a number from 0 up, not {margin}")
    if not 0 < level < 1:
        raise ValueError(f"the level lies between 0 and 1, not {level}")
    differences = with_correction(list(_differences(scored, measures, level)))
    told = [m for m in measures if scored.table(m) is not None]
    drawn = _drawn(scored, told, replicates, seed)
    ranges = {
        (each.measure, each.contender): percentiles(
            drawn[each.measure][:, scored.contenders.index(each.contender)] - drawn[each.measure][:, 0], level=level
        )
        for each in differences
        if each.segment == ALL and isinstance(each.result, Difference) and len(drawn[each.measure])
    }
    ranged = tuple(
        replace(each, drawn=ranges.get((each.measure, each.contender))) if each.segment == ALL else each
        for each in differences
    )
    return Comparison(scored, ranged, _points(scored, drawn, level), margin, level)


def with_correction(differences: Sequence[Compared]) -> tuple[Compared, ...]:
    """The same, each difference corrected for all of them."""
    known = {str(n): each.result for n, each in enumerate(differences) if isinstance(each.result, Difference)}
    found = corrected(known)
    return tuple(replace(each, result=found.get(str(n), each.result)) for n, each in enumerate(differences))


# ----------------------------------------------------------------------------------------------------------- helpers
def _differences(scored: Scored, measures: Sequence[Measure], level: float) -> Iterator[Compared]:
    parts: list[tuple[str, NDArray[np.bool_] | None]] = [(ALL, None)]
    if scored.segments is not None:
        parts += [(str(name), scored.segments == name) for name in dict.fromkeys(scored.segments.tolist())]
    for segment, rows in parts:
        for measure in measures:
            table = scored.table(measure)
            if table is None:
                continue
            for place, contender in enumerate(scored.contenders[1:], start=1):
                result = _difference(scored, measure, table, place, rows, level)
                yield Compared(contender, scored.contenders[0], measure, segment, result)


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


def _drawn(scored: Scored, measures: Sequence[Measure], replicates: int, seed: int) -> dict[str, Floats]:
    """Measure → (replicates, k) means over the common rows, all by the same draws."""
    rows = np.flatnonzero(scored.common)
    k = len(scored.contenders)
    if not len(rows):
        return {measure: np.empty((0, k)) for measure in measures}
    tables = [table[rows] for measure in measures if (table := scored.table(measure)) is not None]
    clusters = None if scored.clusters is None else scored.clusters[rows]
    drawn = means_drawn(np.hstack(tables), clusters=clusters, replicates=replicates, seed=seed)
    return {measure: drawn[:, n * k : (n + 1) * k] for n, measure in enumerate(measures)}


def _points(scored: Scored, drawn: dict[str, Floats], level: float) -> tuple[Point, ...]:
    rows, k, unknown = scored.common, len(scored.contenders), float("nan")
    if not rows.any() or "quality" in scored.faults or "quality" not in drawn:
        return ()
    quality = scored.quality[rows].mean(axis=0)
    cost = (
        np.full(k, unknown)
        if scored.cost is None or "cost" in scored.faults or "cost" not in drawn
        else scored.cost[rows].mean(axis=0)
    )
    priced = bool(np.isfinite(cost).all())
    members = frontier(cost.tolist(), quality.tolist()) if priced else []
    shares = _frontier_shares(drawn["cost"], drawn["quality"]) if priced else np.full(k, unknown)
    return tuple(
        Point(
            name,
            float(quality[n]),
            *percentiles(drawn["quality"][:, n], level=level),
            float(cost[n]),
            *(percentiles(drawn["cost"][:, n], level=level) if np.isfinite(cost[n]) else (unknown, unknown)),
            on_frontier=n in members if priced else None,
            frontier_share=float(shares[n]),
        )
        for n, name in enumerate(scored.contenders)
    )


def _frontier_shares(cost: Floats, quality: Floats) -> Floats:
    """(k,) the share of draws in which none other is at least as cheap and as good, and better in one."""
    k = cost.shape[1]
    found = np.ones(cost.shape, dtype=bool)
    for one in range(k):
        for other in range(k):
            as_good = (cost[:, other] <= cost[:, one]) & (quality[:, other] >= quality[:, one])
            better = (cost[:, other] < cost[:, one]) | (quality[:, other] > quality[:, one])
            found[:, one] &= ~(as_good & better)
    shares: Floats = found.mean(axis=0)
    return shares


def _told(each: Compared, margin: float | None) -> dict[str, Any]:
    result = each.result
    known = isinstance(result, Difference)
    said: Verdict | None = verdict(result, margin=margin) if isinstance(result, Difference) else None
    if said in ("better", "worse") and each.measure != "quality":
        more = isinstance(result, Difference) and result.value > 0
        words = ("dearer", "cheaper") if each.measure == "cost" else ("slower", "faster")
        told: str | None = words[0] if more else words[1]
    else:
        told = said
    return {
        "contender": each.contender,
        "against": each.against,
        "measure": each.measure,
        "segment": each.segment,
        "difference": result.value if isinstance(result, Difference) else None,
        "low": result.low if isinstance(result, Difference) else None,
        "high": result.high if isinstance(result, Difference) else None,
        "bootstrap_low": each.drawn[0] if each.drawn and known else None,
        "bootstrap_high": each.drawn[1] if each.drawn and known else None,
        "p_value": result.p_value if isinstance(result, Difference) else None,
        "p_corrected": result.settled if isinstance(result, Difference) else None,
        "comparisons": result.comparisons if isinstance(result, Difference) else None,
        "rows": result.n if isinstance(result, Difference) else None,
        "groups": result.groups if isinstance(result, Difference) else None,
        "test": result.test if isinstance(result, Difference) else None,
        "verdict": told,
        "more_rows_needed": more_rows(result) if said == "not told apart" and isinstance(result, Difference) else None,
        "reason": result.reason if isinstance(result, Refusal) else None,
    }


def _changed(scored: Scored, contender: str, by: float) -> Any:
    from pandas import DataFrame

    place = scored.contenders.index(contender)
    with np.errstate(invalid="ignore"):
        change = scored.quality[:, place] - scored.quality[:, 0]
        rows = np.flatnonzero(np.abs(change) > by)
    rows = rows[np.argsort(change[rows], kind="stable")]
    first = scored.contenders[0]
    told: dict[str, Any] = {"row_id": [scored.row_ids[int(n)] for n in rows] if scored.row_ids is not None else rows}
    if scored.segments is not None:
        told[scored.segment or "segment"] = scored.segments[rows]
    told |= {f"quality of {first}": scored.quality[rows, 0], f"quality of {contender}": scored.quality[rows, place]}
    told["change"] = change[rows]
    if scored.cost is not None:
        told |= {f"cost of {first} (USD)": scored.cost[rows, 0], f"cost of {contender} (USD)": scored.cost[rows, place]}
    return DataFrame(told)
