"""Does monitoring keep its promise? Years in which nothing changes, looked at every day; and how soon one is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from toolkit.evaluation.monitoring import DAYS_A_YEAR, Detector, Floats

Year = Callable[[np.random.Generator], Floats]
NULLS: Mapping[str, Year] = {
    "quality of 40 rows a day": lambda rng: rng.binomial(40, 0.8, DAYS_A_YEAR) / 40,
    "heavy-tailed cost": lambda rng: rng.lognormal(0, 1.5, DAYS_A_YEAR),
    "hardly ever a failure": lambda rng: rng.binomial(20, 0.01, DAYS_A_YEAR) / 20,
    "routing mix of four models": lambda rng: rng.multinomial(50, [0.5, 0.3, 0.15, 0.05], DAYS_A_YEAR) / 50,
}
DELAYS = (1.0, 2.0, 3.0, 5.0)
SIGNALS = 9
RATE = 0.05
CHANGED_ON = 120


def false_alarms(null: Year, *, years: int, rate: float = RATE, seed: int = 5) -> int:
    """In how many years without a change there is an alarm."""
    return sum(
        bool(Detector(rate, seed=year).changes(null(np.random.default_rng([seed, year])))) for year in range(years)
    )


def delays(shift: float, *, years: int, seed: int = 6) -> list[int]:
    """Days from a change by so many standard deviations to its alarm, as one of nine signals; years without one left
    out."""
    found = []
    for year in range(years):
        values = np.random.default_rng([seed, year]).normal(size=DAYS_A_YEAR)
        values[CHANGED_ON:] += shift
        alarms = [change.alarm for change in Detector(RATE / SIGNALS, seed=year).changes(values)]
        found += [alarm - CHANGED_ON + 1 for alarm in alarms if alarm >= CHANGED_ON][:1]
    return found


def report(*, years: int) -> tuple[list[str], bool]:
    """The tables, and whether no kind of year has more false alarms than declared."""
    alarms = {kind: false_alarms(null, years=years) for kind, null in NULLS.items()}
    lines = [
        "# Monitoring every day",
        "",
        f"{years} years of {DAYS_A_YEAR} days without a change each, declared rate {100 * RATE:g} % of years.",
        "",
        "| nothing changes in | years with a false alarm |",
        "|---|---|",
        *(f"| {kind} | {count} of {years} ({100 * count / years:.1f} %) |" for kind, count in alarms.items()),
        "",
        f"A change of the daily mean on day {CHANGED_ON}, watched as one of {SIGNALS} signals that share the rate:",
        "",
        "| change, standard deviations of a day | told after days (median) | nine in ten | told |",
        "|---|---|---|---|",
    ]
    tried = max(years // 2, 1)
    for shift in DELAYS:
        found = delays(shift, years=tried)
        middle, late = (np.quantile(found, [0.5, 0.9])) if found else (float("nan"), float("nan"))
        lines.append(f"| {shift:g} | {middle:.0f} | {late:.0f} | {len(found)} of {tried} |")
    return lines, all(count <= RATE * years for count in alarms.values())
