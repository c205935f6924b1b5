"""What a policy looks at (`Facts`), and the moves that it may answer with. Pure.

Facts ─▶ policy ─▶ Try | Accept | Park | GiveUp | Wait
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.records import Attempt, Decision


# ------------------------------------------------------------------------------------------------------------- moves
@dataclass(frozen=True, slots=True)
class Try:
    """Ask `model`, `after` seconds from now. `repair` is an error that the model is shown with its own answer; `shrink`
    is the share of the prompt's room that may be used. What is not there `within` so many seconds has timed out."""

    model: str
    after: float = 0.0
    why: str = "first choice"
    repair: Attempt | None = None
    shrink: float = 1.0
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """This attempt is the answer."""

    attempt: Attempt
    why: str = ""


@dataclass(frozen=True, slots=True)
class Park:
    """Leave the question to a person and go on with the batch."""

    model: str
    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Set the row aside."""

    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until an attempt under way ends, or until `seconds` have passed."""

    seconds: float | None = None


Move = Try | Accept | Park | GiveUp | Wait


# ------------------------------------------------------------------------------------------------------------- facts
@dataclass(frozen=True, slots=True)
class Flight:
    """An attempt under way: who is asked, and since when, in seconds after the request was made; None where it still
    waits for its turn."""

    model: str
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a policy looks at.

    The decision; the attempts that are finished and those in flight; who of the fleet are persons; seconds since the
    request was made; what it cost so far; a draw between 0 and 1 for jitter; windows in tokens where known; the models
    whose gate is shut, with the seconds until it is worth asking; what is left of the run's budgets; the models that a
    budget does not allow, with the reason; and how long a model takes for all but the slowest 5 % of calls, where that
    is known. What is unknown or unlimited is None, or missing.
    """

    decision: Decision
    attempts: tuple[Attempt, ...] = ()
    in_flight: tuple[Flight, ...] = ()
    persons: frozenset[str] = frozenset()
    now: float = 0.0
    spent_usd: float = 0.0
    draw: float = 0.5
    windows: Mapping[str, int] = field(default_factory=dict)
    gates: Mapping[str, float] = field(default_factory=dict)
    budget_left_usd: float | None = None
    denied: Mapping[str, str] = field(default_factory=dict)
    p95_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    def expected_usd(self, model: str) -> float | None:
        """What the decision reckons that an attempt at `model` costs; None where nobody knows its price."""
        return next((c.expected_cost_usd for c in self.decision.candidates if c.model == model), None)

    def tries(self, model: str) -> int:
        return sum(attempt.model == model for attempt in self.attempts)

    def best(self) -> Attempt | None:
        """The answer with the highest quality so far; the later of two alike."""
        fine = [attempt for attempt in self.attempts if attempt.ok]
        return max(fine, key=lambda a: (-1.0 if a.quality is None else a.quality, a.number), default=None)

    def above(self, model: str) -> str | None:
        """The next rung above `model` in the decision's order that has not been tried; persons come last."""
        order = self.decision.order
        return self._untried(order[order.index(model) + 1 :] if model in order else order)

    def other(self) -> str | None:
        """The first in the decision's order that has not been tried; persons come last."""
        return self._untried(self.decision.order)

    def _untried(self, names: tuple[str, ...]) -> str | None:
        """The first that may be asked now; where all gates are shut, the first; a person where nobody else is left."""
        left = [name for name in names if not self.tries(name)]
        return min(left, key=lambda name: (name in self.persons, name in self.gates), default=None)

    def ask(self, model: str, why: str) -> Move:
        """A move to `model`: a person is left the question, anyone else is tried."""
        return Park(model, why) if model in self.persons else Try(model, why=why)
