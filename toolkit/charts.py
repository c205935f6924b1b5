"""Charts of the record, in Altair: colours that colour-blind readers tell apart, units on every axis.

In: a `History` and what to look at. Out: `altair.Chart`, which a notebook shows and `.save("name.svg")` keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.errors import RunError
from toolkit.ledger import History
from toolkit.ledger.views import questions

if TYPE_CHECKING:
    from toolkit.evaluation.comparison import Comparison
    from toolkit.evaluation.drift import Drift
    from toolkit.evaluation.supposing import Supposition

BLUE, ORANGE, GREEN, PURPLE, VERMILION, GREY = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#8c8c8c"
"""After Okabe and Ito, Color Universal Design (2008)."""

PHASES = {"waiting": GREY, "service": BLUE, "failed": VERMILION, "tool": GREEN, "reused": PURPLE}


def timeline(history: History, run_id: str, row_id: str) -> Any:
    """One row of a run: each step's attempts from left to right, waiting apart from service.

    A bar is an attempt (or a tool step's work); its tooltip tells model, reason, cost and error. Raises RunError where
    there is no such row.
    """
    altair = _altair()
    bars = _bars(history, run_id, row_id)
    frame = _frame(bars)
    order = list(dict.fromkeys(bar["step"] for bar in sorted(bars, key=lambda bar: bar["from"])))
    return (
        altair.Chart(frame, title=f"Row {row_id} of {run_id}")
        .mark_bar(size=16)
        .encode(
            x=altair.X("from:Q", title="milliseconds since the row began"),
            x2="to:Q",
            y=altair.Y("step:N", sort=order, title=None),
            color=altair.Color(
                "phase:N", title=None, scale=altair.Scale(domain=list(PHASES), range=list(PHASES.values()))
            ),
            tooltip=["step", "phase", "model", "milliseconds", "why", "cost_usd", "error"],
        )
        .properties(width=620, height={"step": 26})
    )


def costs(history: History, run_id: str | None = None) -> Any:
    """What each step cost, by the model that was asked."""
    altair = _altair()
    frame = history.sql(questions.STEP_COSTS, run_id=run_id).df()
    return (
        altair.Chart(frame, title="Cost by step and model")
        .mark_bar()
        .encode(
            x=altair.X("cost_usd:Q", title="cost (USD)"),
            y=altair.Y("step:N", title=None, sort="-x"),
            color=altair.Color(
                "model:N", title="model", scale=altair.Scale(range=[BLUE, ORANGE, GREEN, PURPLE, VERMILION, GREY])
            ),
            tooltip=["step", "model", "calls", altair.Tooltip("cost_usd:Q", format=".6f")],
        )
        .properties(width=620, height={"step": 26})
    )


VERDICTS = {
    "better": BLUE, "worse": VERMILION, "no worse": GREEN, "not told apart": GREY,
    "cheaper": BLUE, "dearer": VERMILION, "faster": BLUE, "slower": VERMILION,
}  # fmt: skip
AXES = {"quality": "difference in quality", "cost": "difference in cost (USD a row)", "seconds": "difference (s a row)"}


def comparison(found: Comparison) -> Any:
    """Differences from the first contender with their intervals, a panel per measure; beside them cost and quality.

    What cannot be told has no mark. A tooltip tells the numbers, the test and how many comparisons there were.
    """
    altair = _altair()
    frame = found.frame()
    panels = [
        _differences(altair, frame[(frame.measure == measure) & frame.difference.notna()], axis)
        for measure, axis in AXES.items()
        if ((frame.measure == measure) & frame.difference.notna()).any()
    ]
    points = found.frontier()
    if len(points) and points.cost.notna().all():
        panels.append(_frontier(altair, points))
    if not panels:
        return altair.Chart(_frame([{"said": found.sentence}])).mark_text(color=GREY, limit=900).encode(text="said:N")
    return altair.vconcat(*panels, title=f"against {found.scored.contenders[0]}")


def supposition(found: Supposition) -> Any:
    """What history says of each router: estimates with their intervals, and a rule where the router that ran was."""
    altair = _altair()
    frame = found.frame()
    panels = []
    for measure, axis in (("quality", "quality"), ("cost", "cost (USD a request)")):
        told = frame[(frame.measure == measure) & frame.value.notna()]
        if not len(told):
            continue
        base = altair.Chart(told).encode(y=altair.Y("router:N", title=None, axis=altair.Axis(labelLimit=320)))
        color = _verdict_color(altair)
        bars = base.mark_rule(strokeWidth=2).encode(
            x=altair.X("low:Q", title=f"{axis}, with its interval; the rule is what ran", scale=_loose(altair)),
            x2="high:Q",
            color=color,
        )
        tips = ["router", "method", "value", "low", "high", "effective_rows", "largest_weight", "verdict"]
        dots = base.mark_point(filled=True, size=70, opacity=1).encode(x="value:Q", color=color, tooltip=tips)
        ran = altair.Chart(told).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="mean(past):Q")
        panels.append((ran + bars + dots).properties(width=520, height={"step": 26}))
    if not panels:
        return altair.Chart(_frame([{"said": found.sentence}])).mark_text(color=GREY, limit=900).encode(text="said:N")
    return altair.vconcat(*panels, title=f"by history, at {found.step}")


def drift(found: Drift) -> Any:
    """Each signal day by day, a rule on the day of an alarm, a broken one on the likeliest day of the change."""
    altair = _altair()
    days, alarms = found.days(), found.frame()
    alarms = alarms[alarms.alarm_on.notna()]
    line = (
        altair.Chart(days)
        .mark_line(color=BLUE, point=altair.OverlayMarkDef(size=14, color=BLUE))
        .encode(
            x=altair.X("day:T", title="day (UTC)"),
            y=altair.Y("value:Q", title=None, scale=_loose(altair)),
            tooltip=["signal", "day", "value", "rows"],
        )
    )
    rules = [
        altair.Chart(alarms)
        .mark_rule(color=color, strokeDash=dash, strokeWidth=2)
        .encode(x=f"{column}:T", tooltip=tips)
        for color, dash, column, tips in (
            (VERMILION, [1, 0], "alarm_on", ["signal", "alarm_on", "direction"]),
            (ORANGE, [4, 3], "changed_on", ["signal", "changed_on", "before", "after"]),
        )
        if len(alarms)
    ]
    panels = [
        altair.layer(
            line.transform_filter(altair.datum.signal == signal),
            *(rule.transform_filter(altair.datum.signal == signal) for rule in rules),
        ).properties(width=560, height=90, title=f"{signal} ({unit})" if unit else signal)
        for signal, unit in days[["signal", "unit"]].drop_duplicates().itertuples(index=False)
    ]
    return altair.vconcat(*panels)


def _differences(altair: Any, frame: Any, axis: str) -> Any:
    base = altair.Chart(frame).encode(y=altair.Y("contender:N", title=None, axis=altair.Axis(labelLimit=320)))
    color = _verdict_color(altair)
    tips = [
        "contender",
        "segment",
        "difference",
        "low",
        "high",
        "p_corrected",
        "comparisons",
        "rows",
        "test",
        "verdict",
    ]
    bars = base.mark_rule(strokeWidth=2).encode(x=altair.X("low:Q", title=axis), x2="high:Q", color=color)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x="difference:Q", color=color, tooltip=tips)
    nothing = altair.Chart(_frame([{"zero": 0.0}])).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="zero:Q")
    layers = altair.layer(nothing, bars, dots, data=frame).properties(width=520, height={"step": 26})
    return layers.facet(row=altair.Row("segment:N", title=None)) if frame.segment.nunique() > 1 else layers


def _frontier(altair: Any, points: Any) -> Any:
    base = altair.Chart(points)
    colors = altair.Scale(domain=[True, False], range=[BLUE, GREY])
    color = altair.Color("on_frontier:N", title="none is cheaper and better", scale=colors)
    x = altair.X("cost:Q", title="cost (USD a row)", scale=_loose(altair))
    y = altair.Y("quality:Q", title="quality", scale=_loose(altair))
    tips = ["contender", "quality", "quality_low", "quality_high", "cost", "cost_low", "cost_high", "frontier_share"]
    across = base.mark_rule().encode(x=altair.X("cost_low:Q"), x2="cost_high:Q", y=y, color=color)
    along = base.mark_rule().encode(x=x, y=altair.Y("quality_low:Q"), y2="quality_high:Q", color=color)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, color=color, tooltip=tips)
    names = base.mark_text(dx=8, dy=-8, align="left", color=GREY, limit=240).encode(x=x, y=y, text="contender:N")
    return (across + along + dots + names).properties(width=520, height=260)


def _verdict_color(altair: Any) -> Any:
    scale = altair.Scale(domain=list(VERDICTS), range=list(VERDICTS.values()))
    return altair.Color("verdict:N", title=None, scale=scale, legend=None)


def _loose(altair: Any) -> Any:
    """An axis that need not begin at zero."""
    return altair.Scale(zero=False)


def _altair() -> Any:
    """Altair, whose charts a notebook keeps both alive and as a picture, so that any viewer shows them."""
    import altair
    from altair.utils.mimebundle import spec_to_mimebundle

    def both(spec: dict[str, Any], **_: Any) -> Any:
        alive = {f"application/vnd.vegalite.v{altair.SCHEMA_VERSION.lstrip('v').split('.')[0]}+json": spec}
        still = spec_to_mimebundle(spec, format="png", mode="vega-lite", scale_factor=2)
        return ({**alive, **still[0]}, still[1]) if isinstance(still, tuple) else {**alive, **still}

    if altair.renderers.active in ("", "default"):
        altair.renderers.register("toolkit", both)
        altair.renderers.enable("toolkit")
    return altair


def _bars(history: History, run_id: str, row_id: str) -> list[dict[str, Any]]:
    attempts = history.sql(questions.ROW_ATTEMPTS, {"row": row_id}, run_id=run_id)
    others = history.sql(questions.ROW_OTHER_ANSWERS, {"row": row_id}, run_id=run_id)
    bars = []
    for step, model, why, began, wait, service, cost, error in attempts:
        told = {"step": step, "model": model, "why": why, "cost_usd": cost, "error": error}
        bars.append({**told, "phase": "waiting", "from": began, "to": began + wait * 1000})
        phase = "failed" if error else "service"
        bars.append({**told, "phase": phase, "from": began + wait * 1000, "to": began + (wait + service) * 1000})
    for step, source, began, seconds in others:
        told = {"step": step, "model": None, "why": f"reused from {source}" if source else "tool", "cost_usd": 0.0}
        phase = "reused" if source else "tool"
        bars.append({**told, "error": None, "phase": phase, "from": began, "to": began + seconds * 1000})
    if not bars:
        raise RunError(f"run {run_id} has no row {row_id!r} on record; `select row_id, status from rows` lists them")
    first = min(bar["from"] for bar in bars)
    for bar in bars:
        bar["from"], bar["to"] = bar["from"] - first, bar["to"] - first
        bar["milliseconds"] = round(bar["to"] - bar["from"], 2)
        bar["step"] = bar["step"].split("/", 1)[-1]
    return bars


def _frame(bars: list[dict[str, Any]]) -> Any:
    from pandas import DataFrame

    return DataFrame(bars)
