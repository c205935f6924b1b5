"""Pictures for Prefect's UI, which shows an image within a page of Markdown without asking any network for it.

In: the record. Out: Markdown with a PNG in it, or the sentence that says why there is nothing to draw.
"""

from __future__ import annotations

import base64
import io
from typing import Any

from toolkit.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from toolkit.errors import ToolkitError
from toolkit.ledger import History
from toolkit.ledger.views import following

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, GREY)
SCALE = 2.0
LETTERS = {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 220}
WIDTH = 480


def worth(history: History, run_id: str) -> str:
    """What each step's models cost in a run, and how good they were for it."""
    paid = history.sql(following.PAID, run_id=run_id).df()
    if not len(paid) or not (paid.cost_usd > 0).any():
        return "*No picture: no cost is known, or nothing was asked.*"
    found = history.sql(following.WORTH, run_id=run_id).df()
    charts = [_costs(paid)]
    if len(found):
        charts.append(_frontier(found))
    return f"{image(_stacked(charts), 'cost and quality by step and model')}\n\n{_said(found)}"


def image(chart: Any, alt: str) -> str:
    """A chart of Altair as an image of Markdown."""
    drawn = io.BytesIO()
    calm = chart.configure(background="white", padding=14, font="sans-serif").configure_axis(**LETTERS)
    calm.configure_title(fontSize=14).configure_legend(**LETTERS).save(drawn, format="png", scale_factor=SCALE)
    return f"![{alt}](data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()})"


def drawn(chart: Any, alt: str) -> str:
    """As `image`; what cannot be drawn is said, as a picture is no reason to fail."""
    try:
        return image(chart, alt)
    except (ToolkitError, ValueError, OSError) as error:
        return f"*No picture: {error}*"


# ------------------------------------------------------------------------------------------------------------- charts
def _costs(paid: Any) -> Any:
    import altair

    return (
        altair.Chart(paid, title="What it cost")
        .mark_bar()
        .encode(
            x=altair.X("sum(cost_usd):Q", title="cost of the run (USD)", axis=altair.Axis(tickCount=5)),
            y=altair.Y("step:N", title=None, sort="-x"),
            color=_colour(altair, paid.model),
        )
        .properties(width=WIDTH, height={"step": 24})
    )


def _frontier(found: Any) -> Any:
    """A mark for each model at each step, with the interval of its mean; a line through those that nobody dominates."""
    import altair

    found = found.assign(
        low=(found.quality - found.either_way).clip(0, 1),
        high=(found.quality + found.either_way).clip(0, 1),
        best=_undominated(found),
        named=found.step + " · " + found.model,
        thousand=1_000 * found.cost_usd,
    )
    x = altair.X(
        "thousand:Q",
        title="mean cost of a thousand answers (USD)",
        scale=altair.Scale(zero=True, nice=True),
        axis=altair.Axis(tickCount=6),
    )
    base = altair.Chart(found).encode(x=x)
    colour = _colour(altair, found.model)
    line = (
        base.transform_filter(altair.datum.best)
        .mark_line(color=GREY, strokeDash=[4, 3])
        .encode(y=altair.Y("quality:Q"), detail="step:N", order="thousand:Q")
    )
    bars = base.mark_rule(strokeWidth=2).encode(
        y=altair.Y("low:Q", title="mean quality (0 to 1)", scale=altair.Scale(zero=False, padding=20)),
        y2="high:Q",
        color=colour,
    )
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(y="quality:Q", color=colour)
    words = base.mark_text(align="left", dx=9, dy=-8, fontSize=12, limit=220).encode(y="quality:Q", text="named:N")
    return (line + bars + dots + words).properties(
        width=WIDTH, height=240, title="How good it was for that: the frontier of each step"
    )


def _stacked(charts: list[Any]) -> Any:
    import altair

    return altair.vconcat(*charts).resolve_scale(color="shared")


def _colour(altair: Any, models: Any) -> Any:
    return altair.Color("model:N", title="model", scale=altair.Scale(range=list(COLOURS)))


def _undominated(found: Any) -> list[bool]:
    """Whether no other model at that step is both cheaper and better."""
    rows = list(found[["step", "cost_usd", "quality"]].itertuples(index=False))
    return [
        not any(o.step == r.step and o.cost_usd < r.cost_usd and o.quality >= r.quality for o in rows) for r in rows
    ]


def _said(found: Any) -> str:
    if not len(found):
        return "*No answer was graded, and no model told its confidence; give a step a grader to see quality too.*"
    ungraded = sorted(set(found[found.graded == 0].step))
    told = "Bars are 95 % intervals of the mean; the broken line joins models of a step that no other beats in both."
    if ungraded:
        told += f" Of {', '.join(ungraded)} nothing was graded: there, quality is the models' own confidence."
    return f"*{told}*"
