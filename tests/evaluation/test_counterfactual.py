"""What history says of other routers: right where it can tell, a reason and no number where it cannot."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toolkit as tk
from tests.evaluation.samples import EXACT, desk, fleet, is_right, label, luck, ran, rows
from toolkit.errors import InvalidRequest, RunError
from toolkit.evaluation.decisions import decided
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.supposing import Supposition
from toolkit.grading import Case, Contains, Grader
from toolkit.records import Decision, Grade
from toolkit.routing.router import RoutingFacts, judged, settle

N = 400


def told(found: Supposition, router: Any, measure: Any = "quality", **which: Any) -> Estimate:
    result = found.of(repr(router), measure, **which)
    assert isinstance(result, Estimate), str(result)
    return result


def why_not(found: Supposition, measure: str = "quality") -> str:
    """The reason; and no number stands in the table."""
    frame = found.frame()
    mine = frame[frame.measure == measure]
    assert mine[["value", "low", "high", "difference"]].isna().all(axis=None)
    return str(mine.reason.iloc[0])


def right(model: str, n: int = N) -> float:
    return float(np.mean([is_right(model, row) for row in rows(n)]))


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A history that went to small, and to large one time in five."""
    return ran(tmp_path_factory.mktemp("home"), tk.Explore(tk.Ladder("small", "large"), rate=0.4), n=N, seed=4)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dr", "snips", "ips", "clipped", "dm"])
def test_the_interval_holds_what_the_router_would_have_had(explored: Any, method: Any) -> None:
    routers = [tk.Fixed("large"), tk.Fixed("small"), tk.Uniform("small", "large")]
    found = tk.counterfactual(explored, routers, step="label", method=method)
    true = {"large": right("large"), "small": right("small")}
    for router, value in zip(routers, (true["large"], true["small"], sum(true.values()) / 2), strict=True):
        estimate = told(found, router)
        assert estimate.low <= value <= estimate.high
    cost = told(found, routers[0], "cost")
    assert cost.low <= 0.010 <= cost.high


@pytest.mark.slow
def test_the_sentence_names_the_difference_from_what_ran_and_what_it_rests_on(explored: Any) -> None:
    said = tk.counterfactual(explored, tk.Fixed("large"), step="label").sentence
    assert said.startswith("Fixed('large') would have reached 0.")
    assert "doubly robust, 400 rows of which 80 count" in said
    assert "better than the 0." in said


def test_overlap_is_told_by_effective_rows_heaviest_weight_and_least_probability(explored: Any) -> None:
    row = tk.counterfactual(explored, tk.Fixed("large"), step="label").frame().iloc[0]
    assert row.effective_rows == pytest.approx(80)
    assert row.least_probability == pytest.approx(0.2)
    assert 0 < row.largest_weight < 0.1


def test_a_router_sees_the_fields_and_the_request_on_record(explored: Any) -> None:
    by_field = tk.Rules(tk.Rule(tk.Fixed("large"), field="truth", value="yes"), otherwise=tk.Fixed("small"))
    estimate = told(tk.counterfactual(explored, by_field, step="label"), by_field)
    true = np.mean([is_right("large" if row["truth"] == "yes" else "small", row) for row in rows(N)])
    assert estimate.low <= true <= estimate.high


@pytest.mark.slow
def test_the_answer_that_counts_is_that_of_the_row_whoever_gave_it(tmp_path: Path) -> None:
    careful = tk.Escalate(below=0.5)
    run = ran(tmp_path, tk.Explore(tk.Ladder("small", "large"), rate=0.5), n=N, policy=careful)
    estimate = told(tk.counterfactual(run, tk.Ladder("small", "large"), step="label"), tk.Ladder("small", "large"))
    true = np.mean([max(is_right("small", row), is_right("large", row)) for row in rows(N)])
    assert estimate.low <= true <= estimate.high


def test_deciding_again_with_the_seed_on_record_gives_the_same_choices_and_probabilities(explored: Any) -> None:
    found = decided(explored.history, "label", runs=[explored.id])
    again = list(found.redecided(tk.Explore(tk.Ladder("small", "large"), rate=0.4)))
    assert [each.choice for each in again] == [each.choice for each in found.decisions]
    for new, old in zip(again, found.decisions, strict=True):
        assert {c.model: c.probability for c in new.candidates} == {
            c["model"]: c["probability"] for c in old.candidates
        }


