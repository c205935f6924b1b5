"""`reader`: order numbers, amounts and dates in many notations."""

from __future__ import annotations

from datetime import date
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.embedded.embedded_samples import answer, asking, reply
from toolkit.errors import InvalidRequest
from toolkit.models.embedded.amounts import amounts
from toolkit.models.embedded.dates import mentions

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "order_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "amount": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "date": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["order_id", "amount", "date"],
}


@pytest.mark.parametrize(
    "text",
    ["L-31234 is late", "order 31234?", "my order no. 31234", "#L-31234", "L31234", "l-31234", "Bestellung Nr. 31234",
     "commande numéro 31234", "L 31234", "(L-31234)", "L three one two three four"],
)  # fmt: skip
def test_order_numbers_are_found(text: str) -> None:
    assert answer("reader", SCHEMA, ticket=text)["order_id"] == "L-31234"


@pytest.mark.parametrize("text", ["call 0151 31234567", "I have 312345 points", "postcode 04109", "CS-2511", "L-123"])
def test_other_numbers_are_no_order_numbers(text: str) -> None:
    assert answer("reader", SCHEMA, ticket=text)["order_id"] is None


@pytest.mark.parametrize(
    ("text", "eur"),
    [
        ("it cost 79,00 €", 79.0), ("1.250,00 EUR please", 1250.0), ("I paid €1,250.50 for it", 1250.5),
        ("€ 12", 12.0), ("1 234,50 euros", 1234.5), ("les 45 euros", 45.0), ("EUR 9.90", 9.9), ("12.50 in all", 12.5),
        ("I paid 89 for two", 89.0), ("thirty-one euros gone", 31.0), ("20 off please", 20.0),
        ("3 pieces at 15 euros", 15.0),
    ],
)  # fmt: skip
def test_amounts_are_found_in_every_notation(text: str, eur: float) -> None:
    assert amounts(text)[0].eur == eur


@pytest.mark.parametrize(
    "text", ["order L-31234", "on 12.06.2026", "3 tents", "50 % off", "15 l bag", "at 10:30", "paid 2 times", "in 2025"]
)
def test_other_numbers_are_no_amounts(text: str) -> None:
    assert answer("reader", SCHEMA, ticket=text, received="2026-06-20")["amount"] is None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on 2026-02-03", "2026-02-03"), ("am 12.06.2026", "2026-06-12"), ("am 12.6.", "2026-06-12"),
        ("12 June", "2026-06-12"), ("June 12th, 2025", "2025-06-12"), ("the 12th of June", "2026-06-12"),
        ("le 12 juin", "2026-06-12"), ("el 3 de mayo", "2026-05-03"), ("12 giugno 2026", "2026-06-12"),
        ("28 december", "2025-12-28"), ("28. Dezember", "2025-12-28"), ("came yesterday", "2026-06-14"),
        ("gestern", "2026-06-14"), ("vorgestern", "2026-06-13"), ("je l'ai reçu hier", "2026-06-14"),
        ("3 days ago", "2026-06-12"), ("ordered on the 5th", "2026-06-05"), ("on the 28th", "2026-05-28"),
        ("2 July", "2026-07-02"),
    ],
)  # fmt: skip
def test_dates_are_found_and_completed(text: str, day: str) -> None:
    assert answer("reader", SCHEMA, ticket=text, received="2026-06-15T08:00:00")["date"] == day


@pytest.mark.parametrize(
    "text", ["may I ask", "in three weeks", "version 1.2", "30.02.2026", "costs 12.50", "10/10 stars"]
)
def test_other_words_are_no_dates(text: str) -> None:
    assert answer("reader", SCHEMA, ticket=text, received="2026-06-15")["date"] is None


def test_without_the_day_of_receipt_only_full_dates_are_told() -> None:
    assert answer("reader", SCHEMA, ticket="on 12 June")["date"] is None
    assert answer("reader", SCHEMA, ticket="on 12 June 2024")["date"] == "2024-06-12"


def test_null_is_refused_where_the_schema_does_not_allow_it() -> None:
    schema = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}

    with pytest.raises(InvalidRequest, match="found no order_id"):
        reply("reader", asking(schema, ticket="hello"))


def test_another_shops_numbers_are_a_setting() -> None:
    import asyncio
    import json

    from tests.embedded.embedded_samples import spec
    from toolkit.models.embedded import build

    other = build(spec("reader", order_prefix="AB", order_digits=7))
    said = asyncio.run(other.send(asking(SCHEMA, ticket="about AB-1234567 please")))

    assert json.loads(said.text)["order_id"] == "AB-1234567"


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.from_regex(r"[L\-0-9 .,€/eurojunm']{0,60}", fullmatch=True))
def test_no_text_breaks_it(text: str) -> None:
    jsonschema.validate(answer("reader", SCHEMA, ticket=text, received="2024-02-29"), SCHEMA)


@given(st.text(max_size=200), st.dates(date(1995, 1, 1), date(2095, 1, 1)))
def test_mentions_stand_where_they_say(text: str, around: date) -> None:
    for mention in mentions(text, around):
        assert 0 <= mention.start < mention.end
