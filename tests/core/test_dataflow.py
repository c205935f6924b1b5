"""One row through the graph: what steps may return, what they are given, and what becomes of a row when one fails."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from pydantic import BaseModel

from tests.core.core_samples import SMALL, Model, column, fleet_of, run_over, said, tickets
from toolkit import Request, Retry, Skip, Workflow, embed, prompt, step
from toolkit.graph.steps import About
from toolkit.messages import sections
from toolkit.records import Reply
from toolkit.runs.running import Running


class Triage(BaseModel):
    intent: Literal["refund", "other"]
    urgent: bool = False


def values(running: Running, name: str) -> list[Any]:
    """The values of a step, row by row."""
    query = (
        'select a.value::varchar from answers a join "rows" r using (run_id, row_id) where a.step like ? '
        "and a.turn = 0 and a.status = 'answered' and r.parent_row_id is null order by r.\"index\""
    )
    return [orjson.loads(row[0]) for row in running.sql(query, [f"%/{name}"])]


def one(query: str, running: Running) -> Any:
    return running.sql(query).rows[0]


def outcome(running: Running) -> list[tuple[str, str]]:
    """(status, reason) of each row."""
    query = 'select status, reason from "rows" where parent_row_id is null order by "index"'
    return [(row[0], row[1]) for row in running.sql(query)]


@step(route=SMALL)
def reply(ticket: str) -> Request:
    return prompt("Answer.", ticket=ticket)


# --------------------------------------------------------------------------------------------------- kinds of results
def test_a_request_is_asked_and_its_answer_goes_to_the_next_step(tmp_path: Path) -> None:
    @step(route=SMALL, output=Triage)
    def triage(ticket: str) -> Request:
        return prompt("Triage.", ticket=ticket)

    @step
    def told(triage: Triage) -> str:
        return f"{type(triage).__name__} {triage.intent}"

    run = run_over(
        Workflow("w", [told, triage]), tickets(2), fleet_of(small=Model(lambda _: '{"intent": "refund"}')), tmp_path
    )
    assert values(run, "triage") == [{"intent": "refund", "urgent": False}] * 2
    assert values(run, "told") == ["Triage refund"] * 2
    assert run.progress.answered == 2


def test_a_step_with_a_route_may_give_a_value_and_ask_nobody(tmp_path: Path) -> None:
    @step(route=SMALL)
    def maybe(ticket: str) -> Any:
        return "known" if ticket.endswith("0") else prompt("Answer.", ticket=ticket)

    model = Model("asked")
    run = run_over(Workflow("w", [maybe]), tickets(2), fleet_of(small=model), tmp_path)
    assert values(run, "maybe") == ["known", "asked"]
    assert model.calls == 1


def test_a_tool_may_be_plain_or_async_or_give_something_to_await(tmp_path: Path) -> None:
    @step
    def plain_tool(ticket: str) -> str:
        return threading.current_thread().name

    @step
    async def async_tool(ticket: str) -> str:
        await asyncio.sleep(0.001)
        return ticket.upper()

    async def later(ticket: str) -> str:
        return ticket.title()

    @step
    def wrapped(ticket: str) -> Any:
        return later(ticket)

    run = run_over(Workflow("w", [plain_tool, async_tool, wrapped]), tickets(1), fleet_of(), tmp_path)
    assert values(run, "async_tool") == ["TICKET NUMBER 0"]
    assert values(run, "wrapped") == ["Ticket Number 0"]
    assert values(run, "plain_tool")[0] != "toolkit-loop"


def test_what_later_steps_see_is_what_is_recorded(tmp_path: Path) -> None:
    seen: list[Any] = []

    @step
    def made(ticket: str) -> Any:
        return {"pair": (1, 2), "nothing": float("nan"), 3: {"x"}}

    @step
    def looked(made: Any) -> int:
        seen.append(made)
        return 1

    run = run_over(Workflow("w", [made, looked]), tickets(1), fleet_of(), tmp_path)
    assert seen == values(run, "made") == [{"pair": [1, 2], "nothing": None, "3": ["x"]}]


def test_a_typed_tool_gives_typed_objects_to_the_next_step(tmp_path: Path) -> None:
    @step(output=Triage)
    def triage(ticket: str) -> dict[str, str]:
        return {"intent": "other"}

    @step
    def told(triage: Triage) -> bool:
        return isinstance(triage, Triage)

    run = run_over(Workflow("w", [triage, told]), tickets(1), fleet_of(), tmp_path)
    assert values(run, "told") == [True]


def test_what_a_step_skips_is_skipped_below_it_too_but_where_the_input_is_optional(tmp_path: Path) -> None:
    @step
    def order(ticket: str) -> Any:
        return Skip("no order number") if ticket.endswith("0") else "order 5"

    @step
    def status(order: str) -> str:
        return f"status of {order}"

    @step
    def summary(ticket: str, status: str = "nothing") -> str:
        return status

    run = run_over(Workflow("w", [order, status, summary]), tickets(2), fleet_of(), tmp_path)
    assert outcome(run) == [("answered", ""), ("answered", "")]
    assert values(run, "summary") == ["nothing", "status of order 5"]
    skipped = run.sql("select step, row_id, reason from answers where status = 'skipped' order by step").rows
    assert skipped == (
        ("w/order", "t0", "no order number"),
        ("w/status", "t0", "needs order, which was skipped: no order number"),
    )


def test_a_skipped_once_step_skips_each_row_at_its_own_place(tmp_path: Path) -> None:
    @step
    def rates() -> Skip:
        return Skip("closed today")

    @step
    def converted(rates: str, ticket: str) -> str:
        return rates

    run = run_over(Workflow("w", [rates, converted]), tickets(2), fleet_of(), tmp_path)
    query = "select row_id from answers where step = 'w/converted' and status = 'skipped' order by row_id"
    assert column(run, query) == ["t0", "t1"]


def test_a_parameter_with_a_default_takes_the_column_where_there_is_one(tmp_path: Path) -> None:
    @step
    def short(ticket: str, words: int = 2) -> str:
        return " ".join(ticket.split()[:words])

    flow = Workflow("w", [short])
    assert values(run_over(flow, [{"ticket": "a b c d"}], fleet_of(), tmp_path / "a"), "short") == ["a b"]
    assert values(run_over(flow, [{"ticket": "a b c d", "words": 3}], fleet_of(), tmp_path / "b"), "short") == ["a b c"]


def test_a_list_of_requests_is_asked_at_once_and_gives_a_list(tmp_path: Path) -> None:
    together, most, now = asyncio.Event(), 0, 0

    async def answer(request: Request) -> str:
        nonlocal most, now
        now += 1
        most = max(most, now)
        if now == 3:
            together.set()
        await asyncio.wait_for(together.wait(), 5)
        return sections(request.text)["part"]

    @step(route=SMALL)
    def parts(ticket: str) -> list[Request]:
        return [prompt("Shorten.", part=word) for word in ticket.split()]

    @step
    def joined(parts: list[str]) -> str:
        return "+".join(parts)

    run = run_over(Workflow("w", [parts, joined]), tickets(1), fleet_of(small=answer), tmp_path)
    assert values(run, "joined") == ["ticket+number+0"]
    assert most == 3
    assert column(run, "select turn from attempts order by turn") == [1, 2, 3]


def test_one_part_that_fails_fails_the_list_and_says_which(tmp_path: Path) -> None:
    @step(route=SMALL)
    def parts(ticket: str) -> list[Request]:
        return [prompt("Shorten.", part=word) for word in ticket.split()]

    def answer(request: Request) -> Reply:
        if "number" in request.text:
            raise ValueError("not this one")
        return said("fine", cost_usd=0.01)

    run = run_over(Workflow("w", [parts]), tickets(1), fleet_of(small=answer), tmp_path)
    ((status, reason),) = outcome(run)
    assert status == "failed"
    assert reason.startswith("parts: part 2 of 3: ")
    assert "ValueError: not this one" in reason
    assert column(run, 'select cost_usd from "rows"') == [pytest.approx(0.02)]


def test_texts_to_embed_come_back_as_vectors(tmp_path: Path) -> None:
    @step(route=SMALL)
    def vector(ticket: str) -> Request:
        return embed(ticket)

    @step(route=SMALL)
    def vectors(ticket: str) -> Request:
        return embed(*ticket.split())

    def answer(request: Request) -> Reply:
        return Reply(vectors=tuple((float(len(text)), 1.0) for text in request.inputs))

    run = run_over(Workflow("w", [vector, vectors]), tickets(1), fleet_of(small=answer), tmp_path)
    assert values(run, "vector") == [[15.0, 1.0]]
    assert values(run, "vectors") == [[[6.0, 1.0], [6.0, 1.0], [1.0, 1.0]]]
    assert set(column(run, "select operation_name from attempts")) == {"embeddings"}


def test_too_few_vectors_are_an_invalid_output(tmp_path: Path) -> None:
    @step(route=SMALL)
    def vectors(ticket: str) -> Request:
        return embed("a", "b")

    answer = Model(lambda _: Reply(vectors=((1.0,),)))
    run = run_over(Workflow("w", [vectors]), tickets(1), fleet_of(small=answer), tmp_path)
    assert "2 texts went in, 1 vectors came out" in outcome(run)[0][1]


# -------------------------------------------------------------------------------------------------------------- turns
@step(route=SMALL, output=Triage)
def debated(ticket: str) -> Generator[Any, Any, dict[str, str]]:
    first = yield prompt("First thought?", ticket=ticket)
    pros, cons = yield [prompt("Pros?", thought=first.text), prompt("Cons?", thought=first.text)]
    verdict = yield prompt("Verdict?", pros=pros.text, cons=cons.text)
    return {"intent": verdict.text}


def thinks(request: Request) -> Reply:
    told = {"First": "hm", "Pros?": "good", "Cons?": "bad", "Verdict?": "refund"}
    return said(told[request.text.split()[0]], cost_usd=0.01)


def test_a_step_of_several_turns_is_sent_each_reply_and_its_last_word_is_its_output(tmp_path: Path) -> None:
    model = Model(thinks)
    run = run_over(Workflow("w", [debated]), tickets(2), fleet_of(small=model), tmp_path)
    assert values(run, "debated") == [{"intent": "refund", "urgent": False}] * 2
    assert column(run, "select turn from attempts where row_id = 't0' order by turn") == [1, 2, 3, 4]
    assert column(run, "select cost_usd from \"rows\" where row_id = 't0'") == [pytest.approx(0.04)]


def test_a_last_word_that_does_not_fit_fails_the_row_with_what_it_cost(tmp_path: Path) -> None:
    model = Model(lambda request: said("never") if "Verdict" in request.text else thinks(request))
    run = run_over(Workflow("w", [debated]), tickets(1), fleet_of(small=model), tmp_path)
    assert outcome(run)[0][0] == "failed"
    assert "Input should be 'refund' or 'other'" in outcome(run)[0][1]


def test_an_exception_between_two_turns_fails_the_row_and_keeps_what_it_cost(tmp_path: Path) -> None:
    @step(route=SMALL)
    def broken(ticket: str) -> Generator[Request, Reply, str]:
        first = yield prompt("First thought?", ticket=ticket)
        return first.text[99]

    model = Model(lambda _: said("x", cost_usd=0.01))
    run = run_over(Workflow("w", [broken, reply]), tickets(1), fleet_of(small=model), tmp_path)
    ((status, reason),) = outcome(run)
    assert status == "failed"
    assert "step 'broken' raised IndexError" in reason
    assert "of test_dataflow.py" in reason
    assert column(run, 'select cost_usd from "rows"') == [pytest.approx(0.02)]
    assert values(run, "reply") == ["x"]


def test_a_turn_that_fails_closes_the_generator_and_fails_the_row(tmp_path: Path) -> None:
    closed: list[str] = []

    @step(route=SMALL)
    def patient(ticket: str) -> Generator[Request, Reply, str]:
        try:
            yield prompt("First thought?", ticket=ticket)
        finally:
            closed.append(ticket)
        return "never"

    def down(_: Request) -> str:
        raise RuntimeError("down")

    run = run_over(Workflow("w", [patient]), tickets(1), fleet_of(small=down), tmp_path)
    assert outcome(run)[0][0] == "failed"
    assert closed == ["ticket number 0"]


def test_a_generator_that_yields_no_request_is_told_so(tmp_path: Path) -> None:
    @step(route=SMALL)
    def odd(ticket: str) -> Generator[Any, Any, str]:
        nothing = yield []
        yield f"{nothing} and text"
        return "never"

    run = run_over(Workflow("w", [odd]), tickets(1), fleet_of(small=Model()), tmp_path)
    assert outcome(run) == [("failed", "odd: step 'odd' yielded a str; it may yield a request or a list of requests")]


def test_a_turns_own_schema_reads_that_turn(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    @step(route=SMALL)
    def counted(ticket: str) -> Generator[Request, Reply, int]:
        reply = yield prompt("Count.", ticket=ticket).with_options(output_schema=schema)
        return int(reply.value["n"]) + 1

    @step(route=SMALL)
    def read(ticket: str) -> Request:
        return prompt("Count.", ticket=ticket).with_options(output_schema=schema)

    run = run_over(Workflow("w", [counted, read]), tickets(1), fleet_of(small=Model('{"n": 4}')), tmp_path)
    assert values(run, "counted") == [5]
    assert values(run, "read") == [{"n": 4}]


# ------------------------------------------------------------------------------------------------------------- faults
class Odd:
    """Nothing that JSON can hold."""


def test_a_tool_that_raises_fails_its_row_with_the_reason_and_the_batch_goes_on(tmp_path: Path) -> None:
    @step
    def picky(ticket: str) -> str:
        if ticket.endswith("1"):
            raise KeyError("no such order")
        return ticket

    @step
    def after(picky: str) -> str:
        return picky

    run = run_over(Workflow("w", [picky, after]), tickets(3), fleet_of(), tmp_path)
    assert [status for status, _ in outcome(run)] == ["answered", "failed", "answered"]
    assert outcome(run)[1][1].startswith("picky: step 'picky' raised KeyError: 'no such order' (line ")
    assert values(run, "after") == ["ticket number 0", "ticket number 2"]
    assert (run.progress.answered, run.progress.failed) == (2, 1)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (lambda: Odd(), "returned what JSON cannot hold"),
        (lambda: 2**70, "returned what JSON cannot hold"),
        (lambda: "half \ud83d", "returned what JSON cannot hold"),
        (lambda: prompt("Answer."), "returned a request, but has no route"),
        (lambda: [prompt("Answer.")], "returned a request, but has no route"),
        (lambda: sys.exit(3), "raised SystemExit: 3"),
        (lambda: (_ for _ in ()).throw(OSError("name caf\udce9")), "raised OSError: name caf?"),
    ],
)
def test_a_tool_that_gives_what_cannot_be_used_fails_its_row(tmp_path: Path, result: Any, why: str) -> None:
    @step
    def odd(ticket: str) -> Any:
        return result()

    run = run_over(Workflow("w", [odd, reply]), tickets(2), fleet_of(small=Model()), tmp_path)
    assert [status for status, _ in outcome(run)] == ["failed", "failed"]
    assert why in outcome(run)[0][1]
    assert values(run, "reply") == ["fine", "fine"]


def test_a_generator_without_a_route_is_told_so(tmp_path: Path) -> None:
    @step
    def turns(ticket: str) -> Generator[Request, Reply, str]:
        reply = yield prompt("Answer.", ticket=ticket)
        return reply.text

    run = run_over(Workflow("w", [turns]), tickets(1), fleet_of(), tmp_path)
    assert "has no route; say who answers" in outcome(run)[0][1]


def test_an_empty_section_of_a_prompt_fails_the_row(tmp_path: Path) -> None:
    run = run_over(Workflow("w", [reply]), [{"ticket": "x"}, {"ticket": None}], fleet_of(small=Model()), tmp_path)
    assert outcome(run) == [("answered", ""), ("failed", "reply: the prompt's section 'ticket' is empty")]


# -------------------------------------------------------------------------------------------------- rows and metadata
def test_a_step_that_asks_for_the_run_is_told_of_its_own_row(tmp_path: Path) -> None:
    @step
    def told(ticket: str, run: About) -> dict[str, Any]:
        return {"row": run.row_id, "run": run.run_id, "workflow": run.workflow}

    rows = [{"id": "a", "ticket": "same"}, {"id": "b", "ticket": "same"}]
    run = run_over(Workflow("w", [told]), rows, fleet_of(), tmp_path)
    assert values(run, "told") == [{"row": name, "run": run.id, "workflow": "w"} for name in "ab"]


def test_a_tool_runs_for_each_row_even_where_the_inputs_are_the_same(tmp_path: Path) -> None:
    acted: list[str] = []

    @step(acts=True)
    def send(ticket: str) -> int:
        acted.append(ticket)
        return len(acted)

    run_over(Workflow("w", [send]), [{"ticket": "same"}] * 3, fleet_of(), tmp_path, in_flight=1)
    assert acted == ["same"] * 3


def test_a_tool_that_acts_waits_until_all_before_it_is_durable(tmp_path: Path) -> None:
    import sqlite3

    seen: list[int] = []

    @step(acts=True)
    def send(reply: str) -> str:
        with sqlite3.connect(f"file:{tmp_path}/journal.db?mode=ro", uri=True) as journal:
            seen.append(journal.execute("select count(*) from answers where step = 'w/reply'").fetchone()[0])
        return "sent"

    run_over(Workflow("w", [reply, send]), tickets(1), fleet_of(small=Model()), tmp_path)
    assert seen == [1]


class Ticket(BaseModel):
    id: str
    ticket: str
    amount: float = 0.0


def test_rows_of_a_type_reach_the_steps_typed_and_those_that_do_not_fit_are_set_aside(tmp_path: Path) -> None:
    @step
    def doubled(amount: float) -> float:
        return amount * 2

    rows = [
        {"id": "a", "ticket": "x", "amount": "2.5"},
        {"id": "b", "ticket": None, "amount": "1"},
        {"id": "c", "ticket": "x", "amount": "many"},
    ]
    run = run_over(Workflow("w", [doubled], rows=Ticket), rows, fleet_of(), tmp_path)
    assert values(run, "doubled") == [5.0]
    assert [status for status, _ in outcome(run)] == ["answered", "set_aside", "set_aside"]
    assert outcome(run)[1][1].startswith("the row does not fit Ticket: ticket: ")
    assert (run.progress.answered, run.progress.set_aside) == (1, 2)


def test_a_second_row_with_the_same_id_is_set_aside(tmp_path: Path) -> None:
    rows = [{"id": "a", "ticket": "1"}, {"id": "a", "ticket": "2"}, {"id": "", "ticket": "3"}]
    run = run_over(Workflow("w", [reply]), rows, fleet_of(small=Model()), tmp_path)
    assert outcome(run) == [("answered", ""), ("set_aside", "a row before it has the id 'a' too"), ("answered", "")]
    assert column(run, 'select row_id from "rows" order by "index"') == ["a", "a#1", "row-2"]


# ------------------------------------------------------------------------------------------------------- whole batches
def test_a_once_step_runs_once_for_all_rows(tmp_path: Path) -> None:
    ran: list[int] = []

    @step
    def handbook() -> str:
        ran.append(1)
        return "30 days"

    @step
    def used(ticket: str, handbook: str) -> str:
        return handbook

    run = run_over(Workflow("w", [handbook, used]), tickets(20), fleet_of(), tmp_path)
    assert ran == [1]
    assert values(run, "used") == ["30 days"] * 20


def test_a_once_step_that_fails_fails_the_rows_that_need_it(tmp_path: Path) -> None:
    @step
    def handbook() -> str:
        raise OSError("no such file")

    @step
    def used(ticket: str, handbook: str) -> str:
        return handbook

    run = run_over(Workflow("w", [handbook, used]), tickets(2), fleet_of(), tmp_path)
    assert [status for status, _ in outcome(run)] == ["failed", "failed"]
    assert "needs handbook: step 'handbook' raised OSError: no such file" in outcome(run)[0][1]


def test_a_once_step_that_no_row_needs_runs_too(tmp_path: Path) -> None:
    @step(acts=True)
    def announce() -> str:
        return "begun"

    run = run_over(Workflow("w", [announce]), tickets(2), fleet_of(), tmp_path)
    assert column(run, "select value::varchar from answers where step = 'w/announce'") == ['"begun"']


def test_a_reducing_step_sees_lists_that_match_row_by_row_over_the_answered_rows(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    @step
    def handbook() -> str:
        return "30 days"

    @step
    def length(ticket: str) -> Any:
        if ticket.endswith("1"):
            raise ValueError("not this one")
        return Skip("odd") if ticket.endswith("2") else len(ticket)

    @step(reduces=True)
    def report(ticket: list[str], reply: list[str], length: list[int], handbook: str, top: int = 5) -> int:
        seen.update(ticket=ticket, reply=reply, length=length, handbook=handbook, top=top)
        return len(reply)

    @step(reduces=True, route=SMALL)
    def headline(report: int) -> Request:
        return prompt("A headline.", replies=str(report))

    model = Model(lambda request: sections(request.text).get("ticket", "headline"))
    run = run_over(
        Workflow("w", [headline, report, length, reply, handbook]), tickets(4), fleet_of(small=model), tmp_path
    )
    kept = ["ticket number 0", "ticket number 2", "ticket number 3"]
    assert seen == {"ticket": kept, "reply": kept, "length": [15, None, 15], "handbook": "30 days", "top": 5}
    assert column(run, "select value::varchar from answers where step = 'w/headline'") == ['"headline"']
    assert column(run, "select row_id from answers where step = 'w/report'") == ["*"]


def test_a_reducing_step_that_fails_is_told_as_an_event_and_the_rows_stay(tmp_path: Path) -> None:
    @step(reduces=True)
    def report(reply: list[str]) -> int:
        raise ZeroDivisionError("no replies")

    run = run_over(Workflow("w", [report, reply]), tickets(2), fleet_of(small=Model()), tmp_path)
    assert run.run.status == "finished"
    assert run.progress.answered == 2
    (name, about) = one("select name, about::varchar from events", run)
    assert name == "toolkit.step.failed"
    assert "ZeroDivisionError: no replies" in about


def test_reducing_steps_see_typed_objects(tmp_path: Path) -> None:
    @step(output=Triage)
    def triage(ticket: str) -> dict[str, str]:
        return {"intent": "other"}

    @step(reduces=True)
    def intents(triage: list[Triage]) -> list[str]:
        return [each.intent for each in triage]

    run = run_over(Workflow("w", [triage, intents]), tickets(2), fleet_of(), tmp_path)
    assert column(run, "select value::varchar from answers where step = 'w/intents'") == ['["other","other"]']


# ------------------------------------------------------------------------------------------------------------- nested
INNER = Workflow("inner", [reply])


def test_a_nested_workflow_runs_as_a_step_and_its_row_knows_its_parent(tmp_path: Path) -> None:
    @step
    def used(inner: dict[str, str]) -> str:
        return inner["reply"]

    run = run_over(Workflow("outer", [INNER.as_step(), used]), tickets(2), fleet_of(small=Model()), tmp_path)
    assert values(run, "used") == ["fine", "fine"]
    children = run.sql(
        'select row_id, parent_row_id, parent_step from "rows" where parent_row_id is not null order by 1'
    )
    assert children.rows == (("t0/inner", "t0", "outer/inner"), ("t1/inner", "t1", "outer/inner"))
    assert set(column(run, "select step from attempts")) == {"outer/inner/reply"}


def test_a_workflow_over_a_list_runs_for_each_item(tmp_path: Path) -> None:
    seen: list[Any] = []

    @step
    def words(ticket: str) -> list[str]:
        return ticket.split()

    @step(reduces=True)
    def all_of(each_word: list[Any], ticket: list[str]) -> int:
        seen.append((each_word, ticket))
        return 1

    model = Model(lambda request: sections(request.text)["ticket"].upper())
    each_word = INNER.over("words", item="ticket", name="each_word")
    run = run_over(Workflow("outer", [words, each_word, all_of]), tickets(2), fleet_of(small=model), tmp_path)
    expected = [[{"reply": word} for word in ("TICKET", "NUMBER", str(i))] for i in range(2)]
    assert values(run, "each_word") == expected
    assert seen == [(expected, ["ticket number 0", "ticket number 1"])]
    query = "select row_id from \"rows\" where parent_row_id = 't0' order by row_id"
    assert column(run, query) == ["t0/each_word[0]", "t0/each_word[1]", "t0/each_word[2]"]


def test_a_child_that_fails_fails_its_parent_and_costs_are_counted_once(tmp_path: Path) -> None:
    @step
    def words(ticket: str) -> list[str]:
        return ticket.split()

    def answer(request: Request) -> Reply:
        if "number" in request.text:
            raise ValueError("not this one")
        return said("fine", cost_usd=0.01)

    flow = Workflow("outer", [words, INNER.over("words", item="ticket")])
    run = run_over(flow, tickets(1), fleet_of(small=answer), tmp_path)
    ((status, reason),) = outcome(run)
    assert (status, "ValueError: not this one" in reason) == ("failed", True)
    assert column(run, 'select cost_usd from "rows" where parent_row_id is null') == [pytest.approx(0.02)]
    assert column(run, 'select status from "rows" where parent_row_id is not null order by row_id') == [
        "answered",
        "failed",
        "answered",
    ]


def test_a_nested_workflows_rows_have_its_type(tmp_path: Path) -> None:
    @step
    def doubled(amount: float) -> float:
        return amount * 2

    @step
    def orders(ticket: str) -> list[Any]:
        return ["2.5", "many"] if ticket.endswith("1") else ["1", 2]

    class Order(BaseModel):
        amount: float

    inner = Workflow("inner", [doubled], rows=Order)
    flow = Workflow("outer", [orders, inner.over("orders", item="amount")])
    run = run_over(flow, tickets(2), fleet_of(), tmp_path)
    assert values(run, "inner") == [[{"doubled": 2.0}, {"doubled": 4.0}]]
    assert outcome(run)[1][0] == "failed"
    assert "does not fit Order: amount: " in outcome(run)[1][1]
    assert column(run, "select row_id from \"rows\" where status = 'set_aside'") == ["t1/inner[1]"]


def test_what_a_workflow_runs_over_must_be_a_list(tmp_path: Path) -> None:
    @step
    def words(ticket: str) -> str:
        return ticket

    run = run_over(
        Workflow("outer", [words, INNER.over("words", item="ticket")]), tickets(1), fleet_of(small=Model()), tmp_path
    )
    assert "runs over 'words', which is a str and no list" in outcome(run)[0][1]


def test_a_policy_of_the_workflow_serves_steps_that_name_none(tmp_path: Path) -> None:
    from toolkit.errors import Unavailable

    failures = iter([Unavailable("once", retry_after=0.0)])

    def flaky(_: Request) -> str:
        for failure in failures:
            raise failure
        return "fine"

    run = run_over(Workflow("w", [reply], policy=Retry(1)), tickets(1), fleet_of(small=flaky), tmp_path)
    assert outcome(run) == [("answered", "")]
    assert column(run, "select why from attempts order by number") == ["first choice", "retry 1 after unavailable"]
