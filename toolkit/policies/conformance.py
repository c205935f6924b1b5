"""What every policy owes the loop, as laws that pytest collects; made for authors of plug-ins, and used on ours.

    class TestMine(PolicyConformance):
        def policy(self) -> Policy:
            return Mine(3)

Suites for other kinds: `toolkit.routing.conformance`, `toolkit.grading.conformance`, `toolkit.models.conformance`.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from toolkit.errors import AccessDenied, CallError, ContextOverflow, InvalidOutput, Overloaded, RateLimited
from toolkit.messages import Text
from toolkit.policies.moves import Accept, Facts, GiveUp, Move, Park, Try
from toolkit.policies.policy import Policy, decide
from toolkit.records import Attempt, Candidate, Decision, Grade, Reply

ORDER = ("small", "large", "person")
PERSONS = frozenset({"person"})
MOST_ATTEMPTS = 64
ENDINGS: Mapping[str, float | CallError] = {
    "a good answer": 1.0,
    "a bad answer": 0.0,
    "a middling answer": 0.5,
    "rate_limited": RateLimited("wait", retry_after=1.0),
    "overloaded": Overloaded("busy"),
    "no such key": AccessDenied("no"),
    "no json": InvalidOutput("it does not fit"),
    "too long": ContextOverflow("too long"),
}


class PolicyConformance:
    """Subclass it under a name that pytest collects, and say how the policy is made.

    `several` says that it asks several models on purpose, as a vote does.
    """

    several: ClassVar[bool] = False

    def policy(self) -> Policy:
        """The policy."""
        raise NotImplementedError("say how the policy is made: def policy(self) -> Policy")

    # -------------------------------------------------------------------------------------------------------- the laws
    def test_every_history_has_a_next_move_that_can_be_made(self) -> None:
        """Whoever is tried is in the order and no person; what is accepted is an answer that was given."""
        policy = self.policy()
        for name, facts in _histories():
            self._check(name, facts, policy(facts))
            self._check(name, facts, decide(policy, facts))

    def test_it_comes_to_an_end_whatever_models_do(self) -> None:
        """However often every model ends alike, or as chance will have it, some move ends it."""
        policy = self.policy()
        worlds = [[ending] * MOST_ATTEMPTS for ending in ENDINGS.values()]
        worlds += [random.Random(n).choices(list(ENDINGS.values()), k=MOST_ATTEMPTS) for n in range(50)]
        for world in worlds:
            facts = _facts(())
            for ending in world:
                move = decide(policy, facts)
                if not isinstance(move, Try):
                    break
                made = _attempt(len(facts.attempts) + 1, move.model, ending)
                facts = replace(facts, attempts=(*facts.attempts, made))
            else:
                raise AssertionError(f"{MOST_ATTEMPTS} attempts, and it goes on")

    def test_a_good_answer_is_not_paid_for_twice(self) -> None:
        """An answer of the best grade, from whom was asked first, ends it."""
        if self.several:
            return
        facts = _facts((("small", 1.0),))
        move = decide(self.policy(), facts)
        owed(isinstance(move, Accept), f"the best answer came, and its move is {move!r}")

    def test_a_budget_that_denies_a_model_is_kept(self) -> None:
        """Who is denied is not tried."""
        policy = self.policy()
        for name, facts in _histories():
            move = decide(policy, replace(facts, denied=dict.fromkeys(ORDER, "the budget is reached")))
            owed(not isinstance(move, Try), f"{name}: nobody may be asked, and its move is {move!r}")

    def test_it_is_a_value_without_chance_or_memory(self) -> None:
        """The same facts, the same move, however often; equal to one that is made alike; its label is its call."""
        one, other, dice = self.policy(), self.policy(), random.getstate()
        for name, facts in _histories():
            owed(one(facts) == one(facts) == other(facts), f"{name}: another move the second time")
        owed(random.getstate() == dice, "it draws from `random` itself; take facts.draw")
        owed(one == other, "two that are made alike are not equal; make it a frozen dataclass")
        owed(repr(one) == repr(other), "two that are made alike have different labels")

    # --------------------------------------------------------------------------------------------------------- helpers
    def _check(self, name: str, facts: Facts, move: Move | None) -> None:
        match move:
            case Try(model=model, after=after):
                owed(model in facts.decision.order, f"{name}: tries {model!r}, who is not in the order")
                owed(model not in facts.persons, f"{name}: tries a person; facts.ask(…) leaves it the question")
                owed(math.isfinite(after) and after >= 0, f"{name}: waits {after} seconds")
            case Accept(attempt=attempt):
                owed(attempt in facts.attempts and attempt.ok, f"{name}: accepts what is no answer: {attempt!r:.80}")
            case Park(model=model):
                owed(model in facts.persons, f"{name}: parks the question at {model!r}, who is no person")
            case GiveUp(why=why):
                owed(bool(why.strip()), f"{name}: gives up without a word")


def _histories() -> Iterator[tuple[str, Facts]]:
    """No attempt, one, two and three of them, of every kind."""
    yield "nothing tried", _facts(())
    for many in (1, 2, 3):
        for endings in itertools.product(ENDINGS, repeat=many):
            for models in itertools.product(ORDER[:2], repeat=many):
                told = tuple((model, ENDINGS[ending]) for model, ending in zip(models, endings, strict=True))
                yield ", then ".join(f"{m}: {e}" for m, e in zip(models, endings, strict=True)), _facts(told)


def _facts(told: tuple[tuple[str, float | CallError], ...]) -> Facts:
    attempts = tuple(_attempt(number, model, ending) for number, (model, ending) in enumerate(told, start=1))
    costs = {"small": 0.001, "large": 0.01, "person": None}
    candidates = tuple(Candidate(name, expected_cost_usd=costs[name]) for name in ORDER)
    decision = Decision(ORDER[0], candidates, ORDER, "first", "Ladder()")
    return Facts(
        decision, attempts, persons=PERSONS, now=float(len(attempts)), windows={"small": 8_000, "large": 32_000}
    )


def _attempt(number: int, model: str, ending: float | CallError) -> Attempt:
    failed = isinstance(ending, CallError)
    return Attempt(
        id=f"a{number}", number=number, model=model, why="test", provider_name="test", request_model=model,
        started_at=datetime(2026, 1, 1, tzinfo=UTC), wait_seconds=0.0, service_seconds=0.1,
        reply=None if failed else Reply(parts=(Text("yes"),)), value=None if failed else "yes",
        error=ending if isinstance(ending, CallError) else None, cost_usd=0.001,
        grades=() if isinstance(ending, CallError) else (Grade("test", "score", ending),),
    )  # fmt: skip


def owed(kept: Any, words: str) -> None:
    """Raise an AssertionError in these words where a promise is not kept."""
    if not kept:
        raise AssertionError(words)
