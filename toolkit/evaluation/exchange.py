"""Who is best once quality has a price: value = price x quality - cost, in US dollars a row. Pure numpy.

    means and bootstrap draws of quality and cost ─▶ valued, at each price ─▶ value with interval, share of draws

The price is what one unit of quality is worth: an answer graded 1 instead of 0. Dear contenders win where it is high,
cheap ones where it is low; in between lie the prices at which the choice turns (the net benefit of health economics,
Stinnett & Mullahy 1998, and its acceptability curves, van Hout et al. 1994).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from toolkit.evaluation.resampling import Floats, Ints, percentiles

MOST_STEPS, FEWEST_STEPS, MOST_MARKS = 81, 21, 2_400
DECADES_BEYOND = 1.0
MOST_DECADES = 8.0
"""How far the range goes beyond the outermost turning points, and how wide it is at most, in powers of ten."""
ALIKE = 1e-9
"""Qualities no farther apart are the same."""


@dataclass(frozen=True, eq=False)
class Exchange:
    """k contenders at g prices: value, its interval and the share of draws in which each is best, (g, k) each.

    `prices` (g,) are US dollars for one unit of quality; `value`, `low` and `high` US dollars a row. `gain` (g,) is how
    much more the best has than the next, with its paired interval; `least` the lowest end of its leads over all others,
    held together. `best` and `second` (g,) are places of contenders.
    """

    contenders: tuple[str, ...]
    prices: Floats
    value: Floats
    low: Floats
    high: Floats
    share: Floats
    best: Ints
    second: Ints
    gain: Floats
    gain_low: Floats
    gain_high: Floats
    least: Floats
    draws: int
    level: float


@dataclass(frozen=True)
class Choice:
    """The best contender where one unit of quality is worth `price` US dollars. Numbers are US dollars a row.

    `gain` is what it has more than the `second`, `share` in which part of the draws of the rows it is the best.
    """

    price: float
    contender: str
    second: str
    value: float
    gain: float
    gain_low: float
    gain_high: float
    least: float
    share: float
    draws: int

    @property
    def rate(self) -> float:
        """The same price as routers take it, the quality that a US dollar must buy: `Learned(…, worth=choice.rate)`."""
        return 1 / self.price

    @property
    def is_sure(self) -> bool:
        """Whether the intervals of its leads over all others, held together, leave out nothing at all."""
        return self.least > 0

    @property
    def is_tied(self) -> bool:
        """Whether it and the next come to the same in every draw."""
        return self.gain_low == self.gain_high == 0

    def __str__(self) -> str:
        priced = f"Where an answer graded 1 instead of 0 is worth {usd(self.price)} USD"
        if self.is_tied:
            return f"{priced}, {self.contender} and {self.second} come to the same, and no other is better."
        lead = f"{usd(self.gain)} USD a row [{usd(self.gain_low)}, {usd(self.gain_high)}] ahead of {self.second}"
        shared = f"the best in {100 * self.share:.0f} % of {self.draws:,} draws of the rows"
        said = "is best" if self.is_sure else "looks best, though not surely"
        return f"{priced}, {self.contender} {said}: {lead}, {shared}."


def valued(
    contenders: tuple[str, ...], quality: Floats, cost: Floats, *, drawn_quality: Floats, drawn_cost: Floats,
    prices: Floats, rows: float, apart: Floats, level: float = 0.95,
) -> Exchange:  # fmt: skip
    """What each is worth, by means (k,) and draws (r, k) of quality and cost, at each of `prices` (g,).

    Leads are told as differences of pairs are (`toolkit.evaluation.pairs`): as if of the `rows`, which are independent,
    two more had been seen, of which one differs by as much as any does (`apart`, (k, k), of quality).
    """
    value = prices[:, None] * quality - cost
    order = np.argsort(-value, axis=1, kind="stable")
    best, second = order[:, 0], order[:, min(1, len(contenders) - 1)]
    ends, shares, leads = [], [], []
    for place, price in enumerate(prices):
        drawn = price * drawn_quality - drawn_cost
        ends.append([percentiles(column, level=level) for column in drawn.T])
        shares.append(_shares(drawn))
        leads.append(_leads(value[place], drawn, int(best[place]), int(second[place]), price * apart, rows, level))
    low, high = np.moveaxis(np.array(ends, dtype=np.float64), 2, 0)
    gain_low, gain_high, least = np.array(leads, dtype=np.float64).T
    at = np.arange(len(prices))
    return Exchange(
        contenders, prices, value, low, high, np.array(shares), best, second,
        value[at, best] - value[at, second], gain_low, gain_high, least, len(drawn_quality), level,
    )  # fmt: skip


def choice_of(found: Exchange, place: int) -> Choice:
    """Who is best at one of its prices."""
    best, second = int(found.best[place]), int(found.second[place])
    return Choice(
        price=float(found.prices[place]),
        contender=found.contenders[best],
        second=found.contenders[second],
        value=float(found.value[place, best]),
        gain=float(found.gain[place]),
        gain_low=float(found.gain_low[place]),
        gain_high=float(found.gain_high[place]),
        least=float(found.least[place]),
        share=float(found.share[place, best]),
        draws=found.draws,
    )


def prices_between(quality: Floats, cost: Floats, *, drawn_quality: Floats, drawn_cost: Floats) -> Floats:
    """(g,) prices to look at, evenly spaced in their logarithm: beyond all points where the choice turns.

    Means (k,) and draws (r, k). Where no choice turns (one is both cheaper and better than all), about what a unit of
    quality costs now. Raises ValueError where nobody costs anything.
    """
    turning = turning_prices(quality[None], cost[None])
    if not len(turning):
        if not (paid := float(np.abs(cost).mean())):
            raise ValueError("no contender costs anything")
        turning = np.array([paid / max(float(np.abs(quality).mean()), 0.01)])
    drawn = turning_prices(drawn_quality, drawn_cost)
    ends = (*np.quantile(drawn, [0.05, 0.95]), turning.min(), turning.max()) if len(drawn) else tuple(turning)
    low, high = (math.log10(end) for end in (min(ends), max(ends)))
    centre = (low + high) / 2
    reach = min((high - low) / 2 + DECADES_BEYOND, MOST_DECADES / 2)
    low, high = math.floor(5 * (centre - reach)) / 5, math.ceil(5 * (centre + reach)) / 5
    steps = max(FEWEST_STEPS, min(MOST_STEPS, MOST_MARKS // len(quality)))
    width = next(each for each in (0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / each <= steps - 1 or each == 0.5)
    count = math.ceil(round((high - low) / width, 6)) + 1
    return np.asarray(10.0 ** (low + width * np.arange(count)), dtype=np.float64)


def turning_prices(quality: Floats, cost: Floats) -> Floats:
    """The prices at which one of a pair becomes better than the other, over draws (r, k) of their means."""
    one, other = np.triu_indices(quality.shape[1], 1)
    better, dearer = quality[:, one] - quality[:, other], cost[:, one] - cost[:, other]
    turns = (better * dearer > 0) & (np.abs(better) > ALIKE)
    found: Floats = dearer[turns] / better[turns]
    return found


def usd(value: float) -> str:
    """A number of dollars with three figures, without an exponent: 0.00123, 1,250."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    told = f"{value:,.{decimals}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def _leads(
    value: Floats, drawn: Floats, best: int, second: int, apart: Floats, rows: float, level: float
) -> tuple[float, float, float]:
    """The interval of the best one's lead over the second, and the lowest end of all its leads, held together."""
    others = [place for place in range(len(value)) if place != best]
    if not others:
        return 0.0, 0.0, 0.0

    def ends(other: int, level: float) -> tuple[float, float]:
        lead, ahead = float(value[best] - value[other]), drawn[:, best] - drawn[:, other]
        if not ahead.any():
            return 0.0, 0.0
        reach = float(stats.t.ppf(0.5 + level / 2, max(rows - 1, 1)))
        reach *= math.hypot(float(ahead.std()), float(apart[best, other]) / (rows + 2))
        centre = lead * rows / (rows + 2)
        return min(centre - reach, lead), max(centre + reach, lead)

    together = 1 - (1 - level) / len(others)
    return *ends(second, level), min(ends(other, together)[0] for other in others)


def _shares(drawn: Floats) -> Floats:
    """(k,) in which part of the draws (r, k) each is the best; those that are alike share."""
    first = drawn >= drawn.max(axis=1, keepdims=True)
    shares: Floats = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares
