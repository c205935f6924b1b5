"""What a run would ask, cost and take: the arithmetic. Pure.

In: the requests of each step as far as they can be known before anything is asked (`Seen`), and what earlier runs say
of such steps (`Typical`). Out: a `Forecast`, in which whatever cannot be known is None.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from toolkit.fleet import Fleet
from toolkit.money.budgets import Budgets, amount
from toolkit.policies import Escalate, Fallback, Hedge, Joined, Once, Policy, Refit, Repair, Retry, Within

LEAST_SHARE = 0.5
"""Estimates of tokens may be off, and cached ones cost a fraction: the share of an estimate that is surely charged."""


@dataclass
class Seen:
    """The requests of one step, by the rows. Of `unknown` rows nobody can tell yet what they will ask; `shared` are
    requests that another row asks too, `failed` are rows whose step cannot even say what it asks.

    `choices` are who is asked first for what is to be asked, and `input_tokens` about what its words have; `worst_usd`
    and `most_calls` are what its policy may make of it, None where that has no bound, or a price is unknown.
    `unroutable` are requests for which nobody may be asked.
    """

    step: str
    requests: int = 0
    on_record: int = 0
    shared: int = 0
    parks: int = 0
    unroutable: int = 0
    failed: int = 0
    unknown: int = 0
    why_unknown: str = ""
    choices: Counter[str] = field(default_factory=Counter)
    input_tokens: Counter[str] = field(default_factory=Counter)
    most_calls: float | None = 0.0
    worst_usd: float | None = 0.0


@dataclass(frozen=True)
class Typical:
    """What requests of a step came to whose first choice was that model, all attempts taken together."""

    step: str
    model: str
    requests: int
    calls: int
    cost_usd: float | None
    seconds: float
    short_output: float | None


@dataclass(frozen=True)
class Range:
    """From the least to the worst, and what is likely; None is unknown."""

    least: float = 0.0
    likely: float | None = None
    worst: float | None = None

    def in_order(self) -> Range:
        """What is likely is an average over other rows: it bounds the least from above, and the worst bounds it."""
        if self.likely is None:
            return self
        likely = self.likely if self.worst is None else min(self.likely, self.worst)
        return Range(min(self.least, likely), likely, self.worst)

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, _sum(self.likely, other.likely), _sum(self.worst, other.worst))


@dataclass(frozen=True)
class StepForecast:
    """One step of a run that has not begun."""

    seen: Seen
    calls: Range
    cost_usd: Range
    seconds: Mapping[str, float] | None

    @property
    def to_ask(self) -> int:
        return sum(self.seen.choices.values())


@dataclass(frozen=True)
class Forecast:
    """A run that has not begun: its steps, and what they come to together. `seconds` is None where unknown."""

    rows: int
    steps: tuple[StepForecast, ...]
    seconds: float | None

    @property
    def calls(self) -> Range:
        return sum((step.calls for step in self.steps), Range(0.0, 0.0, 0.0))

    @property
    def cost_usd(self) -> Range:
        return sum((step.cost_usd for step in self.steps), Range(0.0, 0.0, 0.0))

    @property
    def on_record(self) -> int:
        return sum(step.seen.on_record for step in self.steps)

    def against(self, budgets: Budgets) -> tuple[str, ...]:
        """What becomes of a run under each limit of dollars that speaks of all of it."""
        cost, found = self.cost_usd, []
        for part in budgets.parts:
            if part.usd is None or not part.whole:
                continue
            limit = f"the budget of {part}"
            if cost.least > part.usd:
                found.append(f"{limit} is not enough: at the least it takes {amount(cost.least, 'usd')}")
            elif cost.worst is not None and cost.worst <= part.usd:
                found.append(
                    f"{limit} is enough, whatever happens" + (", if nothing else is run" * (part.per == "day"))
                )
            elif cost.likely is not None:
                is_enough = "is likely to be enough" if cost.likely <= part.usd else "is likely to stop the run"
                found.append(f"{limit} {is_enough}")
            else:
                found.append(f"whether {limit} is enough cannot be told yet")
        return tuple(found)


def forecast(
    seen: Iterable[Seen], typical: Iterable[Typical], *, fleet: Fleet, rows: int, past_rows: int, in_flight: int
) -> Forecast:
    """The forecast for a run over so many rows; `past_rows` are those that `typical` is from."""
    known = {(each.step, each.model): each for each in typical}
    steps = tuple(_of_step(each, known, fleet, past_rows) for each in seen)
    return Forecast(rows, steps, _seconds(steps, fleet, in_flight))


def most_attempts(policy: Policy, order: Iterable[str], *, persons: Iterable[str] = ()) -> dict[str, int] | None:
    """The most attempts that a policy makes at each model of a decision's order; None where it has no known bound."""
    parts = policy.parts if isinstance(policy, Joined) else (policy,)
    if any(
        not isinstance(part, Once | Retry | Repair | Refit | Escalate | Fallback | Hedge | Within) for part in parts
    ):
        return None
    models = [name for name in order if name not in set(persons)]
    climbs = any(isinstance(part, Escalate | Fallback | Refit) for part in parts)
    each = 1 + sum(part.times for part in parts if isinstance(part, Retry | Repair | Refit))
    counts = Counter(dict.fromkeys(models if climbs else models[:1], each))
    hedges: Counter[str] = Counter()
    for part in parts:
        if isinstance(part, Hedge):
            for model, count in counts.items():
                hedges[part.model or model] += part.times * count
    return dict(counts + hedges)


