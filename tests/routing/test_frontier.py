"""The hull, the area under it and exchange rates: by hand, and by the laws that they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.routing.exchange import Sweep, choices, gap_closed, rates
from toolkit.routing.frontier import Floats, Frontier, mean_quality

points = st.lists(st.tuples(st.floats(0.001, 10), st.floats(0, 1)), min_size=1, max_size=12).map(np.array)


def of(*pairs: tuple[float, float]) -> Frontier:
    table = np.array(pairs)
    return Frontier.of(table[:, 0], table[:, 1])


def test_the_hull_keeps_corners_and_drops_what_a_mixture_beats() -> None:
    found = of((1, 0.5), (2, 0.55), (3, 0.9), (4, 0.8), (5, 0.95))
    assert found.member.tolist() == [0, 2, 4]


def test_of_two_points_with_one_cost_the_better_is_kept() -> None:
    assert of((1, 0.5), (1, 0.7)).quality.tolist() == [0.7]


@given(points)
def test_no_point_lies_above_the_hull(table: Floats) -> None:
    found = Frontier.of(table[:, 0], table[:, 1])
    assert (found.at(table[:, 0]) >= table[:, 1] - 1e-9).all()


@given(points)
def test_the_hull_rises_and_flattens(table: Floats) -> None:
    found = Frontier.of(table[:, 0], table[:, 1])
    slopes = np.diff(found.quality) / np.diff(found.cost)
    assert (slopes > 0).all() and (np.diff(slopes) <= 1e-9 * np.abs(slopes[:-1])).all()


@given(points, st.tuples(st.floats(0.001, 10), st.floats(0, 1)))
def test_one_more_point_never_lowers_the_area(table: Floats, more: tuple[float, float]) -> None:
    low, high = float(table[:, 0].min()), float(table[:, 0].max())
    wider = np.vstack([table, more])
    before, after = (mean_quality(Frontier.of(t[:, 0], t[:, 1]), low, high) for t in (table, wider))
    assert after >= before - 1e-9


def test_a_mixture_spends_what_it_was_given() -> None:
    found = of((1, 0.5), (3, 0.9))
    assert dict(found.mixture(2.5)) == pytest.approx({0: 0.25, 1: 0.75})
    assert found.mixture(0.1) == ((0, 1.0),) and found.mixture(9.0) == ((1, 1.0),)


def test_a_quality_is_bought_at_the_least_cost() -> None:
    found = of((1, 0.5), (3, 0.9))
    assert found.price_of(0.7) == pytest.approx(2.0) and found.price_of(0.95) == float("inf")


def test_the_area_of_a_straight_line_is_its_middle() -> None:
    assert mean_quality(of((1, 0.2), (3, 0.8)), 1, 3, log=False) == pytest.approx(0.5)


def test_over_log_cost_cheap_quality_counts_more() -> None:
    found = of((1, 0.2), (100, 0.8))
    assert mean_quality(found, 1, 100) < mean_quality(found, 1, 100, log=False)


@pytest.mark.parametrize("bad", [((),), ((1, float("nan")),)])
def test_points_that_are_none_or_not_finite_are_refused(bad: tuple[tuple[float, ...], ...]) -> None:
    table = np.array([pair for pair in bad if pair], dtype=np.float64).reshape(-1, 2)
    with pytest.raises(ValueError, match="at least one point"):
        Frontier.of(table[:, 0], table[:, 1])


def test_at_rate_zero_the_best_is_chosen_and_at_infinity_the_cheapest() -> None:
    quality, cost = np.array([[0.5, 0.9], [0.8, 0.7]]), np.array([1.0, 2.0])
    at = rates(quality, cost)
    chosen = choices(quality, cost, at)
    assert chosen[:, 0].tolist() == [1, 0] and chosen[:, -1].tolist() == [0, 0]


def test_the_rates_hold_the_turning_point_of_every_row() -> None:
    quality, cost = np.array([[0.5, 0.9], [0.5, 0.6]]), np.array([1.0, 2.0])
    assert {0.1, 0.4} <= {round(rate, 9) for rate in rates(quality, cost)}


def test_single_models_close_no_gap_and_the_oracle_all_of_it() -> None:
    rng = np.random.default_rng(0)
    quality, cost = rng.random((80, 3)), np.tile([1.0, 2.0, 5.0], (80, 1))
    single = Sweep(cost, quality)
    oracle = Sweep.of(choices(quality, cost, rates(quality, cost)), quality, cost)
    assert gap_closed(single, single, oracle) == 0.0 and gap_closed(oracle, single, oracle) == 1.0
