"""What estimates from history say of routers, as a table, a chart and a sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.offpolicy import Method

Measure = Literal["quality", "cost"]
METHOD_NAMES = {
    "dr": "doubly robust",
    "snips": "self-normalised weights",
    "ips": "inverse weights",
    "clipped": "clipped weights",
    "dm": "direct method",
}


@dataclass(frozen=True)
class Supposed:
    """One router by one estimator: its mean, and how much more than that of the router that ran.

    `past` is what the router that ran had; `least_probability` the smallest on record of a choice that this router
    would make (0 at the edge of overlap). The difference holds for `many` routers at once (Bonferroni).
    """

    router: str
    measure: Measure
    method: Method
    result: Estimate | Refusal
    against_past: Estimate | Refusal
    past: float | None = None
    least_probability: float | None = None
    many: int = 1

    @property
    def verdict(self) -> str | None:
        """Whether it would surely have been better or worse than what ran; for cost dearer or cheaper."""
        if not isinstance(self.result, Estimate) or not isinstance(self.against_past, Estimate):
            return None
        words = ("better", "worse") if self.measure == "quality" else ("dearer", "cheaper")
        if self.against_past.low > 0:
            return words[0]
        return words[1] if self.against_past.high < 0 else "not told apart"


@dataclass(frozen=True)
class Supposition:
    """What history says of routers that did not run, at a step or over a workflow."""

    step: str
    results: tuple[Supposed, ...]
    notes: tuple[str, ...]
    level: float

    def of(self, router: str, measure: Measure = "quality", *, method: Method | None = None) -> Estimate | Refusal:
        """One estimate. Raises KeyError where there is none such."""
        for each in self.results:
            if (each.router, each.measure) == (router, measure) and method in (None, each.method):
                return each.result
        raise KeyError(f"no {measure} of {router} was estimated")

    @property
    def sentence(self) -> str:
        """What can be said of each router's quality by the first method, or why nothing can."""
        first = self.results[0].method
        return "; ".join(_said(e) for e in self.results if e.measure == "quality" and e.method == first) + "."

    def frame(self) -> Any:
        """A DataFrame with a row per router, measure and method; numbers are missing where `reason` is not."""
        from pandas import DataFrame

        return DataFrame([_told(each) for each in self.results])

    def plot(self) -> Any:
        """Each router's estimates with their intervals, beside what ran, in Altair."""
        from toolkit.charts import supposition

        return supposition(self)

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        from html import escape

        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<p>{escape(self.sentence)}</p>{self.frame().to_html(index=False, na_rep='')}<ul>{notes}</ul>"


def _said(each: Supposed) -> str:
    found, past = each.result, each.against_past
    if isinstance(found, Refusal):
        return f"History cannot tell what {each.router} is worth: {found.reason}"
    rests = f"{METHOD_NAMES[each.method]}, {found.n:,} rows of which {found.effective_n:,.0f} count"
    said = f"{each.router} would have reached {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] ({rests})"
    if isinstance(past, Refusal):
        return said
    numbers = f"{past.value:+.3f} [{past.low:+.3f}, {past.high:+.3f}]"
    many = f", for {each.many} routers at once" if each.many > 1 else ""
    if each.verdict == "not told apart":
        return f"{said}, which cannot be told apart from the {each.past:.3f} of the router that ran ({numbers}{many})"
    return f"{said}, {each.verdict} than the {each.past:.3f} of the router that ran ({numbers}{many})"


def _told(each: Supposed) -> dict[str, Any]:
    found = each.result if isinstance(each.result, Estimate) else None
    past = each.against_past if isinstance(each.against_past, Estimate) else None
    return {
        "router": each.router,
        "measure": each.measure,
        "method": each.method,
        "value": found and found.value,
        "low": found and found.low,
        "high": found and found.high,
        "past": each.past,
        "difference": past and past.value,
        "difference_low": past and past.low,
        "difference_high": past and past.high,
        "verdict": each.verdict,
        "rows": found and found.n,
        "effective_rows": found and found.effective_n,
        "largest_weight": found and found.largest_weight,
        "least_probability": each.least_probability if found else None,
        "uncovered": found and found.uncovered,
        "reason": each.result.reason if isinstance(each.result, Refusal) else None,
    }
