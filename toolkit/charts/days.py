"""What changed, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.charts.colours import BLUE, ORANGE, VERMILION, labels_of
from toolkit.charts.theme import WIDTH, altair_, finished, loose, sentence

if TYPE_CHECKING:
    from toolkit.evaluation.drift import Drift

MOST_DAYS, MOST_PANELS, DAYS_WITH_POINTS = 400, 24, 120


def drift(found: Drift) -> Any:
    """Each signal day by day, a rule on the day of an alarm, a broken one on the likeliest day of the change.

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
    signals = list(days[["signal", "unit"]].drop_duplicates().itertuples(index=False))
    short = labels_of([signal for signal, _ in signals], most=60)
    panels = [_panel(altair, days, alarms, signal, f"{short[signal]} ({unit})" if unit else short[signal])
              for signal, unit in signals[:MOST_PANELS]]  # fmt: skip
    beyond = f"; {len(signals) - MOST_PANELS} more signals are in .days()" if len(signals) > MOST_PANELS else ""
    told = f"red rule: the day of the alarm; broken: the likeliest day of the change{beyond}"
    subtitle = told if len(alarms) else f"no alarm{beyond}"
    title = altair.Title(f"What changed at {found.step}", subtitle=subtitle)
    return finished(altair.vconcat(*panels, title=title, spacing=12))


def _panel(altair: Any, days: Any, alarms: Any, signal: str, title: str) -> Any:
    mine = days[days.signal == signal]
    point = altair.OverlayMarkDef(size=16, color=BLUE) if len(mine) <= DAYS_WITH_POINTS else False
    line = (
        altair.Chart(mine)
        .mark_line(color=BLUE, point=point)
        .encode(
            x=altair.X("day:T", title="day (UTC)", axis=altair.Axis(labelFlush=True)),
            y=altair.Y("value:Q", title=None, scale=loose(), axis=altair.Axis(tickCount=4)),
            tooltip=["signal", "day:T", altair.Tooltip("value:Q", format=".4g"), altair.Tooltip("rows:Q", format=",")],
        )
    )
    found = alarms[alarms.signal == signal.split(":")[0]] if ":" in signal else alarms[alarms.signal == signal]
    rules = [
        altair.Chart(found)
        .mark_rule(color=colour, strokeDash=dash, strokeWidth=2)
        .encode(x=f"{column}:T", tooltip=tips)
        for colour, dash, column, tips in (
            (VERMILION, [1, 0], "alarm_on", ["signal", "alarm_on", "direction"]),
            (ORANGE, [4, 3], "changed_on", ["signal", "changed_on", "before", "after"]),
        )
        if len(found)
    ]
    return altair.layer(line, *rules).properties(width=WIDTH, height=90, title=altair.Title(title, fontSize=12))


def _by_week(days: Any) -> Any:
    """Means of the days of each week, under its Monday, each day by its rows."""
    monday = days.day.dt.to_period("W-SUN").dt.start_time
    weighed = days.assign(day=monday, weighed=days.value * days["rows"])
    summed = weighed.groupby(["signal", "unit", "day"], sort=False)[["weighed", "rows"]].sum().reset_index()
    return summed.assign(value=summed.weighed / summed["rows"]).drop(columns="weighed")
