"""Few labels and many grades: intervals that hold the truth whatever the judge is worth, and refusals in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.judges.__main__ import LEAST_COVERED, WIDEST_USELESS, difference_covered, simulated
from evals.judges.worlds import World
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.prediction_powered import corrected_difference, corrected_mean, labels_alone

NONE = float("nan")


def estimate(found: Estimate | Refusal) -> Estimate:
    assert isinstance(found, Estimate)
    return found


@pytest.mark.parametrize("judge", ["good", "useless", "lenient", "perfect"])
@pytest.mark.parametrize(("right", "labels"), [(0.5, 20), (0.9, 20), (0.9, 100)])
def test_intervals_hold_the_truth_whatever_the_judge_is_worth(judge: str, right: float, labels: int) -> None:
    found = simulated(World(right, labels, 500, judge), times=400, seed=1)
    assert found.covered >= LEAST_COVERED - 0.02
    if judge == "useless":
        assert found.width <= WIDEST_USELESS


def test_a_good_judge_makes_the_interval_narrower() -> None:
    assert simulated(World(0.5, 100, 1_000, "good"), times=200).width < 0.75
    assert simulated(World(0.5, 100, 1_000, "perfect"), times=200).width < 0.5


def test_a_judge_that_flatters_one_of_two_models_does_not_bias_their_difference() -> None:
    assert difference_covered(times=400, labels=50) >= LEAST_COVERED - 0.02


def test_a_lenient_judge_is_corrected_downwards() -> None:
    labels, judged = World(0.6, 500, 20_000, "lenient").drawn(np.random.default_rng(3))
    found = estimate(corrected_mean(labels, judged))
    assert float(judged.mean()) > 0.7
    assert found.value == pytest.approx(0.6, abs=0.04)
    assert found.low <= 0.6 <= found.high


def test_a_judge_that_says_the_same_of_all_leaves_the_labels_alone() -> None:
    labels, judged = World(0.7, 40, 400, "constant").drawn(np.random.default_rng(4))
    with_judge, alone = estimate(corrected_mean(labels, judged)), estimate(labels_alone(labels))
    assert (with_judge.value, with_judge.low, with_judge.high) == (alone.value, alone.low, alone.high)
    assert with_judge.note == "the judge adds nothing"


def test_with_every_row_labelled_the_mean_is_that_of_the_labels() -> None:
    labels = np.array([0.0, 1.0] * 10)
    found = estimate(corrected_mean(labels, labels))
    assert found.value == 0.5
    assert found.note == "every row has a label"


@given(st.floats(-3, 3), st.floats(0.01, 100), st.integers(0, 2**32 - 1))
def test_the_judges_scale_and_zero_do_not_matter(shift: float, scale: float, seed: int) -> None:
    labels, judged = World(0.6, 30, 200, "good").drawn(np.random.default_rng(seed))
    here, there = corrected_mean(labels, judged), corrected_mean(labels, shift + scale * judged)
    if isinstance(here, Estimate):
        found = estimate(there)
        assert (found.value, found.low, found.high) == pytest.approx((here.value, here.low, here.high), abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["good", "useless", "lenient"]))
def test_the_interval_holds_its_own_value_and_stays_within_the_bounds(seed: int, judge: str) -> None:
    found = corrected_mean(*World(0.9, 15, 60, judge).drawn(np.random.default_rng(seed)))
    if isinstance(found, Estimate):
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_labelled_rows_that_are_unlike_the_rest_are_told() -> None:
    labels = np.array([0.0, 1.0] * 20 + [NONE] * 400)
    judged = np.array([0.1, 0.3] * 20 + [0.8, 0.9] * 200)
    assert estimate(corrected_mean(labels, judged)).note == (
        "the judge finds the labelled rows unlike the rest: were they picked by chance?"
    )


@pytest.mark.parametrize(
    ("labels", "judged", "told"),
    [
        ([NONE] * 20, [0.5] * 20, "no row has a label of a person; label some, picked by chance"),
        ([], [], "no row has a label of a person; label some, picked by chance"),
        ([0.0, 1.0, 1.0, NONE], [0.5] * 4, "3 rows have a label of a person; at least 10 are needed"),
        ([1.0] * 12 + [NONE], [0.5] * 13, "all 12 labels are 1: label more rows, until they differ"),
        ([0.0, 1.0] * 6, [NONE] + [0.5] * 11, "the judge has no number for 1 of 12 rows; have it judge those too"),
        ([0.0, 1.0] * 6, [np.inf] + [0.5] * 11, "the judge has no number for 1 of 12 rows; have it judge those too"),
        ([0.0, np.inf] * 6, [0.5] * 12, "a label is infinite; labels are numbers within their bounds"),
        ([1.0, 5.0] * 6, [0.5] * 12, "labels go from 1 to 5, and should be within 0 and 1"),
    ],
)
def test_what_gives_no_number_is_told_in_one_sentence(labels: list[float], judged: list[float], told: str) -> None:
    found = corrected_mean(np.array(labels), np.array(judged))
    assert isinstance(found, Refusal)
    assert found.reason == told


def test_two_models_that_people_never_tell_apart_have_no_difference() -> None:
    labels = np.array([0.0, 1.0] * 10)
    found = corrected_difference((labels, labels), (labels, labels))
    assert isinstance(found, Refusal)
    assert found.reason == "all 20 labels are 0: label more rows, until they differ"


def test_labels_and_grades_of_different_rows_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="of the same rows"):
        corrected_mean(np.zeros(3), np.zeros(4))
