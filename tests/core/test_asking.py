"""One request through the loop: what is tried, what is on record of it, what is asked again and what never twice."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from tests.core.core_samples import SMALL, Model, column, fleet_of, run_over, said, tickets
from toolkit import (
    CutMiddle,
    Escalate,
    Explore,
    Fallback,
    Fixed,
    Fleet,
    Journal,
    Ladder,
    ModelSpec,
    Repair,
    Request,
    Retry,
    Within,
    Workflow,
    grading,
    prompt,
    step,
)
from toolkit.errors import AccessDenied, RateLimited, Unavailable
from toolkit.grading import Case, Grader
from toolkit.messages import sections
from toolkit.models.spec import Provider
from toolkit.money.prices import Price
from toolkit.policies import Policy
from toolkit.records import Grade, Reply
from toolkit.routing import ByFunction, Router, RoutingFacts
from toolkit.runs.running import Running

LADDER = Ladder("small", "large", "person")


def replying(route: Router = SMALL, policy: Policy | None = None, **options: Any) -> Workflow:
    """A workflow of one step that asks for an answer to the ticket."""

    @step(route=route, policy=policy, **options)
    def reply(ticket: str) -> Request:
        return prompt("Answer.", ticket=ticket)

    return Workflow("w", [reply])


def with_person(fleet: Fleet) -> Fleet:
    return Fleet({**fleet.specs, "person": ModelSpec("person", "person", "person")}, fleet.functions)


def attempts(running: Running) -> list[tuple[Any, ...]]:
    """(model, why, error type) of each attempt, in order."""
    return list(running.sql("select model, why, error_type from attempts order by row_id, number").rows)


def reasons(running: Running) -> list[str]:
    return column(running, 'select reason from "rows" order by "index"')


def down(_: Request) -> str:
    raise Unavailable("refused", retry_after=0.0)


def limited(_: Request) -> str:
    raise RateLimited("429", retry_after=0.0)


# ----------------------------------------------------------------------------------------------- what follows an error
def test_each_attempt_is_on_record_with_its_error_and_its_reason(tmp_path: Path) -> None:
    fleet = fleet_of(small=down, large=Model(said("fine", cost_usd=0.5)))
    run = run_over(replying(LADDER, Retry(1) | Fallback()), tickets(1), with_person(fleet), tmp_path)
    assert attempts(run) == [
        ("small", "first choice", "unavailable"),
        ("small", "retry 1 after unavailable", "unavailable"),
        ("large", "fallback after unavailable", None),
    ]
    assert run.sql("select model, attempts, cost_usd from answers").rows == (("large", 3, 0.5),)
    assert column(run, "select count(distinct decision_id) from attempts") == [1]


def test_a_low_grade_climbs_the_ladder_and_at_the_top_the_row_parks(tmp_path: Path) -> None:
    fleet = with_person(fleet_of(small=Model(said("a", confidence=0.1)), large=Model(said("b", confidence=0.4))))
    run = run_over(replying(LADDER, Escalate(below=0.5)), tickets(2), fleet, tmp_path)
    assert column(run, 'select status from "rows"') == ["parked", "parked"]
    assert (run.progress.parked, run.progress.answered) == (2, 0)
    assert reasons(run)[0] == "reply: escalated: large reached 0.40 < 0.5"
    with Journal.open(tmp_path) as journal:
        first, second = journal.parked(run.id)
    assert (first.place.row_id, first.place.step, first.status) == ("t0", "w/reply", "open")
    assert sections(first.question) == {"ticket": "ticket number 0"}
    assert first.why == "escalated: large reached 0.40 < 0.5"
    assert second.place.row_id == "t1"
    assert set(column(run, "select name from events")) == {"toolkit.row.parked"}


def test_what_needs_a_parked_step_waits_and_what_does_not_goes_on(tmp_path: Path) -> None:
    @step(route=Fixed("person"))
    def approved(ticket: str) -> Request:
        return prompt("May we?", ticket=ticket)

    @step
    def sent(approved: str) -> str:
        return approved

    @step
    def filed(ticket: str) -> str:
        return ticket

    run = run_over(Workflow("w", [approved, sent, filed]), tickets(1), with_person(fleet_of()), tmp_path)
    assert column(run, 'select status from "rows"') == ["parked"]
    assert column(run, "select step from answers where status = 'answered'") == ["w/filed"]


def test_a_repair_shows_the_model_its_answer_and_the_error(tmp_path: Path) -> None:
    model = Model(lambda request: "maybe" if len(request.messages) == 2 else "yes")
    run = run_over(replying(policy=Repair(1), output=Literal["yes", "no"]), tickets(1), fleet_of(small=model), tmp_path)
    _, repaired = model.requests
    assert [message.role for message in repaired.messages] == ["system", "user", "assistant", "user"]
    assert repaired.messages[2].text == "maybe"
    assert "Input should be 'yes' or 'no'" in repaired.messages[3].text
    assert attempts(run) == [("small", "first choice", "invalid_output"), ("small", "repair 1 of its answer", None)]
    sent = column(run, "select c.body from attempts a join contents c on c.hash = a.request_hash order by a.number")
    assert ["maybe" in str(body) for body in sent] == [False, True]


def test_a_prompt_that_is_cut_to_fit_is_on_record_as_it_was_sent(tmp_path: Path) -> None:
    model = Model()
    fleet = Fleet({}).with_function("small", model, window=500, capabilities=["chat"])
    run = run_over(replying(fit=CutMiddle()), [{"ticket": "x" * 5000}], fleet, tmp_path)
    assert "shortened to fit" in model.requests[0].text
    assert len(model.requests[0].text) <= (500 - 256) * 4
    query = "select c.body from attempts a join contents c on c.hash = a.request_hash"
    assert "shortened to fit" in str(column(run, query)[0])


def test_a_prompt_that_fits_no_window_fails_its_row_and_asks_nobody(tmp_path: Path) -> None:
    model = Model()
    fleet = Fleet({}).with_function("small", model, window=500, capabilities=["chat"])
    run = run_over(replying(), [{"ticket": "x" * 5000}], fleet, tmp_path)
    assert model.calls == 0
    assert "tokens > 500" in reasons(run)[0]


def test_no_answer_is_bought_beyond_the_bound_of_its_request(tmp_path: Path) -> None:
    large = Model("dear")
    fleet = Fleet({}).with_function("small", Model(said("poor", confidence=0.1, cost_usd=0.001)), price=Price(1.0, 1.0))
    fleet = fleet.with_function("large", large, price=Price(100.0, 100.0))
    run = run_over(replying(Ladder("small", "large"), Within(usd=0.01) | Escalate(0.5)), tickets(1), fleet, tmp_path)
    assert large.calls == 0
    assert run.sql("select model, status from answers").rows == (("small", "answered"),)
    assert "asking large could pass the limit of 0.01 USD" in column(run, "select reason from answers")[0]


class Bug(Exception):
    pass


RAISED: list[BaseException] = [
    Bug("a bug"),
    AccessDenied("401"),
    asyncio.CancelledError("inside"),
    TimeoutError("inside"),
    SystemExit(3),
    RecursionError("deep"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    Bug("half \ud83d"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_model_raises_becomes_a_failed_row_and_nothing_escapes(tmp_path: Path, error: BaseException) -> None:
    async def later(request: Request) -> str:
        await asyncio.sleep(0)
        if "number 1" in request.text:
            raise error
        return "fine"

    run = run_over(replying(), tickets(3), fleet_of(small=later), tmp_path)
    assert run.run.status == "finished"
    assert column(run, 'select status from "rows" order by "index"') == ["answered", "failed", "answered"]
    assert run.progress.tally.errors == 1
    assert sys.modules["toolkit.asking.thread"].running_loop().is_running()


class Strange(Provider):
    async def send(self, request: Request) -> Reply:
        return "no reply"  # type: ignore[return-value]

    async def close(self) -> None:
        raise Bug("on closing")


def test_a_reply_that_ends_in_half_a_character_fails_the_row(tmp_path: Path) -> None:
    run = run_over(replying(), tickets(2), fleet_of(small=Model(said("half \ud83d"))), tmp_path)
    assert run.progress.failed == 2
    assert "surrogates not allowed" in reasons(run)[0]


def test_a_provider_that_gives_no_reply_fails_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit import fleet as fleets

    class Quiet(Strange):
        async def close(self) -> None:
            return None

    monkeypatch.setattr(fleets, "MAKERS", {"strange": lambda spec: Quiet()})
    run = run_over(replying(), tickets(1), Fleet.of(ModelSpec("small", "strange", "x")), tmp_path)
    assert "gave a str and no Reply" in reasons(run)[0]
    assert attempts(run)[0][2] == "invalid_response"


def test_a_provider_that_cannot_close_ends_the_run_with_its_error_and_everything_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit import fleet as fleets

    monkeypatch.setattr(fleets, "MAKERS", {"strange": lambda spec: Strange()})
    running = replying().start(tickets(2), Fleet.of(ModelSpec("small", "strange", "x")), home=tmp_path)
    with pytest.raises(Bug, match="on closing"):
        running.wait(show=False)
    assert len(attempts(running)) == 2


class Raises(Grader):
    def grade(self, case: Case) -> Grade | None:
        raise ZeroDivisionError("no words")


def test_a_grader_that_raises_fails_the_row_and_the_attempt_keeps_its_cost(tmp_path: Path) -> None:
    fleet = fleet_of(small=Model(said("fine", cost_usd=0.5)))
    run = run_over(replying(grade=Raises()), tickets(1), fleet, tmp_path)
    assert "ZeroDivisionError: no words" in reasons(run)[0]
    assert column(run, "select cost_usd from attempts") == [0.5]
    assert column(run, 'select cost_usd from "rows"') == [0.5]


def test_a_router_or_policy_that_raises_fails_the_row(tmp_path: Path) -> None:
    def picky(facts: RoutingFacts) -> str:
        return {"ticket number 0": "small"}[facts.fields["ticket"]]

    run = run_over(replying(ByFunction(picky, ("small",), "picky")), tickets(2), fleet_of(small=Model()), tmp_path)
    assert column(run, 'select status from "rows" order by "index"') == ["answered", "failed"]
    assert "KeyError" in reasons(run)[1]


def test_grades_are_on_record_with_their_attempt(tmp_path: Path) -> None:
    rows = [{"id": "a", "ticket": "x", "truth": "fine"}, {"id": "b", "ticket": "y", "truth": "else"}]
    run = run_over(replying(grade=grading.Exact("truth")), rows, fleet_of(small=Model()), tmp_path)
    query = (
        "select g.row_id, g.grader, g.value, a.model from grades g join attempts a on a.id = g.attempt_id order by 1"
    )
    assert run.sql(query).rows == (("a", "Exact(expects='truth', of=None)", 1.0, "small"),
                                   ("b", "Exact(expects='truth', of=None)", 0.0, "small"))  # fmt: skip


def test_a_router_may_ask_a_model_and_that_is_on_record_too(tmp_path: Path) -> None:
    class AskFirst(Router):
        def decide(self, facts: RoutingFacts) -> Any:
            reply = yield "small", prompt("Who?", request=facts.request.text)
            return Fixed(reply.text).decide(facts)

    fleet = fleet_of(small=Model("large"), large=Model("fine"))
    run = run_over(replying(AskFirst()), tickets(1), fleet, tmp_path)
    query = "select step, model from attempts order by started_at"
    assert run.sql(query).rows == (("w/reply/route", "small"), ("w/reply", "large"))
    failing = run_over(replying(AskFirst()), tickets(1), fleet_of(small=down, large=Model()), tmp_path / "b")
    assert "the router could not ask: refused" in reasons(failing)[0]


def test_each_request_of_a_router_that_asks_several_times_has_an_answer_of_its_own(tmp_path: Path) -> None:
    class AskTwice(Router):
        def decide(self, facts: RoutingFacts) -> Any:
            first = yield "small", prompt("Question 1?")
            second = yield "small", prompt("Question 2?")
            assert (first.text, second.text) == ("1", "2")
            return Fixed("large").decide(facts)

    fleet = fleet_of(small=Model(lambda request: request.text[9]), large=Model("fine"))
    run = run_over(replying(AskTwice()), tickets(1), fleet, tmp_path)
    assert run.sql("select count(*) from attempts where step = 'w/reply/route'").rows == ((2,),)
    assert run.sql("select model from answers").rows == (("large",),)


def test_a_decision_on_record_tells_every_candidate_and_its_probability(tmp_path: Path) -> None:
    fleet = fleet_of(small=Model(), large=Model())
    run = run_over(replying(Explore(Ladder("small", "large"), rate=0.5)), tickets(40), fleet, tmp_path)
    rows = run.sql("select choice, probability, router, candidates::varchar from decisions").rows
    assert {row[2] for row in rows} == {"Explore(Ladder('small', 'large'), rate=0.5)"}
    assert {(row[0], row[1]) for row in rows} == {("small", 0.75), ("large", 0.25)}
    assert [c["model"] for c in orjson.loads(rows[0][3])] == ["small", "large"]


# ------------------------------------------------------------------------------------------------------ circuit breaker
def test_a_shut_gate_is_waited_for_where_nobody_else_can_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.gates import breaker

    monkeypatch.setattr(breaker, "SHUT_SECONDS", 0.3)
    calls = 0

    def recovers(_: Request) -> str:
        nonlocal calls
        calls += 1
        if calls <= breaker.THRESHOLD:
            raise Unavailable("refused")
        return "fine"

    run = run_over(replying(), tickets(40), fleet_of(small=recovers), tmp_path, in_flight=1)
    assert (run.progress.failed, run.progress.answered) == (5, 35)
    assert calls == 40


def test_a_shut_gate_is_passed_by_where_another_model_can_be_asked(tmp_path: Path) -> None:
    small = Model(down)
    fleet = fleet_of(small=small, large=Model())
    run = run_over(replying(Ladder("small", "large"), Fallback()), tickets(40), fleet, tmp_path, in_flight=1)
    assert run.progress.answered == 40
    assert small.calls == 5
    assert "its circuit breaker is open" in column(run, "select candidates::varchar from decisions order by id desc")[0]


# ------------------------------------------------------------------------------------------------------ asked only once
def test_an_answer_on_record_is_not_asked_again_by_another_run(tmp_path: Path) -> None:
    model = Model(said("fine", cost_usd=0.5))
    first = run_over(replying(), tickets(3), fleet_of(small=model), tmp_path)
    second = run_over(replying(), tickets(4), fleet_of(small=model), tmp_path)
    assert model.calls == 4
    assert (second.progress.tally.calls, second.progress.tally.reused) == (1, 3)
    assert column(second, "select reused_from from answers order by row_id") == [first.id] * 3 + [None]
    assert column(second, 'select sum(cost_usd) from "rows"') == [0.5]


def test_fresh_asks_again(tmp_path: Path) -> None:
    model = Model()
    run_over(replying(), tickets(2), fleet_of(small=model), tmp_path)
    rows = [*tickets(2), {"id": "again", "ticket": "ticket number 0"}]
    second = run_over(replying(), rows, fleet_of(small=model), tmp_path, fresh=True)
    assert model.calls == 4
    assert second.progress.tally.reused == 1


@pytest.mark.parametrize("change", ["prompt", "route", "policy"])
def test_another_prompt_router_or_policy_is_another_question(tmp_path: Path, change: str) -> None:
    model, large = Model(), Model()
    fleet = fleet_of(small=model, large=large)
    run_over(replying(), tickets(1), fleet, tmp_path)
    changed = {
        "prompt": replying(max_output_tokens=7),
        "route": replying(Ladder("small", "large")),
        "policy": replying(policy=Retry(9)),
    }[change]
    run_over(changed, tickets(1), fleet, tmp_path)
    assert model.calls == 2


def test_the_same_question_at_the_same_time_is_asked_once(tmp_path: Path) -> None:
    calls = 0

    async def slow(_: Request) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.05)
        return "fine"

    rows = [{"id": str(i), "ticket": "same"} for i in range(20)]
    for fresh in (False, True):
        run = run_over(replying(), rows, fleet_of(small=slow), tmp_path, fresh=fresh)
        assert run.progress.answered == 20
        assert column(run, "select count(*) from answers where reused_from is null") == [1]
    assert calls == 2


def test_a_question_that_failed_is_asked_again_for_the_next_row(tmp_path: Path) -> None:
    calls = 0

    async def flaky(_: Request) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        if calls == 1:
            raise AccessDenied("401")
        return "fine"

    rows = [{"id": str(i), "ticket": "same"} for i in range(3)]
    run = run_over(replying(), rows, fleet_of(small=flaky), tmp_path)
    assert (run.progress.failed, run.progress.answered) == (1, 2)
    assert calls == 2


# -------------------------------------------------------------------------------------------------- doors and durations
def test_no_model_is_asked_more_at_once_than_it_allows(tmp_path: Path) -> None:
    now = most = 0

    async def busy(_: Request) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return "fine"

    fleet = Fleet({}).with_function("small", busy, concurrency=3)
    run = run_over(replying(), tickets(30), fleet, tmp_path)
    assert run.progress.answered == 30
    assert most == 3


def test_waiting_at_the_door_and_being_served_are_two_durations(tmp_path: Path) -> None:
    async def slow(_: Request) -> str:
        await asyncio.sleep(0.05)
        return "fine"

    fleet = Fleet({}).with_function("small", slow, concurrency=1)
    run = run_over(replying(), tickets(4), fleet, tmp_path)
    waited, served = zip(
        *run.sql("select wait_seconds, service_seconds from attempts order by wait_seconds"), strict=True
    )
    assert all(seconds > 0.045 for seconds in served)
    assert waited[3] > waited[2] > waited[1] > waited[0]
    assert waited[3] - waited[0] > 0.12, "three were served before it, one at a time"


def test_the_providers_own_word_on_its_duration_and_cost_is_taken(tmp_path: Path) -> None:
    model = Model(Reply(parts=said("x").parts, cost_usd=0.25, service_seconds=7.5))
    run = run_over(replying(), tickets(1), fleet_of(small=model), tmp_path)
    assert run.sql("select service_seconds, cost_usd, reported_cost_usd, computed_cost_usd from attempts").rows == (
        (7.5, 0.25, 0.25, None),
    )


def test_what_a_provider_took_beyond_its_own_word_is_waiting(tmp_path: Path) -> None:
    async def loading(_: Request) -> Reply:
        await asyncio.sleep(0.2)
        return Reply(parts=said("x").parts, service_seconds=0.01)

    run = run_over(replying(), tickets(1), Fleet({}).with_function("small", loading), tmp_path)
    ((waited, served),) = run.sql("select wait_seconds, service_seconds from attempts").rows
    assert served == 0.01 and waited > 0.18


def test_a_cost_that_nobody_knows_is_null_and_counted_apart(tmp_path: Path) -> None:
    run = run_over(replying(), tickets(2), fleet_of(small=Model()), tmp_path)
    assert column(run, "select cost_usd from attempts") == [None, None]
    assert column(run, 'select cost_usd from "rows"') == [None, None]
    assert (run.progress.tally.cost_usd, run.progress.tally.unpriced) == (0.0, 2)


def test_a_retry_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    failures: list[Callable[[], Exception]] = [lambda: RateLimited("429", retry_after=0.2)]

    def limited(_: Request) -> str:
        if failures:
            raise failures.pop()()
        return "fine"

    began = time.perf_counter()
    run = run_over(replying(policy=Retry(1)), tickets(1), fleet_of(small=limited), tmp_path)
    assert time.perf_counter() - began > 0.2
    assert column(run, "select wait_seconds > 0.19 from attempts order by number") == [False, True]


def test_a_policy_without_an_end_is_ended(tmp_path: Path) -> None:
    model = Model(limited)
    run = run_over(replying(policy=Retry(999)), tickets(1), fleet_of(small=model), tmp_path)
    assert model.calls == 64
    assert "64 attempts are enough; the policy Retry(999) does not end" in reasons(run)[0]