# ---------------------------------------------------------------------------------------------------- whole workflows
def two_steps(route: tk.Explore) -> tk.Workflow:
    """The second step sees what the first said, and its answer is right only where that was."""

    @tk.step(route=route, grade=EXACT)
    def check(text: str, label: str) -> tk.Request:
        return tk.prompt(f"Is it {label}?", text=text)

    return tk.Workflow("desk", [label.with_route(route), check])


@pytest.mark.slow
def test_a_whole_workflow_is_told_by_weights_that_multiply(tmp_path: Path) -> None:
    run = two_steps(tk.Explore(tk.Ladder("small", "large"), rate=0.8)).run(rows(N), fleet(), home=tmp_path, seed=2)
    routes = {"label": tk.Fixed("large"), "check": tk.Fixed("large")}
    found = tk.counterfactual(run, workflow=routes, step="check", method=["dr", "snips", "ips", "clipped", "dm"])
    for result in found.results:
        assert isinstance(result.result, Estimate), str(result.result)
        true = right("large") if result.measure == "quality" else 0.020
        assert result.result.low <= true <= result.result.high
        assert result.result.effective_n == pytest.approx(N * 0.4**2, rel=0.2)


@pytest.mark.slow
def test_a_workflow_beyond_the_horizon_is_refused(tmp_path: Path) -> None:
    run = two_steps(tk.Explore(tk.Ladder("small", "large"), rate=0.2)).run(rows(200), fleet(), home=tmp_path)
    routes = {"label": tk.Fixed("large"), "check": tk.Fixed("large")}
    assert "beyond the horizon of this history" in why_not(tk.counterfactual(run, workflow=routes, step="check"))


def test_a_workflow_with_a_step_that_left_nothing_to_chance_is_refused(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Fixed("small"))
    found = tk.counterfactual(run, workflow={"label": tk.Fixed("large")}, step="label")
    assert "possible in history" in why_not(found) or "nothing to chance at step label" in why_not(found)


# ---------------------------------------------------------------------------------------------------------- bad input
def test_a_past_without_chance_is_refused(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Fixed("small"))
    found = tk.counterfactual(run, tk.Fixed("large"), step="label")
    assert "left nothing to chance" in why_not(found)
    assert "History cannot tell what Fixed('large') is worth" in found.sentence


def test_no_overlap_is_refused(explored: Any) -> None:
    found = tk.counterfactual(explored, tk.Fixed("other"), step="label")
    assert "100 % of the target's choices were never possible" in why_not(found)


@pytest.mark.slow
def test_a_model_that_appears_in_one_run_only_is_refused(tmp_path: Path) -> None:
    models = fleet("small", "large", "other")
    first = ran(tmp_path, tk.Uniform("small", "large"), n=60, models=models)
    given = [{**row, "id": f"x{row['id']}", "text": f"question {i + 60}"} for i, row in enumerate(rows(60))]
    second = ran(tmp_path, tk.Uniform("small", "other"), given=given, models=models)
    found = tk.counterfactual([first, second], tk.Fixed("other"), step="label")
    assert "50 % of the target's choices were never possible" in why_not(found)
    alone = told(tk.counterfactual(second, tk.Fixed("other"), step="label"), tk.Fixed("other"))
    assert alone.n == 60


def test_ten_rows_are_refused(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Uniform("small", "large"), n=10)
    assert "10 rows are too few" in why_not(tk.counterfactual(run, tk.Fixed("large"), step="label"))


def test_constant_scores_and_one_class_are_refused(tmp_path: Path) -> None:
    models = fleet("small").with_function("a", lambda request: "yes").with_function("b", lambda request: "yes")
    given = [{**row, "truth": "yes"} for row in rows(60)]
    run = ran(tmp_path, tk.Uniform("a", "b"), given=given, models=models)
    assert "all 60 grades are 1" in why_not(tk.counterfactual(run, tk.Fixed("a"), step="label"))


