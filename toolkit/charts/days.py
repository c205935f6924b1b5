"""What changed, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.charts.marks import labels_of
from toolkit.charts.theme import WIDTH, altair_, finished, loose, sentence
from toolkit.colours import BLUE, ORANGE, VERMILION

if TYPE_CHECKING:
    from toolkit.evaluation.drift import Drift

MOST_DAYS, MOST_PANELS, DAYS_WITH_POINTS = 400, 24, 120
TALL, LOW = 90, 40


def drift(found: Drift) -> Any:
    """Each signal day by day: first those that changed, with a rule on the day of an alarm and a broken one on the
    likeliest day of the change; below, lower, those that did not.

    More than 400 days are drawn by week. A sentence where no signal has a day.
    """
    from pandas import to_datetime

    altair = altair_()
    days, alarms = found.days(), found.frame()
    if not len(days):
        return sentence(f"Nothing of step {found.step} is on record for any day yet: run it, and ask again.")
    alarms = alarms[alarms.alarm_on.notna()]
    alarms = alarms.assign(**{name: to_datetime(alarms[name]) for name in ("alarm_on", "changed_on")})
    if days.day.nunique() > MOST_DAYS:
        days = _by_week(days)
    units = dict(days[["signal", "unit"]].drop_duplicates().itertuples(index=False))
    changed = [signal for signal in units if len(_of(alarms, signal))]
    quiet = [signal for signal in units if signal not in changed]
    drawn = (changed + quiet)[:MOST_PANELS]
    short = labels_of(drawn, most=60)
    ends = {group[-1] for group in (drawn[: len(changed)], drawn[len(changed) :]) if group}
    panels = [
        _panel(
            altair,
            days,
            _of(alarms, signal),
            signal,
            title=f"{short[signal]} ({units[signal]})" if units[signal] else short[signal],
            dated=signal in ends,
        )
        for signal in drawn
    ]
    beyond = f"; {len(units) - MOST_PANELS} more signals are in .days()" if len(units) > MOST_PANELS else ""
    told = f"red rule: the day of the alarm; broken: the likeliest day of the change{beyond}"
    subtitle = told if len(alarms) else f"no alarm{beyond}"
    title = altair.Title(f"What changed at {found.step}", subtitle=subtitle, offset=12)
    return finished(altair.vconcat(*panels, title=title, spacing=8))


def _of(alarms: Any, signal: str) -> Any:
    """The alarms of a signal; one of many parts, as `language: de`, shows those of the whole."""
    return alarms[alarms.signal == signal.split(":")[0]]


def _panel(altair: Any, days: Any, alarms: Any, signal: str, *, title: str, dated: bool) -> Any:
    """One signal; `dated` tells the days below it: the panels of a group have one axis."""
    mine = days[days.signal == signal]
    tall = bool(len(alarms))
    point = altair.OverlayMarkDef(size=16, color=BLUE) if tall and len(mine) <= DAYS_WITH_POINTS else False
    span = altair.Scale(domain=[days.day.min().isoformat(), days.day.max().isoformat()])
    axis = altair.Axis(labelFlush=True) if dated else altair.Axis(labels=False, ticks=False)
    line = (
        altair.Chart(mine)
        .mark_line(color=BLUE, point=point)
        .encode(
            x=altair.X("day:T", title="day (UTC)" if dated else None, axis=axis, scale=span),
            y=altair.Y("value:Q", title=None, scale=loose(), axis=altair.Axis(tickCount=4 if tall else 2)),
            tooltip=["signal", "day:T", altair.Tooltip("value:Q", format=".4g"), altair.Tooltip("rows:Q", format=",")],
        )
    )
    rules = [
        altair.Chart(alarms)
        .mark_rule(color=colour, strokeDash=dash, strokeWidth=2)
        .encode(x=f"{column}:T", tooltip=tips)
        for colour, dash, column, tips in (
            (VERMILION, [1, 0], "alarm_on", ["signal", "alarm_on", "direction"]),
            (ORANGE, [4, 3], "changed_on", ["signal", "changed_on", "before", "after"]),
        )
        if tall
    ]
    heading = altair.Title(title, fontSize=12, frame="group")
    return altair.layer(line, *rules).properties(width=WIDTH, height=TALL if tall else LOW, title=heading)


def _by_week(days: Any) -> Any:
    """Means of the days of each week, under its Monday, each day by its rows."""
    monday = days.day.dt.to_period("W-SUN").dt.start_time
    weighed = days.assign(day=monday, weighed=days.value * days["rows"])
    summed = weighed.groupby(["signal", "unit", "day"], sort=False)[["weighed", "rows"]].sum().reset_index()
    return summed.assign(value=summed.weighed / summed["rows"]).drop(columns="weighed")
