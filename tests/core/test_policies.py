"""What each policy says of the facts, as tables of (attempts so far, next move); and that every policy ends."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from tests.core.core_samples import attempts_at, decision_over
from toolkit import Escalate, Fallback, Hedge, Once, Repair, Retry, Within
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
from toolkit.policies import Accept, Facts, Flight, GiveUp, Move, Park, Policy, Try, Wait, When, decide
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
        case Wait(seconds=seconds):
            return "wait" if seconds is None else f"wait {seconds:g}"
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
    # another model, where an answer is bad
    (Fallback(below=0.3), (("small", 0.2),), "try large"),
    (Fallback(below=0.3), (("small", 0.3),), "accept 1"),
    (Fallback(below=0.3), (("small", None),), "accept 1"),
    (Fallback(below=0.3), (("small", 0.2), ("large", 0.1)), "park person"),
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


def test_a_wait_that_is_longer_than_anybodys_patience_is_left_to_the_next_policy() -> None:
    told_to_wait = facts(("small", RateLimited("429", retry_after=3600.0)))
    assert Retry(2)(told_to_wait) is None
    assert told(decide(Retry(2) | Fallback(), told_to_wait)) == "try large"
    assert told(decide(Retry(2, patience=4000.0), told_to_wait)) == "try small"


def test_a_retry_waits_for_the_models_gate_too() -> None:
    move = Retry(2)(facts(("small", DOWN), gates={"small": 20.0}))
    assert isinstance(move, Try)
    assert move.after == 20.0


@pytest.mark.parametrize(
    ("wait", "ceilings"),
    [
        (tenacity.wait_fixed(3), [3.0, 3.0, 3.0]),
        (tenacity.wait_incrementing(1, 2), [1.0, 3.0, 5.0]),
        (tenacity.wait_fixed(1) + tenacity.wait_exponential(1, max=3), [2.0, 3.0, 4.0]),
        (tenacity.wait_chain(tenacity.wait_none(), tenacity.wait_fixed(9)), [0.0, 9.0, 9.0]),
    ],
)
def test_a_retry_waits_by_a_strategy_of_tenacitys_with_the_loops_own_jitter(wait: Any, ceilings: list[float]) -> None:
    policy = Retry(5, wait=wait)
    moves = [policy(facts(*[("small", DOWN)] * tries, draw=0.5)) for tries in (1, 2, 3)]
    assert [move.after for move in moves if isinstance(move, Try)] == [0.75 * ceiling for ceiling in ceilings]
    assert eval(repr(policy), {"Retry": Retry, **vars(tenacity)}) == policy


def test_a_strategy_that_draws_by_itself_is_refused_as_it_could_not_be_replayed() -> None:
    with pytest.raises(ValueError, match="the jitter is added here"):
        Retry(2, wait=tenacity.wait_random(0, 1))


# ------------------------------------------------------------------------------------------------------ while under way
ONE = (Flight("small", since=1.0),)
TWO = (*ONE, Flight("small", since=3.0))
UNDER_WAY = [
    (Hedge(2), facts(in_flight=ONE, now=1.5), "wait 1.5"),
    (Hedge(2), facts(in_flight=ONE, now=3.0), "try small"),
    (Hedge(2, model="large"), facts(in_flight=ONE, now=3.0), "try large"),
    (Hedge(2), facts(in_flight=(Flight("small"),), now=9.0), "wait 2"),
    (Hedge(2), facts(in_flight=TWO, now=9.0), "wait"),
    (Hedge(2, times=2), facts(in_flight=TWO, now=9.0), "try small"),
    (Hedge(), facts(in_flight=ONE, now=9.0), "wait"),
    (Hedge(), facts(in_flight=ONE, now=9.0, p95_seconds={"small": 4.0}), "try small"),
    (Hedge(2), facts(in_flight=ONE, now=9.0, gates={"small": 5.0}), "wait"),
    (Hedge(2), facts(in_flight=ONE, now=9.0, denied={"small": "no money"}), "wait"),
    (Hedge(2, model="person"), facts(in_flight=ONE, now=9.0), "wait"),
    (Within(seconds=5) | Hedge(2), facts(in_flight=ONE, now=9.0), "wait"),
    (Within(usd=0.0) | Hedge(2), facts(in_flight=ONE, now=9.0), "wait"),
    # an answer that is accepted ends it, an error or a bad answer waits for the other
    (Hedge(2), facts(("small", 0.9), in_flight=ONE), "accept 1"),
    (Hedge(2) | CLIMB, facts(("small", 0.1), in_flight=TWO, now=4.0), "wait"),
    (Retry(2) | Hedge(2), facts(("small", DOWN), in_flight=TWO, now=4.0), "wait"),
    (Retry(2) | Hedge(2), facts(("small", DOWN)), "try small"),
]


@pytest.mark.parametrize(("policy", "known", "move"), UNDER_WAY)
def test_while_attempts_are_under_way_only_a_hedge_makes_another(policy: Policy, known: Facts, move: str) -> None:
    assert told(decide(policy, known)) == move


def test_what_is_under_way_may_take_no_longer_than_the_request() -> None:
    move = decide(Within(seconds=10) | Retry(2), facts(("small", DOWN), now=7.0))
    assert isinstance(move, Try)
    assert move.within == 3.0


# --------------------------------------------------------------------------------------------------------------- gates
def test_a_model_whose_gate_is_shut_is_passed_by_whatever_its_rank() -> None:
    order = decision_over("small", "large", "other", "person")
    assert told(decide(CLIMB, facts(("small", 0.1), decision=order, gates={"large": 9.0}))) == "try other"
    assert told(decide(Fallback(), facts(("small", DENIED), decision=order, gates={"large": 9.0}))) == "try other"
    shut = {"large": 9.0, "other": 9.0}
    assert told(decide(Fallback(), facts(("small", DENIED), decision=order, gates=shut))) == "try large"


def test_nobody_waits_for_a_shut_gate_where_another_model_can_be_asked_now() -> None:
    order = decision_over("small", "large", "person")
    patient, both = Retry(4) | Fallback(), {"small": 20.0, "large": 9.0}
    assert told(decide(patient, facts(("small", DOWN), decision=order, gates={"small": 20.0}))) == "try large"
    assert told(decide(patient, facts(("small", DOWN), decision=order, gates=both))) == "try small"
    tried = facts(("small", DOWN), ("large", DOWN), decision=order, gates=both)
    assert told(decide(patient, tried)) == "try large", "people are dearer than waiting"


def test_a_person_comes_last_wherever_they_stand() -> None:
    order = decision_over("small", "person", "large")
    assert told(decide(CLIMB, facts(("small", 0.1), decision=order))) == "try large"


# ------------------------------------------------------------------------------------------------------------- budgets
DENIED_LARGE = {"large": "the budget is reached"}
MONEY = [
    (CLIMB, facts(("small", 0.1), denied=DENIED_LARGE), "accept 1"),
    (Once(), facts(decision=decision_over("large", "small"), denied=DENIED_LARGE), "try small"),
    (Once(), facts(decision=decision_over("large"), denied=DENIED_LARGE), "give up"),
    (Once(), facts(decision=decision_over("large", "person"), denied=DENIED_LARGE), "give up"),
    (Fallback(), facts(("small", DENIED), denied=DENIED_LARGE), "give up"),
]


@pytest.mark.parametrize(("policy", "known", "move"), MONEY)
def test_in_place_of_a_model_that_no_budget_allows_the_best_answer_is_taken_or_another_model(
    policy: Policy, known: Facts, move: str
) -> None:
    assert told(decide(policy, known)) == move


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
        Retry(1, patience=9.0) | Fallback(below=0.25) | Hedge(1.5, model="large", times=2) | Hedge(),
    ],
)
def test_the_text_of_a_policy_is_the_call_that_builds_it(policy: Policy) -> None:
    built = eval(
        repr(policy), {kind.__name__: kind for kind in (Once, Within, Retry, Repair, Escalate, Fallback, Hedge)}
    )
    assert built == policy


# ------------------------------------------------------------------------------------------------------------ endings
POLICIES = st.one_of(
    st.just(Once()),
    st.builds(Retry, st.integers(0, 3)),
    st.builds(Repair, st.integers(0, 3)),
    st.builds(Escalate, st.floats(0, 1), person_below=st.none() | st.floats(0, 1)),
    st.builds(Fallback, st.none() | st.floats(0, 1)),
    st.builds(Within, usd=st.none() | st.floats(0, 1), seconds=st.none() | st.floats(0, 100)),
)
OUTCOMES = st.one_of(
    st.none(), st.floats(0, 1), st.sampled_from([DOWN, WRONG, DENIED, RateLimited("429", retry_after=1.0)])
)


@pytest.mark.slow
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