def test_no_grades_are_refused_and_cost_is_told_all_the_same(tmp_path: Path) -> None:
    run = desk(tk.Uniform("small", "large"), step=replace(label, grade=())).run(rows(80), fleet(), home=tmp_path)
    found = tk.counterfactual(run, tk.Fixed("large"), step="label")
    assert "has no grades" in why_not(found)
    cost = told(found, tk.Fixed("large"), "cost")
    assert cost.low <= 0.010 <= cost.high


def test_grades_that_are_missing_unevenly_are_refused(tmp_path: Path) -> None:
    picky = replace(label, grade=(OfShortAnswers(),))
    run = desk(tk.Uniform("small", "large"), step=picky).run(rows(200), fleet(), home=tmp_path)
    assert "grades are missing unevenly" in why_not(tk.counterfactual(run, tk.Fixed("large"), step="label"))


def test_grades_that_are_missing_evenly_are_left_out_and_said_so(tmp_path: Path) -> None:
    given = [{**row, "truth": row["truth"] if i % 2 else None} for i, row in enumerate(rows(200))]
    step = replace(label, grade=(Contains("truth"),))
    run = desk(tk.Uniform("small", "large"), step=step).run(given, fleet(), home=tmp_path)
    found = tk.counterfactual(run, tk.Fixed("large"), step="label")
    assert told(found, tk.Fixed("large")).n == 100
    assert found.notes == ("100 of 200 decisions of label have no graded answer, and are left out",)


def test_prices_that_are_unknown_leave_cost_without_a_number(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Uniform("small", "large"), models=fleet(priced=False))
    found = tk.counterfactual(run, tk.Fixed("large"), step="label")
    assert "no cost is known" in why_not(found, "cost")
    assert told(found, tk.Fixed("large")).n == 60


def test_probabilities_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    run = ran(tmp_path, Careless(), n=60)
    assert "do not add up to 1" in why_not(tk.counterfactual(run, tk.Fixed("large"), step="label"))


def test_a_request_that_was_erased_is_told(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Uniform("small", "large"), content="hashes")
    with pytest.raises(RunError, match="is not on record any more"):
        tk.counterfactual(run, tk.Fixed("large"), step="label")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": "nope"}, "no decision of step 'nope'"),
        ({}, "name it, as in step='triage'"),
        ({"step": "label", "method": "magic"}, "no method 'magic'"),
        ({"step": "label", "quality": "Nope"}, "no graders of step 'label' go by 'Nope'"),
        ({"workflow": {}}, "name at least one step"),
    ],
)
def test_what_is_not_there_is_told(explored: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        tk.counterfactual(explored, tk.Fixed("large"), **options)


@dataclass(frozen=True)
class Careless(tk.Fixed):
    """Draws, and forgets to say how."""

    model: str = "small"

    def decide(self, facts: RoutingFacts) -> Decision:
        name = "small" if facts.chance(self).random() < 0.5 else "large"
        chances = {"small": 0.9, "large": 0.3}
        return settle(judged(facts, chances), (name,), router=self, reason="", facts=facts, probabilities=chances)

    def names(self) -> Any:
        return ("small", "large")


@dataclass(frozen=True)
class OfShortAnswers(Grader):
    """Has no opinion of what a weak model says."""

    def grade(self, case: Case) -> Grade | None:
        return Grade("short", "score", luck(case.fields["id"])) if case.value != "perhaps" else None


def test_nan_rewards_never_reach_an_estimator() -> None:
    from toolkit.evaluation.offpolicy import Logged

    with pytest.raises(ValueError, match="NaN"):
        Logged(np.zeros(2, dtype=np.int64), np.array([1.0, math.nan]), np.ones((2, 1)))


def test_a_refusal_says_so_in_words() -> None:
    assert str(Refusal("dr", "too few rows")) == "no estimate by dr: too few rows"


def test_answers_that_failed_are_told(tmp_path: Path) -> None:
    def refuses(request: tk.Request) -> str:
        raise InvalidRequest("no")

    models = fleet("small").with_function("broken", refuses)
    run = ran(tmp_path, tk.Uniform("small", "broken"), models=models)
    found = tk.counterfactual(run, tk.Fixed("broken"), step="label")
    assert told(found, tk.Fixed("broken")).value < 0.1
    assert any("answers of label failed" in note for note in found.notes)
