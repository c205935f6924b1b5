"""Replays: the same loop over recorded answers. Nothing is asked, nothing is counted twice, nothing is made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toolkit as tk
from tests.evaluation.samples import PRICES, answer, desk, fleet, is_right, label, ran, rows, shout
from toolkit.errors import InvalidRequest, RunError, WorkflowError
from toolkit.routing.router import Router

CHOICES = "select row_id, choice, probability, seed from decisions order by row_id"
ANSWERS = "select row_id, step, value, model, cost_usd from answers order by row_id, step"


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which both models have answered every row."""
    home = tmp_path_factory.mktemp("home")
    for model in ("small", "large"):
        ran(home, tk.Fixed(model))
    return home


@pytest.mark.slow
def test_replaying_a_run_with_its_seed_gives_the_same_choices_answers_and_costs(tmp_path: Path) -> None:
    route = tk.Explore(tk.Ladder("small", "large"), rate=0.5)
    run = ran(tmp_path, route, seed=7, policy=tk.Escalate(below=0.5))
    again = tk.replay(run, desk(route, tk.Escalate(below=0.5)), fleet())
    assert again.history.sql(CHOICES).rows == run.sql(CHOICES).rows
    assert again.history.sql(ANSWERS).rows == run.sql(ANSWERS).rows
    assert again.missing == ()
    assert again.compare(step="label").of(again.id).value == 0  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize(
    "route",
    [
        tk.Fixed("large"),
        tk.Rules(tk.Rule(tk.Fixed("large"), field="truth", value="yes"), otherwise=tk.Fixed("small")),
        tk.Uniform("small", "large"),
        tk.Explore(tk.Ladder("small", "large"), rate=0.3),
        tk.Cheapest("large", "small"),
    ],
    ids=repr,
)
def test_on_complete_tables_a_replay_equals_direct_computation_exactly(complete: Path, route: Router) -> None:
    found = tk.replay(complete, desk(tk.Fixed("small")), fleet(), routes=route)
    assert found.is_complete
    chosen = dict(found.history.sql("select row_id, choice from decisions").rows)
    answers = found.history.sql("select row_id, value ->> '$', cost_usd from answers where step = 'desk/label'").rows
    assert {(row_id, value, cost) for row_id, value, cost in answers} == {
        (row["id"], answer(chosen[row["id"]], row["text"]), PRICES[chosen[row["id"]]] / 1000) for row in rows()
    }
    grades = dict(found.history.sql("select row_id, value from grades").rows)
    assert grades == {row["id"]: is_right(chosen[row["id"]], row) for row in rows()}


def test_another_policy_is_replayed_by_the_same_loop(complete: Path) -> None:
    found = tk.replay(
        complete, desk(tk.Fixed("small")), fleet(), routes=tk.Ladder("small", "large"), policy=tk.Escalate(below=0.5)
    )
    grades = found.history.sql("select max(value) as best from grades group by row_id").column("best")
    assert np.mean(grades) == np.mean([max(is_right("small", row), is_right("large", row)) for row in rows()])
    escalated = found.history.sql("select count(*) from attempts where model = 'large'").rows
    assert escalated == ((sum(not is_right("small", row) for row in rows()),),)


def test_nobody_is_asked_and_what_is_missing_has_its_price(tmp_path: Path) -> None:
    run, calls = ran(tmp_path, tk.Fixed("small")), list[str]()
    found = tk.replay(run, desk(tk.Fixed("small")), fleet(calls=calls), routes=tk.Uniform("small", "large"))
    chosen = found.history.sql("select choice from decisions").column("choice")
    assert calls == []
    (missing,) = found.missing
    assert (missing.model, missing.requests) == ("large", chosen.count("large"))
    assert found.cost_usd == pytest.approx(0.01 * chosen.count("large"))
    assert found.reused == chosen.count("small")
    assert len(found.incomplete) == chosen.count("large")
    assert "can be had for about 0." in found.sentence
    with pytest.raises(RunError, match="rows are incomplete; replay with ask_missing=True first"):
        found.compare(step="label")


