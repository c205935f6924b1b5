"""A judge as the grader of a step that runs: asked, recorded, charged, gone by; and what comes of it where it fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import toolkit as tk
from tests.core.core_samples import Model, fleet_of, run_over, said, tickets
from toolkit.errors import AccessDenied, FleetError, WorkflowError
from toolkit.evaluation.calibrating import calibrated
from toolkit.evaluation.judging import judge_run
from toolkit.evaluation.quality import grade_run
from toolkit.grading import Case, JudgedBy, Marking, Pointwise, Similar
from toolkit.messages import Data
from toolkit.money.prices import Price
from toolkit.records import Grade, Request

USEFUL = Pointwise("It answers what was asked.", shows=("ticket",), scale="pass/fail")
JUDGED = JudgedBy(USEFUL, "judge")
LADDER = tk.Ladder("small", "large")


def likes_long(request: Request) -> Any:
    parts = [part for message in request.messages for part in message.parts if isinstance(part, Data)]
    answer = next(part.text for part in parts if part.name == "answer")
    return said(f'{{"reason": "by length", "passed": {str(len(answer) > 8).lower()}}}', cost_usd=0.001)


def step(**options: Any) -> Any:
    given = {"route": LADDER, "policy": tk.Escalate(below=0.5), "grade": JUDGED, **options}

    @tk.step(**given)
    def reply(ticket: str) -> Any:
        return tk.prompt("Reply.", ticket=ticket)

    return reply


def desk(**options: Any) -> tk.Workflow:
    return tk.Workflow("desk", [step(**options)])


def models(judge: Any = likes_long, **others: Any) -> tk.Fleet:
    return fleet_of(
        small=Model(lambda request: said("It is.", cost_usd=0.01)),
        large=Model(lambda request: said("It comes on Monday.", cost_usd=0.1)),
        judge=judge,
        **others,
    )


def test_a_policy_goes_by_what_a_judge_says_while_the_step_runs(tmp_path: Path) -> None:
    run = run_over(desk(), tickets(2), models(), tmp_path)
    assert set(run.sql("select model, attempts, value ->> '$' from answers")) == {("large", 2, "It comes on Monday.")}
    told = "select model, value, reason, graded_by, grader from grades order by row_id, model desc"
    one = [
        ("small", 0.0, "by length", "judge", repr(USEFUL)),
        ("large", 1.0, "by length", "judge", repr(USEFUL)),
    ]
    assert list(run.sql(told)) == one * 2


def test_what_the_judge_cost_is_on_record_charged_to_the_row_and_found_by_its_grade(tmp_path: Path) -> None:
    run = run_over(desk(), tickets(1), models(), tmp_path)
    assert list(run.sql("select step, model, cost_usd from attempts order by id")) == [
        ("desk/reply", "small", 0.01),
        ("desk/reply/grade", "judge", 0.001),
        ("desk/reply", "large", 0.1),
        ("desk/reply/grade", "judge", 0.001),
    ]
    ((answer, row),) = run.sql("select a.cost_usd, r.cost_usd from answers a join rows r using (row_id)")
    assert (answer, row) == (pytest.approx(0.112), pytest.approx(0.112))
    paid = run.sql("select sum(a.cost_usd) from grades g join attempts a on a.id = split_part(g.id, '.', 1)")
    assert paid.rows == ((pytest.approx(0.002),),)


def test_an_answer_out_of_the_record_is_not_judged_again(tmp_path: Path) -> None:
    judge = Model(likes_long)
    run_over(desk(), tickets(2), models(judge), tmp_path)
    run_over(desk(), tickets(2), models(judge), tmp_path)
    assert judge.calls == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("judge", "why"),
    [
        (AccessDenied("no such key"), "judge could not judge: no such key"),
        ("not json", "judge could not judge: "),
        ({"reason": "x", "passed": "perhaps"}, "judge could not judge: "),
    ],
)
def test_a_judge_that_cannot_say_leaves_a_grade_without_a_number_and_the_answer_stands(
    tmp_path: Path, judge: Any, why: str
) -> None:
    def fails(request: Request) -> Any:
        if isinstance(judge, Exception):
            raise judge
        return judge

    run = run_over(desk(), tickets(1), models(fails), tmp_path)
    assert run.sql("select status, model from answers").rows == (("answered", "small"),)
    ((value, reason),) = run.sql("select value, reason from grades")
    assert value is None
    assert reason.startswith(why)
    later = judge_run(run, USEFUL, fleet=models(), by="judge", step="reply")
    assert later.grades == 1, "what could not be judged then can be judged later"


def test_what_is_to_be_shown_and_is_not_there_fails_the_row_in_words(tmp_path: Path) -> None:
    blind = JudgedBy(Pointwise("Useful.", shows=("tikcet",)), "judge")
    run = run_over(desk(grade=blind), tickets(1), models(), tmp_path)
    ((reason,),) = run.sql("select reason from rows")
    assert "is to be shown 'tikcet', and there are ticket, id" in reason


def test_a_judge_sees_the_inputs_of_the_step_too(tmp_path: Path) -> None:
    judge = Model(likes_long)

    @tk.step
    def passages(ticket: str) -> list[str]:
        return ["parcels come on Mondays"]

    @tk.step(route=tk.Fixed("large"), grade=JudgedBy(Pointwise("Grounded.", shows=("passages",)), "judge"))
    def reply(ticket: str, passages: list[str]) -> Any:
        return tk.prompt("Reply.", ticket=ticket)

    run_over(tk.Workflow("desk", [passages, reply]), tickets(1), models(judge), tmp_path)
    assert "parcels come on Mondays" in judge.requests[0].text


def test_within_its_limit_of_time_an_answer_stands_though_its_judge_is_slow(tmp_path: Path) -> None:
    async def slow(request: Request) -> Any:
        await asyncio.sleep(30)

    run = run_over(desk(policy=tk.Within(seconds=0.5) | tk.Escalate()), tickets(1), models(slow), tmp_path)
    assert run.sql("select status, model, attempts from answers").rows == (("answered", "small", 1),)
    assert "limit of time" in run.sql("select reason from grades").rows[0][0]
    told = run.sql("select step, error_type from attempts order by id").rows
    assert told == (("desk/reply", None), ("desk/reply/grade", "timeout"))


def test_a_tight_budget_has_room_for_the_judge_as_soon_as_the_answer_has_its_cost(tmp_path: Path) -> None:
    fleet = tk.Fleet({}).with_function("small", lambda request: "It is so.", price=Price(request=0.6))
    fleet = fleet.with_function("judge", lambda request: {"reason": "x", "passed": True}, price=Price(request=0.3))
    run = run_over(desk(route=tk.Fixed("small")), tickets(1), fleet, tmp_path, budget="1 USD", in_flight=1)
    assert run.sql("select sum(cost_usd) from attempts").rows == ((pytest.approx(0.9),),)
    assert run.sql("select value from grades").rows == ((1.0,),)


def test_a_hedge_that_lost_is_not_judged(tmp_path: Path) -> None:
    judge = Model({"reason": "x", "passed": True})

    async def late(request: Request) -> Any:
        await asyncio.sleep(0.6)
        return "It is late."

    policy = tk.Hedge(after=0.1, model="large")
    run = run_over(
        desk(policy=policy), tickets(1), fleet_of(small=late, large=Model("It is so."), judge=judge), tmp_path
    )
    assert run.sql("select count(*) from attempts where step = 'desk/reply'").rows == ((2,),)
    assert judge.calls == 1


def test_similarity_by_vectors_grades_a_step_while_it_runs(tmp_path: Path) -> None:
    def embed(request: Request) -> tk.Reply:
        return tk.Reply(vectors=tuple((1.0, float("Monday" in text)) for text in request.inputs))

    alike = JudgedBy(Similar("truth"), "embedder")
    rows = [{**row, "truth": "On Monday."} for row in tickets(1)]
    run = run_over(desk(grade=alike), rows, models(embedder=embed), tmp_path)
    assert [round(value, 3) for (value,) in run.sql("select value from grades order by id")] == [0.707]


def test_a_judge_that_may_not_be_asked_is_told_before_anything_is_spent(tmp_path: Path) -> None:
    lacking = fleet_of(small=Model(), large=Model()).with_function("judge", likes_long, capabilities=("chat",))
    with pytest.raises(WorkflowError, match="'reply' is graded by judge, which lacks the capability 'json'"):
        run_over(desk(), tickets(1), lacking, tmp_path)
    nobody = fleet_of(small=Model(), large=Model())
    with pytest.raises(FleetError, match="judge"):
        run_over(desk(), tickets(1), nobody, tmp_path)


def test_people_judge_finished_runs_only(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[models.judge]\nprovider = "person"\ncapabilities = ["*"]\n', encoding="utf-8")
    team = tk.Fleet.load(path).with_function("small", Model()).with_function("large", Model())
    with pytest.raises(WorkflowError, match=r"people grade a finished run, by judge_run\(…, by='judge'\)"):
        run_over(desk(), tickets(1), team, tmp_path)


def test_the_judges_grades_in_the_loop_are_calibrated_by_those_of_the_answers_alone(tmp_path: Path) -> None:
    run = run_over(desk(), tickets(12), models(), tmp_path)
    found = calibrated(run.history, USEFUL, step="reply")
    assert found.judged == {"large": 12}, "rungs that were climbed past are no answers"


def test_a_plug_in_may_ask_several_times_and_hears_what_went_wrong(tmp_path: Path) -> None:
    class Twice(tk.grading.Grader):
        def grade(self, case: Case) -> Marking:
            first = yield "judge", tk.prompt("One?")
            second = yield "judge", tk.prompt("Two?")
            return Grade(repr(self), "label", label=f"{first.value} {second.value}", graded_by="judge")

        def names(self) -> tuple[str, ...]:
            return ("judge",)

        def __repr__(self) -> str:
            return "Twice()"

    answers = iter("ab")
    run = run_over(desk(grade=Twice()), tickets(1), models(lambda request: next(answers)), tmp_path)
    assert set(run.sql("select grader, label from grades")) == {("Twice()", "a b")}
    assert run.sql("select count(*) from attempts where step = 'desk/reply/grade'").rows == ((2,),)


def test_a_grader_that_asks_does_not_grade_finished_runs_by_code(tmp_path: Path) -> None:
    run = run_over(desk(), tickets(1), models(), tmp_path)
    with pytest.raises(WorkflowError, match="asks a model: it grades a step while it runs"):
        grade_run(tmp_path, run.id, {"reply": [JUDGED]})


@pytest.mark.slow
def test_a_replay_plays_the_judge_back_and_misses_what_it_never_said(tmp_path: Path) -> None:
    run = run_over(desk(), tickets(3), models(), tmp_path)
    again = tk.replay(run, desk(), models())
    assert again.is_complete
    other = JudgedBy(Pointwise("Short.", shows=("ticket",), scale="pass/fail"), "judge")
    missing = tk.replay(run, desk(grade=other), models())
    assert len(missing.incomplete) == 3
    assert {each.model for each in missing.missing} == {"judge"}
