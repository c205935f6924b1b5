"""Tools that a model calls: run by the engine, told to the model, on record, not called again, in both dialects."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.core.core_samples import Cancels, Model, column, run_over, tickets
from tests.core.listening import CAN, handing_on_to, listening
from toolkit import (
    Explore,
    Fallback,
    Fixed,
    Fleet,
    Journal,
    Ladder,
    ModelSpec,
    Repair,
    Reply,
    Request,
    Retry,
    Workflow,
    fake,
    grading,
    prompt,
    step,
    tool,
)
from toolkit.asking.tool_turns import TurnOutput, message_of
from toolkit.errors import Unavailable, WorkflowError
from toolkit.forecasts.planning import facts_of, planned
from toolkit.graph.steps import About
from toolkit.ledger.entries import answer_entry
from toolkit.messages import Message, Part, Reasoning, Text, ToolCall, ToolResult, ToolSpec
from toolkit.prompts.outputs import Output
from toolkit.prompts.tools import Tool, tools_of
from toolkit.records import Answer, Json
from toolkit.runs.running import Running

SMALL = Fixed("small")


def search(query: str, k: int = 3) -> list[str]:
    """Search the handbook."""
    return [f"{query} {n}" for n in range(k)]


def fleet_of(**models: Callable[[Request], Any]) -> Fleet:
    fleet = Fleet({})
    for name, model in models.items():
        fleet = fleet.with_function(name, model, capabilities=CAN)
    return fleet


def calls(*made: tuple[str, dict[str, Any]], turn: int = 1) -> Reply:
    """A reply that calls tools: name and arguments of each."""
    return Reply(parts=tuple(ToolCall(f"c{turn}.{n}", name, given) for n, (name, given) in enumerate(made)))


def results(request: Request) -> list[ToolResult]:
    """What tools gave, in the order told."""
    return [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]


def in_turn(*replies: Any) -> Callable[[Request], Any]:
    """A model that says these one after the other, by how often a model has spoken before in the conversation."""
    return lambda request: replies[sum(message.role == "assistant" for message in request.messages)]


def flow(*tools: Any, route: Any = SMALL, output: Any = None, **options: Any) -> Workflow:
    """A workflow of one step with these tools."""

    @step(route=route, tools=tools, output=output, **options)
    def reply(ticket: str) -> Request:
        return prompt("Answer.", ticket=ticket)

    return Workflow("w", [reply])


def value(running: Running, turn: int = 0) -> Any:
    query = "select value::varchar from answers where step = 'w/reply' and turn = ? order by row_id"
    return next(orjson.loads(row[0]) for row in running.sql(query, [turn]))


def outcome(running: Running) -> tuple[str, str]:
    status, reason = running.sql('select status, reason from "rows"').rows[0]
    return status, reason


# --------------------------------------------------------------------------------------------------------------- specs
def test_a_functions_name_docstring_and_types_are_what_a_model_is_told() -> None:
    class Item(BaseModel):
        sku: str
        n: int = 1

    def order(
        items: list[Item], on: date | None = None, speed: Literal["slow", "fast"] = "slow", run: Any = None
    ) -> int:
        """Order items.

        They arrive.
        """
        return sum(item.n for item in items)

    order.__annotations__ |= {"items": list[Item], "on": date | None, "speed": Literal["slow", "fast"]}
    made = tool(order)
    assert (made.spec.name, made.spec.description) == ("order", "Order items.\n\nThey arrive.")
    schema = made.spec.parameters
    assert list(schema["properties"]) == ["items", "on", "speed"]
    assert schema["required"] == ["items"]
    assert schema["properties"]["speed"] == {"enum": ["slow", "fast"], "type": "string", "default": "slow"}
    given = made.arguments({"items": [{"sku": "a"}], "on": "2026-03-01"})
    assert given == {"items": [Item(sku="a")], "on": date(2026, 3, 1)}
    assert made(items=given["items"]) == 1


def test_a_ready_spec_is_told_as_it_is_and_its_schema_is_held_to() -> None:
    spec = ToolSpec("find", "Finds.", {"properties": {"id": {"type": "integer"}}, "required": ["id"]})
    (made,) = tools_of([(spec, lambda id: id + 1)])
    assert made.spec is spec
    assert made.arguments({"id": 3}) == {"id": 3}
    from toolkit.errors import InvalidOutput

    with pytest.raises(InvalidOutput, match="id: 'x' is not of type 'integer'"):
        made.arguments({"id": "x"})


def untyped(query) -> str:  # type: ignore[no-untyped-def]
    return str(query)


def many(*queries: str) -> str:
    return ""


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ((untyped,), "parameter 'query' has no type"),
        ((many,), r"a model cannot fill \*queries"),
        ((search, search), "two tools are named 'search'"),
        ((7,), "7 is no tool"),
        ((lambda: "",), "a tool's name is 1 to 64 letters"),
        ((ToolSpec("alone", ""),), "is no tool"),
    ],
)
def test_what_a_model_could_not_be_told_of_is_refused_when_the_step_is_built(tools: tuple[Any, ...], why: str) -> None:
    with pytest.raises(WorkflowError, match=why):
        flow(*tools)


def test_tools_want_a_route_one_request_and_a_turn(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="has tools but no route"):
        flow(search, route=None)
    with pytest.raises(WorkflowError, match="max_turns must be at least 1"):
        flow(search, max_turns=0)

    @step(route=SMALL, tools=[search])
    def turns(ticket: str) -> Iterator[Request]:
        yield prompt("Answer.", ticket=ticket)

    with pytest.raises(WorkflowError, match="has tools and is a generator"):
        Workflow("w", [turns])
    unable = Fleet({}).with_function("small", Model(), capabilities=("chat",))
    with pytest.raises(WorkflowError, match="none of small has the capability 'tools'"):
        run_over(flow(search), tickets(1), unable, tmp_path)


def test_a_list_of_requests_is_refused_where_there_are_tools(tmp_path: Path) -> None:
    @step(route=SMALL, tools=[search])
    def reply(ticket: str) -> list[Request]:
        return [prompt("Answer.", ticket=ticket)]

    run = run_over(Workflow("w", [reply]), tickets(1), fleet_of(small=Model()), tmp_path)
    assert outcome(run) == ("failed", "reply: step 'reply' has tools, and so asks one request; it gave a list of them")


# --------------------------------------------------------------------------------------------------------------- turns
def test_what_a_model_calls_is_run_and_told_until_it_answers(tmp_path: Path) -> None:
    model = Model(
        in_turn(calls(("search", {"query": "refund", "k": 1})), calls(("search", {"query": "days"}), turn=2), "30 days")
    )
    run = run_over(flow(search), tickets(1), fleet_of(small=model), tmp_path)
    assert value(run) == "30 days"
    assert [len(request.tools) for request in model.requests] == [1, 1, 1]
    last = model.requests[2].messages
    assert [message.role for message in last] == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert [each.text for each in results(model.requests[2])] == ['["refund 0"]', '["days 0","days 1","days 2"]']
    assert run.sql("select turn from answers where step = 'w/reply' order by turn").column("turn") == [0, 1, 2, 3]


def test_calls_of_one_turn_run_together_and_are_told_in_their_order(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=10)

    def slow(n: int) -> int:
        """Wait for the other."""
        both.wait()
        return n

    async def quick(n: int) -> int:
        return n

    model = Model(in_turn(calls(("slow", {"n": 1}), ("slow", {"n": 2}), ("quick", {"n": 3})), "done"))
    run = run_over(flow(slow, quick), tickets(1), fleet_of(small=model), tmp_path)
    assert [(each.id, each.text) for each in results(model.requests[1])] == [
        ("c1.0", "1"),
        ("c1.1", "2"),
        ("c1.2", "3"),
    ]
    assert value(run) == "done"


def test_what_the_model_said_beside_its_calls_goes_back_with_its_signature(tmp_path: Path) -> None:
    said = Reply(
        parts=(Reasoning("Look.", signature="s1gn"), Text("Let me see."), ToolCall("a", "search", {"query": "x"}))
    )
    model = Model(in_turn(said, "done"))
    run_over(flow(search), tickets(1), fleet_of(small=model), tmp_path)
    assert model.requests[1].messages[2] == Message("assistant", said.parts)


def test_the_answer_is_read_as_the_declared_type_and_graded_and_calls_are_not(tmp_path: Path) -> None:
    class Triage(BaseModel):
        intent: Literal["refund", "other"]

    model = Model(in_turn(calls(("search", {"query": "x"})), "no JSON", '{"intent": "refund"}'))
    workflow = flow(search, output=Triage, policy=Repair(1), grade=grading.Exact("truth", of="intent"))
    rows = [{**tickets(1)[0], "truth": "refund"}]
    run = run_over(workflow, rows, fleet_of(small=model), tmp_path)
    assert value(run) == {"intent": "refund"}
    assert run.sql("select turn, value from grades").rows == ((2, 1.0),)
    assert column(run, "select why from attempts where operation_name = 'chat' order by id") == [
        "first choice",
        "first choice",
        "repair 1 of its answer",
    ]


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_reply_that_neither_calls_nor_says_anything_is_no_answer(tmp_path: Path, text: str) -> None:
    run = run_over(flow(search), tickets(1), fleet_of(small=Model(text)), tmp_path)
    assert outcome(run)[0] == "failed"
    assert "the answer is empty, and calls no tool" in outcome(run)[1]


def test_turns_are_bounded_and_the_last_calls_are_not_run(tmp_path: Path) -> None:
    ran: list[str] = []

    def look(query: str) -> str:
        ran.append(query)
        return "nothing"

    model = Model(lambda request: calls(("look", {"query": f"q{len(request.messages)}"})))
    run = run_over(flow(look, max_turns=3), tickets(1), fleet_of(small=model), tmp_path, in_flight=1)
    assert model.calls == 3
    assert len(ran) == 2
    assert outcome(run)[0] == "failed"
    assert "the model still calls tools (look) in turn 3, the last that the step allows" in outcome(run)[1]


def test_the_model_that_called_goes_on_whatever_chance_says(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def model(name: str) -> Callable[[Request], Any]:
        def answer(request: Request) -> Any:
            asked.append((request.messages[1].text, len(results(request))))
            spoke.setdefault(request.messages[1].text, []).append(name)
            return calls(("search", {"query": "x"})) if len(results(request)) < 3 else "done"

        return answer

    spoke: dict[str, list[str]] = {}
    route = Explore(Ladder("small", "large"), rate=1.0)
    run = run_over(
        flow(search, route=route), tickets(12), fleet_of(small=model("small"), large=model("large")), tmp_path
    )
    assert run.progress.answered == 12
    assert all(len(set(names)) == 1 and len(names) == 4 for names in spoke.values())
    assert {names[0] for names in spoke.values()} == {"small", "large"}


def test_another_model_takes_over_where_the_one_that_called_is_gone(tmp_path: Path) -> None:
    def small(request: Request) -> Any:
        if results(request):
            raise Unavailable("gone")
        return calls(("search", {"query": "x"}))

    large = Model("done")
    run = run_over(
        flow(search, route=Ladder("small", "large"), policy=Fallback()),
        tickets(1),
        fleet_of(small=small, large=large),
        tmp_path,
    )
    assert value(run) == "done"
    assert [each.text for each in results(large.requests[0])] == ['["x 0","x 1","x 2"]']


@pytest.mark.slow
@pytest.mark.parametrize("word", ["by hand", {"calls": []}, {"value": 7}], ids=str)
def test_a_person_who_takes_over_answers_for_the_step_and_calls_nothing(tmp_path: Path, word: Json) -> None:
    def small(request: Request) -> Any:
        if results(request):
            raise Unavailable("gone")
        return calls(("search", {"query": "x"}))

    fleet = fleet_of(small=small)
    person = ModelSpec("person", "person", "person", capabilities=frozenset({"*"}))
    fleet = Fleet({**fleet.specs, "person": person}, fleet.functions)
    workflow = flow(search, route=Ladder("small", "person"), policy=Fallback())
    run = run_over(workflow, tickets(1), fleet, tmp_path)
    assert outcome(run)[0] == "parked"
    with Journal.open(tmp_path) as journal:
        (open_,) = journal.parked(run.id)
        journal.write(answer_entry(Answer(open_.place, open_.key, "answered", value=word, model="person")))
    again = run_over(workflow, tickets(1), fleet, tmp_path, run_id=run.id)
    assert outcome(again)[0] == "answered"
    assert value(again) == word


# -------------------------------------------------------------------------------------------------------- turns as JSON
PARTS = st.one_of(
    st.builds(Text, st.text()),
    st.builds(Reasoning, st.text(), st.one_of(st.none(), st.text())),
    st.builds(ToolCall, st.text(), st.text(), st.dictionaries(st.text(), st.one_of(st.integers(-9, 9), st.text()))),
)


@pytest.mark.slow
@given(st.lists(PARTS).map(tuple))
def test_what_a_model_said_comes_back_from_the_record_as_it_was(parts: tuple[Part, ...]) -> None:
    reader, reply = TurnOutput.ending_in(Output()), Reply(parts=parts)
    if any(isinstance(part, ToolCall) for part in parts):
        kept = orjson.loads(orjson.dumps(reader.read_reply(reply)))
        assert message_of(kept) == Message("assistant", parts)
    elif reply.text.strip():
        assert reader.read_reply(reply) == {"value": reply.text}
        assert message_of({"value": reply.text}) is None


# -------------------------------------------------------------------------------------------------- what tools may do
def raising(query: str) -> str:
    raise KeyError(query)


def leaving() -> str:
    sys.exit(3)


def odd() -> Any:
    return object()


async def hanging() -> str:
    await asyncio.sleep(60)
    return "never"


async def cancelling() -> str:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("raising", {"query": "q"}, "raising raised KeyError: 'q'"),
        ("leaving", {}, "leaving raised SystemExit: 3"),
        ("odd", {}, "the tool gave what JSON cannot hold"),
        ("hanging", {}, "hanging took longer than 0.01 s"),
        ("cancelling", {}, "cancelling raised CancelledError"),
        (
            "search",
            {"query": 7},
            "search was not called, its arguments do not fit: query: Input should be a valid string",
        ),
        ("search", {"query": "x", "also": 1}, "its arguments do not fit: also: Extra inputs are not permitted"),
        ("search", {}, "its arguments do not fit: query: Field required"),
        ("../../etc/passwd", {}, "there is no tool '../../etc/passwd'; there are raising, leaving"),
    ],
)
def test_a_call_that_fails_is_told_to_the_model_and_ends_nothing(
    tmp_path: Path, name: str, arguments: dict[str, Json], told: str
) -> None:
    model = Model(in_turn(calls((name, arguments), ("search", {"query": "x", "k": 1})), "sorry"))
    tools = (raising, leaving, odd, tool(hanging, timeout_seconds=0.01), cancelling, search)
    run = run_over(flow(*tools), tickets(2), fleet_of(small=model), tmp_path)
    assert run.progress.answered == 2
    bad, good = results(model.requests[-1])
    assert (bad.is_error, bad.name, good.is_error, good.text) == (True, name, False, '["x 0"]')
    assert told in bad.text
    kinds = column(run, "select error_type from attempts where operation_name = 'execute_tool' order by repeat, row_id")
    assert kinds == ["tool_failed"] * 2 + [None] * 2
    assert "passwd" not in "".join(column(run, "select step || model from attempts"))


def test_the_calls_of_one_turn_are_bounded(tmp_path: Path) -> None:
    ran: list[int] = []

    def note(n: int) -> int:
        ran.append(n)
        return n

    model = Model(in_turn(calls(*(("note", {"n": n}) for n in range(40))), "done"))
    run_over(flow(note), tickets(1), fleet_of(small=model), tmp_path)
    assert sorted(ran) == list(range(32))
    assert [each.is_error for each in results(model.requests[1])] == [False] * 32 + [True] * 8


def test_a_tool_sees_the_run_where_it_names_it_and_the_model_does_not(tmp_path: Path) -> None:
    seen: list[About] = []

    def note(text: str, run: About) -> str:
        seen.append(run)
        return text

    model = Model(in_turn(calls(("note", {"text": "a"}), ("note", {"text": "a"})), "done"))
    run = run_over(flow(note), tickets(1), fleet_of(small=model), tmp_path)
    assert {(each.run_id, each.row_id) for each in seen} == {(run.id, "t0")}
    assert len({each.call_id for each in seen}) == 2
    assert list(model.requests[0].tools[0].parameters["properties"]) == ["text"]


def test_a_tool_that_acts_runs_alone_when_all_before_it_is_durable(tmp_path: Path) -> None:
    import sqlite3

    seen: list[tuple[int, list[str]]] = []

    def on_record() -> list[str]:
        with sqlite3.connect(f"file:{tmp_path}/journal.db?mode=ro", uri=True) as journal:
            query = "select step || '.' || turn || '.' || repeat from answers order by 1"
            return [row[0] for row in journal.execute(query)]

    def refund(order: int) -> str:
        seen.append((order, on_record()))
        return "refunded"

    said = calls(("refund", {"order": 1}), ("search", {"query": "x"}), ("refund", {"order": 2}))
    model = Model(in_turn(said, "done"))
    run_over(flow(tool(refund, acts=True), search), tickets(1), fleet_of(small=model), tmp_path)
    assert seen == [
        (1, ["w/reply.1.0", "w/reply/search.1.1"]),
        (2, ["w/reply.1.0", "w/reply/refund.1.0", "w/reply/search.1.1"]),
    ]
    assert [each.name for each in results(model.requests[1])] == ["refund", "search", "refund"]


# -------------------------------------------------------------------------------------------------------------- record
def test_each_call_is_on_record_with_arguments_result_duration_and_turn(tmp_path: Path) -> None:
    model = Model(
        in_turn(calls(("search", {"query": "a", "k": 1})), calls(("raising", {"query": "b"}), turn=2), "done")
    )
    run = run_over(flow(search, raising), tickets(1), fleet_of(small=model), tmp_path)
    query = """
        select step, turn, model, request_model, operation_name, cost_usd, service_seconds >= 0, error_type,
            error_message, output, request
        from attempts_text where operation_name = 'execute_tool' order by turn"""
    first, second = run.sql(query).rows
    assert first[:10] == (
        "w/reply/search", 1, "tool:search", "search", "execute_tool", 0.0, True, None, None, '["a 0"]'
    )  # fmt: skip
    assert second[:10] == (
        "w/reply/raising", 2, "tool:raising", "raising", "execute_tool", 0.0, True, "tool_failed",
        "raising raised KeyError: 'b'", None,
    )  # fmt: skip
    part = orjson.loads(first[10])["messages"][0]["parts"][0]
    assert (part["type"], part["name"], part["arguments"]) == ("tool_call", "search", {"query": "a", "k": 1})


def test_a_call_costs_nothing_and_counts_as_no_call_of_a_model(tmp_path: Path) -> None:
    priced = Reply(parts=calls(("search", {"query": "a"})).parts, cost_usd=0.25)
    model = Model(in_turn(priced, Reply(parts=(Text("done"),), cost_usd=0.5)))
    run = run_over(flow(search), tickets(1), fleet_of(small=model), tmp_path)
    assert (run.progress.tally.calls, run.progress.tally.cost_usd) == (2, 0.75)
    assert run.sql('select cost_usd from "rows"').rows == ((0.75,),)
    assert run.sql("select cost_usd, attempts from answers where turn = 0").rows == ((0.75, 2),)
    assert run.sql("select sum(cost_usd) from model_costs where step = 'w/reply'").rows == ((0.75,),)


SECRET = "sk-proj-abcDEF0123456789abcDEF"


def test_what_tools_are_given_and_give_is_redacted_before_anybody_sees_it(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(query: str) -> dict[str, str]:
        seen.append(query)
        return {"found": f"key {SECRET}", "password": "plain words"}

    def fails(query: str) -> str:
        raise ValueError(f"no {SECRET}")

    model = Model(in_turn(calls(("look", {"query": SECRET}), ("fails", {"query": "x"})), "done"))
    run = run_over(flow(look, fails), tickets(1), fleet_of(small=model), tmp_path)
    tables = ("attempts", "answers", "contents", "decisions", "events")
    record = "".join(str(run.history.sql(f"from {table}").rows) for table in tables)
    told = "".join(map(str, [*seen, *model.requests]))
    assert SECRET not in record + told
    assert "plain words" not in record + told
    assert "[key:" in seen[0]


def test_where_no_content_is_kept_calls_leave_no_words(tmp_path: Path) -> None:
    model = Model(in_turn(calls(("search", {"query": "marzipan"}), ("raising", {"query": "marzipan"})), "done"))
    run = run_over(flow(search, raising), tickets(1), fleet_of(small=model), tmp_path, content="hashes")
    assert run.progress.answered == 1
    record = "".join(str(run.history.sql(f"from {table}").rows) for table in ("attempts", "answers", "contents"))
    assert "marzipan" not in record
    assert len(column(run, "select output_hash from attempts where output_hash is not null")) == 3


# -------------------------------------------------------------------------------------------------- resuming and reuse
def test_a_run_that_is_stopped_between_turns_goes_on_there(tmp_path: Path) -> None:
    ran: list[str] = []
    cancels = Cancels()

    def look(query: str) -> str:
        ran.append(query)
        return query.upper()

    async def small(request: Request) -> Any:
        asked.append(len(results(request)))
        if len(results(request)) == 1 and len(asked) == 2:
            await cancels()
            await asyncio.sleep(0.2)
            raise Unavailable("stopped")
        return calls(("look", {"query": f"q{len(results(request))}"})) if len(results(request)) < 2 else "done"

    asked: list[int] = []
    workflow = flow(tool(look, acts=True), policy=Retry(1, base=30))
    running = cancels.hold(workflow.start(tickets(1), fleet_of(small=small), home=tmp_path))
    running.wait(show=False)
    assert running.run.status == "cancelled"
    assert ran == ["q0"]
    again = run_over(workflow, tickets(1), fleet_of(small=small), tmp_path, run_id=running.id)
    assert value(again) == "done"
    assert ran == ["q0", "q1"]
    assert asked == [0, 1, 1, 2]


def test_where_no_content_is_kept_a_resumed_row_begins_again_and_calls_its_tools_again(tmp_path: Path) -> None:
    ran: list[str] = []

    def look(query: str) -> str:
        ran.append(query)
        return query

    def small(request: Request) -> Any:
        if not results(request):
            return calls(("look", {"query": "x"}))
        if len(ran) == 1:
            raise Unavailable("gone")
        return "done"

    options = {"content": "hashes", "run_id": "the-run"}
    first = run_over(flow(look), tickets(1), fleet_of(small=small), tmp_path, **options)
    again = run_over(flow(look), tickets(1), fleet_of(small=small), tmp_path, **options)
    assert (first.progress.failed, again.progress.answered) == (1, 1)
    assert ran == ["x", "x"]


KILLED = """
import os, sys, toolkit as tk
from toolkit.messages import ToolCall
from toolkit.records import Reply

