"""A policy, policies joined by `|`, and the decision: the first opinion wins, and every policy ends with the last word.

    policy(facts) -> Try | Accept | Park | GiveUp | Wait | None

`None` is no opinion. `decide` adds the last word: try the choice, accept what came, give up on an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.policies.moves import Accept, Facts, GiveUp, Move, Try, Wait


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


def _parts(policy: Policy) -> tuple[Policy, ...]:
    return policy.parts if isinstance(policy, Joined) else (policy,)


def written(name: str, first: object, **options: tuple[object, object]) -> str:
    """The call that builds a policy; options at their default are left out."""
    shown = [f"{key}={value!r}" for key, (value, default) in options.items() if value != default]
    return f"{name}({', '.join([repr(first), *shown])})"
