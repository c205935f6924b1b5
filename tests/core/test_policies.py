"""What each policy says of the facts, as tables of (attempts so far, next move); and that every policy ends."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.core_samples import attempts_at, decision_over
from toolkit import Escalate, Fallback, Once, Repair, Retry, Within
from toolkit.errors import (
    AccessDenied,
    CallError,
    ContextOverflow,
    InvalidOutput,
    InvalidRequest,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.policies import Accept, Facts, GiveUp, Move, Park, Policy, Try, When, decide
from toolkit.records import Attempt, Decision

LADDER = decision_over("small", "large", "person")
DOWN = Unavailable("refused")
WRONG = InvalidOutput("urgent: field required")
DENIED = AccessDenied("401")


def facts(
    *tried: tuple[str, float | CallError | None], decision: Decision = LADDER, now: float = 0.0, **given: Any
) -> Facts:
    return Facts(decision, attempts_at(*tried), persons=frozenset({"person"}), now=now, **given)


def told(move: Move | None) -> str:
    """A move in a few words, to be compared with a table."""
    match move:
        case Try(model=model, repair=repair):
            return f"try {model}" if repair is None else f"repair {model}"
        case Accept(attempt=attempt):
            return f"accept {attempt.number}"
        case Park(model=model):
            return f"park {model}"
        case GiveUp():
            return "give up"
    return "-"


CLIMB = Escalate(below=0.5)
CAREFUL = Retry(2) | Repair(1) | Escalate(below=0.5) | Fallback()

TABLE = [
    # no policy: the first choice, once
    (Once(), (), "try small"),
    (Once(), (("small", 0.1),), "accept 1"),
    (Once(), (("small", DOWN),), "give up"),
    (Once(), (("small", None), ("large", DOWN)), "accept 1"),
    # the same model again, where the error may pass
    (Retry(2), (("small", DOWN),), "try small"),
    (Retry(2), (("small", DOWN), ("small", DOWN)), "try small"),
    (Retry(2), (("small", DOWN), ("small", DOWN), ("small", DOWN)), "give up"),
    (Retry(2), (("small", RateLimited("429")),), "try small"),
    (Retry(2), (("small", TimedOut("read")),), "try small"),
    (Retry(2), (("small", Overloaded("529")),), "try small"),
    (Retry(2), (("small", DENIED),), "give up"),
    (Retry(2), (("small", InvalidRequest("400")),), "give up"),
    (Retry(2), (("small", ContextOverflow("long")),), "give up"),
    (Retry(0), (("small", DOWN),), "give up"),
    (Retry(1), (("small", DOWN), ("large", DOWN)), "try large"),
    # its own answer shown to it
    (Repair(1), (("small", WRONG),), "repair small"),
    (Repair(1), (("small", WRONG), ("small", WRONG)), "give up"),
    (Repair(2), (("small", WRONG), ("small", WRONG)), "repair small"),
    (Repair(1), (("small", WRONG), ("large", WRONG)), "repair large"),
    (Repair(1), (("small", DOWN),), "give up"),
    # up the ladder, while the quality is low
    (CLIMB, (("small", 0.4),), "try large"),
    (CLIMB, (("small", 0.5),), "accept 1"),
    (CLIMB, (("small", None),), "accept 1"),
    (CLIMB, (("small", DOWN),), "give up"),
    (CLIMB, (("small", 0.4), ("large", 0.3)), "park person"),
    (CLIMB, (("small", 0.4), ("large", 0.9)), "accept 2"),
    (CLIMB, (("small", 0.4), ("large", DOWN)), "accept 1"),
    (CLIMB, (("large", 0.1),), "park person"),
    (Escalate(0.5, person_below=0.3), (("small", 0.1), ("large", 0.4)), "accept 2"),
    (Escalate(0.5, person_below=0.3), (("small", 0.1), ("large", 0.2)), "park person"),
    # another model, where an error stays
    (Fallback(), (("small", DENIED),), "try large"),
    (Fallback(), (("large", DENIED),), "try small"),
    (Fallback(), (("small", DENIED), ("large", DENIED)), "park person"),
    (Fallback(), (("small", 0.0),), "accept 1"),
    # joined: the first opinion wins
    (CAREFUL, (("small", DOWN),), "try small"),
    (CAREFUL, (("small", DOWN),) * 3, "try large"),
    (CAREFUL, (("small", WRONG),), "repair small"),
    (CAREFUL, (("small", WRONG), ("small", WRONG)), "try large"),
    (CAREFUL, (("small", WRONG), ("small", 0.2)), "try large"),
    (CAREFUL, (("small", 0.2), ("large", DENIED)), "park person"),
    (Fallback() | Retry(2), (("small", DOWN),), "try large"),
]


@pytest.mark.parametrize(("policy", "tried", "move"), TABLE)
def test_the_next_move_follows_from_the_attempts_so_far(policy: Policy, tried: Any, move: str) -> None:
    assert told(decide(policy, facts(*tried))) == move


PRICED = decision_over("small", "large", costs={"small": 0.001, "large": 0.05})
UNPRICED = decision_over("small", "large", costs={"small": 0.001, "large": None})
BOUNDED = Within(usd=0.02) | Escalate(below=0.5) | Fallback()

BOUNDS = [
    (BOUNDED, facts(decision=PRICED), "try small"),
    (BOUNDED, facts(("small", 0.4), decision=PRICED, spent_usd=0.001), "accept 1"),
    (Within(usd=0.06) | CLIMB, facts(("small", 0.4), decision=PRICED, spent_usd=0.001), "try large"),
    (BOUNDED, facts(("small", DENIED), decision=PRICED), "give up"),
    (BOUNDED, facts(("small", 0.4), decision=UNPRICED), "accept 1"),
    (Within(usd=0.0001), facts(decision=PRICED), "give up"),
    (Within(usd=0.02), facts(("small", None), decision=PRICED, spent_usd=9.0), "accept 1"),
    (Fallback() | Within(usd=0.02), facts(("small", DENIED), decision=PRICED), "give up"),
    (Within(usd=0.0) | CLIMB, facts(("small", 0.1), ("large", 0.1), spent_usd=1.0), "park person"),
    (Within(seconds=10) | Retry(2), facts(("small", DOWN), now=9.0), "try small"),
    (Within(seconds=10) | Retry(2), facts(("small", DOWN), now=11.0), "give up"),
    (Within(seconds=10) | Retry(2), facts(("small", RateLimited("429", retry_after=20.0)), now=1.0), "give up"),
    (Within(seconds=10) | CLIMB, facts(("small", 0.2), now=11.0), "accept 1"),
]


@pytest.mark.parametrize(("policy", "known", "move"), BOUNDS)
def test_no_attempt_is_made_beyond_a_bound(policy: Policy, known: Facts, move: str) -> None:
    assert told(decide(policy, known)) == move


def test_nobody_to_ask_is_given_up_with_the_routers_reason() -> None:
    nobody = Decision("", (), (), "no model qualifies (small: lacks json)", "Test()")
    assert decide(CAREFUL, Facts(nobody)) == GiveUp("no model qualifies (small: lacks json)")


def test_a_person_as_first_choice_is_left_the_question() -> None:
    assert decide(Once(), facts(decision=decision_over("person"))) == Park("person", "first choice")


def test_of_several_answers_the_best_is_taken_and_of_two_alike_the_later() -> None:
    known = facts(("small", 0.4), ("large", 0.4), decision=decision_over("small", "large"))
    assert told(decide(CLIMB, known)) == "accept 2"
    known = facts(("small", 0.4), ("large", 0.1), decision=decision_over("small", "large"))
    assert told(decide(CLIMB, known)) == "accept 1"


@pytest.mark.parametrize(
    ("tries", "draw", "seconds"), [(1, 0.0, 0.25), (1, 1.0, 0.5), (2, 1.0, 1.0), (3, 0.5, 1.5), (9, 1.0, 30.0)]
)
def test_retries_wait_longer_each_time_with_half_of_it_by_chance(tries: int, draw: float, seconds: float) -> None:
    move = Retry(20)(facts(*[("small", DOWN)] * tries, draw=draw))
    assert isinstance(move, Try)
    assert move.after == pytest.approx(seconds)


def test_a_retry_waits_as_long_as_the_provider_asks() -> None:
    move = Retry(2)(facts(("small", RateLimited("429", retry_after=7.0))))
    assert isinstance(move, Try)
    assert move.after == 7.0


def test_a_function_of_the_facts_is_a_policy() -> None:
    policy = When(lambda known: GiveUp("enough") if len(known.attempts) > 1 else None, "two at most") | Retry(9)
    assert told(decide(policy, facts(("small", DOWN)))) == "try small"
    assert told(decide(policy, facts(("small", DOWN), ("small", DOWN)))) == "give up"


@pytest.mark.parametrize(
    "policy",
    [
        Once(),
        CAREFUL,
        Within(usd=0.02, seconds=3) | Retry(1, base=0.1, longest=5.0),
        Within(usd=0.021234567) | Escalate(below=0.123456789, person_below=0.1),
        Repair(3) | (Retry(1) | Fallback()),
    ],
)
def test_the_text_of_a_policy_is_the_call_that_builds_it(policy: Policy) -> None:
    built = eval(repr(policy), {kind.__name__: kind for kind in (Once, Within, Retry, Repair, Escalate, Fallback)})
    assert built == policy


# ------------------------------------------------------------------------------------------------------------ endings
POLICIES = st.one_of(
    st.just(Once()),
    st.builds(Retry, st.integers(0, 3)),
    st.builds(Repair, st.integers(0, 3)),
    st.builds(Escalate, st.floats(0, 1), person_below=st.none() | st.floats(0, 1)),
    st.just(Fallback()),
    st.builds(Within, usd=st.none() | st.floats(0, 1), seconds=st.none() | st.floats(0, 100)),
)
OUTCOMES = st.one_of(
    st.none(), st.floats(0, 1), st.sampled_from([DOWN, WRONG, DENIED, RateLimited("429", retry_after=1.0)])
)


@given(
    st.lists(POLICIES, min_size=1, max_size=6),
    st.permutations(["small", "large", "other", "person"]),
    st.lists(OUTCOMES, min_size=64, max_size=64),
)
def test_every_policy_ends_whatever_the_models_do(
    parts: list[Policy], order: list[str], outcomes: list[float | CallError | None]
) -> None:
    policy, decision = reduce(or_, parts), decision_over(*order)
    attempts: tuple[Attempt, ...] = ()
    for outcome in outcomes:
        known = Facts(decision, attempts, persons=frozenset({"person"}), now=float(len(attempts)))
        move = decide(policy, known)
        if not isinstance(move, Try):
            return
        assert move.model in order
        assert move.after >= 0
        tried = [*((a.model, a.error or a.quality) for a in attempts), (move.model, outcome)]
        attempts = attempts_at(*tried)
    pytest.fail(f"{policy!r} made 64 attempts")
