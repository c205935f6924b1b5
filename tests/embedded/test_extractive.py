"""`extractive`: quotes that are in the passages, facts that are all told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.embedded.embedded_samples import PASSAGES, answer, asking, reply
from toolkit.errors import InvalidRequest
from toolkit.models.embedded.facts import told

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "sources": {"type": "array", "items": {"type": "string"}}},
    "required": ["answer", "sources"],
}


@pytest.mark.slow
def test_it_quotes_the_sentence_that_answers_and_names_its_source() -> None:
    given = answer("quoter", SCHEMA, question="How often does a mower need a new blade?", passages=json.dumps(PASSAGES))

    assert "every 3 years" in given["answer"]
    assert "mowing" in given["sources"]


def test_all_it_says_is_in_the_passages() -> None:
    given = answer("quoter", SCHEMA, ticket="oil for chairs", passages=json.dumps(PASSAGES))
    whole = " ".join(str(passage["text"]) for passage in PASSAGES)

    assert given["answer"] and all(sentence.strip(". ") in whole for sentence in given["answer"].split(". "))


def test_confidence_is_low_where_nothing_fits() -> None:
    fits = reply("quoter", asking(question="How often should I oil a garden chair?", passages=json.dumps(PASSAGES)))
    not_at_all = reply("quoter", asking(question="Is there a train to Oslo?", passages=json.dumps(PASSAGES)))
    nothing = reply("quoter", asking(question="Is there a train to Oslo?", passages="[]"))

    assert (fits.confidence or 0) > (not_at_all.confidence or 0) > (nothing.confidence or 1)
    assert (nothing.confidence or 1) < 0.05


def test_facts_are_all_told() -> None:
    facts = [{"carrier": "Swift", "days": 2.5}, {"carrier": "Snail", "days": None}]
    given = answer("quoter", SCHEMA, question="which is faster?", facts=json.dumps(facts))

    assert all(words in given["answer"] for words in ("Swift", "2.5", "Snail", "not yet known"))
    assert given["sources"] == []


def test_long_tables_are_cut_and_say_so() -> None:
    text = told([{"order": n} for n in range(31)])

    assert "31 entries" in text and "and 11 more" in text and "order 19" in text and "order 20" not in text


def test_an_empty_result_is_said_in_words() -> None:
    assert "no such" in told([])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.floats() | st.text(max_size=8)), max_size=30
    )
)
def test_any_rows_can_be_told(rows: list[dict[str, object]]) -> None:
    assert told(rows)


def test_broken_sections_are_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidRequest, match="as JSON"):
        reply("quoter", asking(question="hello", passages="[{"))
    with pytest.raises(InvalidRequest, match="neither"):
        reply("quoter", asking(question="hello"))


def test_facts_come_first_where_there_are_passages_too() -> None:
    given = answer(
        "quoter",
        SCHEMA,
        question="How often should I oil my garden chair, and is it shipped?",
        passages=json.dumps(PASSAGES),
        facts=json.dumps([{"status": "shipped"}]),
    )

    assert given["answer"].startswith("Status: shipped.")
