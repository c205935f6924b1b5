"""Agreement against worked tables of the literature, simulations, and input that gives no number."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.judges.__main__ import agreement_covered
from toolkit.evaluation.agreement import ac1, agreement, alpha, bias, by_segment, kappa, observed
from toolkit.evaluation.estimates import Estimate, Refusal

NAN = math.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
"""The example of four observers and twelve units in Krippendorff (2011)."""


def value(found: Estimate | Refusal) -> float:
    assert isinstance(found, Estimate), found
    return found.value


def test_alpha_of_krippendorffs_own_example() -> None:
    assert value(alpha(KRIPPENDORFF)) == pytest.approx(0.743, abs=5e-4)
    assert value(alpha(KRIPPENDORFF, scale="numbers")) == pytest.approx(0.849, abs=5e-4)


def test_kappa_and_ac1_of_a_table_reckoned_by_hand() -> None:
    counted = np.array([[20, 5], [10, 15]])
    assert value(observed(counted)) == pytest.approx(0.7)
    assert value(kappa(counted)) == pytest.approx((0.7 - 0.5) / 0.5)
    mean = 0.55
    chance = 2 * mean * (1 - mean)
    assert value(ac1(counted)) == pytest.approx((0.7 - chance) / (1 - chance))


def test_one_frequent_label_hurts_kappa_and_not_ac1() -> None:
    counted = np.array([[118, 5], [2, 0]])
    assert value(kappa(counted)) < 0
    assert value(ac1(counted)) > 0.9


def test_near_misses_count_in_part_where_labels_are_numbers() -> None:
    counted = np.array([[10, 5, 0], [5, 10, 5], [0, 5, 10]])
    plain, linear, quadratic = (value(kappa(counted, weights=w)) for w in ("none", "linear", "quadratic"))
    assert plain < linear < quadratic


def test_agreement_of_marks_has_everything() -> None:
    people = [1, 2, 3, 4, 5] * 8
    judge = [min(mark + (n % 2), 5) for n, mark in enumerate(people)]
    found = agreement(judge, people)
    assert found.n == 40
    assert found.labels == ("1", "2", "3", "4", "5")
    assert sum(map(sum, found.confusion)) == 40
    assert found.confusion[1][0] == 4
    assert isinstance(found.bias, Estimate)
    assert found.bias.value == pytest.approx(0.4)
    assert 0 < found.bias.low < 0.4 < found.bias.high
    assert "kappa 0." in str(found)


def test_words_have_no_bias_and_rows_without_both_grades_do_not_count() -> None:
    found = agreement(["a", "b", None, "a"] * 5, ["a", "b", "b", None] * 5)
    assert (found.n, found.labels, found.bias) == (10, ("a", "b"), None)
    assert value(found.kappa) == 1.0


def test_perfect_agreement_on_few_rows_is_no_certainty() -> None:
    found = agreement([0, 1] * 10, [0, 1] * 10)
    for each in (found.agreed, found.kappa, found.alpha, found.ac1):
        assert isinstance(each, Estimate)
        assert each.value == pytest.approx(1.0)
        assert 0.5 < each.low < 0.9


def test_a_judge_is_told_apart_by_segment() -> None:
    people = [0, 1] * 20
    judge = people[:20] + [1 - each for each in people[20:]]
    found = by_segment(judge, people, ["en"] * 20 + ["de"] * 20)
    assert value(found["en"].kappa) == 1.0
    assert value(found["de"].kappa) == -1.0


@pytest.mark.parametrize("right", [0.5, 0.9])
def test_intervals_hold_the_value_in_the_limit(right: float) -> None:
    for name, held in agreement_covered(times=400, rows=100, right=right).items():
        assert held >= 0.9, name


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=10, max_size=60))
def test_who_is_first_does_not_matter_and_intervals_hold_their_value(pairs: list[tuple[int, int]]) -> None:
    one = agreement([a for a, _ in pairs], [b for _, b in pairs])
    other = agreement([b for _, b in pairs], [a for a, _ in pairs])
    for here, there in ((one.kappa, other.kappa), (one.alpha, other.alpha), (one.ac1, other.ac1)):
        assert isinstance(here, Refusal) == isinstance(there, Refusal)
        if isinstance(here, Estimate) and isinstance(there, Estimate):
            assert here.value == pytest.approx(there.value)
            assert here.low - 1e-9 <= here.value <= here.high + 1e-9
            assert math.isfinite(here.low + here.high)


def test_too_few_rows_one_label_and_infinite_grades_give_a_sentence_and_no_number() -> None:
    few = agreement([1, 0, 1], [1, 1, 0])
    told = "judge and people both graded 3 rows; at least 10 are needed"
    assert [
        each.reason for each in (few.agreed, few.kappa, few.alpha, few.ac1, few.bias) if isinstance(each, Refusal)
    ] == [told] * 5
    none = agreement([None] * 20, [1] * 20)
    assert isinstance(none.kappa, Refusal)
    assert none.kappa.reason == "judge and people both graded no rows; at least 10 are needed"
    assert isinstance(kappa(np.array([[20, 0], [0, 0]])), Refusal)
    same = agreement([1] * 20, [1] * 20)
    for each in (same.kappa, same.alpha, same.ac1):
        assert isinstance(each, Refusal)
        assert each.reason.startswith("all grades are the same")
    assert isinstance(bias(np.array([np.inf] * 12), np.zeros(12)), Refusal)
    with pytest.raises(ValueError, match="infinite"):
        agreement([math.inf] * 12, [1.0] * 12)
    with pytest.raises(ValueError, match="paired row by row"):
        agreement([1], [1, 2])


# ------------------------------------------------------------------------------------------------------ types of grades
@pytest.mark.parametrize(
    ("judge", "people"),
    [
        ([1, 0] * 20 + ["unsure"], [1.0, 0.0] * 20 + ["unsure"]),
        (np.array([True, False] * 20), [1, 0] * 20),
        ([Decimal(1)] * 10 + [Decimal(0)] * 10, [1.0] * 10 + [0.0] * 10),
        ([1, 0] * 20 + [pd.NA], [1.0, 0.0] * 20 + [1]),
        (np.array([1, 0, np.nan] * 20, dtype=np.float32), [1, 0, 1] * 20),
    ],
)
def test_the_same_grade_is_the_same_whatever_type_it_has(judge: Any, people: Any) -> None:
    found = agreement(judge, people).agreed
    assert isinstance(found, Estimate) and found.value == 1


def test_the_level_is_that_of_all_measures() -> None:
    found = agreement([1, 0, 1, 1] * 10, [1, 0, 0, 1] * 10, level=0.8)
    for each in (found.agreed, found.kappa, found.alpha, found.ac1, found.bias):
        assert isinstance(each, Estimate) and each.level == 0.8
