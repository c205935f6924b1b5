"""The bootstrap of means: its spread is that of the mean, for few rows, for many, and for rows that belong together."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.evaluation.resampling import MOST_UNITS, means_drawn, percentiles


@pytest.mark.parametrize("n", [200, 5 * MOST_UNITS])
def test_the_spread_of_what_is_drawn_is_the_standard_error(n: int) -> None:
    values = np.random.default_rng(1).lognormal(0, 0.5, (n, 1))
    drawn = means_drawn(values, replicates=1_500)
    assert drawn.std() == pytest.approx(values.std() / np.sqrt(n), rel=0.08)
    assert drawn.mean() == pytest.approx(values.mean(), rel=0.01)


def test_copies_of_a_row_drawn_together_are_no_more_than_the_row() -> None:
    values = np.random.default_rng(2).normal(size=(100, 1))
    alone = means_drawn(values, replicates=2_000)
    together = means_drawn(np.repeat(values, 20, axis=0), clusters=np.repeat(np.arange(100), 20), replicates=2_000)
    assert together.std() == pytest.approx(alone.std(), rel=0.08)


def test_columns_are_drawn_by_the_same_rows() -> None:
    values = np.random.default_rng(3).normal(size=(300, 1))
    drawn = means_drawn(np.hstack([values, values + 1]), replicates=50)
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(np.ones(50))


def test_what_is_unknown_is_left_out_of_its_own_column_alone() -> None:
    values = np.column_stack([np.ones(50), np.full(50, np.nan)])
    values[:10, 1] = 3.0
    drawn = means_drawn(values, replicates=20)
    assert drawn[:, 0] == pytest.approx(np.ones(20))
    assert drawn[np.isfinite(drawn[:, 1]), 1] == pytest.approx(3.0)


def test_twice_the_same_seed_draws_the_same() -> None:
    values = np.random.default_rng(4).normal(size=(80, 2))
    assert (means_drawn(values, replicates=30) == means_drawn(values, replicates=30)).all()


def test_of_nothing_there_is_no_interval() -> None:
    assert all(map(np.isnan, percentiles(np.array([]))))
