"""What to do next about a request: pure values over the facts, joined by `|`, the first opinion wins.

    policy(facts) -> Try | Accept | Park | GiveUp | Wait | None

`None` is no opinion. `decide` adds the last word that every policy ends with: try the choice, accept what came, give
up on an error. A ladder only orders; `Escalate` alone climbs it. While an attempt is under way, `Hedge` alone may have
another one made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from toolkit.context import CannotFit
from toolkit.errors import ContextOverflow, InvalidOutput
from toolkit.moves import Accept as Accept
from toolkit.moves import Facts as Facts
from toolkit.moves import Flight as Flight
from toolkit.moves import GiveUp as GiveUp
from toolkit.moves import Move as Move
from toolkit.moves import Park as Park
from toolkit.moves import Try as Try
from toolkit.moves import Wait as Wait
from toolkit.records import Attempt

if TYPE_CHECKING:
    from tenacity.wait import wait_base


class Policy:
    """Base of all policies: callable on facts, joined by `|`. A subclass is a frozen dataclass."""

    def __call__(self, facts: Facts) -> Move | None:
        raise NotImplementedError

    def bound(self, move: Move, facts: Facts) -> Move:
        """What this policy makes of a move that somebody proposes. Most let it be."""
        return move

    @property
    def watches(self) -> bool:
        """Whether it may have something to say while an attempt is under way."""
        return False

    def meanwhile(self, facts: Facts) -> Try | Wait | None:
        """What it says while attempts are under way: one more, or how long until it will know."""
        return None

    def __or__(self, other: Policy) -> Policy:
        return Joined((*_parts(self), *_parts(other)))


@dataclass(frozen=True)
class Joined(Policy):
    """Policies in turn; the first that has an opinion. One that would wait for a shut gate gives way to a later one
    that asks a model which can be asked now."""

    parts: tuple[Policy, ...]

    def __call__(self, facts: Facts) -> Move | None:
        said = (move for part in self.parts if (move := part(facts)) is not None)
        first = next(said, None)
        if not isinstance(first, Try) or first.model not in facts.gates:
            return first
        return next((move for move in said if isinstance(move, Try) and move.model not in facts.gates), first)

    def bound(self, move: Move, facts: Facts) -> Move:
        for part in self.parts:
            move = part.bound(move, facts)
        return move

    @property
    def watches(self) -> bool:
        return any(part.watches for part in self.parts)

    def meanwhile(self, facts: Facts) -> Try | Wait | None:
        said = [move for part in self.parts if (move := part.meanwhile(facts)) is not None]
        return next((move for move in said if isinstance(move, Try)), said[0] if said else None)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.parts))


def decide(policy: Policy, facts: Facts) -> Move:
    """The next move: the policy's opinion, else the last word, within the policy's bounds and the run's budgets.

    While attempts are under way, an answer that the policy finds nothing wrong with ends it; anything else waits for
    them, unless the policy wants one more.
    """
    if not facts.in_flight:
        return _affordable(policy.bound(policy(facts) or _last_word(facts), facts), facts)
    if facts.last is not None and facts.last.ok and policy(facts) is None:
        return Accept(facts.last)
    more = policy.meanwhile(facts)
    if not isinstance(more, Try):
        return more or Wait()
    bounded = policy.bound(more, facts)
    return bounded if isinstance(bounded, Try) and more.model not in facts.denied else Wait()


# ---------------------------------------------------------------------------------------------------------- policies
@dataclass(frozen=True)
class Once(Policy):
    """No opinion at all: one try, and that is it."""

    def __call__(self, facts: Facts) -> Move | None:
        return None


@dataclass(frozen=True, eq=False)
class Retry(Policy):
    """The same model again after an error that may pass, at most `times` times.

    The wait is the provider's Retry-After where told, else exponential from `base` up to `longest` seconds, or by one
    of tenacity's strategies, say `wait=tenacity.wait_incrementing(1, 2)`; the upper half of it is at random (equal
    jitter, drawn by the loop: tenacity's own would draw from `random`, and could not be replayed). A shut gate is
    waited for as well. Where all that takes longer than `patience` seconds, there is no opinion: others go on.
    """

    times: int = 2
    base: float = 0.5
    longest: float = 30.0
    patience: float = 120.0
    wait: wait_base | None = None

    def __post_init__(self) -> None:
        _told_wait(self.wait)

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or last.error is None or not last.error.transient:
            return None
        tries = facts.tries(last.model)
        if tries > self.times:
            return None
        wait = last.error.retry_after
        if wait is None:
            wait = self._ceiling(tries) * (0.5 + 0.5 * facts.draw)
        wait = max(wait, facts.gates.get(last.model, 0.0))
        if wait > self.patience:
            return None
        return Try(last.model, after=wait, why=f"retry {tries} after {last.error.error_type}")

    def _ceiling(self, tries: int) -> float:
        """The longest wait after that many tries, by tenacity's formula."""
        import tenacity

        strategy = self.wait or tenacity.wait_exponential(multiplier=self.base, max=self.longest)
        state = tenacity.RetryCallState(cast(Any, None), None, (), {})
        state.attempt_number = tries
        return float(strategy(state))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        known = _call(
            "Retry",
            self.times,
            base=(self.base, 0.5),
            longest=(self.longest, 30.0),
            patience=(self.patience, 120.0),
        )
        return known if self.wait is None else f"{known[:-1]}, wait={_told_wait(self.wait)})"


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
class Refit(Policy):
    """After a model found the prompt too long: the same model with less of it, at most `times` times, then the next in
    the order with a larger window. Each time `to` of the room is left; what goes is up to the step's `fit`."""

    times: int = 1
    to: float = 0.75

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not isinstance(last.error, ContextOverflow):
            return None
        reported = [a for a in facts.attempts if a.model == last.model and _is_overflow(a)]
        if _is_overflow(last) and len(reported) <= self.times:
            return Try(last.model, why="fitted smaller after context_overflow", shrink=self.to ** len(reported))
        own = facts.windows.get(last.model)
        untried = [name for name in facts.decision.order if not facts.tries(name)]
        larger = next((name for name in untried if own is not None and facts.windows.get(name, own) > own), None)
        return None if larger is None else facts.ask(larger, "larger window after context_overflow")

    def __repr__(self) -> str:
        return _call("Refit", self.times, to=(self.to, 0.75))


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
    """After an error that retrying did not mend: the next model in the order that has not been tried.

    With `below` also after an answer whose quality (lowest grade, else confidence) is below that; where nobody is left,
    the best answer is taken.
    """

    below: float | None = None

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not (bad := self._bad(last)):
            return None
        other = facts.other()
        if other is not None:
            return facts.ask(other, f"fallback after {bad}")
        best = facts.best()
        return Accept(best, why="the best there is; nobody left to ask") if last.ok and best else None

    def _bad(self, last: Attempt) -> str:
        """What is wrong with an attempt; empty where nothing is."""
        if last.error is not None:
            return last.error.error_type
        if self.below is None or last.quality is None or last.quality >= self.below:
            return ""
        return f"a bad answer: {last.quality:.2f} < {self.below:g}"

    def __repr__(self) -> str:
        return "Fallback()" if self.below is None else f"Fallback(below={self.below!r})"


