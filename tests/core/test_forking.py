"""Forks of past runs: what stands before the step is taken from the record, the step and what rests on it run anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.core.core_samples import Model, fleet_of, run_over, tickets
from toolkit import Fixed, Request, Skip, Workflow, prompt, step
from toolkit.errors import RunError, WorkflowError
from toolkit.messages import sections
from toolkit.runs.forking import fork
from toolkit.runs.running import Running


def desk(*, words: str = "Answer.", triage_by: str = "small", reply_by: str = "large", name: str = "desk") -> Workflow:
    """handbook (once) ─▶ triage ─▶ reply ─▶ shout, and beside them `length`; `count` sees the whole batch."""

    @step
    def handbook() -> str:
        return "30 days"

    @step(route=Fixed(triage_by))
    def triage(ticket: str, handbook: str) -> Request:
        return prompt("Triage.", ticket=ticket, handbook=handbook)

    @step
    def length(ticket: str) -> int:
        return len(ticket)

    @step(route=Fixed(reply_by))
    def reply(ticket: str, triage: str) -> Request:
        return prompt(words, ticket=ticket, triage=triage)

    @step
    def shout(reply: str) -> str:
        return reply.upper()

    @step(reduces=True)
    def count(shout: list[str], triage: list[str]) -> list[int]:
        return [len(shout), len(triage)]

    return Workflow(name, [handbook, triage, length, reply, shout, count])


def small() -> Model:
    return Model(lambda request: f"about {sections(request.text)['ticket']}")


def ended(running: Running) -> Running:
    return running.wait(show=False)


def values(running: Running, name: str) -> list[Any]:
    query = "select value::varchar from answers where step like ? and status = 'answered' order by row_id"
    return [orjson.loads(row[0]) for row in running.sql(query, [f"%/{name}"])]


def test_the_steps_before_are_taken_and_the_step_and_those_below_it_run_anew(tmp_path: Path) -> None:
    first, large = small(), Model("fine")
    past = run_over(desk(), tickets(3), fleet_of(small=first, large=large), tmp_path)
    before = past.sql("select count(*), max(answered_at) from answers").rows
    again = ended(
        fork(desk(words="Answer well."), past.id, at="reply", fleet=fleet_of(small=first, large=large), home=tmp_path)
    )
    assert (first.calls, large.calls) == (3, 6)
    assert again.id != past.id
    assert values(again, "triage") == values(past, "triage")
    assert values(again, "shout") == ["FINE"] * 3
    assert values(again, "count") == [[3, 3]]
    reused = again.sql("select step, count(reused_from), count(*) from answers group by step order by step").rows
    assert reused == (
        ("desk/count", 0, 1),
        ("desk/handbook", 1, 1),
        ("desk/length", 3, 3),
        ("desk/reply", 0, 3),
        ("desk/shout", 0, 3),
        ("desk/triage", 3, 3),
    )
    assert past.sql("select count(*), max(answered_at) from answers").rows == before


def test_what_is_taken_is_what_was_answered_there_whoever_would_be_asked_today(tmp_path: Path) -> None:
    first, other, large = small(), Model("something else"), Model("fine")
    past = run_over(desk(), tickets(2), fleet_of(small=first, large=large), tmp_path)
    models = fleet_of(other=other, large=large, best=Model("better"))
    again = ended(desk(triage_by="other", reply_by="best").fork(past.id, at="reply", fleet=models, home=tmp_path))
    assert other.calls == 0
    assert values(again, "triage") == ["about ticket number 0", "about ticket number 1"]
    assert values(again, "reply") == ["better", "better"]


def test_a_fork_at_the_first_step_takes_only_what_stands_beside_it(tmp_path: Path) -> None:
    first, large = small(), Model("fine")
    past = run_over(desk(), tickets(2), fleet_of(small=first, large=large), tmp_path)
    again = ended(
        fork(desk(), past.id, at="triage", fleet=fleet_of(small=first, large=large), home=tmp_path, fresh=True)
    )
    assert (first.calls, large.calls) == (4, 4)
    assert set(again.sql("select step from answers where reused_from is not null").column("step")) == {
        "desk/handbook",
        "desk/length",
    }


def test_a_row_that_the_past_run_has_not_answered_runs_from_the_start(tmp_path: Path) -> None:
    first, large = small(), Model("fine")
    past = run_over(desk(), tickets(2), fleet_of(small=first, large=large), tmp_path)
    models = fleet_of(small=first, large=large)
    again = ended(fork(desk(), past.id, at="reply", rows=tickets(3), fleet=models, home=tmp_path, fresh=True))
    assert again.progress.answered == 3
    assert first.calls == 3


def test_what_was_skipped_is_skipped_again_and_what_failed_is_tried(tmp_path: Path) -> None:
    failures = [True]

    @step
    def picky(ticket: str) -> Any:
        if ticket.endswith("1"):
            return Skip("odd")
        if failures:
            raise ValueError("not now")
        return ticket

    @step(route=Fixed("small"))
    def reply(ticket: str, picky: str = "none") -> Request:
        return prompt("Answer.", ticket=ticket, picky=picky)

    workflow = Workflow("w", [picky, reply])
    past = run_over(workflow, tickets(2), fleet_of(small=small()), tmp_path)
    failures.clear()
    again = ended(fork(workflow, past.id, at="reply", fleet=fleet_of(small=small()), home=tmp_path))
    assert (past.progress.answered, again.progress.answered) == (1, 2)
    assert again.sql("select status from answers where step = 'w/picky' order by row_id").column("status") == [
        "answered",
        "skipped",
    ]


def test_rows_without_an_id_keep_the_one_that_they_had(tmp_path: Path) -> None:
    rows = [{"ticket": f"ticket {n}"} for n in range(4)]
    first, large = small(), Model("fine")
    models = fleet_of(small=first, large=large)
    past = run_over(desk(), rows, models, tmp_path, skip=2)
    again = ended(fork(desk(), past.id, at="reply", fleet=models, home=tmp_path, fresh=True))
    assert again.sql('select row_id from "rows" order by row_id').column("row_id") == ["row-2", "row-3"]
    assert first.calls == 2


def test_a_fork_that_was_stopped_is_resumed_as_the_fork_that_it_is(tmp_path: Path) -> None:
    first, large = small(), Model(lambda request: 1 / 0 if broken else "fine")
    broken: list[int] = []
    models = fleet_of(small=first, large=large)
    past = run_over(desk(), tickets(2), models, tmp_path)
    broken.append(1)
    forked = ended(fork(desk(words="Better."), past.id, at="reply", fleet=models, home=tmp_path))
    assert forked.progress.failed == 2
    broken.clear()
    resumed = run_over(desk(words="Better.", triage_by="large"), tickets(2), models, tmp_path, run_id=forked.id)
    assert resumed.progress.answered == 2
    assert first.calls == 2
    assert values(resumed, "triage") == values(past, "triage")


def test_an_answer_that_was_taken_answers_no_request_of_any_run(tmp_path: Path) -> None:
    first, large = small(), Model("fine")
    past = run_over(desk(), tickets(1), fleet_of(small=first, large=large), tmp_path)
    ended(fork(desk(triage_by="large"), past.id, at="reply", fleet=fleet_of(large=large), home=tmp_path))
    run_over(desk(triage_by="large"), tickets(1), fleet_of(large=large), tmp_path)
    assert large.calls == 3  # the first reply, then a triage and the reply to it: nothing was taken for that triage


def test_lineage_leads_to_what_was_taken(tmp_path: Path) -> None:
    past = run_over(desk(), tickets(1), fleet_of(small=small(), large=Model("fine")), tmp_path)
    again = ended(
        fork(desk(words="Better."), past.id, at="reply", fleet=fleet_of(small=small(), large=Model()), home=tmp_path)
    )
    query = (
        "select from_step, from_run_id, from_value::varchar from lineage where step = 'desk/reply' and input = 'triage'"
    )
    assert again.sql(query).rows == (("desk/triage", past.id, '"about ticket number 0"'),)


def test_another_name_of_the_workflow_does_not_matter(tmp_path: Path) -> None:
    first, large = small(), Model("fine")
    models = fleet_of(small=first, large=large)
    past = run_over(desk(), tickets(1), models, tmp_path)
    again = ended(fork(desk(name="desk-2"), past.id, at="reply", fleet=models, home=tmp_path))
    assert first.calls == 1
    assert values(again, "triage") == values(past, "triage")


def test_a_fork_redacts_as_the_run_did_that_it_was_forked_from(tmp_path: Path) -> None:
    rows = [{"id": "a", "ticket": "I am jane@example.com"}]
    models = fleet_of(small=small(), large=Model("fine"))
    past = run_over(desk(), rows, models, tmp_path, redact="personal", seed=7)
    again = ended(fork(desk(words="Better."), past.id, at="reply", rows=rows, fleet=models, home=tmp_path))
    assert "jane@" not in str(again.history.sql("from contents").rows)
    assert (again.run.seed, again.run.settings["redact"]) == (7, past.run.settings["redact"])


def test_what_cannot_be_forked_is_told_before_anything_runs(tmp_path: Path) -> None:
    models = fleet_of(small=small(), large=Model("fine"))
    past = run_over(desk(), tickets(1), models, tmp_path)
    alone = Workflow("alone", [step(name="same")(lambda ticket: ticket)])
    silent = run_over(alone, tickets(1), models, tmp_path, content="hashes")
    with pytest.raises(WorkflowError, match=re.escape("workflow 'desk' has no step 'replay'; it has handbook, triage")):
        fork(desk(), past.id, at="replay", fleet=models, home=tmp_path)
    with pytest.raises(RunError, match="kept hashes and no content"):
        fork(alone, silent.id, at="same", fleet=models, home=tmp_path)
    with pytest.raises(RunError, match="nobody"):
        fork(desk(), "nobody", at="reply", fleet=models, home=tmp_path)


def test_a_fork_knows_its_parent(tmp_path: Path) -> None:
    models = fleet_of(small=small(), large=Model("fine"))
    past = run_over(desk(), tickets(1), models, tmp_path)
    again = ended(fork(desk(), past.id, at="reply", fleet=models, home=tmp_path))
    assert past.history.sql("select id, parent_run_id from runs order by started_at").rows == (
        (past.id, None),
        (again.id, past.id),
    )
