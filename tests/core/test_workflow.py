"""A workflow is checked when it is built: each mistake is one sentence that names the step. And it can be drawn."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from tests.core.core_samples import SMALL, Model, fleet_of
from toolkit import Cheapest, Fixed, Fleet, Ladder, Request, Retry, Workflow, grading, prompt, step
from toolkit.errors import FleetError, WorkflowError
from toolkit.graph.steps import About, Step


class Ticket(BaseModel):
    id: str
    ticket: str
    tone: str = "kind"


@step(route=SMALL, output=Literal["refund", "other"])
def triage(ticket: str) -> Request:
    return prompt("Triage.", ticket=ticket)


@step
def handbook() -> list[str]:
    return ["30 days"]


@step
def passages(triage: str, handbook: list[str], k: int = 3) -> list[str]:
    return handbook[:k]


@step(route=Ladder("small", "large"), policy=Retry(1))
def reply(ticket: str, triage: str, passages: list[str]) -> Request:
    return prompt("Answer.", ticket=ticket, triage=triage, passages=passages)


@step(reduces=True)
def report(reply: list[str], ticket: list[str]) -> int:
    return len(reply)


@step(reduces=True)
def headline(report: int) -> str:
    return f"{report} replies"


SUPPORT = Workflow("support", [headline, reply, report, passages, triage, handbook])


def names(steps: Any) -> list[str]:
    return [each.name for each in steps]


# -------------------------------------------------------------------------------------------------------------- edges
def test_parameters_are_the_edges() -> None:
    assert SUPPORT.columns == ("ticket",)
    assert SUPPORT.once == {"handbook"}
    assert set(names(SUPPORT.per_row)) == {"triage", "passages", "reply"}
    assert names(SUPPORT.reducing) == ["report", "headline"]
    assert {name: set(names(each)) for name, each in SUPPORT.dependents.items()} == {
        "triage": {"passages", "reply"},
        "passages": {"reply"},
        "reply": set(),
    }


def test_each_step_comes_after_those_that_it_needs() -> None:
    place = {each.name: index for index, each in enumerate(SUPPORT.order)}
    assert all(place[name] < place[each.name] for each in SUPPORT.steps for name in each.needs if name in place)


def test_a_step_can_be_called_as_the_function_that_it_is() -> None:
    assert passages("refund", ["a", "b"], k=1) == ["a"]


def test_a_step_that_needs_once_steps_and_the_run_alone_runs_once() -> None:
    @step
    def stamp(run: About) -> str:
        return run.run_id

    @step
    def both(stamp: str, handbook: list[str]) -> str:
        return stamp

    assert Workflow("w", [stamp, both, handbook]).once == {"stamp", "both", "handbook"}


def test_an_optional_parameter_that_is_a_declared_column_makes_a_step_per_row() -> None:
    @step
    def styled(tone: str = "neutral") -> str:
        return tone

    assert Workflow("w", [styled]).once == {"styled"}
    assert names(Workflow("w", [styled], rows=Ticket).per_row) == ["styled"]


def test_a_default_route_serves_steps_that_declare_an_output_and_name_no_route() -> None:
    @step(output=int)
    def size(ticket: str) -> Request:
        return prompt("How long?", ticket=ticket)

    routed = Workflow("w", [size, handbook, triage], route=Fixed("large")).by_name
    assert [routed[name].route for name in ("size", "handbook", "triage")] == [Fixed("large"), None, SMALL]


def test_routes_are_changed_for_one_step_or_for_all_nested_ones_too() -> None:
    changed = SUPPORT.with_routes({"reply": Cheapest()})
    assert changed.by_name["reply"].route == Cheapest()
    assert changed.by_name["triage"].route == SMALL
    inner = Workflow("inner", [triage])
    outer = Workflow("outer", [inner.over("tickets", item="ticket")]).with_routes(Cheapest())
    nested = outer.by_name["inner"].inner
    assert nested is not None
    assert nested.by_name["triage"].route == Cheapest()
    with pytest.raises(WorkflowError, match="has no step 'answer'; it has"):
        SUPPORT.with_routes({"answer": Cheapest()})


# ------------------------------------------------------------------------------------------------------------- checks
def tool(name: str, *needs: str, **options: Any) -> Step:
    return Step(name, lambda **_: None, needs=needs, **options)


FAULTS = [
    ({"steps": []}, "has no steps"),
    ({"name": ""}, "at least one character"),
    ({"name": "a/b"}, "no '/'"),
    ({"steps": [tool("a", "b"), tool("b", "c"), tool("c", "a")]}, "goes in a circle: "),
    ({"steps": [tool("a", "a")]}, "goes in a circle: a → a"),
    ({"steps": [tool("a"), tool("a")]}, "two steps named 'a'"),
    ({"steps": [tool("run")]}, "cannot be named 'run'"),
    ({"steps": [tool("a/b")]}, "cannot be named 'a/b'"),
    ({"steps": [len]}, "is no step; decorate the function with @step"),
    ({"steps": [len], "route": SMALL}, "is no step; decorate the function with @step"),
    ({"steps": [tool("ticket")], "rows": Ticket}, "clashes with the column of that name"),
    ({"steps": [tool("a", "tiket")], "rows": Ticket}, "step 'a' needs 'tiket', which is neither a step nor a column"),
    ({"rows": dict}, "rows= must be a pydantic model"),
    ({"steps": [tool("a", "b"), tool("b", "x", reduces=True)]}, "known only after all rows; mark it reduces=True"),
    ({"steps": [tool("a", grade=(grading.Exact("truth"),))]}, "has graders but no route"),
    ({"steps": [tool("a", policy=Retry(1))]}, "has a policy but no route"),
    ({"steps": [tool("a", output=object())]}, "is no type that can be read"),
    ({"steps": [tool("a", inner=SUPPORT)]}, "whose step 'report' reduces"),
]


@pytest.mark.parametrize(("given", "why"), FAULTS)
def test_a_mistake_is_found_when_the_workflow_is_built(given: dict[str, Any], why: str) -> None:
    with pytest.raises(WorkflowError) as refused:
        Workflow(**{"name": "w", "steps": [tool("x", "ticket")], **given})
    assert why in str(refused.value)
    assert "'w'" in str(refused.value) or "name" in given or "output" in str(refused.value)


def test_a_step_names_what_it_needs() -> None:
    def many(*tickets: str) -> None: ...

    def options(**given: str) -> None: ...

    def placed(ticket: str, /) -> None: ...

    for function in (many, options, placed):
        with pytest.raises(WorkflowError, match="cannot be an edge; name what the step needs"):
            step(function)
    with pytest.raises(WorkflowError, match="is no function whose parameters can be read"):
        step(name="x")(3)  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match="has no name; give the step one"):
        step(partial(len))


def test_a_step_that_asks_is_a_plain_function() -> None:
    @step(route=SMALL)
    async def slow(ticket: str) -> Request:
        return prompt("x", ticket=ticket)

    @step(route=SMALL)
    async def turns(ticket: str) -> Any:
        yield prompt("x", ticket=ticket)

    for each in (slow, turns):
        with pytest.raises(WorkflowError, match="is async; make it a plain function"):
            Workflow("w", [each])


def test_over_names_a_column_of_the_inner_workflow() -> None:
    with pytest.raises(WorkflowError, match="has no column 'tickt'; it has ticket"):
        Workflow("inner", [triage]).over("tickets", item="tickt")


def test_a_fleet_that_could_never_answer_a_step_is_found_before_anything_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = Workflow("w", [triage])
    flow.check(fleet_of(small=Model()))
    with pytest.raises(FleetError, match="has no model 'small'"):
        flow.check(fleet_of(large=Model()))
    with pytest.raises(WorkflowError, match="step 'triage' wants typed output, and none of small"):
        flow.check(Fleet({}).with_function("small", Model(), capabilities=["chat"]))
    with pytest.raises(WorkflowError, match="names no model"):
        flow.with_routes(Cheapest()).check(Fleet({}))
    with pytest.raises(FleetError, match="has no model 'small'"):
        Workflow("outer", [flow.over("tickets", item="ticket")]).check(fleet_of(large=Model()))


# ------------------------------------------------------------------------------------------------------------ drawing
@step(name="end")
def ending(reply: str) -> str:
    return reply


@step(name='odd "<name>" & more')
def odd(ticket: str) -> str:
    return ticket


DRAWN = Workflow("drawn", [*SUPPORT.steps, ending, odd, Workflow("inner", [triage]).over("passages", item="ticket")])


def test_mermaid_has_a_node_for_each_column_and_step_and_an_arrow_for_each_edge() -> None:
    lines = DRAWN.mermaid().splitlines()
    assert lines[0] == "flowchart LR"
    arrows = {tuple(line.split(" --> ")) for line in (line.strip() for line in lines) if "-->" in line}
    assert ("triage_", "reply_") in arrows
    assert ("ticket_", "triage_") in arrows
    assert ("reply_", "end_") in arrows
    assert len(arrows) == sum(name in {*DRAWN.by_name, *DRAWN.columns} for s in DRAWN.steps for name in s.needs)
    nodes = {line.strip().split("[")[0].split("(")[0] for line in lines[1:] if "-->" not in line}
    assert {node for arrow in arrows for node in arrow} <= nodes
    assert all(node.isidentifier() and node != "end" for node in nodes)
    assert 'odd "<name>"' not in DRAWN.mermaid()


@pytest.mark.parametrize("workflow", [DRAWN, SUPPORT, Workflow("once", [handbook])])
def test_the_picture_is_valid_xml_with_a_box_for_each_column_and_step(workflow: Workflow) -> None:
    root = ElementTree.fromstring(workflow._repr_svg_())
    boxes = root.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == len(workflow.steps) + len(workflow.columns)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert "max-width:100%" in root.attrib["style"], "a narrower page shows all of it"
    for box in boxes:
        assert 0 <= float(box.attrib["x"]) <= width - float(box.attrib["width"])
        assert 0 <= float(box.attrib["y"]) <= height - float(box.attrib["height"])
