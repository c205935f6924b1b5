"""What is said of a run before it begins: exact where the rows tell it, estimated by the record, else unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.core.core_samples import Model, fleet_of, run_over, said, tickets
from tests.core.test_budgets import COST, answered, priced
from toolkit import (
    Escalate,
    Fallback,
    Fixed,
    Fleet,
    Hedge,
    Ladder,
    ModelSpec,
    Once,
    Repair,
    Request,
    Retry,
    Skip,
    Within,
    Workflow,
    prompt,
    step,
)
from toolkit.asking.settings import Settings
from toolkit.cli.app import app
from toolkit.forecasts.forecasting import Forecast, most_attempts
from toolkit.forecasts.foreseeing import foreseen
from toolkit.money.budgets import Budget, Budgets
from toolkit.policies import Policy, When


def forecast(workflow: Workflow, rows: Any, fleet: Fleet, home: Path, **options: Any) -> Forecast:
    return foreseen(workflow, rows, fleet, Settings(home=home, **options))


@step(route=Fixed("small"))
def reply(ticket: str) -> Request:
    return prompt("Answer.", ticket=ticket)


@step(route=Fixed("small"))
def review(reply: str) -> Request:
    return prompt("Is that kind?", reply=reply)


FLOW = Workflow("w", [reply, review])


def test_nothing_is_asked_and_nothing_is_written(tmp_path: Path) -> None:
    model = Model(answered)
    forecast(FLOW, tickets(5), priced(model), tmp_path)
    assert model.calls == 0
    assert list(tmp_path.iterdir()) == []


def test_before_anything_has_run_the_first_step_is_known_and_the_next_is_said_to_be_unknown(tmp_path: Path) -> None:
    found = forecast(FLOW, tickets(5), priced(), tmp_path)
    first, second = found.steps
    assert (first.seen.requests, first.to_ask, first.seen.on_record) == (5, 5, 0)
    assert (first.calls.least, first.calls.likely, first.calls.worst) == (5.0, None, 5.0)
    assert 0 < first.cost_usd.least < 5 * COST
    assert first.cost_usd.likely is None
    assert (first.cost_usd.worst or 0) > 5 * COST
    assert (second.seen.unknown, second.to_ask) == (5, 0)
    assert (second.calls.worst, second.cost_usd.likely, found.seconds) == (None, None, None)
    assert found.cost_usd.worst is None


@pytest.mark.slow
def test_what_is_answered_on_record_is_counted_and_leads_to_what_the_next_step_asks(tmp_path: Path) -> None:
    fleet = priced()
    run_over(FLOW, tickets(3), fleet, tmp_path)
    found = forecast(FLOW, tickets(5), fleet, tmp_path)
    first, second = found.steps
    assert (first.seen.on_record, first.to_ask) == (3, 2)
    assert (second.seen.requests, second.seen.on_record, second.seen.unknown) == (3, 3, 2)
    run = run_over(FLOW, tickets(5), fleet, tmp_path)
    assert run.progress.tally.calls >= found.calls.least
    whole = forecast(FLOW, tickets(5), fleet, tmp_path)
    assert whole.calls.worst == 0
    fresh = forecast(FLOW, tickets(5), fleet, tmp_path, fresh=True)
    assert fresh.steps[0].to_ask == 5


def test_what_is_likely_follows_from_earlier_runs_and_lies_within_the_range(tmp_path: Path) -> None:
    fleet = priced()
    rows = [{"id": f"r{n}", "ticket": f"a very different ticket {n}"} for n in range(10)]
    run_over(FLOW, tickets(6), fleet, tmp_path)
    cost = forecast(FLOW, rows, fleet, tmp_path).cost_usd
    assert cost.likely == pytest.approx(11 * COST, rel=0.2), "ten replies, and a review for those that differ"
    assert cost.least <= (cost.likely or 0)


def test_rows_that_ask_alike_are_counted_once(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "ticket": "the same"} for n in range(4)]
    (first, _) = forecast(FLOW, rows, priced(), tmp_path).steps
    assert (first.to_ask, first.seen.shared) == (1, 3)


def test_an_unknown_price_has_no_cost_but_not_nothing(tmp_path: Path) -> None:
    found = forecast(Workflow("w", [reply]), tickets(2), fleet_of(small=Model()), tmp_path)
    assert (found.cost_usd.least, found.cost_usd.likely, found.cost_usd.worst) == (0.0, None, None)
    assert found.calls.worst == 2.0


def test_what_is_skipped_or_fails_or_goes_to_a_person_asks_no_model(tmp_path: Path) -> None:
    @step(route=Fixed("person"))
    def asked(kind: str) -> Any:
        if kind == "bad":
            raise ValueError("no")
        return Skip("none") if kind == "none" else prompt("May we?", kind=kind)

    fleet = Fleet({"person": ModelSpec("person", "person", "person")})
    rows = [{"id": kind, "kind": kind} for kind in ("bad", "none", "fine")]
    (found,) = forecast(Workflow("w", [asked]), rows, fleet, tmp_path).steps
    assert (found.seen.failed, found.seen.parks, found.seen.requests, found.to_ask) == (1, 1, 1, 0)


def test_no_tool_is_called(tmp_path: Path) -> None:
    called = []

    @step
    def search(ticket: str) -> str:
        called.append(ticket)
        return "found"

    @step(route=Fixed("small"))
    def told(search: str) -> Request:
        return prompt("Tell.", search=search)

    (found,) = forecast(Workflow("w", [search, told]), tickets(2), priced(), tmp_path).steps
    assert called == []
    assert found.seen.unknown == 2


LADDER = ("small", "large", "person")
MOST = [
    (Once(), {"small": 1}),
    (Within(usd=1) | Retry(2), {"small": 3}),
    (Retry(2) | Repair(1), {"small": 4}),
    (Retry(2) | Repair(1) | Escalate(0.5), {"small": 4, "large": 4}),
    (Fallback() | Hedge(1), {"small": 2, "large": 2}),
    (Hedge(1, model="large"), {"small": 1, "large": 1}),
    (When(lambda _: None, "mine") | Retry(2), None),
]


@pytest.mark.parametrize(("policy", "most"), MOST)
def test_the_most_that_a_policy_asks_is_bounded_by_its_parts(policy: Policy, most: dict[str, int] | None) -> None:
    assert most_attempts(policy, LADDER, persons=("person",)) == most


@pytest.mark.parametrize("policy", [policy for policy, most in MOST if most is not None])
def test_no_run_asks_more_often_than_its_forecast_at_most(tmp_path: Path, policy: Policy) -> None:
    poor = Model(lambda request: said("poor", confidence=0.1))
    workflow = Workflow("w", [reply.with_route(Ladder("small", "large"))], policy=policy)
    fleet = fleet_of(small=poor, large=poor)
    found = forecast(workflow, tickets(3), fleet, tmp_path)
    run = run_over(workflow, tickets(3), fleet, tmp_path)
    assert found.calls.least <= run.progress.tally.calls <= (found.calls.worst or 0)


@pytest.mark.parametrize(
    ("usd", "said"), [(1e-9, "is not enough"), (1.0, "is enough, whatever happens"), (0.004, "cannot be told yet")]
)
def test_a_budget_is_held_against_the_forecast(tmp_path: Path, usd: float, said: str) -> None:
    found = forecast(Workflow("w", [reply]), tickets(5), priced(), tmp_path)
    assert said in found.against(Budgets((Budget(usd=usd),)))[0]


def test_plan_tells_it_from_the_command_line(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["plan", "support", "--limit", "7", "--home", str(tmp_path), "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert (found["rows"], found["calls"]["likely"], found["seconds"]) == (7, None, None)
    assert found["calls"]["least"] == 21
    words = CliRunner().invoke(app, ["plan", "support", "--limit", "7", "--home", str(tmp_path), "--budget", "5 USD"])
    assert "unknown: nothing like it has run yet" in words.stdout
    assert "whether the budget of 5.00 USD a run is enough cannot be told yet" in words.stdout
