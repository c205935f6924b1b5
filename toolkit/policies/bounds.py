"""No opinion, bounds for one request, and a function as a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from toolkit.policies.moves import Accept, Facts, GiveUp, Move, Try
from toolkit.policies.policy import Policy


@dataclass(frozen=True)
class Once(Policy):
    """No opinion at all: one try, and that is it."""

    def __call__(self, facts: Facts) -> Move | None:
        return None


@dataclass(frozen=True)
class Within(Policy):
    """Bounds for one request: no attempt whose expected cost would pass `usd`, and none beyond `seconds` after the
    request was made: what is under way then counts as timed out.

    What has been answered by then is taken; where nothing has, the row is set aside. Under a bound of money a model
    whose price is unknown is not asked. What a run may cost at most is a matter of budgets (`toolkit.money.budgets`).
    """

    usd: float | None = None
    seconds: float | None = None

    def __call__(self, facts: Facts) -> Move | None:
        return None

    def bound(self, move: Move, facts: Facts) -> Move:
        if not isinstance(move, Try):
            return move
        over = self._over(move, facts)
        if over is None:
            return move if self.seconds is None else replace(move, within=self._left(move, facts))
        best = facts.best()
        return Accept(best, why=over) if best else GiveUp(over)

    def _left(self, move: Try, facts: Facts) -> float:
        """Seconds that an attempt may take, waiting included."""
        left = (self.seconds or 0.0) - facts.now
        return left if move.within is None else min(left, move.within)

    def _over(self, move: Try, facts: Facts) -> str | None:
        if self.seconds is not None and facts.now + move.after >= self.seconds:
            return f"{move.model} would be asked after the limit of {self.seconds:g} s"
        if self.usd is None:
            return None
        expected = facts.expected_usd(move.model)
        if expected is None:
            return f"the price of {move.model} is unknown, and the limit is {self.usd:g} USD"
        if facts.spent_usd + expected > self.usd:
            return f"asking {move.model} could pass the limit of {self.usd:g} USD (spent {facts.spent_usd:g})"
        return None

    def __repr__(self) -> str:
        limits = [
            f"{name}={value!r}" for name, value in (("usd", self.usd), ("seconds", self.seconds)) if value is not None
        ]
        return f"Within({', '.join(limits)})"


@dataclass(frozen=True)
class When(Policy):
    """A function of the facts as a policy; `label` stands for it in the history."""

    function: Callable[[Facts], Move | None] = field(repr=False)
    label: str

    def __call__(self, facts: Facts) -> Move | None:
        return self.function(facts)
