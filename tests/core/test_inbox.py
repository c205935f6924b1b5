"""Questions to people: shown, answered once, graded by, expired, and the very row resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import toolkit as tk
from tests.core.core_samples import Model, column, run_over, said
from toolkit.asking.parking import span
from toolkit.errors import FleetError, InboxError, RunError
from toolkit.people.labels import agreement
from toolkit.records import Request
from toolkit.runs.running import Running

ROOT = Path(__file__).resolve().parents[2]


class Triage(BaseModel):
    intent: Literal["refund", "delivery", "other"]
    urgent: bool


ROWS = [{"id": "a", "ticket": "an easy one"}, {"id": "b", "ticket": "a hard one"}, {"id": "c", "ticket": "a hard two"}]
GUESS = '{"intent": "other", "urgent": false}'
REFUND = {"intent": "refund", "urgent": True}


def fleet_with(small: Any, **settings: Any) -> tk.Fleet:
    """A fleet of a function and a person."""
    fleet = tk.Fleet({}).with_function("small", small)
    person = tk.ModelSpec("reviewer", "person", "reviewer", settings=settings)
    return tk.Fleet({**fleet.specs, "reviewer": person}, fleet.functions)


def unsure(request: Request) -> tk.Reply:
    return said(GUESS, confidence=0.1 if "hard" in request.text else 0.9, cost_usd=0.01)


@tk.step(route=tk.Ladder("small", "reviewer"), policy=tk.Escalate(below=0.5), output=Triage)
def triage(ticket: str) -> tk.Request:
    return tk.prompt("Triage this ticket.", ticket=ticket)


@tk.step(route=tk.Fixed("small"))
def reply(ticket: str, triage: Triage) -> tk.Request:
    return tk.prompt(f"Answer as {triage.intent}.", ticket=ticket)


desk = tk.Workflow("desk", [triage, reply])


def parked(home: Path, rows: Any = ROWS, workflow: tk.Workflow = desk, **settings: Any) -> tuple[Running, Model]:
    model = Model(unsure)
    return run_over(workflow, rows, fleet_with(model, **settings), home), model


# ------------------------------------------------------------------------------------------------------------ looking
def test_an_open_question_tells_who_is_asked_since_when_where_and_why(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    run, _ = parked(tmp_path)
    first, second = tk.Inbox(tmp_path).open()
    assert {first.place.row_id, second.place.row_id} == {"b", "c"}
    assert (first.person, first.place.run_id, first.place.step) == ("reviewer", run.id, "desk/triage")
    assert began <= first.asked_at <= datetime.now(UTC)
    assert "reached 0.10 < 0.5" in first.why
    assert first.expires_at is None


def test_questions_are_listed_by_run_and_by_person(tmp_path: Path) -> None:
    run, _ = parked(tmp_path)
    parked(tmp_path, [{"id": "z", "ticket": "a hard zed"}])
    inbox = tk.Inbox(tmp_path)
    assert [len(inbox.open()), len(inbox.open(run.id)), len(inbox.open(person="nobody"))] == [3, 2, 0]


def test_a_run_is_named_as_elsewhere_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    run, _ = parked(tmp_path)
    box = tk.Inbox(tmp_path)
    assert box.open("latest") == box.open(run.id[:-1]) == box.open() != []
    assert box.count("latest") == 2
    for ask in (box.open, box.count, box.ready, box.expire, box.wake):
        with pytest.raises(RunError, match="there is no run 'nosuch'"):
            ask("nosuch")


def test_a_question_is_shown_with_its_row_and_what_models_said_before(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    asked = inbox.show(review.id[:6])
    assert asked.review == review
    assert asked.fields == ROWS[1]
    assert "a hard one" in asked.review.question
    (tried,) = asked.tried
    assert (tried.model, tried.output, tried.confidence, tried.cost_usd) == ("small", GUESS, 0.1, 0.01)


def test_a_name_that_fits_no_question_or_too_many_or_is_too_short_is_refused(tmp_path: Path) -> None:
    parked(tmp_path)
    inbox = tk.Inbox(tmp_path)
    names = ", ".join(review.id[:8] for review in inbox.open())
    with pytest.raises(InboxError, match=f"there is no question 'zzzz'; those that wait begin with {names}"):
        inbox.find("zzzz")
    with pytest.raises(InboxError, match="too short"):
        inbox.find("a")


def test_a_home_without_a_record_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no record in"):
        tk.Inbox(tmp_path / "none").open()
    assert not (tmp_path / "none").exists()


# ---------------------------------------------------------------------------------------------------------- answering
def test_an_answer_resumes_its_row_and_nothing_is_asked_again(tmp_path: Path) -> None:
    run, model = parked(tmp_path)
    asked = model.calls
    inbox = tk.Inbox(tmp_path)
    review = next(review for review in inbox.open() if review.place.row_id == "b")
    ended = inbox.answer(review.id, REFUND, by="analyst", note="as the terms say")
    assert (ended.run_id, ended.row_ids) == (run.id, frozenset({"b"}))
    again = run_over(desk, ROWS, fleet_with(model), tmp_path, run_id=run.id, only=ended.row_ids)
    assert model.calls - asked == 1, "the reply to the answered row, and nothing else"
    assert (again.progress.answered, again.progress.parked) == (1, 0)
    rows = dict(again.sql("select row_id, status from rows").rows)
    assert rows == {"a": "answered", "b": "answered", "c": "parked"}
    (answer,) = again.sql("""
        select value ->> 'intent', model, reason, attempts, cost_usd from answers
        where row_id = 'b' and step = 'desk/triage' and status = 'answered'""")
    assert answer == ("refund", "reviewer", "answered by analyst: as the terms say", 1, 0.01)


def test_whoever_answers_is_on_record_with_the_question(tmp_path: Path) -> None:
    run, _ = parked(tmp_path, ROWS[1:2])
    inbox = tk.Inbox(tmp_path)
    inbox.answer(inbox.open()[0].id, REFUND, by="analyst")
    ((status, by, value, waited),) = run.sql(
        "select status, answered_by, value ->> 'intent', answered_at >= asked_at from reviews"
    )
    assert (status, by, value, waited) == ("answered", "analyst", "refund", True)
    assert inbox.open() == []


@pytest.mark.parametrize("value", [{"intent": "refunds", "urgent": True}, {"intent": "refund"}, "refund", None, 3])
def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays_open(tmp_path: Path, value: Any) -> None:
    parked(tmp_path, ROWS[1:2])
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    with pytest.raises(InboxError, match=f"no answer to question {review.id[:8]}"):
        inbox.answer(review.id, value)
    assert inbox.open() == [review]


def test_the_second_of_two_people_is_told_who_answered_and_when(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    inbox.answer(review.id, REFUND, by="analyst")
    with pytest.raises(InboxError, match=rf"answered by analyst at {datetime.now(UTC):%Y-%m-%d} .* that answer stays"):
        inbox.answer(review.id, {**REFUND, "urgent": False}, by="colleague")
    assert tk.History(tmp_path).sql("select distinct value ->> 'urgent' from reviews").rows == (("true",),)


def test_of_many_who_answer_at_once_one_does(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    (review,) = tk.Inbox(tmp_path).open()
    outcomes: list[str] = []

    def answer(name: str) -> None:
        try:
            tk.Inbox(tmp_path).answer(review.id, REFUND, by=name)
            outcomes.append("answered")
        except InboxError:
            outcomes.append("too late")

    threads = [threading.Thread(target=answer, args=(f"person {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["answered", "too late", "too late", "too late"]


def test_a_word_of_a_list_of_words_needs_no_json(tmp_path: Path) -> None:
    @tk.step(route=tk.Fixed("reviewer"), output=Literal["yes", "no"])
    def verdict(ticket: str) -> tk.Request:
        return tk.prompt("Is it?", ticket=ticket)

    workflow = tk.Workflow("court", [verdict])
    run, model = parked(tmp_path, ROWS[:1], workflow)
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    assert inbox.read(review, "yes") == inbox.read(review, '"yes"') == "yes"
    with pytest.raises(InboxError):
        inbox.read(review, "perhaps")
    ended = inbox.answer(review.id, "yes")
    again = run_over(workflow, ROWS[:1], fleet_with(model), tmp_path, run_id=run.id, only=ended.row_ids)
    assert again.answers()["verdict"].tolist() == ["yes"]


@pytest.mark.slow
def test_rows_that_ask_the_very_same_are_answered_together(tmp_path: Path) -> None:
    rows = [{"id": "1", "ticket": "a hard one"}, {"id": "2", "ticket": "a hard one"}]
    run, model = parked(tmp_path, rows)
    inbox = tk.Inbox(tmp_path)
    first, second = inbox.open()
    assert inbox.show(first.id).others == (second,)
    ended = inbox.answer(first.id, REFUND)
    assert ended.row_ids == {"1", "2"}
    assert inbox.open() == []
    again = run_over(desk, rows, fleet_with(model), tmp_path, run_id=run.id)
    assert again.progress.answered == 2


def test_a_question_of_a_nested_workflow_resumes_the_row_of_the_batch(tmp_path: Path) -> None:
    outer = tk.Workflow("outer", [tk.Workflow("desk", [triage]).over("tickets", item="ticket")])
    rows = [{"id": "x/1", "tickets": ["an easy one", "a hard one"]}]
    run, model = parked(tmp_path, rows, outer)
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    assert review.place.row_id == "x/1/desk[1]"
    ended = inbox.answer(review.id, REFUND)
    assert ended.row_ids == {"x/1"}
    calls = model.calls
    again = run_over(outer, rows, fleet_with(model), tmp_path, run_id=run.id, only=ended.row_ids)
    assert (again.progress.answered, model.calls) == (1, calls)


@pytest.mark.slow
def test_what_a_person_types_is_redacted_as_the_run_is(tmp_path: Path) -> None:
    @tk.step(route=tk.Fixed("reviewer"))
    def verdict(ticket: str) -> tk.Request:
        return tk.prompt("Say.", ticket=ticket)

    workflow = tk.Workflow("court", [verdict])
    run_over(workflow, ROWS[:1], fleet_with(unsure), tmp_path, redact="personal")
    inbox = tk.Inbox(tmp_path)
    inbox.answer(inbox.open()[0].id, "write to jo.doe@example.org", by="jo.doe@example.org", note="or 4111111111111111")
    told = str(tk.History(tmp_path).sql("select value, answered_by from reviews").rows)
    told += str(tk.History(tmp_path).sql("select value, reason from answers").rows)
    told += str(tk.History(tmp_path).sql("select label, reason, graded_by from grades").rows)
    assert "example.org" not in told and "4111" not in told
    assert "[email:" in told and "[card:" in told


@pytest.mark.slow
def test_only_the_chosen_rows_run_and_an_unfinished_run_stays_unfinished(tmp_path: Path) -> None:
    run, model = parked(tmp_path)
    with tk.Journal.open(tmp_path) as journal:
        from dataclasses import replace

        from toolkit.ledger import run_entry

        journal.write(run_entry(replace(run.run, status="interrupted")))
    more = [*ROWS, {"id": "d", "ticket": "never reached"}]
    again = run_over(desk, more, fleet_with(model), tmp_path, run_id=run.id, only=frozenset({"b"}), parts={"rows"})
    assert column(again, "select status from runs") == ["interrupted"]
    assert "d" not in column(again, "select row_id from rows")


# ------------------------------------------------------------------------------------------------------------- labels
@pytest.mark.slow
def test_answers_become_labels_of_the_attempts_before_them(tmp_path: Path) -> None:
    run, _ = parked(tmp_path)
    inbox = tk.Inbox(tmp_path)
    for review in inbox.open():
        right = review.place.row_id == "c"
        inbox.answer(review.id, {"intent": "other", "urgent": False} if right else REFUND, by="analyst")
    found = run.sql("""
        select row_id, model, kind, value, label, reason, graded_by from grades
        where attempt_id is not null and graded_by = 'analyst' order by row_id""").rows
    assert [(row, model, kind, value) for row, model, kind, value, *_ in found] == [
        ("b", "small", "label", 0.0),
        ("c", "small", "label", 1.0),
    ]
    assert found[0][4:6] == (
        '{"intent":"refund","urgent":true}',
        "intent: 'other', the person says 'refund'; urgent: False, the person says True",
    )
    own = run.sql("select label from grades where attempt_id is null order by row_id").rows
    assert own == (('{"intent":"refund","urgent":true}',), ('{"intent":"other","urgent":false}',))
    assert run.sql("select mean from quality where model = 'small' and grader = 'Person(''reviewer'')'").rows == (
        (0.5,),
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
)


@given(json_values, json_values)
def test_agreement_is_symmetric_and_certain_for_equal_values(one: Any, other: Any) -> None:
    assert agreement(one, one)[0] == 1.0
    assert agreement(one, other)[0] == agreement(other, one)[0]


def test_free_text_in_other_words_is_neither_right_nor_wrong() -> None:
    assert agreement("Yes, please!", "yes please", text=True)[0] == 1.0
    assert agreement("Certainly.", "yes please", text=True)[0] is None
    assert agreement(True, 1)[0] == 0.0


@pytest.mark.slow
def test_a_person_may_grade_what_models_said_and_that_counts_instead(tmp_path: Path) -> None:
    run, _ = parked(tmp_path)
    inbox = tk.Inbox(tmp_path)
    for review in inbox.open():
        (tried,) = inbox.show(review).tried
        mark = 4 if review.place.row_id == "b" else False
        inbox.answer(review, REFUND, by="analyst", note="nearly", marks={tried.id: mark})
    found = run.sql("""
        select row_id, kind, value, label, reason from grades
        where attempt_id is not null and graded_by = 'analyst' order by row_id""").rows
    assert found == (("b", "score", 0.75, "4", "nearly"), ("c", "assertion", 0.0, "failed", "nearly"))


@pytest.mark.slow
def test_an_answer_that_is_a_label_stays_and_one_that_is_none_can_be_taken_back(tmp_path: Path) -> None:
    parked(tmp_path)
    inbox = tk.Inbox(tmp_path)
    one, other = inbox.open()
    inbox.answer(one, REFUND, by="analyst")
    with pytest.raises(InboxError, match="is a label on record, and stays"):
        inbox.take_back(one, by="analyst")
    inbox.answer(other, REFUND, by="analyst", is_label=False)
    with pytest.raises(InboxError, match="was answered by analyst, who alone can take that back"):
        inbox.take_back(other, by="colleague")
    assert inbox.take_back(other, by="analyst") == (other,)
    assert inbox.open() == [other]
    inbox.answer(other, {"intent": "other", "urgent": True}, by="colleague")
    assert inbox.find(other).answered_by == "colleague"


@pytest.mark.slow
@pytest.mark.parametrize(("mark", "told"), [(6, "1 to 5, not 6"), (0.5, "not 0.5"), ("good", "not 'good'")])
def test_a_grade_off_the_scale_or_of_nothing_is_refused_and_the_question_stays_open(
    tmp_path: Path, mark: Any, told: str
) -> None:
    parked(tmp_path, ROWS[1:2])
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    (tried,) = inbox.show(review).tried
    with pytest.raises(InboxError, match=told):
        inbox.answer(review, REFUND, marks={tried.id: mark})
    with pytest.raises(InboxError, match="no answer of a model 'nothing'"):
        inbox.answer(review, REFUND, marks={"nothing": True})
    assert inbox.open() == [review]


# ---------------------------------------------------------------------------------------------------------- many, pages
@pytest.mark.slow
def test_many_questions_are_read_a_page_at_a_time_and_counted(tmp_path: Path) -> None:
    run, _ = parked(tmp_path, [{"id": f"r{n:02}", "ticket": f"a hard {n}"} for n in range(7)])
    inbox = tk.Inbox(tmp_path)
    everything = inbox.open()
    assert inbox.count() == inbox.count(run.id) == inbox.count(person="reviewer") == 7
    assert [*inbox.open(most=3), *inbox.open(most=3, skip=3), *inbox.open(most=3, skip=6)] == everything
    assert inbox.count(person="reviewe_") == inbox.count(person="%") == 0


@pytest.mark.slow
def test_a_question_is_taken_as_it_is_on_record_now(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    inbox.answer(review, REFUND, by="analyst")
    assert (inbox.find(review).status, inbox.show(review).review.answered_by) == ("answered", "analyst")
    gone = replace(review, key="another")
    with pytest.raises(InboxError, match="is not on record any more"):
        inbox.show(gone)


def test_the_record_is_opened_once_for_the_calls_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parked(tmp_path)
    inbox, opened = tk.Inbox(tmp_path), list[Path]()
    as_before = tk.Journal.open

    def noted(home: Path, **rest: Any) -> tk.Journal:
        opened.append(home)
        return as_before(home, **rest)

    monkeypatch.setattr(tk.Journal, "open", noted)
    with inbox.at_hand():
        inbox.answer(inbox.open()[0], REFUND)
        assert inbox.count() == 1
    assert len(opened) == 1


# ------------------------------------------------------------------------------------------- runs that began as objects
def test_rows_of_a_run_that_began_as_objects_go_on_with_its_workflow_and_fleet(tmp_path: Path) -> None:
    run, model = parked(tmp_path)
    inbox = tk.Inbox(tmp_path)
    ended = inbox.answer(next(r for r in inbox.open() if r.place.row_id == "b"), REFUND)
    with pytest.raises(RunError, match="started from objects"):
        inbox.resume(ended.run_id, ended.row_ids)
    asked = model.calls
    again = inbox.resume(ended.run_id, ended.row_ids, workflow=run.workflow, fleet=run.fleet).wait(show=False)
    assert (again.id, again.run.status, model.calls - asked) == (run.id, "finished", 1)
    assert dict(again.sql("select row_id, status from rows").rows) == {"a": "answered", "b": "answered", "c": "parked"}
    with pytest.raises(RunError, match="somebody went on with them"):
        inbox.resume(ended.run_id, ended.row_ids, workflow=run.workflow, fleet=run.fleet)


# ---------------------------------------------------------------------------------------------------------- time-outs
@pytest.mark.parametrize(
    ("seconds", "told"),
    [(172800, "2 days"), (86400, "1 day"), (129600, "36 h"), (5400, "90 min"), (5, "5 s"), (0.05, "0.1 s")],
)
def test_times_are_said_as_people_say_them(seconds: float, told: str) -> None:
    assert span(timedelta(seconds=seconds)) == told


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('time_out = "2 fortnights"', "time_out is seconds"),
        ("time_out = -1", "time_out is seconds"),
        ("time_out = true", "time_out is seconds"),
        ('default = "no"', "a default is taken after a time_out"),
    ],
)
def test_a_fleet_file_with_a_time_out_that_is_none_is_refused(tmp_path: Path, lines: str, fault: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(f'[models.lena]\nprovider = "person"\n{lines}\n')
    with pytest.raises(FleetError, match=f"models.toml: model 'lena': {fault}"):
        tk.Fleet.load(path)


def test_a_time_out_is_no_field_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[models.lena]\nprovider = "openai"\ntime_out = 5\n')
    with pytest.raises(FleetError, match="unknown field 'time_out'"):
        tk.Fleet.load(path)


def test_a_question_of_a_patient_person_tells_until_when_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[models.reviewer]\nprovider = "person"\ntime_out = "2 days"\n')
    loaded = tk.Fleet.load(path)
    fleet = tk.Fleet({**fleet_with(unsure).specs, **loaded.specs}, fleet_with(unsure).functions)
    run_over(desk, ROWS[1:2], fleet, tmp_path)
    (review,) = tk.Inbox(tmp_path).open()
    assert review.expires_at == review.asked_at + timedelta(days=2)
    assert review.default_value is None


def test_after_the_time_out_a_resume_takes_the_default(tmp_path: Path) -> None:
    run, model = parked(tmp_path, ROWS[1:2], time_out=0.2, default=REFUND)
    time.sleep(0.25)
    again = run_over(desk, ROWS[1:2], fleet_with(model), tmp_path, run_id=run.id)
    assert again.progress.answered == 1
    (answer,) = again.sql("""
        select value ->> 'intent', model, reason, cost_usd from answers where step = 'desk/triage'
        and status = 'answered'""")
    assert answer == ("refund", "reviewer", "nobody answered as reviewer within 0.2 s; the default was taken", 0.01)
    assert column(again, "select status from reviews") == ["expired"]
    assert sum("Triage" in request.text for request in model.requests) == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [({}, "and there is no default"), ({"default": "refund"}, "and the default does not fit: answer: 'refund' is not")],
)
def test_without_a_default_that_fits_the_row_fails_with_the_reason(tmp_path: Path, settings: Any, why: str) -> None:
    run, model = parked(tmp_path, ROWS[1:2], time_out=0.1, **settings)
    time.sleep(0.15)
    again = run_over(desk, ROWS[1:2], fleet_with(model), tmp_path, run_id=run.id)
    ((status, reason),) = again.sql("select status, reason from rows")
    assert status == "failed"
    assert f"triage: nobody answered as reviewer within 0.1 s, {why}" in reason
    assert model.calls == 1


def test_expiring_without_a_resume_fails_the_row_at_once(tmp_path: Path) -> None:
    run, _ = parked(tmp_path, ROWS[1:2], time_out=0.1)
    inbox = tk.Inbox(tmp_path)
    time.sleep(0.15)
    inbox.expire()
    assert run.sql("select status from rows").rows == (("failed",),)
    assert inbox.expire() == []
    assert inbox.ready() == []


def test_a_late_answer_to_what_expired_without_a_default_still_counts(tmp_path: Path) -> None:
    run, model = parked(tmp_path, ROWS[1:2], time_out=0.1)
    (review,) = tk.Inbox(tmp_path).open()
    time.sleep(0.15)
    inbox = tk.Inbox(tmp_path)
    inbox.expire()
    ended = inbox.answer(review.id, REFUND)
    again = run_over(desk, ROWS[1:2], fleet_with(model), tmp_path, run_id=run.id, only=ended.row_ids)
    assert again.progress.answered == 1


def test_a_late_answer_after_the_default_was_taken_is_refused(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2], time_out=0.1, default=REFUND)
    inbox = tk.Inbox(tmp_path)
    (review,) = inbox.open()
    time.sleep(0.15)
    inbox.expire()
    with pytest.raises(InboxError, match=r"expired at .*, and its default was taken"):
        inbox.answer(review.id, REFUND)


# ------------------------------------------------------------------------------------------------------------- waking
def test_waking_tells_the_rows_that_can_go_on_and_no_others(tmp_path: Path) -> None:
    run, model = parked(tmp_path)
    inbox = tk.Inbox(tmp_path)
    assert inbox.wake() == []
    review = next(review for review in inbox.open() if review.place.row_id == "c")
    inbox.answer(review.id, REFUND)
    (ready,) = inbox.wake()
    assert (ready.run.id, ready.row_ids) == (run.id, frozenset({"c"}))
    run_over(desk, ROWS, fleet_with(model), tmp_path, run_id=run.id, only=ready.row_ids)
    assert inbox.wake() == []


def test_a_step_of_the_whole_batch_that_was_answered_wakes_all_rows(tmp_path: Path) -> None:
    @tk.step(route=tk.Fixed("reviewer"))
    def motto() -> tk.Request:
        return tk.prompt("A motto, please.")

    @tk.step(route=tk.Fixed("small"))
    def verse(ticket: str, motto: str) -> tk.Request:
        return tk.prompt(motto, ticket=ticket)

    workflow = tk.Workflow("poems", [motto, verse])
    run, model = parked(tmp_path, ROWS, workflow)
    inbox = tk.Inbox(tmp_path)
    assert inbox.ready() == []
    inbox.answer(inbox.open()[0].id, "Be kind.")
    (ready,) = inbox.ready()
    assert ready.row_ids == {"a", "b", "c"}
    again = run_over(workflow, ROWS, fleet_with(model), tmp_path, run_id=run.id, only=ready.row_ids)
    assert again.progress.answered == 3


def test_a_reducing_step_that_asked_a_person_goes_on_after_the_answer(tmp_path: Path) -> None:
    @tk.step(route=tk.Fixed("reviewer"), reduces=True)
    def verdict(ticket: list[str]) -> tk.Request:
        return tk.prompt("All of them?", tickets=ticket)

    @tk.step(reduces=True)
    def shout(verdict: str) -> str:
        return verdict.upper()

    workflow = tk.Workflow("court", [verdict, shout])
    run, model = parked(tmp_path, ROWS, workflow)
    inbox = tk.Inbox(tmp_path)
    inbox.answer(inbox.open()[0].id, "guilty")
    (ready,) = inbox.ready()
    assert (ready.row_ids, ready.batch) == (frozenset(), True)
    again = run_over(workflow, ROWS, fleet_with(model), tmp_path, run_id=run.id, only=ready.row_ids)
    assert column(again, "select value ->> '$' from answers where value is not null and step = 'court/shout'") == [
        "GUILTY"
    ]
    assert inbox.ready() == []


# ------------------------------------------------------------------------------------------------- across processes
KILLED = """
import os, signal, sys
import toolkit as tk
from tests.core.test_inbox import ROWS, desk, fleet_with, unsure
from toolkit.records import Request

def slow(request: Request):
    if "easy" in request.text:
        while not tk.Inbox(sys.argv[1]).open():
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return unsure(request)

desk.run(ROWS[1:2] + ROWS[:1], fleet_with(slow), home=sys.argv[1], in_flight=2)
"""
ANSWERS = """
import sys
import toolkit as tk
from tests.core.test_inbox import REFUND
inbox = tk.Inbox(sys.argv[1])
inbox.answer(inbox.open()[0].id, REFUND, by="somebody else")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_run_is_answered_by_another_process_and_goes_on(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def process(code: str) -> int:
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, timeout=120, check=False)
        return done.returncode

    assert process(KILLED) == -signal.SIGKILL
    (review,) = tk.Inbox(tmp_path).open()
    assert process(ANSWERS) == 0
    model = Model(unsure)
    again = run_over(desk, ROWS[1:2] + ROWS[:1], fleet_with(model), tmp_path, run_id=review.place.run_id)
    assert (again.progress.answered, again.progress.parked) == (2, 0)
    assert not any("Triage" in request.text and "a hard one" in request.text for request in model.requests)
