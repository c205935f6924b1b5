"""The rooms of learning: ridge, what matters, cost, and how far what was learnt is believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.routing.routing_samples import COSTS, known, pool
from toolkit.evaluation.outcomes import Outcomes
from toolkit.routing.dearness import LEAST, MOST, Dearness, log_lengths
from toolkit.routing.examples import Examples
from toolkit.routing.exchange import Sweep, choices, rates
from toolkit.routing.frontier import mean_quality
from toolkit.routing.knowledge import Knowledge
from toolkit.routing.learning import fit
from toolkit.routing.predictors import shares_of
from toolkit.routing.ridge import ridge, solved, solved_sparse
from toolkit.routing.targets import Targets, relevance
from toolkit.routing.trust import slope_of

sizes = st.tuples(st.integers(3, 30), st.integers(1, 8), st.integers(1, 4), st.integers(0, 10_000))


# -------------------------------------------------------------------------------------------------------------- ridge
@settings(deadline=None)
@given(sizes, st.floats(0.1, 100))
def test_conjugate_gradients_find_what_the_normal_equations_find(
    size: tuple[int, int, int, int], penalty: float
) -> None:
    n, p, k, seed = size
    rng = np.random.default_rng(seed)
    features, targets = rng.random((n, p)), rng.random((n, k))
    weights, offset = solved(features, targets, np.full(k, penalty))
    found, level = solved_sparse(sparse.csr_matrix(features), targets, penalty)
    assert np.allclose(features @ weights + offset, features @ found + level, atol=1e-3)
    assert np.allclose(ridge(features, targets, features, np.array([penalty]))[0], features @ weights + offset)


def test_an_endless_penalty_tells_the_mean() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((20, 2))
    weights, offset = solved(rng.random((20, 3)), targets, np.full(2, 1e12))
    assert np.allclose(weights, 0, atol=1e-9) and np.allclose(offset, targets.mean(axis=0))


# ------------------------------------------------------------------------------------------------------------- shares
@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_shares_add_up_to_one_and_none_is_below_zero(seed: int, members: int) -> None:
    targets = Targets.of(pool(60).examples())
    told = np.random.default_rng(seed).normal(size=(members, *targets.all.shape))
    shares = shares_of(told, targets)
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()


def test_who_tells_more_has_the_larger_share_and_who_tells_nothing_next_to_none() -> None:
    targets = Targets.of(pool(400).examples())
    noise = np.random.default_rng(0).normal(size=(3, *targets.all.shape))
    told = np.stack([targets.all + 0.1 * noise[0], targets.all + 0.3 * noise[1], 0.3 * noise[2]])
    shares = shares_of(told, targets)
    assert shares[0] > 2 * shares[1] > 4 * shares[2] and shares[2] < 0.1


def test_shares_are_alike_where_members_tell_the_same_or_nothing() -> None:
    targets = Targets.of(pool(60).examples())
    assert np.allclose(shares_of(np.stack([targets.all] * 3), targets), 1 / 3)
    assert np.allclose(shares_of(np.zeros((3, *targets.all.shape)), targets), 1 / 3)
    assert np.allclose(shares_of(-np.stack([targets.all] * 2), targets), 1 / 2)


# ------------------------------------------------------------------------------------------------------------ targets
def test_models_that_no_price_would_choose_hardly_matter() -> None:
    weight = relevance(np.array([0.6, 0.9, 0.3]), np.array([0.001, 0.02, 0.01]))
    assert weight.sum() == pytest.approx(1) and weight[2] < 0.02 < weight[:2].min()


def test_leads_of_the_models_that_matter_cancel_out() -> None:
    targets = Targets.of(pool(200).examples())
    assert np.allclose(targets.lead @ targets.weight, 0, atol=1e-12)


def test_leads_are_right_on_average_where_models_were_asked_by_chance() -> None:
    whole = pool(6_000).examples()
    seen = np.random.default_rng(1).random(whole.quality.shape) < 0.5
    part = replace(whole, quality=np.where(seen, whole.quality, np.nan))
    hard = np.array([task == "maths" for task in whole.tasks])
    full, some = (np.diff(Targets.of(each).lead[hard].mean(axis=0)) for each in (whole, part))
    assert np.abs(full - some).max() < 0.06


# --------------------------------------------------------------------------------------------------------------- cost
def priced_by_length(n: int = 400) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    texts = tuple("word " * int(count) for count in rng.integers(20, 200, n))
    cost = np.array([[len(text) * 1e-6, len(text) * 3e-5] for text in texts])
    return texts, np.ones((n, 1)), cost


def test_costs_that_go_with_length_are_told_by_it() -> None:
    texts, task, cost = priced_by_length()
    ratio = Dearness.fit(log_lengths(texts), task, cost).at(log_lengths(texts), np.zeros(len(texts), np.int64))
    assert np.allclose(ratio * cost.mean(axis=0), cost, rtol=0.05)


def test_expected_costs_have_the_mean_of_the_costs_on_record() -> None:
    rng = np.random.default_rng(1)
    texts, task, cost = priced_by_length()
    noisy = cost * np.exp(rng.normal(0, 0.8, cost.shape))
    ratio = Dearness.fit(log_lengths(texts), task, noisy).at(log_lengths(texts), np.zeros(len(texts), np.int64))
    assert np.allclose(ratio.mean(axis=0), 1, rtol=0.02)


def test_costs_that_are_not_on_record_or_nothing_do_no_harm() -> None:
    texts, task, cost = priced_by_length()
    cost[::2, 0], cost[:, 1] = np.nan, 0.0
    found = Dearness.fit(log_lengths(texts), task, cost).at(log_lengths((*texts, "", "x" * 10**6)), np.full(402, -1))
    assert np.isfinite(found).all() and found.min() >= LEAST and found.max() <= MOST


# -------------------------------------------------------------------------------------------------------------- trust
def test_what_is_told_twice_as_large_as_it_is_counts_half() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4_000, 2))
    assert slope_of(2 * true, true + rng.normal(size=true.shape), np.ones(2)) == pytest.approx(0.5, abs=0.03)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_what_tells_nothing_is_hardly_believed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    told, true = 0.1 * rng.normal(size=(2, 500, 2))
    assert slope_of(told, true, np.ones(2)) < 0.15


def test_rows_of_one_group_are_one_draw() -> None:
    rng = np.random.default_rng(0)
    told = np.repeat(rng.normal(size=(6, 1)), 100, axis=0)
    true = 0.3 * told + np.repeat(rng.normal(size=(6, 1)), 100, axis=0)
    groups = np.repeat(np.arange(6), 100)
    assert slope_of(told, true, np.ones(1), groups=groups) < slope_of(told, true, np.ones(1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_where_there_is_nothing_to_learn_it_is_no_worse_than_single_models(seed: int) -> None:
    """Outcomes shuffled against the requests."""
    train, test = pool(300, seed=seed), pool(600, seed=50 + seed)
    mixed = np.random.default_rng(seed).permutation(len(train))
    knowledge = fit(replace(train, score=train.score[mixed], cost=train.cost[mixed]).examples())
    expected = knowledge.expect(test.queries, test.tasks)
    plain = np.tile(knowledge.mean_quality, (len(test), 1)), np.tile(knowledge.mean_cost, (len(test), 1))
    ours, zero = area(test, expected.merit, expected.cost), area(test, *plain)
    assert ours >= zero - 0.005


def area(test: Outcomes, merit: np.ndarray, cost: np.ndarray) -> float:
    at = rates(merit, cost)
    frontier = Sweep.of(choices(merit, cost, at), test.score, test.cost).frontier()
    return mean_quality(frontier, float(COSTS.min()), float(COSTS.max()))


def by_many_tasks(n: int = 1_200, *, tasks: int = 12) -> Outcomes:
    """Tasks that say nothing; words that tell who is good, in all of them alike."""
    given = pool(n)
    return replace(given, tasks=tuple(f"t{row % tasks}" for row in range(n)))


@pytest.mark.slow
def test_what_holds_in_every_task_is_carried_to_a_new_one() -> None:
    knowledge = fit(by_many_tasks().examples())
    assert knowledge.card.routes_unseen_tasks
    merit = knowledge.expect(["prove the theorem now", "greet the guest now"], ["new", "new"]).merit
    assert merit[0, 1] - merit[0, 0] > merit[1, 1] - merit[1, 0] + 0.2


def test_with_few_tasks_nothing_is_carried_to_a_new_one() -> None:
    assert not known().card.routes_unseen_tasks


# ---------------------------------------------------------------------------------------------------------- bad input
def examples(quality: object = None, cost: object = None, n: int = 60) -> Examples:
    given = pool(n).examples()
    return replace(
        given,
        quality=given.quality if quality is None else np.asarray(quality, np.float64),
        cost=given.cost if cost is None else np.asarray(cost, np.float64),
    )


def holed(value: float, *, of: int | None = None, n: int = 60, shape: float = 0.5) -> np.ndarray:
    table = np.full((n, 3), shape)
    table[:, slice(None) if of is None else of] = value
    return table


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda: replace(examples(), texts=("the same",) * 60), "only 1 of the 60 requests differ"),
        (lambda: replace(examples(), texts=("",) * 60), "only 1 of the 60 requests differ"),
        (lambda: examples(n=10), "10 requests are too few to learn from; at least 40"),
        (lambda: examples(quality=np.ones((60, 2))), "60 texts and 3 models want tables of that shape"),
        (lambda: examples(quality=holed(np.nan)), "only 0 of 60 requests have a grade"),
        (lambda: examples(quality=holed(np.nan, of=2)), "no quality on record for odd: grade its answers, or leave"),
        (lambda: examples(cost=holed(np.nan, of=1)), "no cost on record for dear: give its price, or leave"),
        (lambda: examples(quality=holed(np.inf, of=0)), "quality holds an infinite number"),
        (lambda: examples(quality=holed(3.2, of=1)), "quality lies in 0..1: not 3.2, as of dear at request 0"),
        (lambda: examples(cost=holed(-1.0, of=0)), "cost is in US dollars, from 0 up: not -1, as of cheap"),
    ],
)  # fmt: skip
def test_what_cannot_teach_is_refused_in_words(given: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        given()  # type: ignore[operator]


def some_rows_of_odd() -> Examples:
    given = pool(200).examples()
    return replace(given, quality=np.where(np.arange(200)[:, None] < [200, 200, 12], given.quality, np.nan))


def only_a_few_graded() -> Examples:
    given = pool(200).examples()
    return replace(given, quality=np.where(np.arange(200)[:, None] < 60, given.quality, np.nan))


@pytest.mark.parametrize(
    "given",
    [
        lambda: examples(quality=np.ones((60, 3))),
        lambda: examples(quality=holed(0.0)),
        lambda: examples(cost=holed(0.0)),
        lambda: examples(cost=np.full((60, 3), 0.01)),
        some_rows_of_odd,
        only_a_few_graded,
    ],
    ids=["all right", "all wrong", "free of cost", "one price", "a model in some rows", "few graded"],
)
def test_what_teaches_little_gives_finite_expectations_within_bounds(given: object) -> None:
    knowledge: Knowledge = fit(given())  # type: ignore[operator]
    found = knowledge.expect(["prove the theorem", "", "0"], ["maths", None, "new"])
    assert np.isfinite(found.merit).all() and np.isfinite(found.cost).all() and (found.cost >= 0).all()
    assert ((found.quality >= 0) & (found.quality <= 1)).all() and str(knowledge.card)


def test_ungraded_requests_are_left_out_of_the_card() -> None:
    assert fit(only_a_few_graded()).card.rows == 60
