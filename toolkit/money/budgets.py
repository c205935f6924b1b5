"""Budgets: what may be spent where, and what one call may cost at most. Pure.

    Budget(usd=5)                              this run, over all of its processes and resumes
    Budget(usd=20, per="day")                  a day (UTC), over all runs that have such a budget
    Budget(usd=0.5, step="reply")              one step of this run
    Budget(tokens=100_000, model="large")      one model in this run
    Budget(usd=5) & Budget(usd=20, per="day")  both must hold

As text: `5 USD; day: 20 USD; step reply: 0.5 USD; model large: 100000 tokens; ceiling: 0.02 USD`, or the calls above.

Before a call its worst case is held against each budget that covers it. It is granted, is to wait until others that
are under way turn out cheaper, or is denied for good.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from toolkit.errors import SetupError

Unit = Literal["usd", "tokens"]
Per = Literal["run", "day"]
SLACK = 1e-9
"""The share of a limit by which sums of floating-point numbers may be off."""


# ------------------------------------------------------------------------------------------------------------ budgets
@dataclass(frozen=True)
class Budget:
    """A limit in US dollars, in tokens (of input and output together), or in both, `per` run or day.

    `step` and `model` narrow it down. `ceiling_usd` is what a call to a model of unknown price is taken to cost at
    most; without it such a call is refused under a limit of dollars.
    """

    usd: float | None = None
    tokens: float | None = None
    per: Per = "run"
    step: str | None = None
    model: str | None = None
    ceiling_usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("usd", "tokens", "ceiling_usd"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} of a budget is a number of at least 0, not {value!r}")
        if self.per not in ("run", "day"):
            raise ValueError(f"a budget is per 'run' or per 'day', not {self.per!r}")
        if self.usd is None and self.tokens is None and self.ceiling_usd is None:
            raise ValueError("a budget wants a limit: usd=, tokens=, or both")

    def __and__(self, other: Budget | Budgets) -> Budgets:
        return Budgets((self,)) & other

    @property
    def limits(self) -> Iterator[tuple[Unit, float]]:
        """(unit, limit) of what is limited."""
        if self.usd is not None:
            yield "usd", self.usd
        if self.tokens is not None:
            yield "tokens", self.tokens

    def covers(self, step: str, model: str) -> bool:
        """Whether a call belongs to it. `step` is `workflow/step`, with whatever is below that."""
        return (self.step is None or self.step in step.split("/")[1:] or self.step == step) and (
            self.model is None or self.model == model
        )

    def scope(self, run_id: str, day: str) -> str:
        """What its spending is kept under: the same for all calls that it covers in that run, or on that day."""
        whole = f"run {run_id}" if self.per == "run" else f"day {day}"
        return " ".join([whole, *self._narrowed()])

    @property
    def whole(self) -> bool:
        """Whether it covers all calls of a run, so that nothing can be asked once it is used up."""
        return self.step is None and self.model is None

    def _narrowed(self) -> list[str]:
        return [f"{name} {value}" for name in ("step", "model") if (value := getattr(self, name)) is not None]

    def __str__(self) -> str:
        limits = " and ".join(amount(limit, unit) for unit, limit in self.limits)
        where = ", ".join([f"a {self.per}", *self._narrowed()])
        return f"{limits} {where}" if limits else f"a ceiling of {amount(self.ceiling_usd or 0.0, 'usd')} a call"

    def __repr__(self) -> str:
        given = [
            f"{name}={getattr(self, name)!r}"
            for name, field in self.__dataclass_fields__.items()
            if getattr(self, name) != field.default
        ]
        return f"Budget({', '.join(given)})"


@dataclass(frozen=True)
class Budgets:
    """Budgets that must all hold."""

    parts: tuple[Budget, ...]

    def __and__(self, other: Budget | Budgets) -> Budgets:
        return Budgets((*self.parts, *(other.parts if isinstance(other, Budgets) else (other,))))

    @property
    def ceiling_usd(self) -> float | None:
        """What a call of unknown price may cost at most: the highest ceiling that one of them declares."""
        return max((part.ceiling_usd for part in self.parts if part.ceiling_usd is not None), default=None)

    @property
    def limits_money(self) -> bool:
        return any(part.usd is not None for part in self.parts)

    def caps(self, *, run_id: str, day: str, step: str, model: str) -> tuple[Cap, ...]:
        """What a call is held against."""
        covering = (part for part in self.parts if part.covers(step, model))
        return tuple(Cap(part.scope(run_id, day), unit, most, part) for part in covering for unit, most in part.limits)

    def __str__(self) -> str:
        return "; ".join(map(str, self.parts))

    def __repr__(self) -> str:
        return " & ".join(map(repr, self.parts))


def budgets_of(given: Budget | Budgets | str | None) -> Budgets | None:
    """Budgets as one may give them: values, or text. Raises SetupError where the text is none."""
    if given is None or given == "":
        return None
    if isinstance(given, str):
        return _parsed(given)
    if isinstance(given, Budget):
        return Budgets((given,))
    if isinstance(given, Budgets):
        return given
    raise SetupError(f"{given!r} is no budget; write Budget(usd=5), or as text '5 USD'")


# ----------------------------------------------------------------------------------------------------------- judgement
@dataclass(frozen=True, slots=True)
class Cap:
    """A limit as one call meets it; `budget` is where it comes from."""

    scope: str
    unit: Unit
    most: float
    budget: Budget


@dataclass(frozen=True, slots=True)
class Balance:
    """What of a scope is spent, and what is held back for calls under way."""

    spent: float = 0.0
    reserved: float = 0.0


@dataclass(frozen=True, slots=True)
class Worst:
    """What a call may cost at most; `usd` is None where no money is limited and no price known."""

    usd: float | None
    tokens: float

    def of(self, unit: Unit) -> float:
        return self.tokens if unit == "tokens" else self.usd or 0.0


@dataclass(frozen=True, slots=True)
class Denied:
    """A cap that a call could pass."""

    cap: Cap
    balance: Balance
    needs: float

    @property
    def for_good(self) -> bool:
        """Whether it would be so too if all calls under way turned out to cost nothing."""
        return not _within(self.balance.spent + self.needs, self.cap.most)

    @property
    def stops_the_run(self) -> bool:
        """Whether others of the run will fare alike: a call that is too dear by itself speaks of itself alone."""
        return self.for_good and self.cap.budget.whole and _within(self.needs, self.cap.most)

    def __str__(self) -> str:
        unit, cap = self.cap.unit, self.cap
        used = f"{amount(self.balance.spent, unit)} spent"
        if self.balance.reserved and not self.for_good:
            used += f", {amount(self.balance.reserved, unit)} held back for calls under way"
        return f"the budget of {cap.budget} is reached: {used}, and the call could cost {amount(self.needs, unit)}"


def denied(caps: Iterable[Cap], balances: Mapping[tuple[str, Unit], Balance], worst: Worst) -> Denied | None:
    """The cap that the call could pass; of several one that denies for good, and the whole run before a part of it."""
    found = [
        Denied(cap, balance, worst.of(cap.unit))
        for cap in caps
        if (balance := balances.get((cap.scope, cap.unit), Balance()))
        and not _within(balance.spent + balance.reserved + worst.of(cap.unit), cap.most)
    ]
    return max(found, key=lambda d: (d.for_good, d.stops_the_run), default=None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a budget is used up."""

    cap: Cap
    balance: Balance

    @property
    def left(self) -> float:
        """What may still be spent, if all calls under way turn out as dear as they can be."""
        return max(0.0, self.cap.most - self.balance.spent - self.balance.reserved)

    def __str__(self) -> str:
        return f"{amount(self.balance.spent, self.cap.unit)} of {amount(self.cap.most, self.cap.unit)}"


