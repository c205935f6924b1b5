"""Contenders compared on the very same rows: differences, who is worth its price, and a sentence. Pure: arrays in.

    Scored (n rows × k contenders: quality, cost, seconds) ─▶ compared ─▶ Comparison

The first contender is what the others are held against. Every difference in the table is one claim, and all of them
are corrected together (Holm 1979). What cannot be told is a `Refusal` with its reason, and has no number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from toolkit.errors import RunError
from toolkit.evaluation.changes import changed_rows
from toolkit.evaluation.differences import ALL, Compared, differences_of, told, with_correction
from toolkit.evaluation.estimates import Refusal, checked_level
from toolkit.evaluation.exchange import Choice, Exchange, choice_of, prices_between, valued
from toolkit.evaluation.frontiers import Point, drawn_means, farthest_apart, independent_rows, points_of
from toolkit.evaluation.pairs import Difference
from toolkit.evaluation.resampling import REPLICATES, Floats, percentiles
from toolkit.evaluation.scored import MEASURES, Measure, Scored
from toolkit.evaluation.table import comparison_html, comparison_text

INFERRED = "history knows differences alone, where answers are missing; replay each router, and compare the replays"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the rows say of the contenders. `frame()` gives a DataFrame, `plot()` a chart.

    `drawn` has the bootstrap's means by measure, (draws, k) each, over the rows that all answered.
    """

    scored: Scored
    differences: tuple[Compared, ...]
    points: tuple[Point, ...]
    margin: float | None
    level: float
    drawn: Mapping[str, Floats] = field(default_factory=dict, repr=False)

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

        return DataFrame([told(each, self._margin(each.measure)) for each in self.differences])

    def frontier(self) -> Any:
        """A DataFrame with a row per contender: mean quality and cost with their intervals, and who is worth it."""
        from pandas import DataFrame

        return DataFrame([vars(point) for point in self.points])

    def exchange(self, prices: Floats | None = None) -> Exchange | Refusal:
        """Who is best at each worth of quality (USD for one unit of it; of themselves about where the choice turns)."""
        if reason := self._unpriced():
            return Refusal("exchange", reason)
        quality, cost = (np.array([getattr(point, name) for point in self.points]) for name in ("quality", "cost"))
        drawn = {"drawn_quality": self.drawn["quality"], "drawn_cost": self.drawn["cost"]}
        at = prices_between(quality, cost, **drawn) if prices is None else prices
        return valued(
            self.scored.contenders, quality, cost, prices=at, level=self.level, rows=independent_rows(self.scored),
            apart=farthest_apart(self.scored), **drawn,
        )  # fmt: skip

    def best(self, *, price: float) -> Choice:
        """Who is best where one unit of quality is worth so many US dollars, and how sure that is.

        Raises RunError where the rows do not tell, with the reason; ValueError where the price is not a number above 0.
        """
        if not (np.isfinite(price) and price > 0):
            raise ValueError(f"the worth of a unit of quality is a number of US dollars above 0, not {price}")
        found = self.exchange(np.array([price], dtype=np.float64))
        if isinstance(found, Refusal):
            raise RunError(f"nobody can be told best: {found.reason}")
        return choice_of(found, 0)

    def changed(self, contender: str | None = None, *, by: float = 0.0) -> Any:
        """A DataFrame of the rows whose quality differs by more than `by` from the first contender's, losses first."""
        return changed_rows(self.scored, contender or self.scored.contenders[1], by)

    def plot(self, *, price: float | None = None) -> Any:
        """All of it in Altair: differences with their intervals, cost against quality, and who is best by a slider.

        The slider, which needs no kernel, says what one unit of quality is worth; it begins at `price` US dollars.
        """
        from toolkit.charts import comparison

        return comparison(self, price=price)

    def _margin(self, measure: str) -> float | None:
        return self.margin if measure == "quality" else None

    def _unpriced(self) -> str | None:
        """Why quality and cost cannot be weighed against each other."""
        refused = (
            f"{each.contender}: {each.result.reason}"
            for each in self.differences
            if each.segment == ALL and each.measure != "seconds" and isinstance(each.result, Refusal)
        )
        if (reason := next(refused, None)) is not None:
            return reason
        if len(self.points) < 2 or not {"quality", "cost"} <= set(self.drawn):
            inferred = not self.points and bool(self.differences)
            return INFERRED if inferred else "the rows have no cost"
        if not all(np.isfinite(point.cost) for point in self.points):
            return "the cost of some rows is unknown; give the prices of the models"
        if not any(point.cost for point in self.points):
            return "no contender costs anything, so quality alone decides"
        return None

    def __repr__(self) -> str:
        return self.sentence

    def _ipython_display_(self) -> None:
        """The table, the chart with its slider, and the rows that changed; in a terminal the same in words."""
        from IPython import get_ipython
        from IPython.display import display

        if getattr(get_ipython(), "kernel", None) is None:
            print(comparison_text(self))
            return
        display({"text/plain": comparison_text(self), "text/html": self._repr_html_()}, raw=True)  # type: ignore[no-untyped-call]
        display(self.plot())  # type: ignore[no-untyped-call]
        if self.scored.row_ids is not None and self.scored.common.any():
            from toolkit import changes

            display(changes(self))  # type: ignore[no-untyped-call]

    def _repr_html_(self) -> str:
        return comparison_html(self)


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
    checked_level(level)
    differences = with_correction(list(differences_of(scored, measures, level)))
    known = [m for m in measures if scored.table(m) is not None]
    drawn = drawn_means(scored, known, replicates, seed)
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
    return Comparison(scored, ranged, points_of(scored, drawn, level), margin, level, drawn)
