"""What history says of routers that did not run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from toolkit.charts.marks import labels_of
from toolkit.charts.theme import INK, NAME_PIXELS, ROW_HEIGHT, WIDTH, altair_, finished, frame, sentence
from toolkit.colours import BLUE, GREY, VERMILION
from toolkit.evaluation.supposing import METHOD_NAMES

if TYPE_CHECKING:
    from toolkit.evaluation.supposing import Supposition

AXES = {"quality": "quality (mean grade)", "cost": "cost (USD a request)"}
VERDICTS = {"better": BLUE, "worse": VERMILION, "not told apart": GREY, "cheaper": BLUE, "dearer": VERMILION}


def supposition(found: Supposition) -> Any:
    """What history says of each router: estimates with their intervals, and a rule where the router that ran was.

    Routers of which it can tell nothing stand below with the reason.
    """
    altair = altair_()
    table = found.frame()
    known = table[table.value.notna()]
    panels = [
        _panel(altair, known[known.measure == each], axis)
        for each, axis in AXES.items()
        if (known.measure == each).any()
    ]
    if not panels:
        return sentence(found.sentence)
    refused = table[table.reason.notna() & (table.measure == "quality")].drop_duplicates("router")
    names = labels_of(table.router.tolist())
    why_not = [
        line
        for router, reason in zip(refused.router, refused.reason, strict=True)
        for line in textwrap.wrap(f"{names[router]} has no number: {reason}", 112)
    ]
    title = altair.Title(
        f"What history says, at {found.step}",
        subtitle=["estimates with intervals; the broken rule is the router that ran", *why_not],
    )
    return finished(altair.vconcat(*panels, title=title, spacing=14))


def _panel(altair: Any, known: Any, axis: str) -> Any:
    names, methods = labels_of(known.router.tolist()), known.method.nunique()
    rows = known.assign(
        line=[
            names[router] if methods == 1 else f"{names[router]} · {METHOD_NAMES[method]}"
            for router, method in zip(known.router, known.method, strict=True)
        ],
        verdict=known.verdict.fillna("not told apart"),
    )
    y = altair.Y("line:N", title=None, sort=None, axis=altair.Axis(labelLimit=NAME_PIXELS))
    low, high = (float(f(rows[["low", "high", "past"]].to_numpy(dtype=float).ravel())) for f in (min, max))
    room = (high - low) or 1.0
    scale = altair.Scale(domain=[low - 0.04 * room, high + 0.34 * room], nice=False, zero=False)
    colour = altair.Color(
        "verdict:N", legend=None, scale=altair.Scale(domain=list(VERDICTS), range=list(VERDICTS.values()))
    )
    tips = [
        "router", "method", altair.Tooltip("value:Q", title=axis, format=".4g"),
        altair.Tooltip("low:Q", title="from", format=".4g"), altair.Tooltip("high:Q", title="to", format=".4g"),
        altair.Tooltip("rows:Q", title="rows", format=","),
        altair.Tooltip("effective_rows:Q", title="rows that count", format=",.0f"),
        altair.Tooltip("largest_weight:Q", title="share of the heaviest row", format=".3f"),
        altair.Tooltip("difference:Q", title="more than what ran", format="+.4g"), "verdict",
    ]  # fmt: skip
    base = altair.Chart(rows)
    x = altair.X("low:Q", title=axis, scale=scale, axis=altair.Axis(tickCount=7))
    layers = (
        altair.Chart(frame([{"past": float(known.past.mean())}]))
        .mark_rule(color=INK, strokeDash=[4, 3])
        .encode(x=altair.X("past:Q", scale=scale)),
        base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", y=y, color=colour),
        base.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q", y=y, color=colour, tooltip=tips),
        base.mark_text(align="left", dx=8, color=INK).encode(x="high:Q", y=y, text="verdict:N"),
    )
    return altair.layer(*layers).properties(width=WIDTH, height={"step": ROW_HEIGHT})
