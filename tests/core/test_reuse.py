"""The same step, request and plan is answered from the record: out of the journal, and never for another repeat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.core.core_samples import SMALL, Model, column, fleet_of, run_over, tickets
from toolkit import Request, Workflow, prompt, step
from toolkit.asking.questions import Question
from toolkit.graph.answering import Ask
from toolkit.records import Answer


@step(route=SMALL)
def reply(ticket: str) -> Request:
    return prompt("Answer.", ticket=ticket)


FLOW = Workflow("w", [reply])


async def twice(question: Question, ask: Ask) -> Answer:
    """Each question as its first and its second repeat."""
    first = await ask(question)
    await ask(replace(question, place=replace(question.place, repeat=1)))
    return first


def test_a_repeat_asks_anew_and_is_itself_on_record(tmp_path: Path) -> None:
    model = Model()
    fleet = fleet_of(small=model)
    FLOW.start(tickets(3), fleet, home=tmp_path, wrap=twice).wait(show=False)
    assert model.calls == 6
    again = FLOW.start(tickets(3), fleet, home=tmp_path, wrap=twice).wait(show=False)
    assert model.calls == 6
    assert column(again, "select repeat from answers where reused_from is not null order by 1") == [0, 0, 0, 1, 1, 1]


def test_answers_are_reused_out_of_the_journal_without_the_history(tmp_path: Path) -> None:
    model = Model()
    first = run_over(FLOW, tickets(3), fleet_of(small=model), tmp_path)
    (tmp_path / "history.duckdb").unlink()
    second = run_over(FLOW, tickets(3), fleet_of(small=model), tmp_path)
    assert model.calls == 3
    assert column(second, "select distinct reused_from from answers") == [first.id]
