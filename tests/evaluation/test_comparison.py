"""Comparisons of arrays: laws, what is refused, and promises kept in simulations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.comparison import Comparison, compared
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.pairs import Difference, Floats, more_rows, rows_needed, verdict
from toolkit.evaluation.scored import Scored

_X = (np.arange(10_000) + 0.5) / 10_000
MEAN_GAIN = float((np.minimum(_X + 0.3, 1) - _X) @ (6 * _X * (1 - _X)) / 10_000)
"""What a gain of 0.3, cut off at 1, is on average for a grade drawn from beta(2, 2)."""


def told(found: Comparison, contender: str = "b") -> Difference:
    result = found.of(contender)
    assert isinstance(result, Difference), str(result)
    return result


def scored(*columns: Floats | list[float], **more: object) -> Scored:
    names = tuple("abcdefgh"[: len(columns)])
    return Scored(names, np.column_stack([np.asarray(c, dtype=float) for c in columns]), **more)  # type: ignore[arg-type]


def draws(rng: np.random.Generator, n: int, *means: float) -> list[Floats]:
    """Right or wrong, by rows that are harder for all alike."""
    hard = rng.beta(2, 2, size=n)
    return [(rng.random(n) < np.clip(mean + hard - 0.5, 0, 1)).astype(float) for mean in means]


# --------------------------------------------------------------------------------------------------------------- laws
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=12, max_size=60), st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[bool, bool]], seed: int) -> None:
    table = np.array(rows, dtype=float)
    mixed = np.random.default_rng(seed).permutation(table)
    one, two = (compared(scored(*t.T), replicates=2).of("b") for t in (table, mixed))
    if isinstance(one, Difference) and isinstance(two, Difference):
        assert (one.value, one.low, one.high, one.p_value) == pytest.approx((two.value, two.low, two.high, two.p_value))
    else:
        assert type(one) is type(two)


@given(st.integers(0, 200))
def test_the_sentence_claims_better_or_worse_only_where_interval_and_corrected_test_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = compared(scored(*draws(rng, 40, 0.5, 0.5, 0.75)), replicates=2)
    for name in ("b", "c"):
        result, said = told(found, name), found.sentence
        claimed = f"{name} is better" in said or f"{name} is worse" in said
        assert claimed == (result.settled < 0.05 and (result.low > 0 or result.high < 0))


def test_the_bootstrap_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(2)
    row = compared(scored(*draws(rng, 2_000, 0.5, 0.6))).frame().iloc[0]
    assert row.bootstrap_low == pytest.approx(row.low, abs=0.004)
    assert row.bootstrap_high == pytest.approx(row.high, abs=0.004)


def test_the_frontier_leaves_out_whoever_is_dearer_and_no_better() -> None:
    rng = np.random.default_rng(3)
    good = draws(rng, 500, 0.5, 0.8, 0.6)
    cost = np.tile([1.0, 2.0, 3.0], (500, 1))
    points = {p.contender: p for p in compared(scored(*good, cost=cost)).points}
    assert [points[name].on_frontier for name in "abc"] == [True, True, False]
    assert points["c"].frontier_share < 0.01 < 0.99 < points["b"].frontier_share
    assert points["b"].quality_low < points["b"].quality < points["b"].quality_high


def test_rows_of_no_grade_on_either_side_are_left_out_and_those_of_one_side_are_refused() -> None:
    rng = np.random.default_rng(4)
    a, b = draws(rng, 100, 0.5, 0.6)
    a[:30] = b[:30] = np.nan
    assert told(compared(scored(a, b))).n == 70
    b[30:40] = np.nan
    result = compared(scored(a, b)).of("b")
    assert isinstance(result, Refusal)
    assert "10 of 70 rows have a quality of one of the two alone, most not of b" in result.reason


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_constant_scores_have_no_number(score: float) -> None:
    result = compared(scored(np.full(50, score), np.full(50, score))).of("b")
    assert isinstance(result, Refusal)
    assert "tells nothing apart" in result.reason


def test_one_contender_is_told_to_be_alone() -> None:
    assert compared(scored(np.ones(20))).sentence == "There is only a: nothing to compare it with."


@pytest.mark.parametrize(
    ("columns", "more", "words"),
    [
        (([1.0, np.inf], [1.0, 0.0]), {}, "infinite"),
        (([1.0, 0.0], [1.0, 0.0]), {"cost": np.ones((2, 3))}, "cost has shape"),
        (([1.0, 0.0], [1.0, 0.0]), {"clusters": np.zeros(3)}, "clusters has 3 rows"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_at_once(columns: tuple[Floats, ...], more: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=words):
        scored(*columns, **more)


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 up"):
        compared(scored(np.ones(20), np.zeros(20)), margin=-0.1)


# -------------------------------------------------------------------------------------------------------- simulations
@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 15, 30, 100])
@pytest.mark.parametrize("shape", ["even", "skewed", "rare"])
def test_intervals_of_graded_scores_hold_the_truth_in_small_tables(n: int, shape: str) -> None:
    rng = np.random.default_rng([7, n, len(shape)])
    held, trials = 0, 1_000
    for _ in range(trials):
        if shape == "even":
            a, b, true = rng.beta(2, 2, n), rng.beta(3, 2, n), 0.6 - 0.5
        elif shape == "skewed":
            a, b, true = rng.beta(5, 1, n), rng.beta(8, 1, n), 8 / 9 - 5 / 6
        else:
            a = rng.beta(2, 2, n)
            b, true = np.where(rng.random(n) < 0.1, np.minimum(a + 0.3, 1), a), 0.1 * MEAN_GAIN
        result = compared(scored(a, b), replicates=2).of("b")
        held += isinstance(result, Difference) and result.low <= true <= result.high
    assert held / trials >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "size"), [(10, 3), (20, 8), (40, 2)])
def test_intervals_of_clustered_answers_hold_the_truth(groups: int, size: int) -> None:
    rng = np.random.default_rng([8, groups])
    clusters = np.repeat(np.arange(groups), size)
    held, trials = 0, 1_000
    for _ in range(trials):
        lift = rng.uniform(-0.4, 0.6, groups)[clusters]  # what the second is better by, shared within a cluster
        a = (rng.random(len(clusters)) < 0.4).astype(float)
        b = (rng.random(len(clusters)) < np.clip(0.4 + lift, 0, 1)).astype(float)
        held += _holds(compared(scored(a, b, clusters=clusters), replicates=2), 0.1)
    assert held / trials >= 0.93


@pytest.mark.slow
def test_intervals_of_costs_hold_the_truth_though_some_are_very_dear() -> None:
    rng = np.random.default_rng(9)
    held, trials = 0, 600
    for _ in range(trials):
        cost = rng.lognormal([0.0, 0.3], 0.6, size=(40, 2))
        found = compared(scored(*draws(rng, 40, 0.5, 0.5), cost=cost), measures=("cost",), replicates=2)
        true = float(np.exp(0.3 + 0.18) - np.exp(0.18))
        result = found.of("b", "cost")
        held += isinstance(result, Difference) and result.low <= true <= result.high
    assert held / trials >= 0.93


@pytest.mark.slow
def test_of_several_that_are_alike_none_is_told_better_or_worse_more_often_than_one_time_in_twenty() -> None:
    rng = np.random.default_rng(10)
    claims, trials = 0, 300
    for _ in range(trials):
        found = compared(scored(*draws(rng, 80, *[0.5] * 6)), replicates=2)
        claims += any(verdict(told(found, name)) in ("better", "worse") for name in "bcdef")
    assert claims / trials <= 0.06


@pytest.mark.slow
def test_of_several_that_are_worse_by_the_margin_hardly_ever_one_is_told_no_worse() -> None:
    rng = np.random.default_rng(11)
    claims, trials = 0, 300
    for _ in range(trials):
        found = compared(scored(*draws(rng, 120, 0.6, *[0.5] * 5)), margin=0.1, replicates=2)
        claims += any(verdict(told(found, name), margin=0.1) in ("better", "no worse") for name in "bcdef")
    assert claims / trials <= 0.06


@pytest.mark.parametrize("clustered", [False, True])
def test_as_many_rows_as_are_said_to_be_needed_do_tell_four_times_in_five(clustered: bool) -> None:
    rng = np.random.default_rng(12)

    def table(n: int) -> Scored:
        clusters = np.arange(n) // 4 if clustered else None
        lift = np.repeat(rng.normal(0.06, 0.1, n // 4 + 1), 4)[:n] if clustered else np.full(n, 0.06)
        noise = rng.normal(0, 0.2, (2, n))
        return scored(0.5 + noise[0], 0.5 + lift + noise[1], clusters=clusters)

    pilot = told(compared(table(400), replicates=2))
    n = rows_needed(pilot, effect=0.06)
    assert n is not None
    told_apart = sum(verdict(told(compared(table(n - n % 4), replicates=2))) == "better" for _ in range(300))
    assert 0.7 <= told_apart / 300 <= 0.92


def test_more_rows_are_asked_for_only_where_those_at_hand_do_not_suffice() -> None:
    rng = np.random.default_rng(13)
    close = told(compared(scored(*draws(rng, 60, 0.5, 0.55)), replicates=2))
    assert (more_rows(close) or 0) > 0
    assert more_rows(told(compared(scored(*draws(rng, 400, 0.3, 0.8)), replicates=2))) is None


def _holds(found: Comparison, true: float) -> bool:
    result = found.of("b")
    return isinstance(result, Difference) and result.low <= true <= result.high
