"""Published measures: cases reckoned by hand, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolkit.evaluation.routing_metrics import aiq, apgr, arena_score, bootstrapped, cpt, recovered, saving
from toolkit.routing.frontier import Floats, Frontier

WEAK = np.array([1.0, 0.0, 0.0, 1.0])
STRONG = np.array([1.0, 1.0, 1.0, 1.0])
SCORE = np.array([0.1, 0.9, 0.8, 0.2])

pairs = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=4, max_size=60)


def test_two_useful_calls_of_four_first_recover_all_at_half() -> None:
    x, level = recovered(SCORE, WEAK, STRONG)
    assert x.tolist() == [0, 0.25, 0.5, 0.75, 1] and level.tolist() == [0, 0.5, 1, 1, 1]


def test_the_area_of_that_curve() -> None:
    assert apgr(SCORE, WEAK, STRONG) == pytest.approx(0.25 * (0.25 + 0.75 + 1 + 1))


def test_a_constant_score_is_a_random_router() -> None:
    assert apgr(np.zeros(4), WEAK, STRONG) == pytest.approx(0.5)


def test_calls_needed_for_half_and_four_fifths_of_the_gap() -> None:
    assert cpt(SCORE, WEAK, STRONG, 0.5) == pytest.approx(0.25)
    assert cpt(SCORE, WEAK, STRONG, 0.8) == pytest.approx(0.4)


def test_where_the_strong_model_is_no_better_there_is_no_number() -> None:
    assert math.isnan(apgr(SCORE, STRONG, WEAK)) and math.isnan(cpt(SCORE, STRONG, WEAK, 0.5))


def test_a_cascade_that_pays_for_the_weak_answer_recovers_less() -> None:
    assert apgr(SCORE, WEAK, STRONG, surcharge=0.5) < apgr(SCORE, WEAK, STRONG)


@given(pairs)
def test_a_score_and_its_opposite_share_the_unit_square(rows: list[tuple[float, bool, bool]]) -> None:
    score, weak, strong = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    assume(strong.sum() > weak.sum())
    assert apgr(score, weak, strong) + apgr(-score, weak, strong) == pytest.approx(1.0)


@given(pairs)
def test_only_the_order_of_scores_counts(rows: list[tuple[float, bool, bool]]) -> None:
    score, weak, strong = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    score = np.round(score, 3)
    assume(strong.sum() > weak.sum())
    assert apgr(3 * score + 1, weak, strong) == pytest.approx(apgr(score, weak, strong))


@given(pairs)
def test_weights_are_repetitions(rows: list[tuple[float, bool, bool]]) -> None:
    score, weak, strong = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    times = np.arange(len(rows)) % 3
    assume((times * (strong - weak)).sum() > 0)
    again = [np.repeat(column, times) for column in (score, weak, strong)]
    assert apgr(score, weak, strong, times.astype(np.float64)) == pytest.approx(apgr(*again))


def test_aiq_of_one_model_is_its_quality() -> None:
    assert aiq(np.array([1.0]), np.array([0.7]), low=1, high=10) == pytest.approx(0.7)


def test_saving_is_what_the_hull_pays_less_than_the_best_single_model() -> None:
    single = Frontier.of(np.array([1.0, 10.0]), np.array([0.5, 0.8]))
    router = Frontier.of(np.array([1.0, 4.0]), np.array([0.5, 0.8]))
    assert saving(router, single, 1.0) == pytest.approx(0.6)
    assert math.isnan(saving(Frontier.of(np.array([1.0]), np.array([0.5])), single, 1.0))


def test_the_arena_score_at_its_ends() -> None:
    assert arena_score(0.8, 0.0044) == pytest.approx(1.1 * 0.8 / (0.1 * 0.8 + 1))
    assert arena_score(0.8, 200.0) == 0.0


def test_the_arena_score_in_the_middle_of_the_log_scale() -> None:
    middle = math.sqrt(200 * 0.0044)
    assert arena_score(0.6, middle) == pytest.approx(1.1 * 0.6 * 0.5 / (0.06 + 0.5))


def test_an_arena_score_of_no_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="cost above 0"):
        arena_score(0.5, 0.0)


def test_intervals_of_one_seed_are_paired() -> None:
    values = np.random.default_rng(0).random(200)

    def mean(weights: Floats | None) -> float:
        return float(values.mean() if weights is None else weights @ values / weights.sum())

    first, again = (bootstrapped(mean, 200, replicates=50) for _ in range(2))
    assert first == again and first.low < first.value < first.high
