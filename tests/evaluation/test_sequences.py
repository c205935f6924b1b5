"""Whole workflows: intervals that hold the truth where later requests depend on earlier answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.offpolicy import Floats, Logged, Method, estimate
from toolkit.evaluation.sequences import Stage, Trajectories, estimate_sequence


class World:
    """Steps whose state follows from the model chosen at the step before; the reward comes at the end."""

    def __init__(
        self, rng: np.random.Generator, steps: int, models: int, explored: float, *, hidden: float = 0.0
    ) -> None:
        self.steps, self.models, self.explored, self.hidden = steps, models, explored, hidden
        self.effect = [rng.normal(0, 0.7, models) for _ in range(steps)]
        self.past = [rng.normal(size=(2, models)) for _ in range(steps)]
        self.target: list[Floats] = [
            rng.dirichlet(np.ones(models)) if rng.random() < 0.5 else rng.normal(size=(2, models)) for _ in range(steps)
        ]

    def lived(
        self, rng: np.random.Generator, n: int, *, by_target: bool, clusters: NDArray[np.int64] | None = None
    ) -> tuple[Trajectories, float]:
        """n rows, and the mean probability of success that they had. Rows of a cluster have much in common."""
        own = np.arange(n) if clusters is None else clusters
        fixed, state = rng.normal(size=n)[own], rng.normal(size=n)[own]
        stages = []
        for step in range(self.steps):
            seen = np.column_stack([state, fixed])
            past = self.explored / self.models + (1 - self.explored) * _best(seen @ self.past[step])
            aim = self.target[step]
            target: Any = np.tile(aim, (n, 1)) if aim.ndim == 1 else _best(seen @ aim)
            chances = target if by_target else past
            choice = (chances.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
            stages.append(Stage(str(step), choice, past, target, np.ones(n, dtype=bool), seen))
            state = 0.6 * state + self.effect[step][choice] + rng.normal(0, 0.5, n)
        unseen = self.hidden * rng.normal(size=n)[own] if self.hidden else 0.0
        likely = 1 / (1 + np.exp(-state * (1 + 0.3 * fixed) - unseen))
        reward = (rng.random(n) < likely).astype(float)
        return Trajectories(tuple(stages), reward, clusters), float(likely.mean())


def _best(score: Floats) -> Floats:
    found: Floats = np.eye(score.shape[1])[score.argmax(axis=1)]
    return found


@pytest.mark.slow
def test_intervals_over_one_to_four_steps_hold_the_truth() -> None:
    held: dict[str, list[bool]] = {}
    methods: tuple[Method, ...] = ("dr", "snips", "ips", "clipped", "dm")
    for number in range(200):
        rng = np.random.default_rng([5, number])
        world = World(rng, int(rng.integers(1, 5)), int(rng.integers(2, 4)), float(rng.choice([0.3, 0.6, 1.0])))
        _, truth = world.lived(rng, 100_000, by_target=True)
        rows, _ = world.lived(rng, int(rng.choice([300, 1000, 4000])), by_target=False)
        for method in methods:
            found = estimate_sequence(rows, method)
            if isinstance(found, Estimate):
                held.setdefault(method, []).append(found.low <= truth <= found.high)
    assert all(len(each) > 150 for each in held.values())
    assert {method: np.mean(each) for method, each in held.items() if np.mean(each) < 0.93} == {}


@pytest.mark.slow
def test_intervals_over_clusters_of_unequal_size_hold_the_truth() -> None:
    held: dict[str, list[bool]] = {"by cluster": [], "as if independent": []}
    for number in range(150):
        rng = np.random.default_rng([6, number])
        world = World(rng, int(rng.integers(1, 4)), 2, float(rng.choice([0.6, 1.0])), hidden=2.0)
        _, truth = world.lived(rng, 100_000, by_target=True)
        clusters = rng.choice(60, 900, p=rng.dirichlet(np.full(60, 2.0)))
        rows, _ = world.lived(rng, 900, by_target=False, clusters=clusters)
        for name, each in (("by cluster", rows), ("as if independent", replace(rows, clusters=None))):
            found = estimate_sequence(each)
            if isinstance(found, Estimate):
                held[name].append(found.low <= truth <= found.high)
    assert len(held["by cluster"]) > 120
    assert np.mean(held["by cluster"]) >= 0.93
    assert np.mean(held["as if independent"]) < 0.85, "rows of a cluster are alike here, so that it matters"


@pytest.mark.parametrize("method", ["dr", "snips", "ips"])
def test_one_step_says_the_same_as_the_estimator_of_a_step(method: Method) -> None:
    rng = np.random.default_rng(1)
    rows, _ = World(rng, 1, 3, 0.6).lived(rng, 600, by_target=False)
    (stage,) = rows.stages
    logged = Logged(stage.choice, rows.reward, stage.probabilities, stage.features)
    one, other = estimate(logged, stage.target, method), estimate_sequence(rows, method)
    assert isinstance(one, Estimate)
    assert isinstance(other, Estimate)
    assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), abs=1e-9)


def test_a_step_that_some_rows_skip_counts_in_those_that_have_it() -> None:
    rng = np.random.default_rng(2)
    rows, _ = World(rng, 2, 2, 1.0).lived(rng, 800, by_target=False)
    first, second = rows.stages
    skipped = Stage(
        "second", second.choice, second.probabilities, second.target, rng.random(800) < 0.5, second.features
    )
    found = estimate_sequence(Trajectories((first, skipped), rows.reward))
    whole = estimate_sequence(rows)
    assert isinstance(found, Estimate)
    assert isinstance(whole, Estimate)
    assert found.effective_n > whole.effective_n


def test_more_steps_than_the_rows_can_carry_are_refused() -> None:
    rng = np.random.default_rng(3)
    found = estimate_sequence(World(rng, 8, 3, 0.3).lived(rng, 300, by_target=False)[0])
    assert isinstance(found, Refusal)
    assert "over 8 steps the weights leave" in found.reason


def test_the_difference_from_what_ran_is_surer_than_the_value() -> None:
    rng = np.random.default_rng(4)
    rows, _ = World(rng, 2, 2, 1.0).lived(rng, 2_000, by_target=False)
    value, gain = estimate_sequence(rows), estimate_sequence(rows, over_past=True)
    assert isinstance(value, Estimate)
    assert isinstance(gain, Estimate)
    assert gain.value == pytest.approx(value.value - rows.reward.mean())
    assert gain.width < 1.3 * value.width
