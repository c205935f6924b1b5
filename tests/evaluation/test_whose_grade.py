"""A grade holds for the answer that it was given to, in the row that it was given in, and beside grades of its kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toolkit as tk
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.gate import gate
from toolkit.evaluation.pairs import Difference
from toolkit.evaluation.quality import grade_run
from toolkit.evaluation.reading import DIFFERENT_GRADERS
from toolkit.evaluation.suites import Check, Limits, Suite
from toolkit.grading import Exact, Grader, Regex, grounded
from toolkit.money.prices import Price

PRICE = Price(request=0.001)


def fleet() -> tk.Fleet:
    found = tk.Fleet({}).with_function("small", lambda request: "yes", price=PRICE)
    return found.with_function("large", lambda request: "no", price=PRICE)


def asked(model: str, *graders: Grader) -> tk.Workflow:
    @tk.step(route=tk.Fixed(model), policy=tk.Once(), grade=graders, name="reply")
    def reply(ticket: str) -> tk.Request:
        return tk.prompt("Yes or no?", ticket=ticket)

    return tk.Workflow("desk", [reply])


def twice(n: int = 20) -> list[dict[str, Any]]:
    """Each text in two rows, of which "yes" is true in the one and "no" in the other."""
    return [
        {"id": f"{lang}{i}", "ticket": f"ticket {i}", "lang": lang, "truth": truth}
        for i in range(n)
        for lang, truth in (("en", "yes"), ("de", "no"))
    ]


@tk.step(route=tk.Explore(tk.Ladder("small", "large"), rate=0.8), policy=tk.Once(), grade=Exact("truth"))
def reply(ticket: str) -> tk.Request:
    return tk.prompt("Yes or no?", ticket=ticket)


EXPLORING = tk.Workflow("desk", [reply])


def both(home: Path, *graders: Grader) -> tuple[Any, Any]:
    return (
        asked("small", *graders).run(twice(), fleet(), home=home),
        asked("large", *graders).run(twice(), fleet(), home=home),
    )


# ------------------------------------------------------------------------------------------------------ reused answers
@pytest.mark.parametrize("graded_afterwards", [False, True])
def test_an_answer_that_two_rows_share_is_right_in_one_and_wrong_in_the_other(
    tmp_path: Path, graded_afterwards: bool
) -> None:
    small, large = both(tmp_path, *(() if graded_afterwards else (Exact("truth"),)))
    if graded_afterwards:
        for run in (small, large):
            grade_run(tmp_path, run.id, {"reply": [Exact("truth")]})
    found = tk.compare({"small": small, "large": large}, step="reply", quality="Exact", segment="lang")
    whole, de, en = (found.of("large", segment=name) for name in ("all rows", "de", "en"))
    assert (told(whole), told(de), told(en)) == (0, 1, -1)
    assert small.sql("select count(distinct attempt_id), count(*) from answers").rows == ((20, 40),)


def test_answers_from_an_earlier_run_are_held_against_the_truth_as_it_is_told_now(tmp_path: Path) -> None:
    before = asked("small", Exact("truth")).run(twice(), fleet(), home=tmp_path)
    corrected = [{**row, "truth": "yes"} for row in twice()]
    after = asked("small", Exact("truth")).run(corrected, fleet(), home=tmp_path)
    assert after.sql("select count(*) from attempts").rows == ((0,),)
    for run, mean in ((before, 0.5), (after, 1.0)):
        assert run.sql("select avg(value), count(*) from grades").rows == ((mean, 40),)
    assert grade_run(tmp_path, after.id, {"reply": [Exact("truth")]}) == 0, "it is graded where it stands already"


def test_what_a_judge_said_of_an_answer_holds_wherever_it_is_reused(tmp_path: Path) -> None:
    from toolkit.evaluation.judging import judge_run
    from toolkit.grading.judges import Pointwise

    judging = fleet().with_function("judge", lambda request: {"reason": "as it is", "passed": "yes" in request.text})
    first = asked("small").run(twice(), judging, home=tmp_path)
    second = asked("large").run(twice(), judging, home=tmp_path)
    useful = Pointwise("It agrees.", scale="pass/fail")
    for run in (first, second):
        judge_run(run, useful, fleet=judging, by="judge", step="reply")
    again = asked("small").run([{**row, "more": 1} for row in twice()], judging, home=tmp_path)
    other = asked("large").run([{**row, "more": 1} for row in twice()], judging, home=tmp_path)
    assert told(tk.compare([first, second], step="reply").of(second.id)) == -1
    assert told(tk.compare([again, other], step="reply").of(other.id)) == -1


# --------------------------------------------------------------------------------------------------------------- gates
def told(found: Difference | Refusal) -> float:
    assert isinstance(found, Difference), found
    return found.value


def suite(workflow: tk.Workflow, rows: list[dict[str, Any]], **demands: Any) -> Suite:
    return Suite("s", workflow, rows, Path("nowhere"), (Check("answer", "reply", Exact("truth"), **demands),))


def test_a_target_counts_answers_that_failed(tmp_path: Path) -> None:
    def mostly_down(request: tk.Request) -> str:
        if not any(f"'ticket {i}'" in repr(request.messages) for i in range(2)):
            raise tk.errors.InvalidOutput("no such thing")
        return "yes"

    rows = [{"id": str(i), "ticket": f"ticket {i}", "truth": "yes"} for i in range(20)]
    workflow = asked("small", Exact("truth"))
    run = workflow.run(rows, tk.Fleet({}).with_function("small", mostly_down, price=PRICE), home=tmp_path)
    found = gate(suite(workflow, rows, least=0.95), run=run.id, home=tmp_path)
    assert not found.passes
    assert "answer: 0.100 over 20 rows (18 failed, and count as 0), at least 0.95 is wanted" in found.sentence


def test_a_target_counts_the_answer_that_stands_in_the_end(tmp_path: Path) -> None:
    @tk.step(route=tk.Ladder("small", "large"), policy=tk.Escalate(below=0.5), grade=Exact("truth"), name="reply")
    def reply(ticket: str) -> tk.Request:
        return tk.prompt("Yes or no?", ticket=ticket)

    rows = [{"id": str(i), "ticket": f"ticket {i}", "truth": "no"} for i in range(20)]
    workflow = tk.Workflow("desk", [reply])
    run = workflow.run(rows, fleet(), home=tmp_path)
    assert run.sql("select count(*) from attempts").rows == ((40,),)
    assert gate(suite(workflow, rows, least=0.95), run=run.id, home=tmp_path).passes


def test_the_limit_of_cost_knows_what_reused_answers_cost(tmp_path: Path) -> None:
    workflow, rows = asked("small", Exact("truth")), twice()
    for run in [workflow.run(rows, fleet(), home=tmp_path) for _ in range(2)]:
        wanted = replace(suite(workflow, rows), limits=Limits(cost_usd=0.0001))
        assert "cost: 0.001000 USD a row, at most 0.0001 is wanted" in gate(wanted, run=run.id, home=tmp_path).sentence


# -------------------------------------------------------------------------------------------- failures and graders
def test_a_row_that_failed_has_no_quality_of_the_steps_before(tmp_path: Path) -> None:
    def chain(down: bool) -> tk.Workflow:
        @tk.step(route=tk.Fixed("small"), policy=tk.Once(), grade=Exact("truth"), name="first")
        def first(ticket: str) -> tk.Request:
            return tk.prompt("Yes or no?", ticket=ticket)

        @tk.step(route=tk.Fixed("large"), policy=tk.Once(), grade=Exact("truth"), name="last")
        def last(first: str) -> tk.Request:
            if down:
                raise ValueError("it is down")
            return tk.prompt("And now?", first=first)

        return tk.Workflow("chain", [first, last])

    rows = [{"id": str(i), "ticket": f"ticket {i}", "truth": "yes"} for i in range(20)]
    works, broken = (chain(down).run(rows, fleet(), home=tmp_path, fresh=True) for down in (False, True))
    found = tk.compare({"works": works, "broken": broken})
    assert told(found.of("broken")) == pytest.approx(-0.5)
    assert "20 answers failed, and count with quality 0" in found.scored.notes


def test_runs_of_two_records_that_were_judged_by_others_are_not_compared(tmp_path: Path) -> None:
    workflow = asked("small", Exact("truth"))
    run = workflow.run(twice(), fleet(), home=tmp_path)
    replayed = tk.replay(run, workflow, fleet())
    grade_run(tmp_path, run.id, {"reply": [Regex("never")]})
    assert DIFFERENT_GRADERS in replayed.compare(step="reply").sentence
    assert told(replayed.compare(step="reply", quality="Exact").of(replayed.run.id)) == 0
    elsewhere = asked("small", Exact("ticket")).run(twice(), fleet(), home=tmp_path / "other")
    assert DIFFERENT_GRADERS in tk.compare([run, elsewhere], step="reply", quality="Exact").sentence


def test_history_that_was_judged_by_others_in_part_tells_nothing_until_one_of_them_is_named(tmp_path: Path) -> None:
    rows = [{"id": str(i), "ticket": f"ticket {i}", "truth": "yes" if i % 3 else "no"} for i in range(120)]

    run = EXPLORING.run(rows, fleet(), home=tmp_path, seed=3)
    before = tk.counterfactual(run, tk.Fixed("large"), step="reply", method="snips")
    more = EXPLORING.run(rows[:40], fleet(), home=tmp_path, fresh=True, seed=4)
    grade_run(tmp_path, more.id, {"reply": [Regex("never")]})
    mixed = tk.counterfactual([run, more], tk.Fixed("large"), step="reply", method="snips")
    assert DIFFERENT_GRADERS in str(mixed)
    named = tk.counterfactual([run, more], tk.Fixed("large"), quality="Exact", step="reply", method="snips")
    for found in (before, named):
        assert not isinstance(found.results[0].result, Refusal), found


def test_the_same_rows_in_several_runs_are_no_more_evidence_than_they_are(tmp_path: Path) -> None:
    rows = [{"id": str(i), "ticket": f"ticket {i}", "truth": "yes" if i % 2 else "no"} for i in range(60)]

    for seed in range(6):
        EXPLORING.run(rows, fleet(), home=tmp_path, fresh=True, seed=seed)
    found = tk.counterfactual(tmp_path, tk.Fixed("large"), step="reply", method="ips")
    (result,) = [each.result for each in found.results if each.measure == "quality"]
    assert isinstance(result, Estimate)
    even = 2 * 1.96 * np.sqrt(0.25 / 60)  # the width if each of the 60 rows were known for certain
    assert result.width > even
    assert any("360 decisions of reply are in 60 groups" in note for note in found.notes), found.notes


def test_one_grader_says_the_same_in_the_step_and_afterwards(tmp_path: Path) -> None:
    run = asked("small", grounded("ticket")).run([{"id": "a", "ticket": "yes"}], fleet(), home=tmp_path)
    grade_run(tmp_path, run.id, {"reply": [grounded("ticket"), grounded("tiket")]})
    told = run.sql("select grader, value, reason from grades order by grader, value").rows
    assert [(value, reason) for _, value, reason in told] == [
        (1.0, "every word is in the sources"),
        (1.0, "every word is in the sources"),
        (None, "there is no input 'tiket'; there is id, ticket, reply"),
    ]
