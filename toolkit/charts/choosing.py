"""Cost against quality, with a slider that says what quality is worth, and so moves the choice.

Comparison ─▶ who is best at each price, reckoned here ─▶ a chart that only looks it up: no kernel, no network
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.charts.frontiers import cost_scale, marked, powers
from toolkit.charts.marks import labels_of
from toolkit.charts.theme import INK, NAME_PIXELS, ROW_HEIGHT, WIDTH, altair_, finished, frame, sentence
from toolkit.colours import GREY
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.exchange import Exchange, choice_of, usd

if TYPE_CHECKING:
    from toolkit.evaluation.comparison import Comparison

PARAMETER = "price"
SLIDER = "What an answer graded 1 instead of 0 is worth, from little to much:"
PLANE, SHARES, HEIGHT = 310, 270, 220
LINE_POINTS = 24


def exchange(found: Comparison, *, price: float | None = None) -> Any:
    """Frontier with intervals, the share of draws in which each is best, and the value of each, at the slider's price.

    It begins at `price` US dollars for a unit of quality, else where the choice turns. Where quality and cost cannot be
    weighed against each other it is a sentence with the reason.
    """
    reckoned = found.exchange()
    if isinstance(reckoned, Refusal):
        return sentence(refused(reckoned))
    return finished(panels(found, reckoned, price=price))


def refused(reason: Refusal) -> str:
    """What stands in place of the slider."""
    return f"No slider of what quality is worth: {reason.reason}."


def panels(found: Comparison, reckoned: Exchange, *, price: float | None = None) -> Any:
    """The same as a part of a larger chart, without the theme."""
    altair = altair_()
    names = labels_of(reckoned.contenders)
    at = altair.param(
        name=PARAMETER,
        value=_first(reckoned, price),
        bind=altair.binding_range(min=0, max=len(reckoned.prices) - 1, step=1, name=SLIDER + " "),
    )
    chosen = f"datum.place == {PARAMETER}"
    grid = frame(_grid(found, reckoned, names))
    told = frame(_told(reckoned, names))
    looks = marked(list(names.values()), legend=True)
    plain = {**looks, "shape": altair.Undefined}
    plane = _plane(altair, found, grid, chosen, looks, _level_lines(found, reckoned), names)
    shares = _shares(altair, grid, told, chosen, looks, plain)
    values = _values(altair, grid, chosen, looks, names)
    both = altair.hconcat(plane, shares, spacing=24)
    return altair.vconcat(_words(altair, told, chosen), both, values, spacing=14).add_params(at)


# ------------------------------------------------------------------------------------------------------------ panels
def _words(altair: Any, told: Any, chosen: str) -> Any:
    """Who is best, in two lines of text that follow the slider."""
    base = altair.Chart(told).transform_filter(chosen).encode(x=altair.value(0))
    first = base.mark_text(align="left", baseline="top", fontSize=14, fontWeight=600, color=INK, limit=820)
    second = base.mark_text(align="left", baseline="top", fontSize=12, color=INK, limit=820)
    lines = (
        first.encode(text="who:N", y=altair.value(0)),
        second.encode(text="priced:N", y=altair.value(22)),
        second.encode(text="lead:N", y=altair.value(39)),
    )
    return altair.layer(*lines).properties(width=PLANE + SHARES + 60, height=56)


def _plane(altair: Any, found: Comparison, grid: Any, chosen: str, looks: Any, lines: Any, names: Any) -> Any:
    points = frame([{**vars(point), "name": names[point.contender]} for point in found.points])
    costs, qualities = (_domain(points[[name, f"{name}_low", f"{name}_high"]]) for name in ("cost", "quality"))
    scale = cost_scale(points[["cost", "cost_low", "cost_high"]].to_numpy().ravel())
    axis = altair.Axis(tickCount=4)
    if scale.to_dict().get("type") == "log":
        axis = altair.Axis(values=powers(*_ends(points[["cost_low", "cost_high"]].to_numpy())), format=",~r")
    else:
        scale = altair.Scale(domain=costs, nice=False)
    x = altair.X("cost:Q", title="cost (USD a row)", scale=scale, axis=axis)
    y = altair.Y("quality:Q", title="quality (mean grade)", scale=altair.Scale(domain=qualities, nice=False))
    tips = [
        altair.Tooltip("contender", title="contender"),
        *(
            altair.Tooltip(f"{name}{end}:Q", title=f"{name}{told} ({unit})", format=".4g")
            for name, unit in (("quality", "mean grade"), ("cost", "USD a row"))
            for end, told in (("", ""), ("_low", ", from"), ("_high", ", to"))
        ),
        altair.Tooltip("frontier_share:Q", title="draws in which none is cheaper and better", format=".0%"),
    ]
    colour, base = looks["color"], altair.Chart(points)
    alike = altair.Chart(lines).transform_filter(chosen).mark_line(color=GREY, strokeDash=[5, 3], clip=True)
    best = altair.Chart(grid).transform_filter(f"{chosen} && datum.is_best")
    layers = (
        alike.encode(x=x, y=y, order="cost:Q"),
        base.mark_rule(clip=True).encode(x=altair.X("cost_low:Q"), x2="cost_high:Q", y=y, color=colour),
        base.mark_rule(clip=True).encode(x=x, y=altair.Y("quality_low:Q"), y2="quality_high:Q", color=colour),
        best.mark_point(shape="circle", size=420, filled=False, strokeWidth=2, color=INK, clip=True).encode(x=x, y=y),
        base.mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, tooltip=tips, **looks),
    )
    title = altair.Title("Cost and quality", subtitle="ringed: the best; broken line: all that is worth as much")
    return altair.layer(*layers).properties(width=PLANE, height=HEIGHT, title=title)


def _shares(altair: Any, grid: Any, told: Any, chosen: str, looks: Any, plain: Any) -> Any:
    scale, marks = altair.Scale(type="log", nice=False), powers(*_ends(grid.price))
    x = altair.X("price:Q", title=PRICE, scale=scale, axis=altair.Axis(format=",~r", values=marks))
    y = altair.Y("share:Q", title="share of draws in which it is best", axis=altair.Axis(format="%", tickCount=5),
                 scale=altair.Scale(domain=[0, 1]))  # fmt: skip
    tips = [
        altair.Tooltip("full", title="contender"),
        altair.Tooltip("price:Q", title="price of a unit of quality (USD)", format=".3g"),
        altair.Tooltip("share:Q", title="best in this share of draws", format=".0%"),
    ]
    lines = altair.Chart(grid).mark_line(strokeWidth=2).encode(x=x, y=y, color=plain["color"], detail="name:N")
    here = altair.Chart(told).transform_filter(chosen).mark_rule(color=INK, strokeDash=[4, 3]).encode(x=x)
    dots = altair.Chart(grid).transform_filter(chosen).mark_point(filled=True, size=70, opacity=1)
    title = altair.Title("Who is best, and how surely", subtitle="in draws of the rows; the rule is the slider")
    layers = altair.layer(lines, here, dots.encode(x=x, y=y, tooltip=tips, **looks))
    return layers.properties(width=SHARES, height=HEIGHT, title=title)


def _values(altair: Any, grid: Any, chosen: str, looks: Any, names: Any) -> Any:
    base = altair.Chart(grid).transform_filter(chosen)
    y = altair.Y("name:N", title=None, sort=list(names.values()), axis=altair.Axis(labelLimit=NAME_PIXELS))
    loose = altair.Scale(zero=False, nice=True)
    title = "value (USD a row) = price of quality × quality − cost, with its interval"
    axis = altair.Axis(tickCount=6)
    tips = [
        altair.Tooltip("full", title="contender"),
        altair.Tooltip("value:Q", title="value (USD a row)", format=".4g"),
        altair.Tooltip("low:Q", title="from", format=".4g"),
        altair.Tooltip("high:Q", title="to", format=".4g"),
        altair.Tooltip("share:Q", title="best in this share of draws", format=".0%"),
    ]
    bars = base.mark_rule(strokeWidth=2).encode(
        x=altair.X("low:Q", title=title, scale=loose, axis=axis), x2="high:Q", y=y, color=looks["color"]
    )
    ring = base.transform_filter("datum.is_best").mark_point(
        shape="circle", size=300, filled=False, strokeWidth=2, color=INK
    )
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q", y=y, tooltip=tips, **looks)
    layers = altair.layer(bars, ring.encode(x="value:Q", y=y), dots)
    return layers.properties(width=WIDTH, height={"step": ROW_HEIGHT})


# ------------------------------------------------------------------------------------------------------------ helpers
PRICE = "price of a unit of quality (USD, log scale)"


def _first(reckoned: Exchange, price: float | None) -> int:
    """Where the slider begins: nearest to the worth asked for, else at the middle of the first change of the choice."""
    if price is not None:
        return int(np.abs(np.log10(reckoned.prices) - np.log10(price)).argmin())
    turns = np.flatnonzero(np.diff(reckoned.best))
    middle = len(reckoned.prices) // 2
    return int(turns[np.abs(turns - middle).argmin()]) if len(turns) else middle


def _grid(found: Comparison, reckoned: Exchange, names: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "place": row, "price": _short(price), "name": names[name], "full": name,
            "value": _short(reckoned.value[row, each]), "low": _short(reckoned.low[row, each]),
            "high": _short(reckoned.high[row, each]), "share": _short(reckoned.share[row, each]),
            "is_best": bool(reckoned.best[row] == each), "quality": _short(found.points[each].quality),
            "cost": _short(found.points[each].cost),
        }
        for row, price in enumerate(reckoned.prices)
        for each, name in enumerate(reckoned.contenders)
    ]  # fmt: skip


def _told(reckoned: Exchange, names: dict[str, str]) -> list[dict[str, Any]]:
    rows = []
    for row in range(len(reckoned.prices)):
        choice = choice_of(reckoned, row)
        said = "is best" if choice.is_sure else "looks best, though not surely"
        if choice.is_tied:
            said = f"and {names[choice.second]} come to the same"
        lead = f"{usd(choice.gain)} USD a row [{usd(choice.gain_low)}, {usd(choice.gain_high)}] more than the next, "
        rows.append(
            {
                "place": row,
                "price": _short(choice.price),
                "who": f"{names[choice.contender]} {said}",
                "priced": f"where a unit of quality (grade 1 instead of 0) is worth {usd(choice.price)} USD:",
                "lead": f"{lead}{names[choice.second]}; best in {100 * choice.share:.0f} % of {choice.draws:,} draws",
            }
        )
    return rows


def _level_lines(found: Comparison, reckoned: Exchange) -> Any:
    """For each worth the line of all costs and qualities that are worth as much as the best."""
    low, high = _domain(frame([vars(point) for point in found.points])[["cost", "cost_low", "cost_high"]])
    floor = min(point.cost_low for point in found.points)
    costs = np.linspace(low, high, LINE_POINTS)
    if floor > 0:
        costs = np.unique(np.concatenate([np.geomspace(floor / 2, high, LINE_POINTS), [high]]))
    rows = []
    for row, price in enumerate(reckoned.prices):
        best = found.points[int(reckoned.best[row])]
        for cost in costs if floor > 0 else (low, high):
            quality = best.quality + (cost - best.cost) / price
            if -1 <= quality <= 2 or floor <= 0:
                rows.append({"place": row, "cost": _short(cost), "quality": _short(quality)})
    return frame(rows)


def _domain(table: Any) -> list[float]:
    """From the least to the most, with some room."""
    numbers = table.to_numpy(dtype=float)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    room = 0.12 * (high - low) or 0.1 * abs(high) or 0.1
    return [low - room, high + room]


def _ends(numbers: Any) -> tuple[float, float]:
    known = np.asarray(numbers, dtype=np.float64)
    return float(known.min()), float(known.max())


def _short(value: float) -> float:
    """Five figures are enough for a picture."""
    return float(f"{value:.5g}")
