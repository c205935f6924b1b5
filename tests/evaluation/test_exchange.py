"""Who is best once quality has a price: laws of the exchange, what is refused, and shares that mean what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RunError
from toolkit.evaluation.comparison import Comparison, compared
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.exchange import Exchange, prices_between, usd, valued
from toolkit.evaluation.scored import Scored

SEEN: dict[str, Any] = {"rows": 100.0, "apart": np.ones((8, 8))}


def found(quality: tuple[float, ...], cost: tuple[float, ...], *, n: int = 400, seed: int = 0) -> Comparison:
    """Contenders right as often as that, at about that price."""
    rng = np.random.default_rng(seed)
    names = tuple("abcdefgh"[: len(quality)])
    right = (rng.random((n, len(quality))) < quality).astype(np.float64)
    return compared(Scored(names, right, np.array(cost) * rng.lognormal(0, 0.1, (n, len(cost)))))


def reckoned(comparison: Comparison) -> Exchange:
    exchange = comparison.exchange()
    assert isinstance(exchange, Exchange), str(exchange)
    return exchange


def test_the_cheap_one_is_best_where_quality_is_worth_little_and_the_good_one_where_it_is_worth_much() -> None:
    comparison = found((0.5, 0.9), (0.001, 0.01))
    exchange = reckoned(comparison)
    assert (exchange.best[0], exchange.best[-1]) == (0, 1)
    assert comparison.best(price=0.001).contender == "a"
    assert comparison.best(price=1.0).contender == "b"


def test_the_choice_turns_where_the_dollars_more_are_worth_the_quality_more() -> None:
    comparison = found((0.5, 0.9), (0.001, 0.01))
    a, b = comparison.points
    turns_at = (b.cost - a.cost) / (b.quality - a.quality)
    assert comparison.best(price=0.99 * turns_at).contender == "a"
    assert comparison.best(price=1.01 * turns_at).contender == "b"
    assert not comparison.best(price=1.01 * turns_at).is_sure
    assert comparison.best(price=0.05).rate == pytest.approx(20)


def test_who_is_cheaper_and_better_is_best_at_every_worth() -> None:
    exchange = reckoned(found((0.5, 0.9), (0.01, 0.001)))
    assert set(exchange.best) == {1}
    assert float(exchange.share[:, 1].min()) > 0.99


def test_the_value_is_worth_times_quality_less_cost_and_its_interval_holds_it() -> None:
    exchange = reckoned(found((0.5, 0.7, 0.9), (0.001, 0.004, 0.01)))
    assert exchange.value[0] == pytest.approx(
        [exchange.prices[0] * p.quality - p.cost for p in found((0.5, 0.7, 0.9), (0.001, 0.004, 0.01)).points]
    )
    assert ((exchange.low <= exchange.value) & (exchange.value <= exchange.high)).all()


def test_two_that_are_alike_share_the_draws() -> None:
    right = (np.random.default_rng(1).random(200) < 0.7).astype(np.float64)
    scored = Scored(("a", "b"), np.column_stack([right, right]), np.full((200, 2), 0.01))
    choice = compared(scored).best(price=1.0)
    assert choice.share == pytest.approx(0.5)
    assert not choice.is_sure and "come to the same" in str(choice)


def test_the_share_of_draws_is_near_the_chance_that_it_is_better() -> None:
    """Where both cost the same and are equally good, each is the best in half of the draws, over many tables."""
    shares = [found((0.6, 0.6), (0.01, 0.01), n=100, seed=seed).best(price=10.0) for seed in range(60)]
    first = [each.share if each.contender == "a" else 1 - each.share for each in shares]
    assert 0.4 < float(np.mean(first)) < 0.6
    assert np.mean([each.is_sure for each in shares]) <= 0.2


def test_who_is_best_is_told_only_where_it_is_ahead_of_all_others_at_once() -> None:
    rng = np.random.default_rng(0)
    near = np.column_stack([np.full(2000, 0.6), np.full(2000, 0.595), (rng.random(2000) < 0.594).astype(float)])
    choice = compared(Scored(("a", "b", "c"), near, np.full(near.shape, 0.001))).best(price=1.0)
    assert not choice.is_sure


def test_a_few_changes_of_few_rows_make_nobody_surely_best() -> None:
    quality = np.zeros((20, 2))
    quality[:4, 1] = 1
    quality[4:10] = 1
    comparison = compared(Scored(("old", "new"), quality, np.full((20, 2), 0.001)))
    assert "cannot be told apart" in comparison.sentence
    assert not comparison.best(price=1.0).is_sure


# ---------------------------------------------------------------------------------------------------------- the points
def test_who_lacks_grades_has_no_point_and_takes_no_row_from_others() -> None:
    rng = np.random.default_rng(1)
    quality = (rng.random((100, 3)) < (0.4, 0.8, 0.6)).astype(np.float64)
    quality[15:, 1] = np.nan
    comparison = compared(Scored(("a", "b", "c"), quality, np.full((100, 3), 0.001)))
    told = comparison.frontier()
    assert told.contender.tolist() == ["a", "c"] and told.rows.tolist() == [100, 100]
    assert told.quality.tolist() == pytest.approx(quality[:, [0, 2]].mean(axis=0).tolist())


def test_rows_that_are_all_right_are_no_certainty() -> None:
    (point, _) = compared(Scored(("a", "b"), np.ones((20, 2)), np.array([[0.1, 0.2]] * 20))).points
    assert point.quality == 1 and 0.7 < point.quality_low < 0.95 and point.quality_high == 1


def test_two_that_are_the_same_are_both_on_the_frontier() -> None:
    right = (np.random.default_rng(1).random(100) < 0.7).astype(np.float64)
    points = compared(Scored(("a", "b"), np.column_stack([right, right]), np.full((100, 2), 0.1))).points
    assert [point.on_frontier for point in points] == [True, True]


@pytest.mark.parametrize("chance", [0.5, 0.9])
def test_the_interval_of_a_quality_covers(chance: float) -> None:
    rng, covered = np.random.default_rng(2), 0
    for _ in range(300):
        rows = (rng.random((30, 2)) < chance).astype(np.float64)
        point = compared(Scored(("a", "b"), rows, np.full((30, 2), 0.1)), replicates=100).points[0]
        covered += point.quality_low <= chance <= point.quality_high
    assert covered >= 0.92 * 300


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.lists(st.floats(0, 1e3), min_size=6, max_size=6),
    st.floats(1e-3, 1e3),
)
def test_the_best_has_the_highest_value_and_shares_add_up(
    quality: list[float], cost: list[float], price: float
) -> None:
    k = len(quality)
    q, c = np.array(quality), np.array(cost[:k])
    rng = np.random.default_rng(0)
    drawn = q + rng.normal(0, 0.01, (50, k)), c + rng.normal(0, 0.01, (50, k))
    names = tuple(map(str, range(k)))
    exchange = valued(names, q, c, drawn_quality=drawn[0], drawn_cost=drawn[1], prices=np.array([price]), **SEEN)
    assert exchange.value[0, exchange.best[0]] == exchange.value[0].max()
    assert exchange.share.sum() == pytest.approx(1)
    assert (exchange.gain >= 0).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1e-7, 1e3)), min_size=2, max_size=40))
def test_the_worths_are_few_rising_and_evenly_spaced_whatever_the_data(points: list[tuple[float, float]]) -> None:
    quality, cost = (np.array([point[axis] for point in points]) for axis in (0, 1))
    prices = prices_between(quality, cost, drawn_quality=quality[None], drawn_cost=cost[None])
    steps = np.diff(np.log10(prices))
    assert 11 <= len(prices) <= 91
    assert np.isfinite(prices).all()
    assert (prices > 0).all()
    assert steps == pytest.approx(float(steps[0]))


REFUSED = [
    (Scored(("a", "b"), np.ones((40, 2)), np.ones((40, 2))), "tells nothing apart"),
    (Scored(("a", "b"), np.eye(2)[[0, 1, 0]], np.ones((3, 2))), "at least 10 are needed"),
    (Scored(("a", "b"), np.eye(2)[[0, 1] * 20]), "no cost"),
    (Scored(("a", "b"), np.eye(2)[[0, 1] * 20], np.zeros((40, 2))), "quality alone decides"),
    (Scored(("a", "b"), np.eye(2)[[0, 1] * 20], np.full((40, 2), np.nan)), "no cost of the same row"),
]


@pytest.mark.parametrize(("scored", "why"), REFUSED)
def test_what_cannot_be_weighed_is_refused_with_its_reason(scored: Scored, why: str) -> None:
    comparison = compared(scored)
    refusal = comparison.exchange()
    assert isinstance(refusal, Refusal) and why in refusal.reason
    with pytest.raises(RunError, match=r"nobody can be told best"):
        comparison.best(price=1.0)


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_that_is_no_number_above_zero_is_told(price: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        found((0.5, 0.9), (0.001, 0.01)).best(price=price)


@pytest.mark.parametrize(
    ("value", "told"), [(0.0, "0"), (0.00123456, "0.00123"), (-0.5, "-0.5"), (1250.4, "1,250"), (1e-9, "0.000000001")]
)
def test_dollars_are_told_without_exponents(value: float, told: str) -> None:
    assert usd(value) == told