# ----------------------------------------------------------------------------------------------------------- helpers
def _of_step(seen: Seen, known: Mapping[tuple[str, str], Typical], fleet: Fleet, past_rows: int) -> StepForecast:
    calls = Range(float(sum(seen.choices.values())), 0.0, seen.most_calls)
    cost, seconds = Range(0.0, 0.0, seen.worst_usd), defaultdict[str, float](float)
    is_timed = True
    for model, count in seen.choices.items():
        typical, price = known.get((seen.step, model)), fleet.facts[model].price
        least = 0.0
        if price is not None:
            short = (typical.short_output or 0.0) if typical else 0.0
            least = (
                price.expected(int(LEAST_SHARE * seen.input_tokens[model] / count), int(short)) * count * LEAST_SHARE
            )
        each_calls = typical.calls / typical.requests if typical else None
        each_usd = typical.cost_usd / typical.requests if typical and typical.cost_usd is not None else None
        calls += Range(0.0, None if each_calls is None else each_calls * count, 0.0)
        cost += Range(least, None if each_usd is None else each_usd * count, 0.0)
        if typical:
            seconds[model] += typical.seconds / typical.requests * count
        else:
            is_timed = False
    if seen.unknown:
        past = [each for (step, _), each in known.items() if step == seen.step]
        share = seen.unknown / past_rows if past and past_rows else None
        calls += Range(0.0, None if share is None else share * sum(each.calls for each in past), None)
        usd = [each.cost_usd for each in past]
        known_usd = None if None in usd or share is None else share * sum(each or 0.0 for each in usd)
        cost += Range(0.0, known_usd, None)
        is_timed &= share is not None
        for each in past:
            seconds[each.model] += (share or 0.0) * each.seconds
    return StepForecast(seen, calls.in_order(), cost.in_order(), dict(seconds) if is_timed else None)


def _seconds(steps: Iterable[StepForecast], fleet: Fleet, in_flight: int) -> float | None:
    """The time by the busiest model: all that it serves, by as many calls at once as rows and its own limit allow."""
    total: defaultdict[str, float] = defaultdict(float)
    for step in steps:
        if step.seconds is None:
            return None
        for model, seconds in step.seconds.items():
            total[model] += seconds
    return max((s / min(in_flight, fleet[m].concurrency) for m, s in total.items() if m in fleet), default=0.0)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