LOG = sys.argv[2]

def log(word):
    with open(LOG, "a") as file:
        file.write(word + "\\n")

@tk.tool(acts=True)
def refund(order: int, run) -> str:
    log(f"refund {order} {run.call_id}")
    if order == 2 and os.environ.get("DIES"):
        os.kill(os.getpid(), 9)
    return "refunded"

def look(query: str) -> str:
    log(f"look {query}")
    return query

def small(request):
    turn = sum(message.role == "assistant" for message in request.messages)
    log(f"asked {turn}")
    made = [[("look", {"query": "a"}), ("refund", {"order": 1})], [("refund", {"order": 2})]]
    if turn == 2:
        return "done"
    return Reply(parts=tuple(ToolCall(f"c{turn}{n}", *call) for n, call in enumerate(made[turn])))

@tk.step(route=tk.Fixed("small"), tools=[refund, look])
def reply(ticket):
    return tk.prompt("Answer.", ticket=ticket)

fleet = tk.Fleet({}).with_function("small", small, capabilities=("chat", "tools"))
run = tk.Workflow("w", [reply]).start([{"id": "a", "ticket": "x"}], fleet, home=sys.argv[1], run_id="the-run")
run.wait(show=False)
log(run.run.status + " " + str(run.progress.answered))
"""


@pytest.mark.slow
def test_a_killed_run_calls_nothing_again_that_is_on_record(tmp_path: Path) -> None:
    script, log = tmp_path / "killed.py", tmp_path / "log"
    script.write_text(textwrap.dedent(KILLED))
    command = [sys.executable, str(script), str(tmp_path / "home"), str(log)]
    killed = subprocess.run(command, env={**os.environ, "DIES": "1"}, check=False)
    assert killed.returncode == -9
    before = log.read_text().splitlines()
    subprocess.run(command, check=True)
    after = log.read_text().splitlines()[len(before) :]
    assert [line.rpartition(" ")[0] if "refund" in line else line for line in before] == [
        "asked 0",
        "look a",
        "refund 1",
        "asked 1",
        "refund 2",
    ]
    assert after == [before[-1], "asked 2", "finished 1"]  # the one that was cut off, by the same id as before


def test_another_run_takes_turns_from_the_record_and_calls_the_tools_itself(tmp_path: Path) -> None:
    gives = ["30 days", "30 days", "14 days"]
    ran: list[str] = []

    def look(query: str) -> str:
        ran.append(query)
        return gives[len(ran) - 1]

    model = Model(in_turn(calls(("look", {"query": "x"})), "done"))
    for expected in (2, 2, 3):  # the third run is told something else, and so has to ask
        run_over(flow(look), tickets(1), fleet_of(small=model), tmp_path)
        assert model.calls == expected
    assert len(ran) == 3


def test_no_run_acts_on_what_a_model_said_in_another(tmp_path: Path) -> None:
    acted: list[str] = []

    def refund(order: int, run: About) -> str:
        acted.append(run.row_id)
        return "refunded"

    model = Model(in_turn(calls(("refund", {"order": 1})), "done"))
    rows = [{"id": name, "ticket": "the same"} for name in "ab"]
    for number in (1, 2):
        run_over(flow(tool(refund, acts=True)), rows, fleet_of(small=model), tmp_path)
        assert model.calls == 4 * number  # asked for each row of each run, although the words are the same
    assert sorted(acted) == ["a", "a", "b", "b"]


# ---------------------------------------------------------------------------------------------- both dialects, for real
@pytest.fixture(scope="module")
def server() -> Iterator[fake.Running]:
    profile = {"tools": "first-turn", "calls_at_once": 3, "latency_seconds": 0.0}
    with fake.running(fake.settings({"models": {"one": profile, "two": profile}, "seed": 5})) as running:
        yield running


def pair_flow(*, ran: list[tuple[str, dict[str, Any]]]) -> Workflow:
    """Two steps with tools, each with a model of its own; the second sees what the first said."""

    def look_up(query: str, limit: int = 2) -> str:
        """Look something up."""
        ran.append(("look_up", {"query": query, "limit": limit}))
        return f"found in the handbook: {query}"

    @tool(acts=True)
    def refund(order: int) -> dict[str, Any]:
        """Give money back."""
        ran.append(("refund", {"order": order}))
        return {"order": order, "refunded": True}

    @step(route=Fixed("one"), tools=[look_up])
    def facts(ticket: str) -> Request:
        return prompt("Find the facts.", ticket=ticket)

    @step(route=Fixed("two"), tools=[refund, look_up])
    def reply(ticket: str, facts: str) -> Request:
        return prompt("Answer.", ticket=ticket, facts=facts)

    return Workflow("pair", [facts, reply])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("one", "two"), [("openai", "anthropic"), ("anthropic", "openai")])
def test_two_models_call_tools_in_two_dialects_of_one_workflow(
    tmp_path: Path, server: fake.Running, one: str, two: str, stream: bool
) -> None:
    ran: list[tuple[str, dict[str, Any]]] = []
    with listening(handing_on_to(server.url)) as ear:
        fleet = Fleet.of(ear.model("one", one, stream=stream), ear.model("two", two, stream=stream))
        run = run_over(pair_flow(ran=ran), tickets(3), fleet, tmp_path)
    assert run.progress.answered == 3
    assert len(ran) == 3 * 2 * 3
    assert len(ear.bodies) == 3 * 2 * 2
    for name, dialect in (("one", one), ("two", two)):
        first = next(body for body in ear.bodies if body["model"] == name)
        told = [body for body in ear.bodies if body["model"] == name and len(body["messages"]) > len(first["messages"])]
        assert len(told) == 3
        for body in told:
            _check_conversation(body, dialect)
    made = column(run, "select count(*) from attempts where operation_name = 'execute_tool' and error_type is null")
    assert made == [18]
    answers = column(run, "select value::varchar from answers where turn = 0 and step = 'pair/facts'")
    assert all("one, told by the tool: found in the handbook:" in answer for answer in answers)


def _check_conversation(body: dict[str, Any], dialect: str) -> None:
    """The second turn: what the model said and all results, by the ids of its calls, as the dialect has it."""
    if dialect == "openai":
        system, user, said, *told = body["messages"]
        assert [each["role"] for each in (system, user, said, *told)] == ["system", "user", "assistant"] + ["tool"] * 3
        assert [each["tool_call_id"] for each in told] == [call["id"] for call in said["tool_calls"]]
        assert all(tool_["type"] == "function" for tool_ in body["tools"])
    else:
        user, said, told = body["messages"]
        assert [each["role"] for each in (user, said, told)] == ["user", "assistant", "user"]
        ids = [block["id"] for block in said["content"] if block["type"] == "tool_use"]
        assert [block["tool_use_id"] for block in told["content"]] == ids
        assert {block["type"] for block in told["content"]} == {"tool_result"}
        assert all("input_schema" in tool_ for tool_ in body["tools"])


@pytest.mark.slow
def test_faults_of_the_network_are_mended_in_the_middle_of_a_conversation(tmp_path: Path) -> None:
    profile: dict[str, Any] = {"tools": "first-turn", "faults": "429:0.2, 500:0.2, cut_stream:0.2, bad_arguments:0.2"}
    profile |= {"retry_after_seconds": 0.0}
    ran: list[str] = []

    def look_up(query: str) -> str:
        ran.append(query)
        return query

    settings = fake.settings({"models": {"m": profile}, "seed": 11})
    with fake.running(settings) as faulty:
        endpoint = faulty.endpoint("m")
        fleet = Fleet.of(
            ModelSpec("openai", "openai", "m", endpoint=endpoint, capabilities=CAN, settings={"stream": True}),
            ModelSpec("anthropic", "anthropic", "m", endpoint=endpoint, capabilities=CAN),
        )
        for name in fleet:
            workflow = flow(look_up, route=Fixed(name), policy=Retry(30, base=0.0))
            run = run_over(workflow, tickets(10), fleet, tmp_path)
            assert run.progress.answered == 10
            assert run.progress.tally.errors > 0
    assert len(ran) == 20  # each call once, however often its turn had to be asked


def test_reasoning_goes_back_to_anthropic_with_its_signature_and_before_the_calls(tmp_path: Path) -> None:
    thinking = {"type": "thinking", "thinking": "I should look.", "signature": "EqQBCkYIARgC"}
    sealed = {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"query": "refund"}}

    def answer(_: str, body: dict[str, Any]) -> tuple[str, bytes]:
        first = len(body["messages"]) == 1
        content: Sequence[Any] = [thinking, sealed, use] if first else [{"type": "text", "text": "30 days"}]
        reason = "tool_use" if first else "end_turn"
        usage = {"input_tokens": 5, "output_tokens": 7}
        whole = {"type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": reason}
        return "application/json", orjson.dumps({**whole, "id": "msg_1", "usage": usage})

    with listening(answer) as ear:
        run = run_over(flow(search), tickets(1), ear.fleet(small="anthropic"), tmp_path)
    assert value(run) == "30 days"
    assert ear.bodies[1]["messages"][1] == {"role": "assistant", "content": [thinking, sealed, use]}


def test_a_tool_is_called_as_the_function_that_it_is() -> None:
    made: Tool = tool(search)
    assert made("x", k=1) == ["x 0"]


@pytest.mark.slow
def test_the_views_count_calls_of_models_alone(tmp_path: Path) -> None:
    priced = Reply(parts=calls(("search", {"query": "a"}), ("search", {"query": 7})).parts, cost_usd=0.25)
    model = Model(in_turn(priced, Reply(parts=(Text("done"),), cost_usd=0.5)))
    run = run_over(flow(search), tickets(1), fleet_of(small=model), tmp_path)
    assert run.sql("select step, model, calls, errors, cost_usd from model_costs").rows == (
        ("w/reply", "small", 2, 0, 0.75),
    )
    assert run.sql("select model, calls from daily_costs").rows == (("small", 2),)
    assert run.sql("select attempts, errors, cost_usd from run_summary").rows == ((2, 0, 0.75),)
    assert run.sql("select model, decisions from routing_mix").rows == (("small", 2),)
    assert run.sql("select model, step, attempts from failures").rows == (("tool:search", "w/reply/search", 1),)
    assert run.sql("select model, calls from step_timings order by model").rows == (("small", 2), ("tool:search", 2))
    assert run.sql("select attempts, models from runs_side_by_side where step = 'w/reply'").rows == ((2, ["small"]),)
    prospect = planned(facts_of(run.history, run.id))
    assert [step.step for step in prospect.steps] == ["w/reply"]
