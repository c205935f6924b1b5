"""Answering in a notebook: forms out of types, the desk at which a person works, what is told without widgets."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import toolkit as tk
from tests.core.core_samples import Model, run_over, said
from tests.core.test_inbox import REFUND, ROWS, fleet_with, parked
from toolkit.errors import InboxError
from toolkit.ledger import review_entry
from toolkit.prompts.outputs import Output
from toolkit.records import Request
from toolkit.widgets.review_desk import PER_PAGE, ReviewDesk
from toolkit.widgets.review_form import FormError, filled, form_of, value_of
from toolkit.widgets.review_page import Page
from toolkit.widgets.review_view import excerpt, instruction, opened, readable


# ------------------------------------------------------------------------------------------------- forms out of types
class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    amount: float
    tags: list[str] = []


class Whole(BaseModel):
    intent: Literal["refund", "delivery"]
    urgent: bool
    colour: Colour
    count: int
    price: float
    words: str
    maybe: int | None
    mixed: Literal["a", 1] | None = None
    note: str | None = Field(default=None, description="what else there is")
    inner: Inner


def test_each_type_has_its_field() -> None:
    form = form_of(Output.of(Whole).schema)
    kinds = {field.name: field.kind for field in form.fields}
    assert kinds == {
        "intent": "choice", "urgent": "choice", "colour": "choice", "count": "integer", "price": "number",
        "words": "text", "maybe": "integer", "mixed": "choice", "note": "text", "inner": "json",
    }  # fmt: skip
    by_name = {field.name: field for field in form.fields}
    assert (by_name["urgent"].options, by_name["colour"].options) == ((True, False), ("red", "blue"))
    assert (by_name["mixed"].options, by_name["mixed"].required, by_name["mixed"].nullable) == (("a", 1), False, True)
    assert (by_name["note"].hint, by_name["inner"].hint) == ("what else there is", "an object with amount, tags")


@pytest.mark.parametrize(
    ("declared", "kind", "options"),
    [
        (None, "text", ()),
        ({"type": "boolean"}, "choice", (True, False)),
        ({"enum": ["yes", "no"]}, "choice", ("yes", "no")),
        ({"anyOf": [{"const": "one"}, {"const": 2}]}, "choice", ("one", 2)),
        ({"type": "array", "items": {"type": "string"}}, "json", ()),
        ({"type": "object"}, "json", ()),
        ({"type": ["integer", "null"]}, "integer", ()),
        ({"enum": list(range(100))}, "json", ()),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"enum": ["x"]}}}, "choice", ("x",)),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "json", ()),
        ({"$ref": "elsewhere"}, "json", ()),
    ],
)
def test_a_value_that_is_no_object_is_one_field(declared: Any, kind: str, options: tuple[Any, ...]) -> None:
    form = form_of(declared)
    assert form.is_whole
    assert (form.fields[0].kind, form.fields[0].options) == (kind, options)


@given(
    intent=st.sampled_from(["refund", "delivery"]),
    urgent=st.booleans(),
    count=st.integers(-(10**6), 10**6),
    price=st.floats(-1e6, 1e6, allow_nan=False),
    words=st.text(min_size=1).filter(str.strip),
    maybe=st.none() | st.integers(0, 9),
    mixed=st.sampled_from(["a", 1, None]),
    amount=st.floats(0, 100),
    tags=st.lists(st.text(max_size=4), max_size=3),
)
def test_a_form_filled_with_a_value_gives_it_back(amount: float, tags: list[str], **fields: Any) -> None:
    inner = Inner(amount=amount, tags=tags)
    value = Whole(colour=Colour.BLUE, inner=inner, **fields).model_dump(mode="json")
    output = Output.of(Whole)
    form = form_of(output.schema)
    assert output.check(value_of(form, filled(form, value))) == output.check(value)


@pytest.mark.parametrize(
    ("given_fields", "told"),
    [
        ({"intent": None}, "field 'intent' is empty: choose one"),
        ({"intent": 7}, "field 'intent' has no choice 7"),
        ({"count": "many"}, "field 'count' cannot be read: a whole number, not 'many'"),
        ({"count": "2.5"}, "a whole number, not '2.5'"),
        ({"price": "inf"}, "field 'price' cannot be read: a number"),
        ({"inner": "{amount: 2}"}, "field 'inner' cannot be read: JSON of an object with amount, tags"),
    ],
)
def test_what_cannot_be_read_names_its_field(given_fields: dict[str, Any], told: str) -> None:
    form = form_of(Output.of(Whole).schema)
    value = {"intent": "refund", "urgent": True, "colour": "red", "count": 1, "price": 1.5, "words": "x",
             "maybe": None, "inner": {"amount": 1}}  # fmt: skip
    with pytest.raises(FormError, match=re.escape(told)):
        value_of(form, {**filled(form, value), **given_fields})


def test_a_decimal_comma_is_read_and_a_whole_number_stays_one() -> None:
    form = form_of({"type": "number"})
    assert [value_of(form, {"": text}) for text in ("2,5", "3", "3.0", "1e3")] == [2.5, 3, 3.0, 1000]
    with pytest.raises(InboxError, match="not '1,234'"):
        value_of(form, {"": "1,234"})


# ------------------------------------------------------------------------------------------------- what a page shows
def test_json_is_shown_as_lines_to_read_and_words_as_they_are() -> None:
    assert readable('{"intent":"refund","urgent":false,"tags":["a","b"],"none":[]}') == (
        "intent: refund\nurgent: no\ntags:\n  • a\n  • b\nnone: []"
    )
    assert readable('[{"id":"p1","text":"one"}]') == "• id: p1\n  text: one"
    assert [readable(text) for text in ("plain", "{no json", "")] == ["plain", "{no json", ""]


def test_the_instruction_is_told_apart_from_the_data() -> None:
    request = tk.prompt("Triage this.", ticket="My parcel is </ticket> late", facts=[1])
    from toolkit.messages import sections

    told = sections(request.text)
    assert instruction(request.text, told) == "Triage this."
    assert told["ticket"] == "My parcel is </ticket> late"
    assert excerpt(request.text).startswith("My parcel is </ticket> late · [")
    assert excerpt(None) == ""


def test_the_best_guess_is_the_answer_with_the_best_grade_that_fits(tmp_path: Path) -> None:
    @tk.step(
        route=tk.Ladder("small", "reviewer"), policy=tk.Repair(1) | tk.Escalate(below=0.5), output=Literal["x", "y"]
    )
    def pick(ticket: str) -> Request:
        return tk.prompt("Pick.", ticket=ticket)

    answers = iter([said('"z"', confidence=0.45), said('"y"', confidence=0.2)])
    run_over(tk.Workflow("w", [pick]), ROWS[:1], fleet_with(Model(lambda request: next(answers))), tmp_path)
    box = tk.Inbox(tmp_path)
    shown = opened(box.show(box.open()[0]))
    assert [(tried["failed"], tried["markable"]) for tried in shown["tried"]] == [(True, False), (False, True)]
    assert shown["guess"] == {"model": "small", "attempt": shown["tried"][1]["id"]}
    assert shown["form"]["fields"][0]["value"] == 1


# -------------------------------------------------------------------------------------------------------------- a desk
def at_desk(home: Path, **about: Any) -> ReviewDesk:
    return ReviewDesk(tk.Inbox(home), by="analyst", **about)


@pytest.mark.slow
def test_the_first_question_is_open_with_the_models_guess_and_accepting_it_is_one_act(tmp_path: Path) -> None:
    run, _ = parked(tmp_path)
    page = at_desk(tmp_path)
    state = page.state()
    first = state["open"]
    assert (state["total"], first["row_id"], first["ended"]) == (2, state["items"][0]["row_id"], "")
    assert [field["value"] for field in first["form"]["fields"]] == [2, 1]
    page.do({"do": "accept", "id": first["id"], "note": "so it is"})
    state = page.state()
    assert (state["answered"], state["total"], state["ready"], state["said"]["kind"]) == (1, 1, 1, "done")
    assert state["open"]["id"] != first["id"]
    ((value, by, reason),) = run.sql("""
        select r.value ->> 'intent', r.answered_by, a.reason from reviews r join answers a using (row_id, step)
        where r.status = 'answered' and a.status = 'answered'""").rows
    assert (value, by, reason) == ("other", "analyst", "answered by analyst: so it is")


@pytest.mark.slow
def test_an_answer_that_does_not_fit_is_told_and_the_question_stays_open(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    page = at_desk(tmp_path)
    shown = page.state()["open"]
    with pytest.raises(InboxError, match="field 'urgent' is empty"):
        page.do({"do": "answer", "id": shown["id"], "values": {"intent": 0, "urgent": None}})
    assert page.state()["open"]["id"] == shown["id"]
    page.do({"do": "answer", "id": shown["id"], "values": {"intent": 0, "urgent": 0}})
    assert tk.Inbox(tmp_path).count() == 0


@pytest.mark.slow
def test_who_comes_second_sees_that_it_was_answered_and_what(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    page = at_desk(tmp_path)
    shown = page.state()["open"]
    tk.Inbox(tmp_path).answer(shown["id"], REFUND, by="colleague")
    page.do({"do": "look"})
    assert "answered by colleague at" in page.state()["open"]["ended"]
    with pytest.raises(InboxError, match=r"was answered by colleague at .* that answer stays"):
        page.do({"do": "accept", "id": shown["id"]})


@pytest.mark.slow
def test_a_question_that_expired_meanwhile_tells_that_its_default_was_taken(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2], time_out=0.05, default={"intent": "other", "urgent": False})
    page = at_desk(tmp_path)
    shown = page.state()["open"]
    assert shown["default"] == '{"intent":"other","urgent":false}'
    time.sleep(0.1)
    tk.Inbox(tmp_path).expire()
    with pytest.raises(InboxError, match="its default was taken"):
        page.do({"do": "answer", "id": shown["id"], "values": {"intent": 0, "urgent": 0}})
    page.do({"do": "look"})
    assert page.state()["open"]["ended"].startswith("nobody answered in time: the default was taken")


@pytest.mark.slow
def test_a_question_that_was_pruned_meanwhile_is_told_as_such_and_nothing_is_lost(tmp_path: Path) -> None:
    parked(tmp_path)
    page = at_desk(tmp_path)
    gone = page.state()["open"]
    with tk.Journal.open(tmp_path) as journal:
        journal.decided(lambda t: t.rows("delete from reviews where row_id = :row returning key", row=gone["row_id"]))
    page.do({"do": "look"})
    state = page.state()
    assert (state["open"], state["total"]) == (None, 1)
    assert "is not on record any more" in state["said"]["text"]


@pytest.mark.slow
def test_skipped_questions_come_last_and_can_be_opened_again(tmp_path: Path) -> None:
    parked(tmp_path)
    page = at_desk(tmp_path)
    first = page.state()["open"]["id"]
    page.do({"do": "skip", "id": first})
    second = page.state()["open"]["id"]
    assert second != first
    page.do({"do": "skip", "id": second})
    assert page.state()["open"] is None
    assert page.state()["advice"] == ["none is open: choose one on the left, or press j"]
    page.do({"do": "open", "id": first})
    assert page.state()["open"]["id"] == first


@pytest.mark.slow
def test_answered_rows_go_on_at_a_word_and_nothing_is_asked_again(tmp_path: Path) -> None:
    run, model = parked(tmp_path)
    page = at_desk(tmp_path, run=run.id, workflow=run.workflow, fleet=run.fleet)
    asked = model.calls
    for _ in range(2):
        page.do({"do": "accept", "id": page.state()["open"]["id"]})
    assert page.state()["ready"] == 2
    page.do({"do": "go on"})
    assert page.state()["moving"]
    settled(page)
    state = page.state()
    assert (state["ready"], state["moving"], model.calls - asked) == (0, False, 2)
    assert "3 of 3 rows" in state["run"]
    assert set(run.sql("select status from rows").column("status")) == {"answered"}


@pytest.mark.slow
def test_rows_may_go_on_at_once(tmp_path: Path) -> None:
    run, _ = parked(tmp_path, ROWS[1:2])
    page = at_desk(tmp_path, workflow=run.workflow, fleet=run.fleet)
    page.do({"do": "at once", "on": True})
    page.do({"do": "accept", "id": page.state()["open"]["id"]})
    settled(page)
    assert run.sql("select status from rows").column("status") == ["answered"]


@pytest.mark.slow
def test_a_run_that_cannot_go_on_here_says_how_and_keeps_its_rows_ready(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    page = at_desk(tmp_path)
    page.do({"do": "accept", "id": page.state()["open"]["id"]})
    page.do({"do": "go on"})
    state = page.state()
    assert (state["ready"], state["said"]["kind"]) == (1, "error")
    assert "tk.review(run)" in state["said"]["text"]


@pytest.mark.slow
def test_rows_that_were_answered_elsewhere_before_can_go_on_too(tmp_path: Path) -> None:
    parked(tmp_path)
    box = tk.Inbox(tmp_path)
    box.answer(box.open()[0], REFUND)
    assert at_desk(tmp_path).state()["ready"] == 1


@pytest.mark.slow
def test_ten_thousand_questions_are_a_page_of_twenty(tmp_path: Path) -> None:
    parked(tmp_path, ROWS[1:2])
    (review,) = tk.Inbox(tmp_path).open()
    many = [replace(review, place=replace(review.place, row_id=f"r{n:05}"), key=f"k{n}") for n in range(10_000)]
    with tk.Journal.open(tmp_path, merges=False) as journal:
        journal.write(*map(review_entry, many))
    page = at_desk(tmp_path)
    state = page.state()
    assert (state["total"], state["pages"], len(state["items"])) == (10_001, 501, PER_PAGE)
    page.do({"do": "page", "page": 500})
    assert len(page.state()["items"]) == 1
    page.do({"do": "page", "page": 10**6})
    assert page.state()["page"] == 500
    began = time.process_time()
    page.do({"do": "look"})
    assert time.process_time() - began < 1.0


# ------------------------------------------------------------------------------------------------- without widgets
def test_what_waits_is_told_as_text_and_as_html_with_what_to_type(tmp_path: Path) -> None:
    parked(tmp_path)
    shown = tk.review(home=tmp_path)
    name = tk.Inbox(tmp_path).open()[0].id[:8]
    for told in (repr(shown), re.sub(r"<[^>]*>", " ", shown._repr_html_())):
        words = " ".join(told.split())
        assert "2 questions wait for a person" in words
        assert "a hard one" in words
        assert f"toolkit inbox answer {name} --value … --home {tmp_path}" in words


def test_what_comes_from_outside_cannot_break_out_of_the_html(tmp_path: Path) -> None:
    parked(tmp_path, [{"id": "<i>x</i>", "ticket": "a hard <script>alert(1)</script>"}])
    told = tk.review(home=tmp_path)._repr_html_()
    assert "<script" not in told
    assert "<i>" not in told


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda home: tk.review(home=home / "none"), "there is no record in .*none; run something first"),
        (lambda home: tk.review("nosuch", home=home), "there is no run 'nosuch'"),
        (lambda home: tk.review(home=home, person="lena"), "nobody is waited for as lena in"),
    ],
)
def test_where_there_is_nothing_to_answer_the_page_says_what_to_do(tmp_path: Path, make: Any, told: str) -> None:
    parked(tmp_path, ROWS[:1])
    shown = make(tmp_path)
    assert re.search(told, repr(shown))
    assert re.search(told, shown.desk.state()["headline"])
    assert shown.desk.state()["open"] is None


@pytest.mark.slow
def test_the_handle_of_a_run_brings_its_home_its_workflow_and_its_fleet(tmp_path: Path) -> None:
    run, _ = parked(tmp_path)
    parked(tmp_path, [{"id": "z", "ticket": "a hard zed"}])
    shown = tk.review(run)
    assert shown.look().total == 2
    assert shown.desk._fleet is run.fleet


# ---------------------------------------------------------------------------------------------------------- the widget
@pytest.mark.slow
def test_a_message_of_the_page_is_carried_out_and_answered_with_the_state(tmp_path: Path) -> None:
    parked(tmp_path)
    page = Page(at_desk(tmp_path), "review")
    sent: list[Any] = []
    page.widget.send = sent.append
    page._hear(page.widget, {"do": "accept", "id": page.widget.state["open"]["id"], "number": 3}, [])
    assert sent == [{"done": 3}]
    assert page.widget.state["answered"] == 1


@pytest.mark.parametrize("told", [{"do": "fly"}, {"do": "page"}, {"do": "answer", "id": "zzzzz"}, {}, {"do": None}])
def test_a_message_that_makes_no_sense_is_told_on_the_page_and_changes_nothing(tmp_path: Path, told: Any) -> None:
    parked(tmp_path)
    page = Page(at_desk(tmp_path), "review")
    page._hear(page.widget, told, [])
    page._hear(page.widget, "no message", [])
    assert page.widget.state["said"]["kind"] == "error"
    assert page.widget.state["total"] == 2


def settled(page: ReviewDesk) -> None:
    """Look until the run that goes on is over."""
    by = time.monotonic() + 60
    while page.state()["moving"]:
        assert time.monotonic() < by, "it never ended"
        time.sleep(0.05)
        page.do({"do": "look"})
