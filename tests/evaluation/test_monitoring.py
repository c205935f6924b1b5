"""Monitoring: no more false alarms than declared, whatever the values look like, and real changes are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.comparison.drift import DELAYS, NULLS, delays, false_alarms
from toolkit.evaluation.inputs import language, missing_share, unseen_share, vocabulary
from toolkit.evaluation.monitoring import Detector


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(NULLS))
def test_in_200_years_without_change_alarms_stay_below_the_declared_rate(kind: str) -> None:
    assert false_alarms(NULLS[kind], years=200, rate=0.05) <= 0.05 * 200


@pytest.mark.slow
def test_a_change_of_two_standard_deviations_is_told_within_a_month() -> None:
    found = delays(2.0, years=40)
    assert len(found) == 40
    assert np.median(found) <= 31


@pytest.mark.parametrize("shift", [-6.0, 6.0])
def test_a_change_is_dated_to_the_day_and_told_with_its_direction(shift: float) -> None:
    values = np.random.default_rng(1).normal(size=200)
    values[120:] += shift
    change, *_ = Detector().changes(values)
    assert abs(change.start - 120) <= 1
    assert 120 <= change.alarm <= 130
    assert (change.after - change.before) * shift > 0


def test_a_moved_mix_is_found_though_every_share_may_be_common() -> None:
    rng = np.random.default_rng(2)
    mix = np.vstack([rng.dirichlet([60, 30, 10], 100), rng.dirichlet([30, 60, 10], 30)])
    (change, *_) = Detector().changes(mix)
    assert abs(change.start - 100) <= 1
    assert change.after == pytest.approx(0.3, abs=0.05)


@given(st.lists(st.floats(-1e6, 1e6), max_size=60), st.integers(0, 5))
def test_what_was_told_on_a_day_is_not_taken_back_on_a_later_one(values: list[float], more: int) -> None:
    seen = np.array(values)
    earlier = Detector(rate=0.5).changes(seen[: len(seen) - more])
    assert Detector(rate=0.5).changes(seen)[: len(earlier)] == earlier


@pytest.mark.parametrize("make", [np.zeros, np.ones, np.arange], ids=["zeros", "ones", "trend"])
def test_a_constant_is_no_change_and_a_trend_is_one(make: Callable[[int], np.ndarray]) -> None:
    found = Detector().changes(make(300).astype(float))
    assert bool(found) == (make is np.arange)


def test_a_day_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="without a value"):
        Detector().changes(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Detector(rate=0)


def test_the_changes_that_the_proof_measures_are_named() -> None:
    assert all(size > 0 for size in DELAYS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("My parcel is late and the box was open", "en"),
        ("Ich habe die Lieferung nicht bekommen und das ist ein Fehler", "de"),
        ("Je ne trouve pas la facture de mon achat", "fr"),
        ("Где моя посылка", "cyrillic"),
        ("12345 !!", "unknown"),
    ],
)
def test_languages_are_told_apart(text: str, told: str) -> None:
    assert language(text) == told


def test_missing_fields_and_unseen_terms_are_shares() -> None:
    assert missing_share({"a": 1, "b": None, "c": ""}, ["a", "b", "c", "d"]) == 0.75
    assert unseen_share("red green blue", vocabulary(["red wine", "Green"])) == pytest.approx(1 / 3)
