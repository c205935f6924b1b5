"""What to do next about a request: pure values over the facts, joined by `|`, the first opinion wins.

    policy(facts) -> Try | Accept | Park | GiveUp | None

`None` is no opinion. `decide` adds the last word that every policy ends with: try the choice, accept what came, give
up on an error. A ladder only orders; `Escalate` alone climbs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from toolkit.errors import InvalidOutput
from toolkit.records import Attempt, Decision


# ------------------------------------------------------------------------------------------------------------- moves
@dataclass(frozen=True, slots=True)
class Try:
    """Ask `model`, `after` seconds from now. `repair` is an error that the model is shown with its own answer."""

    model: str
    after: float = 0.0
    why: str = "first choice"
    repair: Attempt | None = None


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


Move = Try | Accept | Park | GiveUp


# ------------------------------------------------------------------------------------------------------------- facts
@dataclass(frozen=True, slots=True)
class Facts:
    """What a policy looks at: the decision, finished attempts, those in flight (model names), seconds since the
    request was made, what it cost so far, and a draw between 0 and 1 for jitter."""

    decision: Decision
    attempts: tuple[Attempt, ...] = ()
    in_flight: tuple[str, ...] = ()
    persons: frozenset[str] = frozenset()
    now: float = 0.0
    spent_usd: float = 0.0
    draw: float = 0.5

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
        """The next rung above `model` in the decision's order that has not been tried."""
        order = self.decision.order
        rungs = order[order.index(model) + 1 :] if model in order else order
        return next((rung for rung in rungs if not self.tries(rung)), None)

    def ask(self, model: str, why: str) -> Move:
        """A move to `model`: a person is left the question, anyone else is tried."""
        return Park(model, why) if model in self.persons else Try(model, why=why)


class Policy:
    """Base of all policies: callable on facts, joined by `|`. A subclass is a frozen dataclass."""

    def __call__(self, facts: Facts) -> Move | None:
        raise NotImplementedError

    def bound(self, move: Move, facts: Facts) -> Move:
        """What this policy makes of a move that somebody proposes. Most let it be."""
        return move

    def __or__(self, other: Policy) -> Policy:
        return Joined((*_parts(self), *_parts(other)))


@dataclass(frozen=True)
class Joined(Policy):
    """Policies in turn; the first that has an opinion."""

    parts: tuple[Policy, ...]

    def __call__(self, facts: Facts) -> Move | None:
        return next((move for part in self.parts if (move := part(facts)) is not None), None)

    def bound(self, move: Move, facts: Facts) -> Move:
        for part in self.parts:
            move = part.bound(move, facts)
        return move

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.parts))


def decide(policy: Policy, facts: Facts) -> Move:
    """The next move: the policy's opinion, else the last word, within the policy's bounds."""
    return policy.bound(policy(facts) or _last_word(facts), facts)


# ---------------------------------------------------------------------------------------------------------- policies
@dataclass(frozen=True)
class Once(Policy):
    """No opinion at all: one try, and that is it."""

    def __call__(self, facts: Facts) -> Move | None:
        return None


@dataclass(frozen=True)
class Retry(Policy):
    """The same model again after an error that may pass, at most `times` times.

    The wait is the provider's Retry-After where told, else exponential from `base` up to `longest` seconds, the upper
    half of it at random (equal jitter, drawn by the loop).
    """

    times: int = 2
    base: float = 0.5
    longest: float = 30.0

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or last.error is None or not last.error.transient:
            return None
        tries = facts.tries(last.model)
        if tries > self.times:
            return None
        wait = last.error.retry_after
        if wait is None:
            ceiling = min(self.longest, self.base * 2 ** (tries - 1))
            wait = ceiling * (0.5 + 0.5 * facts.draw)
        return Try(last.model, after=wait, why=f"retry {tries} after {last.error.error_type}")

    def __repr__(self) -> str:
        return _call("Retry", self.times, base=(self.base, 0.5), longest=(self.longest, 30.0))


@dataclass(frozen=True)
class Repair(Policy):
    """Show the model its answer and what is wrong with it, at most `times` times for each model."""

    times: int = 1

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not isinstance(last.error, InvalidOutput):
            return None
        broken = sum(a.model == last.model and isinstance(a.error, InvalidOutput) for a in facts.attempts)
        if broken > self.times:
            return None
        return Try(last.model, why=f"repair {broken} of its answer", repair=last)

    def __repr__(self) -> str:
        return f"Repair({self.times})"


@dataclass(frozen=True)
class Escalate(Policy):
    """Climb to the next rung while the quality (lowest grade, else confidence) is `below`; at the top take the best.

    People are dear: with `person_below` the rung of a person is climbed only below that.
    """

    below: float = 0.5
    person_below: float | None = None

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not last.ok or last.quality is None or last.quality >= self.below:
            return None
        rung = facts.above(last.model)
        best = facts.best()
        if rung is None:
            return Accept(best, why="the best there is; no rung above") if best else None
        if (
            rung in facts.persons
            and self.person_below is not None
            and best
            and (best.quality or 0.0) >= self.person_below
        ):
            return Accept(best, why=f"good enough not to ask {rung}")
        return facts.ask(rung, f"escalated: {last.model} reached {last.quality:.2f} < {self.below:g}")

    def __repr__(self) -> str:
        person = "" if self.person_below is None else f", person_below={self.person_below!r}"
        return f"Escalate(below={self.below!r}{person})"


@dataclass(frozen=True)
class Fallback(Policy):
    """After an error that retrying did not mend: the next model in the order that has not been tried."""

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or last.error is None:
            return None
        other = next((name for name in facts.decision.order if not facts.tries(name)), None)
        return None if other is None else facts.ask(other, f"fallback after {last.error.error_type}")


@dataclass(frozen=True)
class Within(Policy):
    """Bounds for one request: no attempt that could pass `usd`, or would begin later than `seconds` after the first.

    What has been answered by then is taken; where nothing has, the row is set aside. Under a bound of money a model
    whose price is unknown is not asked.
    """

    usd: float | None = None
    seconds: float | None = None

    def __call__(self, facts: Facts) -> Move | None:
        return None

    def bound(self, move: Move, facts: Facts) -> Move:
        over = self._over(move, facts) if isinstance(move, Try) else None
        if over is None:
            return move
        best = facts.best()
        return Accept(best, why=over) if best else GiveUp(over)

    def _over(self, move: Try, facts: Facts) -> str | None:
        if self.seconds is not None and facts.now + move.after > self.seconds:
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


# ----------------------------------------------------------------------------------------------------------- helpers
def _last_word(facts: Facts) -> Move:
    last = facts.last
    if last is None:
        if not facts.decision.order:
            return GiveUp(facts.decision.reason)
        return facts.ask(facts.decision.choice, "first choice")
    if last.ok:
        return Accept(last)
    best = facts.best()
    if best is not None:
        return Accept(best, why=f"kept after {last.error.error_type if last.error else 'error'} further up")
    return GiveUp(f"{last.model}: {last.error}")


def _parts(policy: Policy) -> tuple[Policy, ...]:
    return policy.parts if isinstance(policy, Joined) else (policy,)


def _call(name: str, first: object, **options: tuple[object, object]) -> str:
    shown = [f"{key}={value!r}" for key, (value, default) in options.items() if value != default]
    return f"{name}({', '.join([repr(first), *shown])})"
