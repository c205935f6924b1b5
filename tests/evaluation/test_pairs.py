"""Paired comparisons: exact cases, laws, and intervals and tests that keep their promise in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.pairs import (
    Difference,
    Floats,
    corrected,
    frontier,
    paired,
    rows_needed,
    sentence,
    verdict,
)


def right_or_wrong(both: int, first: int, second: int, none: int) -> tuple[Floats, Floats]:
    one = [1.0] * both + [1.0] * first + [0.0] * second + [0.0] * none
    two = [1.0] * both + [0.0] * first + [1.0] * second + [0.0] * none
    return np.array(one), np.array(two)


def told(found: Difference | Refusal) -> Difference:
    assert isinstance(found, Difference), str(found)
    return found


def test_mcnemars_test_is_exact() -> None:
    found = told(paired(*right_or_wrong(50, 9, 1, 40)))
    assert found.test == "McNemar, exact"
    assert found.value == pytest.approx(0.08)
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)


def test_the_interval_is_that_of_agresti_and_min() -> None:
    found = told(paired(*right_or_wrong(50, 9, 1, 40)))
    centre, error = 8 / 102, np.sqrt((11 - 64 / 102) / 102**2)
    assert found.low == pytest.approx(centre - 1.96 * error, abs=0.004)
    assert found.high == pytest.approx(centre + 1.96 * error, abs=0.004)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=10, max_size=60))
def test_the_other_way_round_is_the_same_difference_with_its_sign_turned(scores: list[tuple[float, float]]) -> None:
    one, two = np.array(scores).T
    there, back = told(paired(one, two)), told(paired(two, one))
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
    assert back.p_value == pytest.approx(there.p_value)
    assert there.low <= there.value <= there.high


def test_rows_that_one_did_not_answer_are_left_out() -> None:
    one, two = right_or_wrong(20, 5, 5, 20)
    gap = np.full(7, np.nan)
    assert told(paired(np.append(one, gap), np.append(two, gap + 1))).n == 50


@pytest.mark.parametrize(
    ("rows", "clusters", "words"),
    [(9, None, "9 rows; at least 10"), (0, None, "0 rows"), (40, np.arange(40) % 4, "form 4 clusters")],
)
def test_too_little_to_compare_is_refused(rows: int, clusters: np.ndarray | None, words: str) -> None:
    found = paired(np.ones(rows), np.zeros(rows), clusters=clusters)
    assert isinstance(found, Refusal)
    assert words in found.reason


def test_scores_of_different_rows_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="row by row"):
        paired(np.ones(10), np.ones(11))


def test_equal_answers_are_not_told_apart_and_not_taken_for_certain() -> None:
    found = told(paired(*right_or_wrong(30, 0, 0, 10)))
    assert (found.value, found.p_value) == (0.0, 1.0)
    assert found.low < 0 < found.high
    assert verdict(found) == "not told apart"
    assert rows_needed(found) is None


def test_copies_of_rows_in_one_cluster_add_no_certainty() -> None:
    one, two = right_or_wrong(30, 12, 4, 14)
    copies = [np.repeat(each, 10) for each in (one, two)]
    alone = told(paired(one, two, clusters=np.arange(60)))
    many = told(paired(copies[0], copies[1], clusters=np.repeat(np.arange(60), 10)))
    assert (many.low, many.high, many.p_value) == pytest.approx((alone.low, alone.high, alone.p_value))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_correction_never_makes_a_p_value_smaller_and_keeps_their_order(p_values: list[float]) -> None:
    made = {str(i): Difference(0.1, 0.0, 0.2, p, n=50, groups=50, spread=0.5, test="") for i, p in enumerate(p_values)}
    found = corrected(made)
    assert all(found[name].settled >= made[name].p_value for name in made)
    ranked = sorted(made, key=lambda name: made[name].p_value)
    assert [found[name].settled for name in ranked] == sorted(found[name].settled for name in made)
    assert found[ranked[0]].settled == pytest.approx(min(1.0, len(made) * made[ranked[0]].p_value))


@pytest.mark.parametrize(
    ("counts", "margin", "said"),
    [
        ((100, 40, 10, 50), None, "a is better than b"),
        ((100, 10, 40, 50), None, "a is worse than b"),
        ((100, 12, 10, 50), None, "cannot be told apart"),
        ((900, 12, 10, 50), 0.05, "a is no worse than b by more than 0.05"),
    ],
)
def test_the_sentence_says_no_more_than_the_numbers(
    counts: tuple[int, int, int, int], margin: float | None, said: str
) -> None:
    assert said in sentence(told(paired(*right_or_wrong(*counts))), first="a", second="b", margin=margin)


def test_the_rows_needed_do_tell_the_difference_most_of_the_time() -> None:
    rng = np.random.default_rng(3)
    pilot = told(paired(*right_or_wrong(60, 14, 10, 36)))
    n = rows_needed(pilot, effect=0.1)
    assert n is not None
    won = 0
    for _ in range(400):
        draw = rng.random(n)
        one, two = np.where(draw < 0.17, 1.0, 0.0), np.where((draw >= 0.17) & (draw < 0.24), 1.0, 0.0)
        won += verdict(told(paired(one, two))) == "better"
    assert 0.7 < won / 400 < 0.95


def test_the_frontier_holds_what_none_other_beats() -> None:
    assert frontier([1, 2, 3, 4, 4], [0.5, 0.4, 0.7, 0.7, 0.9]) == [0, 2, 4]
    assert frontier([], []) == []


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 40, 300])
@pytest.mark.parametrize(("first", "second"), [(0.1, 0.1), (0.02, 0.01), (0.3, 0.1), (0.0, 0.0)])
def test_intervals_of_rare_differences_hold_the_truth(n: int, first: float, second: float) -> None:
    rng = np.random.default_rng(5)
    held = wrong = 0
    for _ in range(1_000):
        draw = rng.random(n)
        one, two = np.where(draw < first, 1.0, 0.0), np.where((draw >= first) & (draw < first + second), 1.0, 0.0)
        found = told(paired(one, two))
        held += found.low <= first - second <= found.high
        wrong += found.p_value < 0.05
    assert held >= 930
    if first == second:
        assert wrong <= 70


def test_intervals_of_clustered_scores_hold_the_truth() -> None:
    rng = np.random.default_rng(6)
    clusters = np.repeat(np.arange(40), 8)
    held = 0
    for _ in range(600):
        shared = rng.normal(0, 0.15, size=40)[clusters]
        one = 0.55 + shared + rng.normal(0, 0.1, size=320)
        two = 0.50 + rng.normal(0, 0.1, size=320)
        found = told(paired(one, two, clusters=clusters))
        held += found.low <= 0.05 <= found.high
    assert 0.93 <= held / 600 <= 0.985


# ------------------------------------------------------------------------------------------- clusters of unequal size
SIZES = {
    "alike": [10] * 30,
    "some larger": [40] * 3 + [10] * 18,
    "as of a power law": [max(120 // n, 2) for n in range(1, 31)],
}


@pytest.mark.slow
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_clusters_of_unequal_size_tell_no_difference_where_there_is_none(sizes: list[int]) -> None:
    rng, wrong, covered = np.random.default_rng(5), 0, 0
    group = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(400):
        effect = rng.normal(0, 0.3, len(sizes))[group] + rng.normal(0, 0.3, len(group))
        found = paired(0.5 + effect, np.full(len(group), 0.5), clusters=group, bounds=(-2, 3))
        assert isinstance(found, Difference), found
        wrong += found.p_value < 0.05
        covered += found.low <= 0 <= found.high
    assert wrong <= 0.075 * 400 and covered >= 0.925 * 400, (wrong, covered)


def test_a_cluster_that_holds_most_rows_is_refused() -> None:
    group = np.repeat(np.arange(21), [200] + [5] * 20)
    first = np.random.default_rng(0).random(len(group))
    found = paired(first, np.full(len(group), 0.5), clusters=group)
    assert isinstance(found, Refusal) and "the largest holds 67 %" in found.reason


def test_what_differs_by_rounding_alone_does_not_differ() -> None:
    found = paired(np.full(100, 0.1 + 0.2), np.full(100, 0.3))
    assert isinstance(found, Difference) and (found.value, verdict(found)) == (0, "not told apart")


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the level lies between 0 and 1, as 0\.95 does, not 95"):
        paired(np.ones(20), np.zeros(20), level=95)
