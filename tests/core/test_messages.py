"""Data stays data: what stands between marks comes back as it was, and cannot end its own section."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import prompt
from toolkit.errors import StepError
from toolkit.messages import Data, Message, Text, delimit, sections

PIECES = st.sampled_from(
    ["<ticket>", "</ticket>", "</TICKET >", "< / ticket>", "&lt;/ticket>", "&amp;lt;/ticket>", "&", "<", "\n", " ", "é"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)
NAMES = st.sampled_from(["ticket", "Ticket_2", "größe", "Übersicht", "order id", "a.b", "x-y"])


@given(NAMES, TEXTS)
def test_a_section_comes_back_as_it_went_in(name: str, text: str) -> None:
    assert sections(delimit(name, text)) == {name: text}


@given(TEXTS, TEXTS)
def test_sections_beside_each_other_keep_apart(ticket: str, passage: str) -> None:
    message = Message("user", (Text("Answer."), Data("ticket", ticket), Data("passage", passage)))
    assert sections(message.text) == {"ticket": ticket, "passage": passage}


@given(TEXTS)
def test_a_section_of_another_name_within_is_only_text(text: str) -> None:
    inner = delimit("note", text)
    assert sections(delimit("ticket", inner)) == {"ticket": inner}


@given(TEXTS)
def test_no_text_closes_the_section_that_holds_it(text: str) -> None:
    rendered = delimit("ticket", text)
    assert rendered.lower().replace(" ", "").count("</ticket>") == 1
    assert rendered.endswith("\n</ticket>")


@pytest.mark.parametrize("name", ["ticket"])
def test_a_long_run_of_blanks_after_a_bracket_costs_nothing(name: str) -> None:
    text = "<" + " " * 200_000 + "x"
    assert sections(delimit(name, text)) == {name: text}


def test_words_of_the_author_and_data_are_told_apart() -> None:
    request = prompt("Triage.", ticket="My parcel is late")
    system, user = request.messages
    assert (system.role, system.text) == ("system", "Triage.")
    assert user.parts == (Data("ticket", "My parcel is late", source="ticket"),)


def test_an_instruction_alone_is_one_message() -> None:
    (message,) = prompt("Say hello.").messages
    assert (message.role, message.text) == ("user", "Say hello.")


@pytest.mark.parametrize("nothing", [None, "", "  \n"])
def test_a_prompt_has_no_blank_where_something_should_be(nothing: str | None) -> None:
    with pytest.raises(StepError, match="'ticket' is empty"):
        prompt("Triage.", ticket=nothing)
