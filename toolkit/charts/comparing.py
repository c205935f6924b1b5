"""A comparison as a picture: differences with their intervals, and who is best by what quality is worth."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from toolkit.charts.choosing import panels, refused
from toolkit.charts.marks import labels_of
from toolkit.charts.theme import INK, NAME_PIXELS, ROW_HEIGHT, WIDTH, altair_, finished, frame, sentence
from toolkit.colours import BLUE, GREEN, GREY, VERMILION
from toolkit.evaluation.differences import ALL
from toolkit.evaluation.estimates import Refusal

if TYPE_CHECKING:
    from toolkit.evaluation.comparison import Comparison

VERDICTS = {
    "better": BLUE, "worse": VERMILION, "no worse": GREEN, "not told apart": GREY,
    "cheaper": BLUE, "dearer": VERMILION, "faster": BLUE, "slower": VERMILION,
}  # fmt: skip
AXES = {"quality": "difference in quality", "cost": "difference in cost (USD a row)", "seconds": "difference (s a row)"}
MOST_LINES, MOST_REASONS = 60, 8
ROOM_FOR_WORDS = 0.34
"""How much of an axis is left free for the verdict beside the interval."""


def comparison(found: Comparison, *, price: float | None = None) -> Any:
    """Differences from the first contender with their intervals, a panel per measure; below them the exchange.

    What cannot be told has no mark, but its reason in words. A tooltip tells the numbers, the test and how many
    comparisons there were.
    """
    altair = altair_()
    parts = differences(found)
    reckoned = found.exchange()
    if not parts:
        return sentence(found.sentence)
    if isinstance(reckoned, Refusal):
        return finished(altair.vconcat(*parts, _note(altair, [refused(reckoned)]), spacing=14))
    parts.append(panels(found, reckoned, price=price))
    return finished(altair.vconcat(*parts, spacing=22).resolve_scale(color="independent", shape="independent"))


def differences(found: Comparison) -> list[Any]:
    """A panel for each measure of which anything can be told."""
    altair = altair_()
    table = found.frame()
    if not len(table):
        return []
    known = table[table.difference.notna()]
    shown = [
        _panel(altair, known[known.measure == measure].head(MOST_LINES), axis)
        for measure, axis in AXES.items()
        if (known.measure == measure).any()
    ]
    refusals = [(each, each.result.reason) for each in found.differences if isinstance(each.result, Refusal)]
    of_all = {(each.contender, each.measure, reason) for each, reason in refusals if each.segment == ALL}
    why_not = [
        f"{each.contender}{'' if each.segment == ALL else f' · {each.segment}'}, {each.measure}: {reason}"
        for each, reason in refusals
        if each.segment == ALL or (each.contender, each.measure, reason) not in of_all
    ]
    if len(why_not) > MOST_REASONS:
        why_not[MOST_REASONS:] = [f"and {len(why_not) - MOST_REASONS:,} more, which frame() lists"]
    if shown:
        against = labels_of([found.scored.contenders[0]])[found.scored.contenders[0]]
        title = altair.Title(f"Compared with {against}, row by row", subtitle=_lines(_rests_on(found, known)))
        shown[0] = shown[0].properties(title=title)
        shown += [_note(altair, why_not)] if why_not else []
    return shown


# ------------------------------------------------------------------------------------------------------------ helpers
def _panel(altair: Any, known: Any, axis: str) -> Any:
    names = labels_of(known.contender.tolist())
    table = known.assign(
        line=[
            names[name] if segment == ALL else f"{names[name]} · {segment}"
            for name, segment in zip(known.contender, known.segment, strict=True)
        ],
        zero=0.0,
    )
    low, high = min(0.0, float(table.low.min())), max(0.0, float(table.high.max()))
    room = (high - low) or 1.0
    scale = altair.Scale(domain=[low - 0.04 * room, high + ROOM_FOR_WORDS * room], nice=False)
    y = altair.Y("line:N", title=None, sort=None, axis=altair.Axis(labelLimit=NAME_PIXELS))
    colour = altair.Color(
        "verdict:N", legend=None, scale=altair.Scale(domain=list(VERDICTS), range=list(VERDICTS.values()))
    )
    tips = [
        "contender", "segment", altair.Tooltip("difference:Q", title=axis, format="+.4g"),
        altair.Tooltip("low:Q", title="from", format="+.4g"), altair.Tooltip("high:Q", title="to", format="+.4g"),
        altair.Tooltip("p_corrected:Q", title="p, corrected", format=".2g"),
        altair.Tooltip("comparisons:Q", title="corrected for so many comparisons"),
        altair.Tooltip("rows:Q", title="rows", format=","), altair.Tooltip("groups:Q", title="independent groups"),
        "test", "verdict",
    ]  # fmt: skip
    base = altair.Chart(table)
    x = altair.X("low:Q", title=f"{axis}, with its interval", scale=scale, axis=altair.Axis(tickCount=7))
    layers = (
        base.mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="min(zero):Q"),
        base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", y=y, color=colour),
        base.mark_point(filled=True, size=80, opacity=1).encode(x="difference:Q", y=y, color=colour, tooltip=tips),
        base.mark_text(align="left", dx=8, color=INK).encode(x="high:Q", y=y, text="verdict:N"),
    )
    return altair.layer(*layers).properties(width=WIDTH, height={"step": ROW_HEIGHT})


def _rests_on(found: Comparison, known: Any) -> str:
    rows = sorted({int(n) for n in known.rows})
    over = f"{rows[0]:,}" if len(rows) == 1 else f"{rows[0]:,} to {rows[-1]:,}"
    many = int(known.comparisons.iloc[0])
    tests = " and ".join(dict.fromkeys(str(test) for test in known.test))
    corrected = f"corrected for {many} comparisons" if many > 1 else "one comparison"
    left_out = f"; {'; '.join(found.scored.notes)}" if found.scored.notes else ""
    return f"{over} rows; {tests}; intervals of {100 * found.level:g} %, {corrected}{left_out}"


def _note(altair: Any, told: list[str]) -> Any:
    """Reasons in words, a line each."""
    lines = [line for each in told for line in _lines(each)]
    rows = frame([{"line": line, "at": place} for place, line in enumerate(lines)])
    at = altair.Y("at:Q", axis=None, scale=altair.Scale(domain=[0, len(lines)], reverse=True))
    text = altair.Chart(rows).mark_text(align="left", baseline="top", color=INK)
    return text.encode(text="line:N", x=altair.value(0), y=at).properties(width=WIDTH, height=18 * len(lines))


def _lines(told: str) -> list[str]:
    return textwrap.wrap(told, 120)
