"""Comparisons in words: one sentence, which never says more than the numbers do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.pairs import Difference, more_rows, sentence, verdict

if TYPE_CHECKING:
    from toolkit.evaluation.comparison import Comparison


def comparison_sentence(found: Comparison) -> str:
    """What can be said of the quality of all contenders; why not, where nothing can."""
    first, *others = found.scored.contenders
    if not others:
        return f"There is only {first}: nothing to compare it with."
    results = {name: found.of(name) for name in others}
    refused = {name: result for name, result in results.items() if isinstance(result, Refusal)}
    known = {name: result for name, result in results.items() if isinstance(result, Difference)}
    why_not = [f"{name} cannot be compared with {first}: {result.reason}" for name, result in refused.items()]
    if not known:
        return f"{'; '.join(why_not)}."
    if len(results) == 1:
        name, result = next(iter(known.items()))
        return sentence(result, first=name, second=first, margin=found.margin)
    told = [_told(name, result, found.margin) for name, result in known.items()]
    rows = sorted({result.n for result in known.values()})
    over = f"{rows[0]:,}" if len(rows) == 1 else f"{rows[0]:,} to {rows[-1]:,}"
    many = next(iter(known.values())).comparisons
    return f"Compared with {first} over {over} rows, corrected for {many} comparisons: {'; '.join([*told, *why_not])}."


def _told(name: str, result: Difference, margin: float | None) -> str:
    numbers = f"{result.value:+.3f} [{result.low:+.3f}, {result.high:+.3f}], p = {result.settled:.2g}"
    match verdict(result, margin=margin):
        case "better":
            return f"{name} is better ({numbers})"
        case "worse":
            return f"{name} is worse ({numbers})"
        case "no worse":
            return f"{name} is no worse by more than {margin:g} ({numbers})"
        case _:
            more = more_rows(result)
            hint = "" if more is None else f", about {more:,} more rows would tell such a difference"
            return f"{name} cannot be told apart ({numbers}{hint})"
