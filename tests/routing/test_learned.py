"""The learned router: learns what is there, abstains where it does not know, and says why."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.routing.routing_samples import COSTS, MODELS, facts, known, learned, pool
from toolkit import Explore
from toolkit.errors import FleetError
from toolkit.evaluation.challenge import match
from toolkit.evaluation.zero import singles
from toolkit.records import Decision
from toolkit.routing import Learned
from toolkit.routing.exchange import Sweep, choices, gap_closed, rates
from toolkit.routing.knowledge import Knowledge
from toolkit.routing.learning import Examples, fit
from toolkit.routing.parsing import parse_router

EASY, HARD = "greet the guest please now number 7", "prove the theorem please now number 7"
WORTH = 15.0


# ----------------------------------------------------------------------------------------------------------- choosing
@pytest.mark.slow
def test_hard_requests_go_to_the_dear_model_and_easy_ones_to_the_cheap() -> None:
    router = learned(worth=WORTH)
    assert router.decide(facts(HARD, task="maths")).choice == "dear"
    assert router.decide(facts(EASY, task="talk")).choice == "cheap"


def test_it_closes_most_of_the_gap_on_queries_that_it_has_not_seen() -> None:
    test = pool(600, seed=9)
    merit = known().expect(test.queries, test.tasks).merit
    ours = Sweep.of(choices(merit, known().mean_cost, rates(merit, known().mean_cost)), test.score, test.cost)
    hard = np.array([task == "maths" for task in test.tasks])
    truth = np.where(hard[:, None], [0.2, 0.9, 0.3], [0.9, 0.92, 0.6])
    best = Sweep.of(choices(truth, COSTS, rates(truth, COSTS)), test.score, test.cost)
    assert gap_closed(ours, singles(test), best) > 0.8


def test_expected_quality_is_calibrated() -> None:
    test = pool(2_000, seed=5)
    expected = known().expect(test.queries, test.tasks).quality
    assert np.abs(expected.mean(axis=0) - test.score.mean(axis=0)).max() < 0.05
    assert known().card.calibration_error < 0.08


def test_a_floor_is_reached_at_least_cost() -> None:
    router = learned(floor=0.8)
    assert router.decide(facts(EASY, task="talk")).choice == "cheap"
    assert router.decide(facts(HARD)).choice == "dear"
    assert "above the floor of 0.8" in router.decide(facts(HARD)).reason


@pytest.mark.parametrize("budget", [0.002, 0.006, 0.012, 0.03])
def test_a_budget_holds_on_average_about(budget: float) -> None:
    test = pool(1_000, seed=3)
    chosen = learned(budget_usd=budget).choose_many(test.queries, test.tasks)
    assert test.cost[np.arange(len(test)), chosen].mean() <= budget * 1.4


def test_without_an_aim_quality_alone_counts() -> None:
    assert learned().decide(facts(HARD)).choice == "dear"


def test_two_aims_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="one aim, not worth and floor"):
        learned(worth=1.0, floor=0.5)


def test_many_are_decided_as_each_alone() -> None:
    router = learned(worth=WORTH)
    asked = [facts(EASY, task="talk"), facts(HARD), facts("something else entirely", task=None)]
    assert router.decide_many(asked) == [router.decide(each) for each in asked]


def test_a_model_that_may_not_be_asked_is_passed_over() -> None:
    decision = learned(worth=WORTH).decide(facts(HARD, absent=("dear",)))
    assert decision.choice != "dear" and "dear" not in decision.order and len(decision.candidates) == len(MODELS)


def test_where_nobody_may_be_asked_the_reason_says_so() -> None:
    decision = learned(worth=WORTH).decide(facts(HARD, absent=MODELS))
    assert decision.choice == "" and decision.order == () and "no model qualifies" in decision.reason


def test_a_fleet_without_its_models_is_refused() -> None:
    asked = facts(HARD)
    with pytest.raises(FleetError, match="trained with odd"):
        learned().decide(replace(asked, models={n: m for n, m in asked.models.items() if n != "odd"}))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=300), st.none() | st.text(max_size=8), st.floats(0, 1e6))
def test_any_text_gets_a_decision_whose_probabilities_add_up(text: str, task: str | None, worth: float) -> None:
    decision = learned(worth=worth).decide(facts(text, task=task))
    assert decision.choice in MODELS and decision.order[0] == decision.choice
    assert sum(candidate.probability for candidate in decision.candidates) == pytest.approx(1.0)
    assert all(0 <= (candidate.score or 0.0) <= 1 for candidate in decision.candidates)


# --------------------------------------------------------------------------------------------------------- abstaining
@pytest.mark.parametrize(
    ("text", "task", "why"),
    [
        ("prove the theorem please now", "poetry", "the task 'poetry' was not in the training"),
        ("prove the theorem please now", None, "its task is not told"),
        ("zxcv qwer uiop bnmk", "maths", "the words are unlike"),
        ("", "maths", "the words are unlike"),
    ],
)
def test_what_is_unlike_the_training_goes_where_the_zero_router_sends_it(text: str, task: str | None, why: str) -> None:
    router = learned(worth=WORTH)
    decision = router.decide(facts(text, task=task))
    assert decision.reason.startswith("abstains") and why in decision.reason
    assert decision.choice == MODELS[router.mixture[0][0]]


def test_a_training_without_tasks_asks_for_none() -> None:
    plain = fit(replace(pool(300), tasks=("",) * 300).examples())
    assert plain.expect([HARD, HARD], [None, "anything"]).unlike == ("", "")


def test_at_a_budget_it_abstains_by_drawing_with_the_probabilities_on_record() -> None:
    router = learned(budget_usd=0.0105)
    decisions = [router.decide(facts(HARD, task="poetry", seed=seed)) for seed in range(400)]
    shares = {MODELS[place]: share for place, share in router.mixture}
    assert {c.model: c.probability for c in decisions[0].candidates if c.probability} == pytest.approx(shares)
    counts = Counter(decision.choice for decision in decisions)
    assert counts["dear"] / 400 == pytest.approx(shares["dear"], abs=0.1)


def test_the_same_seed_draws_the_same() -> None:
    router = learned(budget_usd=0.0105)
    assert router.decide(facts(HARD, task="poetry", seed=7)) == router.decide(facts(HARD, task="poetry", seed=7))


def test_where_words_and_tasks_tell_nothing_it_is_the_zero_router() -> None:
    noise = fit(pool(500, seed=2, signal=0.0, tasks=("all",)).examples())
    test = pool(500, seed=4, signal=0.0, tasks=("all",))
    merit = noise.expect(test.queries, test.tasks).merit
    plain = np.tile(noise.mean_quality, (len(test), 1))
    at = rates(plain, noise.mean_cost)
    paid = [Sweep.of(choices(m, noise.mean_cost, at), test.score, test.cost) for m in (merit, plain)]
    worse = [(s.quality - at * s.cost)[:, 1:-1].mean() for s in paid]
    assert worse[0] >= worse[1] - 0.02


# ------------------------------------------------------------------------------------------------------------- saving
def test_what_is_saved_decides_alike(tmp_path: Path) -> None:
    router = learned(worth=WORTH)
    saved = router.save(tmp_path / "router")
    again = Learned(tmp_path / "router", worth=WORTH)
    assert again.knowledge.hash == router.knowledge.hash == saved.knowledge.hash
    texts = [EASY, HARD, "quite another thing"]
    assert again.choose_many(texts).tolist() == router.choose_many(texts).tolist()


def test_its_repr_is_the_call_that_builds_it(tmp_path: Path) -> None:
    saved = learned(worth=WORTH).save(tmp_path / "router")
    assert repr(parse_router(repr(saved))) == repr(saved)


def test_a_decision_names_the_snapshot_that_it_was_made_from() -> None:
    decision = learned().decide(facts(HARD))
    assert decision.snapshot == known().hash and decision.router == repr(learned())


def test_no_pickle_is_written(tmp_path: Path) -> None:
    folder = known().save(tmp_path / "router")
    assert {file.name for file in folder.iterdir()} == {"card.json", "arrays.npz", "words.json"}
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)
    with pytest.raises((pickle.UnpicklingError, UnicodeDecodeError, EOFError, KeyError, ValueError)):
        pickle.loads((folder / "arrays.npz").read_bytes())


def test_the_card_tells_data_date_and_where_it_is_good(tmp_path: Path) -> None:
    folder = known().save(tmp_path / "router")
    told = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card = known().card
    assert told["card"]["data_hash"] == pool().examples().hash() and told["card"]["trained_at"]
    assert card.rows == 600 and card.gain_by_task["maths"] > 0
    assert "abstains on requests unlike its training" in told["in_words"]


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    folder = known().save(tmp_path / "router")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["trust"]["leads"] = 0.123
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ValueError, match="changed since it was saved"):
        Knowledge.load(folder)


def test_a_folder_without_a_router_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="no learned router"):
        Learned(tmp_path / "none")


def test_the_same_data_teach_the_same() -> None:
    assert fit(pool(200).examples()).hash == fit(pool(200).examples()).hash


def test_explore_wraps_it_with_true_probabilities() -> None:
    decision = Explore(learned(worth=WORTH), rate=0.3).decide(facts(HARD))
    assert isinstance(decision, Decision)
    assert {c.model: c.probability for c in decision.candidates} == pytest.approx(
        {"cheap": 0.1, "dear": 0.8, "odd": 0.1}
    )


# ------------------------------------------------------------------------------------------------------ bad input
def examples(n: int = 60, **changes: object) -> Examples:
    given = pool(n).examples()
    return replace(given, **changes)  # type: ignore[arg-type]


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="10 requests are too few"):
        examples(10)


def test_one_model_leaves_nothing_to_choose() -> None:
    with pytest.raises(ValueError, match="nothing to choose between"):
        examples(models=("cheap",), quality=np.ones((60, 1)), cost=np.ones((60, 1)))


def test_a_model_without_any_cost_is_named() -> None:
    cost = np.ones((60, 3))
    cost[:, 1] = np.nan
    with pytest.raises(ValueError, match="no cost on record for dear"):
        examples(cost=cost)


def test_constant_scores_teach_it_to_abstain() -> None:
    router = Learned(fit(examples(quality=np.ones((60, 3)))), worth=WORTH)
    assert router.decide(facts(HARD)).choice == "cheap"


def test_from_answers_of_one_model_a_request_it_still_learns() -> None:
    whole = pool(2_000)
    served = np.random.default_rng(0).integers(0, 3, len(whole))
    seen = np.eye(3, dtype=bool)[served]
    part = replace(
        whole.examples(), quality=np.where(seen, whole.score, np.nan), cost=np.where(seen, whole.cost, np.nan)
    )
    router = Learned(fit(part), worth=WORTH)
    assert router.decide(facts(HARD)).choice == "dear" and router.decide(facts(EASY, task="talk")).choice == "cheap"


# ---------------------------------------------------------------------------------------------------------- replacing
def test_a_better_challenger_replaces_the_champion() -> None:
    noise = Learned(fit(pool(300, seed=1, signal=0.0).examples()), worth=WORTH)
    assert match(noise, learned(worth=WORTH), pool(500, seed=8)).replaces


def test_a_worse_challenger_does_not() -> None:
    noise = Learned(fit(pool(300, seed=1, signal=0.0).examples()), worth=WORTH)
    found = match(learned(worth=WORTH), noise, pool(500, seed=8))
    assert not found.replaces and "the champion stays" in str(found)


def test_an_equal_challenger_does_not() -> None:
    assert not match(learned(worth=WORTH), learned(worth=WORTH), pool(200, seed=8)).replaces


def test_a_match_over_few_queries_is_refused() -> None:
    with pytest.raises(ValueError, match="too few for a match"):
        match(learned(), learned(), pool(20))