@dataclass(frozen=True)
class Hedge(Policy):
    """A second request where the first is slow: the first good answer is taken, and the cost of both is on record.

    `after` are seconds of being served; None: longer than 95 % of that model's calls in this run so far. It goes to the
    same model, or to `model`; at most `times` more are under way at once. Persons are not hurried.
    """

    after: float | None = None
    model: str | None = None
    times: int = 1

    @property
    def watches(self) -> bool:
        return True

    def __call__(self, facts: Facts) -> Move | None:
        return None

    def meanwhile(self, facts: Facts) -> Try | Wait | None:
        flight = facts.in_flight[-1]
        after = facts.p95_seconds.get(flight.model) if self.after is None else self.after
        if len(facts.in_flight) > self.times or after is None:
            return None
        if flight.since is None:
            return Wait(after)
        left = flight.since + after - facts.now
        if left > 0:
            return Wait(left)
        model = self.model or flight.model
        if model in facts.persons or model in facts.gates:
            return None
        return Try(model, why=f"hedge: {flight.model} has taken {facts.now - flight.since:.2f} s")

    def __repr__(self) -> str:
        known = [f"{name}={value!r}" for name in ("after", "model") if (value := getattr(self, name)) is not None] + [
            f"times={self.times!r}"
        ] * (self.times != 1)
        return f"Hedge({', '.join(known)})"


@dataclass(frozen=True)
class Within(Policy):
    """Bounds for one request: no attempt whose expected cost would pass `usd`, and none beyond `seconds` after the
    request was made: what is under way then counts as timed out.

    What has been answered by then is taken; where nothing has, the row is set aside. Under a bound of money a model
    whose price is unknown is not asked. What a run may cost at most is a matter of budgets (`toolkit.budgets`).
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


def _affordable(move: Move, facts: Facts) -> Move:
    """The move; in place of an attempt that a budget does not allow the best answer so far, else another model."""
    if not isinstance(move, Try) or move.model not in facts.denied:
        return move
    why, best = facts.denied[move.model], facts.best()
    if best is not None:
        return Accept(best, why=why)
    barred = {*facts.denied, *facts.persons}
    other = next((name for name in facts.decision.order if name not in barred and not facts.tries(name)), None)
    return GiveUp(why) if other is None else Try(other, why=f"{move.model} was not asked: {why}")


def _is_overflow(attempt: Attempt) -> bool:
    """Whether a model said that the prompt is too long; one that was never sent, as it cannot be fitted, is none."""
    return isinstance(attempt.error, ContextOverflow) and not isinstance(attempt.error, CannotFit)


def _parts(policy: Policy) -> tuple[Policy, ...]:
    return policy.parts if isinstance(policy, Joined) else (policy,)


_WAITS = ("wait_fixed", "wait_none", "wait_incrementing", "wait_exponential", "wait_combine", "wait_chain")


def _told_wait(wait: wait_base | None) -> str:
    """A strategy of tenacity's as text. Raises ValueError for one that draws by itself, or depends on more than how
    often was tried."""
    if wait is None:
        return ""
    name = type(wait).__name__
    if name not in _WAITS:
        raise ValueError(f"Retry: wait is one of tenacity's {', '.join(_WAITS)}, not {name}; the jitter is added here")
    parts = getattr(wait, "wait_funcs", None) or getattr(wait, "strategies", None)
    if parts is not None:
        return f"{name}({', '.join(_told_wait(part) for part in parts)})"
    given = (
        {} if name == "wait_none" else {key.removeprefix("wait_fixed") or "wait": v for key, v in vars(wait).items()}
    )
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"


def _call(name: str, first: object, **options: tuple[object, object]) -> str:
    shown = [f"{key}={value!r}" for key, (value, default) in options.items() if value != default]
    return f"{name}({', '.join([repr(first), *shown])})"
