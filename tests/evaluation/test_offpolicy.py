"""Counterfactual estimates: laws that always hold, refusals, and a small share of the simulated worlds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.counterfactual.__main__ import in_world, report
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.offpolicy import Floats, Logged, Method, difference, estimate

METHODS: tuple[Method, ...] = ("dm", "ips", "snips", "clipped", "dr")
every_method = pytest.mark.parametrize("method", METHODS)


def history(n: int = 400, *, seed: int = 1, rate: float = 0.3, k: int = 3) -> Logged:
    """An exploring history in which model 0 is right half of the time, model 1 a little, model 2 nearly always."""
    rng = np.random.default_rng(seed)
    probabilities = np.full((n, k), rate / k)
    probabilities[:, 0] += 1 - rate
    choice = (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    reward = (rng.random(n) < np.array([0.5, 0.2, 0.9])[choice]).astype(float)
    return Logged(choice, reward, probabilities, rng.normal(size=(n, 2)))


def always(model: int, logged: Logged) -> Floats:
    target: Floats = np.tile(np.eye(logged.probabilities.shape[1])[model], (logged.n, 1))
    return target


def answered(found: Estimate | Refusal) -> Estimate:
    assert isinstance(found, Estimate), str(found)
    return found


def reason(found: Estimate | Refusal) -> str:
    assert isinstance(found, Refusal), str(found)
    return found.reason


@pytest.mark.parametrize("method", ["ips", "snips", "clipped", "dr"])
def test_the_router_that_ran_is_worth_what_it_earned(method: Method) -> None:
    logged = history()
    found = answered(estimate(logged, logged.probabilities, method))
    assert found.value == pytest.approx(logged.reward.mean(), abs=0.03)
    assert found.low <= logged.reward.mean() <= found.high
    assert found.effective_n == pytest.approx(logged.n)


@every_method
def test_the_interval_holds_the_truth_in_an_easy_world(method: Method) -> None:
    found = answered(estimate(history(20_000), always(2, history(20_000)), method))
    assert found.low <= 0.9 <= found.high
    assert found.width < 0.2


@every_method
@given(seed=st.integers(0, 10_000), n=st.integers(60, 300), rate=st.floats(0.2, 1.0))
@settings(max_examples=30, deadline=None)
def test_an_estimate_lies_in_its_interval_and_both_within_the_bounds(
    method: Method, seed: int, n: int, rate: float
) -> None:
    logged = history(n, seed=seed, rate=rate)
    found = estimate(logged, always(seed % 3, logged), method)
    if isinstance(found, Estimate):
        assert 0 <= found.low <= found.value <= found.high <= 1


@every_method
def test_twice_the_same_history_gives_the_same_estimate(method: Method) -> None:
    assert estimate(history(), always(1, history()), method) == estimate(history(), always(1, history()), method)


def test_models_may_be_named_in_any_order() -> None:
    logged, turn = history(), np.array([2, 0, 1])
    turned = Logged(np.argsort(turn)[logged.choice], logged.reward, logged.probabilities[:, turn], logged.features)
    found, other = estimate(logged, always(2, logged)), estimate(turned, always(2, logged)[:, turn])
    assert answered(found).value == pytest.approx(answered(other).value)
    assert answered(found).width == pytest.approx(answered(other).width)


def test_a_difference_is_surer_than_two_estimates() -> None:
    logged = history(3_000)
    better, worse = always(2, logged), 0.5 * always(2, logged) + 0.5 * always(0, logged)
    found = answered(difference(logged, better, worse))
    assert found.low <= 0.2 <= found.high
    assert found.width < answered(estimate(logged, better)).width
    assert answered(difference(logged, better, better)).value == 0


def test_rows_of_one_cluster_count_once() -> None:
    logged = history(200)
    copies = 10
    many = Logged(
        np.repeat(logged.choice, copies),
        np.repeat(logged.reward, copies),
        np.repeat(logged.probabilities, copies, axis=0),
        clusters=np.repeat(np.arange(200), copies),
    )
    alone = answered(estimate(Logged(logged.choice, logged.reward, logged.probabilities), always(2, logged), "snips"))
    together = answered(estimate(many, always(2, many), "snips"))
    assert together.value == pytest.approx(alone.value)
    assert together.n == alone.n == 200
    assert together.standard_error > 0.8 * alone.standard_error


# ---------------------------------------------------------------------------------------------------------- refusals
@every_method
def test_a_past_without_chance_cannot_tell(method: Method) -> None:
    past = always(0, history())
    logged = Logged(np.zeros(400, dtype=np.int64), history().reward, past)
    assert "left nothing to chance" in reason(estimate(logged, always(1, logged), method))


@every_method
def test_a_target_that_was_never_possible_cannot_be_told(method: Method) -> None:
    logged = history()
    never = np.column_stack([logged.probabilities, np.zeros(logged.n)])
    wider = Logged(logged.choice, logged.reward, never)
    assert "100 % of the target's choices were never possible" in reason(estimate(wider, always(3, wider), method))


def test_a_little_that_was_never_possible_widens_the_interval_by_as_much() -> None:
    logged = history(2_000)
    wider = Logged(
        logged.choice, logged.reward, np.column_stack([logged.probabilities, np.zeros(logged.n)]), logged.features
    )
    target = 0.96 * always(2, wider) + 0.04 * always(3, wider)
    found = answered(estimate(wider, target))
    assert found.uncovered == pytest.approx(0.04)
    assert found.low <= 0.96 * 0.9 and found.high >= min(0.96 * 0.9 + 0.04, 1)


def test_too_few_rows_and_too_little_left_over_are_refused() -> None:
    assert "10 rows are too few" in reason(estimate(history(10), always(0, history(10))))
    assert "the weights leave" in reason(estimate(history(100, rate=0.02), always(2, history(100, rate=0.02))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reward": np.array([1.0, np.nan])}, "NaN"),
        ({"probabilities": np.array([[0.0, 1.0], [0.5, 0.5]])}, "probability 0"),
        ({"choice": np.array([0])}, "one row for each request"),
    ],
)
def test_a_history_that_cannot_be_is_refused_at_once(change: dict[str, np.ndarray], words: str) -> None:
    known: dict[str, Any] = {
        "choice": np.array([0, 1]),
        "reward": np.array([1.0, 0.0]),
        "probabilities": np.full((2, 2), 0.5),
    }
    with pytest.raises(ValueError, match=words):
        Logged(**known | change)


def test_constant_rewards_still_leave_room_for_doubt() -> None:
    logged = history(300)
    logged = Logged(logged.choice, np.ones(300), logged.probabilities)
    found = answered(estimate(logged, always(2, logged)))
    assert found.value == pytest.approx(1.0)
    assert found.low < 1.0


# -------------------------------------------------------------------------------------------------------- simulation
@pytest.mark.slow
def test_intervals_hold_the_truth_in_a_hundred_worlds() -> None:
    results = [result for number in range(100) for result in in_world(number, 7)]
    _, faults = report(results, worlds=100, seed=7, seconds=0.0, cells=False)
    assert faults == []
