"""What money buys in quality: points on the plane of cost and quality, and the line of what mixing them can reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.charts.marks import colours_of, labels_of, shapes_of
from toolkit.charts.theme import INK, altair_, finished, frame, loose, sentence
from toolkit.colours import GREY
from toolkit.routing.frontier import Frontier

HEIGHT, WIDTH = 280, 420
MANY_TIMES = 30.0
"""Costs this far apart are shown on a logarithmic axis."""


def frontier(points: Mapping[str, tuple[float, float]], *, unit: str = "USD a request") -> Any:
    """Models or routers by name, as (cost, quality), and the line that mixtures of the best of them reach.

    The dearest corner is followed by a level: what costs more and is no better. A sentence where there is no point.
    """
    altair = altair_()
    known = {name: at for name, at in points.items() if all(np.isfinite(each) for each in at)}
    if not known:
        return sentence("There is no frontier to draw: no model has both a known cost and a known quality.")
    cost, quality = (np.array([at[axis] for at in known.values()], dtype=np.float64) for axis in (0, 1))
    hull = Frontier.of(cost, quality)
    names = labels_of(list(known))
    rows = [
        {"name": names[name], "full": name, "cost": at[0], "quality": at[1], "on": place in hull.member.tolist()}
        for place, (name, at) in enumerate(known.items())
    ]
    far = max(float(cost.max()), float(hull.cost[-1]))
    line = [{"cost": float(c), "quality": float(q)} for c, q in zip(hull.cost, hull.quality, strict=True)]
    line += [{"cost": far, "quality": float(hull.quality[-1])}] if far > hull.cost[-1] else []
    x = altair.X("cost:Q", title=f"cost ({unit})", scale=cost_scale(cost))
    y = altair.Y("quality:Q", title="quality (mean grade)", scale=loose())
    tips = [altair.Tooltip("full", title="name"), altair.Tooltip("cost:Q", title=f"cost ({unit})"), "quality:Q"]
    base, looks = altair.Chart(frame(rows)), marked(list(names.values()))
    chart = (
        altair.Chart(frame(line)).mark_line(color=GREY, strokeDash=[5, 3]).encode(x=x, y=y, order="cost:Q")
        + base.mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, tooltip=tips, **looks)
        + base.mark_text(dx=9, dy=-9, align="left", color=INK).encode(x=x, y=y, text="name:N")
    )
    title = altair.Title("Cost and quality", subtitle="the broken line is what mixing the best of them reaches")
    return finished(chart.properties(width=WIDTH, height=HEIGHT, title=title))


def marked(names: list[str], *, field: str = "name", legend: bool = False) -> dict[str, Any]:
    """Colour and shape by name: beyond the palette, shapes tell apart what has one colour."""
    altair = altair_()
    shown = altair.Legend(title=None) if legend else None
    return {
        "color": altair.Color(
            f"{field}:N", title=None, scale=altair.Scale(domain=names, range=colours_of(names)), legend=shown
        ),
        "shape": altair.Shape(
            f"{field}:N", title=None, scale=altair.Scale(domain=names, range=shapes_of(names)), legend=shown
        ),
    }


def cost_scale(cost: Any) -> Any:
    """Linear, and from zero; logarithmic where costs are very far apart and all above zero."""
    altair = altair_()
    known = np.asarray(cost, dtype=np.float64)
    if len(known) and known.min() > 0 and known.max() / known.min() >= MANY_TIMES:
        return altair.Scale(type="log", nice=False, padding=24)
    return altair.Scale(zero=True, nice=True)


def powers(least: float, most: float) -> list[float]:
    """Where a logarithmic axis has its marks: powers of ten; 2 and 5 of each too, where there are few."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    steps = (1.0,) if high - low > 3 else (1.0, 3.0) if high - low > 2 else (1.0, 2.0, 5.0)
    every = max(1, round((high - low) / 6))
    found = [float(f"{step}e{power}") for power in range(low, high + 1, every) for step in steps]
    return [each for each in found if least <= each <= most]