def tightest(caps: Iterable[Cap], balances: Mapping[tuple[str, Unit], Balance]) -> Standing | None:
    """The budget that is nearest to its end, by its share that is spent."""
    found = [Standing(cap, balances.get((cap.scope, cap.unit), Balance())) for cap in caps]
    return max(found, key=lambda each: each.balance.spent / (each.cap.most or 1.0), default=None)


def amount(value: float, unit: Unit) -> str:
    """A number as people read it: 0.0123 USD, 20,000 tokens."""
    if unit == "tokens":
        return f"{value:,.0f} tokens"
    if value < 1e-9 or value >= 0.1:
        return f"{max(0.0, value):,.2f} USD"
    return f"{value:.{1 - math.floor(math.log10(value))}f} USD"


def _within(sum: float, most: float) -> bool:
    return sum <= most * (1 + SLACK)


# ---------------------------------------------------------------------------------------------------------------- text
_AMOUNT = re.compile(r"(?P<number>[\d_]+(?:\.\d+)?(?:e\d+)?)\s*(?P<unit>usd|tokens?)", re.IGNORECASE)
_HOW = "write '5 USD', 'day: 20 USD; step reply: 1 USD, 200000 tokens', or Budget(usd=5) & Budget(usd=20, per='day')"


def _parsed(text: str) -> Budgets:
    try:
        if "Budget(" in text:
            return Budgets(tuple(_calls(ast.parse(text.strip(), mode="eval").body)))
        return Budgets(tuple(_part(part) for part in text.split(";") if part.strip()))
    except (ValueError, TypeError, SyntaxError) as error:
        raise SetupError(f"cannot read the budget {text!r}: {error}; {_HOW}") from None


def _calls(node: ast.expr) -> Iterator[Budget]:
    match node:
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            yield from _calls(left)
            yield from _calls(right)
        case ast.Call(func=ast.Name(id="Budget"), args=[], keywords=keywords):
            given: dict[str, Any] = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in keywords}
            yield Budget(**given)
        case _:
            raise ValueError(f"{ast.unparse(node)} is no budget")


def _part(text: str) -> Budget:
    scope, _, limits = text.rpartition(":")
    given: dict[str, Any] = {}
    for part in limits.split(","):
        found = _AMOUNT.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"{part.strip()!r} is no amount")
        given["usd" if found["unit"].lower() == "usd" else "tokens"] = float(found["number"])
    words = scope.split()
    if words == ["ceiling"]:
        return Budget(ceiling_usd=given["usd"]) if set(given) == {"usd"} else _no("a ceiling is in USD")
    if words[:1] in (["run"], ["day"]):
        given["per"] = words.pop(0)
    while words:
        if words[0] not in ("step", "model") or len(words) < 2 or words[0] in given:
            return _no(f"{' '.join(words)!r} is no scope; there are run, day, step NAME and model NAME")
        given[words[0]] = words[1]
        del words[:2]
    return Budget(**given)


def _no(why: str) -> Budget:
    raise ValueError(why)
