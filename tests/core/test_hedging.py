"""A second request where the first is slow, and deadlines that hold: what is taken, recorded and charged."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.core.core_samples import column, fleet_of, run_over, said, tickets
from toolkit import (
    Escalate,
    Fallback,
    Fixed,
    Fleet,
    Hedge,
    Ladder,
    Reply,
    Request,
    Retry,
    Within,
    Workflow,
    prompt,
    step,
)
from toolkit.errors import Unavailable
from toolkit.money.prices import Price
from toolkit.policies import Policy
from toolkit.routing import Router


def replying(policy: Policy, route: Router | None = None) -> Workflow:
    @step(route=route or Fixed("small"), policy=policy)
    def reply(ticket: str) -> Request:
        return prompt("Answer.", ticket=ticket)

    return Workflow("w", [reply])


class Turns:
    """Answers each call by the next of (seconds, answer), an exception being raised."""

    def __init__(self, *turns: tuple[float, Any]) -> None:
        self.turns = list(turns)
        self.begun = 0

    async def __call__(self, _: Request) -> Reply | str:
        seconds, answer = self.turns[self.begun]
        self.begun += 1
        await asyncio.sleep(seconds)
        if isinstance(answer, Exception):
            raise answer
        found: Reply | str = answer
        return found


ATTEMPTS = "select number, model, error_type, cost_usd from attempts order by number"


def test_the_first_good_answer_is_taken_and_the_cost_of_the_slow_one_is_on_record(tmp_path: Path) -> None:
    model = Turns((1.0, said("slow", cost_usd=0.5)), (0.0, said("quick", cost_usd=0.25)))
    run = run_over(replying(Hedge(0.05)), tickets(1), fleet_of(small=model), tmp_path)
    assert run.sql(ATTEMPTS).rows == ((1, "small", None, 0.5), (2, "small", None, 0.25))
    assert column(run, "select attempt_id = (select id from attempts where number = 2) from answers") == [True]
    assert run.progress.tally.cost_usd == 0.75
    assert "hedge: small has taken 0.0" in column(run, "select why from attempts order by number")[1]


def test_a_quick_answer_is_asked_for_once(tmp_path: Path) -> None:
    model = Turns((0.0, "fine"))
    run_over(replying(Hedge(5.0)), tickets(1), fleet_of(small=model), tmp_path)
    assert model.begun == 1


def test_where_the_first_fails_its_hedge_is_waited_for(tmp_path: Path) -> None:
    model = Turns((0.15, Unavailable("down")), (0.4, "fine"))
    run = run_over(replying(Retry(2, base=0.0) | Hedge(0.05)), tickets(1), fleet_of(small=model), tmp_path)
    assert run.progress.answered == 1
    assert model.begun == 2


def test_where_both_fail_the_policy_goes_on(tmp_path: Path) -> None:
    model = Turns((0.15, Unavailable("down")), (0.15, Unavailable("down")))
    fleet = fleet_of(small=model, large=Turns((0.0, "fine")))
    run = run_over(replying(Hedge(0.05) | Fallback(), Ladder("small", "large")), tickets(1), fleet, tmp_path)
    assert column(run, "select model from answers") == ["large"]


def test_a_bad_answer_is_no_reason_to_stop_waiting_for_the_other(tmp_path: Path) -> None:
    model = Turns((0.3, said("good", confidence=0.9)), (0.0, said("bad", confidence=0.1)))
    run = run_over(replying(Hedge(0.05) | Escalate(0.5)), tickets(1), fleet_of(small=model), tmp_path)
    assert column(run, "select attempt_id = (select id from attempts where number = 1) from answers") == [True]


def test_a_hedge_can_go_to_another_model(tmp_path: Path) -> None:
    fleet = fleet_of(small=Turns((0.5, "slow")), large=Turns((0.0, "quick")))
    run = run_over(replying(Hedge(0.05, model="large")), tickets(1), fleet, tmp_path)
    assert column(run, "select model from answers") == ["large"]
    assert column(run, "select count(*) from attempts") == [2]


def test_what_is_slow_follows_from_the_models_own_calls(tmp_path: Path) -> None:
    model = Turns(*[(0.0, "fine")] * 30, (2.0, "slow"), (0.0, "quick"))
    run = run_over(replying(Hedge()), tickets(31), fleet_of(small=model), tmp_path, in_flight=1)
    assert run.progress.answered == 31
    assert column(run, "select count(*) from attempts where why like 'hedge%'") == [model.begun - 31]
    assert model.begun >= 32


def test_both_of_a_hedge_are_held_back_and_settled(tmp_path: Path) -> None:
    model = Turns((0.3, said("slow", cost_usd=0.0005)), (0.0, said("quick", cost_usd=0.0003)))
    fleet = Fleet({}).with_function("small", model, price=Price(1.0, 1.0), max_output_tokens=1000)
    run = run_over(replying(Hedge(0.05)), tickets(1), fleet, tmp_path, budget="1 USD")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        ((spent, held),) = journal.execute("select spent, reserved from budgets").fetchall()
        assert journal.execute("select count(*) from reservations").fetchall() == [(0,)]
    assert round(spent, 9) == 0.0008
    assert abs(held) < 1e-12
    assert run.progress.answered == 1


def test_a_hedge_that_no_budget_allows_is_not_made_and_the_first_is_waited_for(tmp_path: Path) -> None:
    model = Turns((0.3, said("slow", cost_usd=0.0005)))
    fleet = Fleet({}).with_function("small", model, price=Price(1.0, 1.0), max_output_tokens=1000)
    large = Turns((0.0, "never"))
    fleet = fleet.with_function("large", large, price=Price(1e6, 1e6), max_output_tokens=1000)
    run = run_over(replying(Hedge(0.05, model="large")), tickets(1), fleet, tmp_path, budget="1 USD")
    assert (run.progress.answered, large.begun, run.stopped) == (1, 0, "")


def test_an_attempt_beyond_the_limit_of_time_is_given_up_and_on_record_as_timed_out(tmp_path: Path) -> None:
    fleet = fleet_of(small=Turns((20.0, "late")), large=Turns((0.0, "never asked")))
    policy = Within(seconds=0.2) | Retry(3) | Fallback()
    run = run_over(replying(policy, Ladder("small", "large")), tickets(1), fleet, tmp_path)
    assert run.sql("select model, error_type, service_seconds < 5 from attempts").rows == (("small", "timeout", True),)
    assert column(run, "select status from answers") == ["failed"]
    assert run.progress.seconds < 10


def test_what_was_answered_before_the_limit_of_time_is_taken(tmp_path: Path) -> None:
    fleet = fleet_of(small=Turns((0.0, said("weak", confidence=0.1))), large=Turns((20.0, "late")))
    policy = Within(seconds=0.3) | Escalate(0.5)
    run = run_over(replying(policy, Ladder("small", "large")), tickets(1), fleet, tmp_path)
    assert column(run, "select model from answers") == ["small"]


def test_a_call_given_up_at_the_limit_of_time_costs_the_budget_all_that_was_held_back(tmp_path: Path) -> None:
    fleet = Fleet({}).with_function("small", Turns((20.0, "late")), price=Price(1.0, 1.0), max_output_tokens=1000)
    run = run_over(replying(Within(seconds=0.2)), tickets(1), fleet, tmp_path, budget="1 USD")
    (reserved,) = column(run, "select reserved_usd from attempts")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        assert journal.execute("select spent from budgets").fetchall() == [(reserved,)]
