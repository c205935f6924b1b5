"""`toolkit plan` tells what a resume would do: what stays, what is asked again and why, at about what cost."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.core.core_samples import Model, fleet_of, run_over, said
from toolkit import Escalate, Fixed, Fleet, Ladder, ModelSpec, Workflow, prompt, step
from toolkit.forecasts.planning import Asked, Facts, Prospect, Settled, StepProspect, facts_of, planned
from toolkit.ledger import History
from toolkit.ledger.retention.pruning import Rule, prune
from toolkit.records import Request, now

if TYPE_CHECKING:
    from tests.cli.conftest import Desk


# --------------------------------------------------------------------------------------------------------- by the facts
def facts(*settled: tuple[str, str, str], total: int | None = None, **rows: str) -> Facts:
    """Facts of rows by status, and of steps by (row, step, state); each that was asked cost a cent."""
    found = tuple(Settled(row_id, step, 0, state, asks=True) for row_id, step, state in settled)  # type: ignore[arg-type]
    steps = {each.step for each in found}
    asked = {name: Asked(calls=4, rows=2, cost_usd=0.04) for name in steps}
    return Facts(total, rows, {}, found, asked)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("answered", StepProspect("w/s", on_record=2)),
        ("skipped", StepProspect("w/s", on_record=2)),
        ("parked", StepProspect("w/s", on_record=1, waiting=1)),
        ("failed", StepProspect("w/s", on_record=1, ask={"failed": 1}, calls=2.0, cost_usd=0.02)),
        ("withheld", StepProspect("w/s", on_record=1, ask={"content was not kept": 1}, calls=2.0, cost_usd=0.02)),
        ("erased", StepProspect("w/s", on_record=1, ask={"erased": 1}, calls=2.0, cost_usd=0.02)),
    ],
)
def test_how_a_step_stands_says_whether_it_is_asked_again(state: str, expected: StepProspect) -> None:
    prospect = planned(facts(("a", "w/s", "answered"), ("b", "w/s", state), a="answered", b="failed"))
    assert prospect.steps == (expected,)
    assert (prospect.rows_done, prospect.rows_again) == (1, 1)


def test_rows_that_were_never_reached_cost_what_an_average_row_did() -> None:
    prospect = planned(facts(("a", "w/s", "answered"), ("b", "w/s", "answered"), total=12, a="answered", b="answered"))
    assert prospect.rows_unreached == 10
    assert prospect.steps[0].ask == {"never reached": 10}
    assert prospect.calls == 20.0
    assert prospect.cost_usd == pytest.approx(0.2)


def test_a_row_that_was_cut_off_in_its_midst_goes_on_from_there() -> None:
    prospect = planned(
        facts(("a", "w/s", "answered"), ("a", "w/t", "answered"), ("b", "w/s", "answered"), a="answered")
    )
    assert prospect.rows_again == 1
    assert [(step.step, step.on_record, dict(step.ask)) for step in prospect.steps] == [
        ("w/s", 2, {}),
        ("w/t", 1, {"never reached": 1}),
    ]


def test_below_a_question_that_waits_for_a_person_nothing_is_asked() -> None:
    prospect = planned(facts(("b", "w/s", "parked"), ("a", "w/t", "answered"), a="answered", b="parked"))
    assert {step.step: (step.waiting, dict(step.ask)) for step in prospect.steps} == {"w/s": (1, {}), "w/t": (1, {})}


def test_a_cost_that_nobody_knows_is_none_and_never_zero() -> None:
    known = facts(("a", "w/s", "failed"), a="failed")
    unknown = Facts(None, known.rows, {}, known.settled, {"w/s": Asked(1, 1, None)})
    assert planned(unknown).cost_usd is None and planned(unknown).calls == 1.0


def test_child_rows_count_for_the_row_that_they_belong_to() -> None:
    states = (("a/inner[0]", "withheld"), ("a/inner[1]", "answered"))
    found = tuple(Settled(row_id, "w/inner/s", 0, state, True) for row_id, state in states)  # type: ignore[arg-type]
    prospect = planned(Facts(1, {"a": "failed"}, {"a/inner[0]": "a"}, found, {}))
    assert prospect.rows_again == 1
    assert prospect.steps[0].ask == {"content was not kept": 1}


# ----------------------------------------------------------------------------------------------------- by a real record
def reply_flow(*, failing: bool) -> Workflow:
    @step(route=Fixed("small"))
    def reply(ticket: str) -> Request:
        return prompt("Answer.", ticket=ticket)

    @step(route=Fixed("small"))
    def second(reply: str, id: str) -> Request:
        if failing and id == "b":
            raise OSError("not yet")
        return prompt("Again.", reply=reply, id=id)

    return Workflow("w", [reply, second])


ROWS = [{"id": name, "ticket": f"ticket {name}"} for name in "abc"]


@pytest.mark.slow
@pytest.mark.parametrize("content", ["full", "hashes"])
def test_what_was_planned_is_what_a_resume_does(tmp_path: Path, content: str) -> None:
    model = Model(said("fine", cost_usd=0.01))
    first = run_over(reply_flow(failing=True), ROWS, fleet_of(small=model), tmp_path, content=content)
    prospect = planned(facts_of(History(tmp_path), first.id))
    before = model.calls
    run_over(reply_flow(failing=False), ROWS, fleet_of(small=model), tmp_path, run_id=first.id)
    assert prospect.calls == model.calls - before == (1 if content == "full" else 2)
    assert prospect.cost_usd == pytest.approx(0.01 * prospect.calls)
    assert prospect.asked_again == (() if content == "full" else ("w/reply",))
    assert planned(facts_of(History(tmp_path), first.id)).calls == 0


def test_a_parked_question_is_planned_to_wait(tmp_path: Path) -> None:
    @step(route=Ladder("small", "person"), policy=Escalate(0.5))
    def judged(ticket: str) -> Request:
        return prompt("Judge.", ticket=ticket)

    fleet = fleet_of(small=Model(said("perhaps", confidence=0.1)))
    fleet = Fleet({**fleet.specs, "person": ModelSpec("person", "person", "person")}, fleet.functions)
    run = run_over(Workflow("w", [judged]), ROWS, fleet, tmp_path)
    prospect = planned(facts_of(History(tmp_path), run.id))
    assert (prospect.steps[0].waiting, dict(prospect.steps[0].ask), prospect.calls) == (3, {}, 0.0)


@pytest.mark.slow
def test_what_was_pruned_is_planned_to_be_asked_again(tmp_path: Path) -> None:
    model = Model()
    run = run_over(reply_flow(failing=True), ROWS, fleet_of(small=model), tmp_path)
    prune(tmp_path, Rule(before=now() + timedelta(days=1)))
    prospect, before = planned(facts_of(History(tmp_path), run.id)), model.calls
    assert (prospect.rows_done, prospect.asked_again) == (0, ("w/reply", "w/second"))
    run_over(reply_flow(failing=False), ROWS, fleet_of(small=model), tmp_path, run_id=run.id)
    assert prospect.calls == model.calls - before == 6


def told(desk: Desk, *options: str) -> dict[str, Any]:
    ended = desk.toolkit("plan", "latest", "--json", *options)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


@pytest.mark.slow
def test_the_command_names_the_steps_that_would_be_asked_again(desk: Desk) -> None:
    desk.write("rows.csv", "id,text\n1,plan 1\n2,\n")
    assert desk.run("rows.csv", "--content", "hashes", "--redact", "personal").code == 1
    ended = desk.toolkit("plan", "latest")
    assert ended.code == 0
    assert "redact=Redact(emails=True, phones=True), content=hashes): 1 rows are done, 1 run again" in ended.out
    plan = told(desk)
    assert (plan["content"], plan["rows"]) == ("hashes", {"done": 1, "again": 1, "never_reached": 0})
    assert {step["step"]: step["ask"] for step in plan["steps"]}["plain/first"] == {"failed": 1}


@pytest.mark.slow
def test_the_command_says_so_where_nothing_is_left(desk: Desk) -> None:
    desk.write("rows.csv", "id,text\n1,done 1\n")
    assert desk.run("rows.csv").code == 0
    ended = desk.toolkit("plan", "latest")
    assert (ended.code, "nothing is left to do" in ended.out) == (0, True)
    assert told(desk)["calls"] == 0


@pytest.mark.parametrize("options", [["--router", "x"], ["--limit", "3"], ["--budget", "zz"], ["--fresh"]])
def test_a_run_on_record_is_planned_as_it_was_begun(desk: Desk, options: list[str]) -> None:
    desk.run("rows.csv")
    ended = desk.toolkit("plan", "latest", *options)
    assert (ended.code, "is planned as it was begun" in ended.sentence) == (2, True)


def test_a_run_that_there_is_not_is_named(desk: Desk) -> None:
    ended = desk.toolkit("plan", "latest")
    assert ended.code == 2
    assert "there is no record in" in ended.sentence


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--redact", "all"], "cannot build the redaction 'all'"),
        (["--content", "some"], "content is 'full' or 'hashes'"),
    ],
)
def test_modes_that_there_are_not_are_refused_in_a_sentence(desk: Desk, options: list[str], why: str) -> None:
    ended = desk.run("rows.csv", *options)
    assert ended.code == 2
    assert why in ended.sentence


def test_a_file_that_cannot_be_read_is_named_without_what_is_in_it(desk: Desk) -> None:
    desk.write("rows.csv", "id,text\n1,x\n2,sk-proj-abcDEF0123456789abcDEF,and,more\n")
    ended = desk.run("rows.csv")
    assert ended.code == 2
    assert "sk-proj" not in ended.err + ended.out


def test_prospects_add_up() -> None:
    steps = (StepProspect("a", calls=2.0, cost_usd=0.5), StepProspect("b", calls=1.0, cost_usd=None))
    assert (Prospect(0, 0, None, steps).calls, Prospect(0, 0, None, steps).cost_usd) == (3.0, None)
