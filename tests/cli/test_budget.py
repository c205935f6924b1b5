"""Budgets from the command line: a run stops at its cap, says so, and goes on with a larger one."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from toolkit import Budget, Journal
from toolkit.ledger.writing import reservations
from toolkit.ledger.writing.reservations import Reservation
from toolkit.money.budgets import Budgets, Worst

if TYPE_CHECKING:
    from tests.cli.conftest import Desk


@pytest.fixture
def tickets(desk: Desk) -> Desk:
    desk.fleet(max_output_tokens=20, concurrency=2)
    desk.write("rows.csv", "\n".join(["id,text", *(f"{i},budgeted question {i}." for i in range(30))]))
    return desk


@pytest.mark.slow
def test_a_run_stops_at_its_budget_and_goes_on_with_a_larger_one(tickets: Desk) -> None:
    stopped = tickets.run("rows.csv", "--budget", "0.0005 USD", "--in-flight", "2")
    assert stopped.code == 1
    assert "toolkit: the budget of 0.00050 USD a run is reached" in stopped.err
    assert "--budget '… USD'" in stopped.err
    assert "cancelled" in stopped.out
    before = sum(tickets.server.counts().values())
    ended = tickets.toolkit("resume", "latest", "--budget", "1 USD", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["rows"]["answered"] == 30
    asked = {prompt: count for prompt, count in tickets.server.counts().items() if "budgeted question" in prompt}
    assert before > 0
    assert set(asked.values()) == {1}, "nothing is paid for twice"


@pytest.mark.slow
def test_what_is_spent_and_held_back_is_shown_and_the_dead_are_reconciled(tickets: Desk) -> None:
    assert tickets.run("rows.csv", "--budget", "1 USD", "--limit", "2").code == 0
    told = json.loads(tickets.toolkit("budget", "latest", "--json").out)
    (scope,) = told["scopes"]
    assert (scope["limit"], scope["unit"], told["dead_reservations"]) == (1.0, "usd", 0)
    assert 0 < scope["spent"] < 0.001
    caps = Budgets((Budget(usd=1.0),)).caps(run_id=scope["scope"].removeprefix("run "), day="", step="s/s", model="m")
    lost = Reservation("0" * 32, scope["scope"].removeprefix("run "), "somebody/gone", caps, Worst(0.25, 9))
    with Journal.open(tickets.folder / ".toolkit") as journal:
        journal.decided(partial(reservations.reserve, wanted=lost))
    shown = tickets.toolkit("budget")
    assert "1 calls were cut off with their process" in shown.out
    settled = json.loads(tickets.toolkit("budget", "--reconcile", "--json").out)
    assert settled["reconciled"] == {"on_record": 0, "counted_as_spent": 1}
    assert settled["scopes"][0]["spent"] == pytest.approx(scope["spent"] + 0.25)
    assert settled["scopes"][0]["held"] == pytest.approx(0.0, abs=1e-9)


def test_what_is_no_budget_is_said_before_anything_runs(tickets: Desk) -> None:
    ended = tickets.run("rows.csv", "--budget", "five dollars")
    assert ended.code == 2
    assert "cannot read the budget 'five dollars'" in ended.sentence


def test_plan_holds_a_workflow_against_a_budget_without_asking(tickets: Desk) -> None:
    before = sum(tickets.server.counts().values())
    ended = tickets.toolkit("plan", "flow.py", "rows.csv", "--fleet", "models.toml", "--budget", "0.0000001 USD")
    assert ended.code == 0, ended.err
    assert "30 rows: 30 calls at least" in ended.out
    assert "is not enough: at the least it takes" in ended.out
    assert sum(tickets.server.counts().values()) == before
