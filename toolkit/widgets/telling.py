"""A standing in words: as text for a terminal, as HTML for a notebook. Pure; both say the same.

The HTML needs neither script nor style sheet, takes its text colour from where it stands, and tells rows apart by
words beside the colours, so that it reads in light and in dark, in a saved notebook and on paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from html import escape

from toolkit.colours import BLUE, GREY, ORANGE, PURPLE, VERMILION
from toolkit.money import budgets
from toolkit.money.budgets import amount
from toolkit.runs.progress import duration
from toolkit.widgets.standing import Fault, Standing

COLOURS = {"answered": BLUE, "parked": ORANGE, "failed": VERMILION, "set_aside": PURPLE, "in_flight": GREY}
MARKS = {"answered": "#", "parked": "?", "failed": "x", "set_aside": "-", "in_flight": "~"}
MEANINGS = {
    "answered": "every step has its answer",
    "parked": "waits for a person",
    "failed": "a step failed, and nobody was left to ask",
    "set_aside": "does not fit: of a wrong type, or its id was there before",
    "in_flight": "in the hands of a process: under way, or next",
}
BAR_CHARACTERS = 48
MESSAGE_CHARACTERS = 140


def text(standing: Standing) -> str:
    """A few lines with a bar of characters."""
    lines = [
        f"{standing.run_id}: {state(standing)}",
        f"[{_bar(standing)}] {rows(standing)}",
        " · ".join(f"{count:,} {_word(name)}" for name, count in _counts(standing)) or "no row has ended yet",
        " · ".join(figures(standing)),
    ]
    if standing.faults:
        lines += ["last errors:", *(f"  {_when(fault, standing)}  {_what(fault)}" for fault in standing.faults)]
    if standing.note:
        lines.append(f"note: {standing.note}")
    return "\n".join(lines)


def html(standing: Standing) -> str:
    """The same with a bar of colours."""
    percent = _shares(standing)
    bar = "".join(
        f'<div title="{count:,} {_word(name)}: {MEANINGS[name]}" '
        f'style="width:{percent[name]:.3f}%;min-width:2px;background:{_fill(name)}"></div>'
        for name, count in _counts(standing)
    )
    legend = "".join(
        f'<span title="{MEANINGS[name]}" style="white-space:nowrap">'
        f'<span style="display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px;'
        f'background:{_fill(name)}"></span>{count:,} {_word(name)}</span>'
        for name, count in _counts(standing)
    )
    told = "".join(f'<span style="white-space:nowrap">{escape(each)}</span>' for each in figures(standing))
    return (
        '<div style="font-family:system-ui,-apple-system,sans-serif;font-size:13px;line-height:1.5;max-width:760px;'
        'min-width:0;padding:6px 2px;color:inherit">'
        '<div style="display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 16px">'
        f'<span><b>{escape(standing.run_id)}</b> <span style="opacity:.8">{escape(state(standing))}</span></span>'
        f"<span>{escape(rows(standing))}</span></div>"
        '<div style="display:flex;height:12px;border-radius:4px;overflow:hidden;margin:5px 0;'
        f'background:rgba(128,128,128,.22)" role="img" aria-label="{escape(rows(standing))}">{bar}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 16px">{legend or "no row has ended yet"}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 16px;opacity:.8">{told}</div>'
        f"{_faults(standing)}"
        + (f'<div style="opacity:.8">note: {escape(standing.note)}</div>' if standing.note else "")
        + "</div>"
    )


def state(standing: Standing) -> str:
    """Its status, for how long, and who works on it."""
    if standing.is_silent:
        return f"silent for {duration(standing.quiet_seconds)}; nobody is known to work on it"
    if standing.is_over:
        on = f"; to go on: {standing.further}" if standing.status != "finished" and standing.further else ""
        heard = ", last heard of" if standing.status == "interrupted" else ""
        return f"{standing.status}{heard} after {duration(standing.seconds)}{on}"
    if standing.is_paused:
        return f"paused in {where(standing)}: nothing begins, and what is under way ends"
    if standing.is_stopping:
        return f"stopping in {where(standing)}, once its calls under way have ended"
    by = f" in {where(standing)}" if standing.workers else ""
    return f"running for {duration(standing.seconds)}{by}, as of {standing.as_of.astimezone(UTC):%H:%M:%S} UTC"


def where(standing: Standing) -> str:
    """The processes that work on it; beside this one, those that a scheduler or a command line started."""
    by = {"prefect": ", by Prefect", "cli": ", from the command line"}.get(standing.origin, "")
    names = [str(worker) for worker in sorted(standing.workers, key=lambda worker: not worker.is_here)]
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} more"]
    return ", ".join(names) + ("" if standing.is_here else by)


def rows(standing: Standing) -> str:
    """How many rows have ended, of how many."""
    if standing.total is None:
        return f"{standing.done:,} rows"
    share = f" ({_floored(100 * standing.done / standing.total)} %)" if standing.total else ""
    return f"{standing.done:,} of {standing.total:,} rows{share}"


def figures(standing: Standing) -> Iterator[str]:
    """Pace, time left, calls, money and the slowest model, each with its unit."""
    if standing.rows_per_second is not None:
        yield _pace(standing.rows_per_second)
    if standing.seconds_left is not None:
        yield f"{duration(standing.seconds_left)} left"
    yield f"{standing.calls:,} calls" + (f", {standing.errors:,} failed" if standing.errors else "")
    yield amount(standing.cost_usd, "usd") + (f" + {standing.unpriced:,} unpriced" if standing.unpriced else "")
    if standing.budget is not None:
        yield _budget(standing.budget)
    if (slowest := standing.slowest) is not None:
        waits = f", waiting {duration_of(slowest.p95_wait_seconds)}" if slowest.p95_wait_seconds >= 0.001 else ""
        served = f"p95 {duration_of(slowest.p95_seconds)} of {slowest.calls:,} calls{waits}"
        yield f"slowest model: {slowest.model}, {served}"


def duration_of(seconds: float) -> str:
    """The time of a call: milliseconds where it is short."""
    return f"{1000 * seconds:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s" if seconds < 10 else duration(seconds)


# ------------------------------------------------------------------------------------------------------------ helpers
def _pace(rows_per_second: float) -> str:
    return f"{rows_per_second:,.1f} rows/s" if rows_per_second >= 1 else f"{60 * rows_per_second:.1f} rows/min"


def _budget(found: budgets.Standing) -> str:
    """What is used up of a budget, and of which: 0.024 USD of 5.00 USD a day, step reply."""
    budget, share = found.cap.budget, 100 * found.balance.spent / found.cap.most if found.cap.most else 100.0
    narrowed = [f"{name} {value}" for name in ("step", "model") if (value := getattr(budget, name)) is not None]
    told = f"{share:.1f}" if share < 10 else f"{_floored(share)}"
    return f"budget: {', '.join([f'{found} a {budget.per}', *narrowed])} ({told} %)"


def _counts(standing: Standing) -> Iterator[tuple[str, int]]:
    for name in COLOURS:
        if count := getattr(standing, name):
            yield name, count


def _word(name: str) -> str:
    return name.replace("_", " ")


def _shares(standing: Standing) -> dict[str, float]:
    """Per cent of the bar by kind of row; a retried row counts once, so what is in flight may have to give way."""
    whole = max(standing.total or 0, standing.done + (standing.in_flight if standing.total is None else 0)) or 1
    found = {name: 100 * count / whole for name, count in _counts(standing)}
    if "in_flight" in found:
        found["in_flight"] = min(found["in_flight"], 100 - 100 * standing.done / whole)
    return found


def _bar(standing: Standing) -> str:
    """The bar in characters: every kind of row that there is has at least one, as far as there is room."""
    drawn, until = "", 0.0
    for name, share in _shares(standing).items():
        until += share * BAR_CHARACTERS / 100
        drawn += MARKS[name] * max(1, _floored(until) - len(drawn))
    return drawn[:BAR_CHARACTERS].ljust(BAR_CHARACTERS, ".")


def _floored(share: float) -> int:
    """So that 100 is said of a whole alone."""
    return int(share + 1e-9)


def _fill(name: str) -> str:
    colour = COLOURS[name]
    if name != "in_flight":
        return colour
    return f"repeating-linear-gradient(45deg,{colour} 0 4px,{colour}66 4px 8px)"


def _faults(standing: Standing) -> str:
    if not standing.faults:
        return ""
    lines = "".join(
        f'<div title="{escape(fault.message)}" style="overflow-wrap:anywhere">'
        f'<span style="opacity:.7">{escape(_when(fault, standing))}</span> {escape(_what(fault))}</div>'
        for fault in standing.faults
    )
    return f'<div style="margin-top:5px;border-left:3px solid {VERMILION};padding-left:8px">{lines}</div>'


def _when(fault: Fault, standing: Standing) -> str:
    if standing.is_over:
        return f"{fault.happened_at.astimezone(standing.as_of.tzinfo):%Y-%m-%d %H:%M:%S} UTC"
    return f"{duration(max(0.0, (standing.as_of - fault.happened_at).total_seconds()))} ago"


def _what(fault: Fault) -> str:
    place = [part for part in (f"row {fault.row_id}" if fault.row_id != "*" else "", fault.step, fault.model) if part]
    told = " ".join((fault.message or "no message").split())
    if len(told) > MESSAGE_CHARACTERS:
        told = told[: MESSAGE_CHARACTERS - 1] + "…"
    return f"{', '.join(place)}: {fault.kind.replace('_', ' ') if not fault.step else fault.kind}: {told}"