def test_what_is_missing_is_no_failure_that_a_policy_acts_on(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Fixed("small"))
    careful = tk.Retry(2) | tk.Fallback()
    found = tk.replay(run, desk(tk.Fixed("small")), fleet(), routes=tk.Ladder("large", "small"), policy=careful)
    assert len(found.incomplete) == 60
    assert found.history.sql("select count(*) from answers where status = 'answered'").rows == ((0,),)


def test_only_what_is_missing_is_asked_and_paid_for(tmp_path: Path) -> None:
    run, calls = ran(tmp_path, tk.Fixed("small")), list[str]()
    route = tk.Uniform("small", "large")
    found = tk.replay(run, desk(tk.Fixed("small")), fleet(calls=calls), routes=route, ask_missing=True)
    chosen = found.history.sql("select choice from decisions").column("choice")
    assert calls == ["large"] * chosen.count("large")
    assert found.is_complete
    assert found.history.home == tmp_path / "replays"
    assert found.compare(step="label").of(found.id).n == 60  # type: ignore[union-attr]


def test_a_price_that_is_unknown_is_not_nothing(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Fixed("small"))
    models = fleet("small").with_function("large", lambda request: "yes")
    found = tk.replay(run, desk(tk.Fixed("small")), models, routes=tk.Fixed("large"))
    assert found.cost_usd is None
    assert "at a price that is not known" in found.sentence


def test_a_replay_is_not_counted_as_spent(complete: Path) -> None:
    before = tk.History(complete).sql("select sum(cost_usd), count(*) from attempts").rows
    tk.replay(complete, desk(tk.Fixed("small")), fleet(), routes=tk.Fixed("large"))
    assert tk.History(complete).sql("select sum(cost_usd), count(*) from attempts").rows == before
    with pytest.raises(RunError, match="a record of its own"):
        tk.replay(complete, desk(), fleet(), home=complete)


def test_failures_and_repairs_are_played_back_as_they_were(tmp_path: Path) -> None:
    def moody(request: Any) -> str:
        if "r" in request.text and "question 3" in request.text:
            raise InvalidRequest("not this one")
        return "yes"

    models = fleet("small").with_function("moody", moody)
    run = ran(tmp_path, tk.Ladder("moody", "small"), policy=tk.Fallback(), models=models)
    found = tk.replay(run, desk(tk.Ladder("moody", "small"), tk.Fallback()), models)
    errors = "select row_id, number, model, error_type, error_message from attempts order by row_id, number"
    assert found.history.sql(errors).rows == run.sql(errors).rows
    assert found.history.sql(ANSWERS).rows == run.sql(ANSWERS).rows


def test_a_step_that_acts_does_not_act_again(tmp_path: Path) -> None:
    done: list[str] = []

    def booked(label: str) -> str:
        done.append(label)
        return f"booked {len(done)}"

    book = tk.step(acts=True, name="book")(booked)
    flow = tk.Workflow("desk", [label, book])
    run = flow.run(rows(12), fleet(), home=tmp_path)
    assert len(done) == 12
    found = tk.replay(run, flow, fleet())
    assert len(done) == 12
    values = "select row_id, value from answers where step = 'desk/book' order by row_id"
    assert found.history.sql(values).rows == run.sql(values).rows


def test_a_model_that_may_call_tools_that_act_is_not_replayed(complete: Path) -> None:
    def pay(amount: int) -> str:
        """Pay."""
        return str(amount)

    step = replace(label, tools=(replace(tk.tool(pay), acts=True),))
    with pytest.raises(WorkflowError, match="has tools that act"):
        tk.replay(complete, tk.Workflow("desk", [step, shout]), fleet())


def test_what_cannot_be_replayed_is_told(complete: Path) -> None:
    with pytest.raises(RunError, match="no run 'nope'"):
        tk.replay(complete, desk(), fleet(), run="nope")
    with pytest.raises(RunError, match="is one of workflow 'desk', not of 'shop'"):
        tk.replay(complete, tk.Workflow("shop", [label]), fleet())
    with pytest.raises(WorkflowError, match="no step 'nope'"):
        tk.replay(complete, desk(), fleet(), policy={"nope": tk.Retry(1)})
