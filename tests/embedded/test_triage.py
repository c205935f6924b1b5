"""`keywords` and `linear` on tickets that nobody trained them on."""

from __future__ import annotations

import pytest

from tests.embedded.embedded_samples import INTENTS, answer, asking, reply

SCHEMA = {
    "type": "object",
    "properties": {"intent": {"type": "string", "enum": list(INTENTS)}, "urgent": {"type": "boolean"}},
    "required": ["intent", "urgent"],
}
PLAIN = [
    ("Please refund my money, I am returning the shoes.", "refund"),
    ("Ich möchte die Jacke zurückschicken und mein Geld zurück.", "refund"),
    ("The courier has not delivered my parcel, tracking shows nothing.", "delivery"),
    ("Où est mon colis ? La livraison est en retard.", "delivery"),
    ("I forgot my password and cannot log in to my account.", "account"),
    ("My invoice shows the wrong VAT, please send a corrected invoice.", "billing"),
    ("How do I wash the sleeping bag?", "product"),
]


@pytest.mark.parametrize(("ticket", "intent"), PLAIN)
@pytest.mark.parametrize("name", ["small", "large"])
def test_plain_tickets_are_understood(name: str, ticket: str, intent: str) -> None:
    assert answer(name, SCHEMA, ticket=ticket)["intent"] == intent


@pytest.mark.parametrize("name", ["small", "large"])
def test_urgency_is_heard(name: str) -> None:
    assert answer(name, SCHEMA, ticket="URGENT! I fly tomorrow, call me back immediately!")["urgent"] is True
    assert answer(name, SCHEMA, ticket="Whenever you find the time: do you sell red hats?")["urgent"] is False


@pytest.mark.parametrize("name", ["small", "large"])
def test_only_labels_of_the_schema_are_given(name: str) -> None:
    few = {"type": "object", "properties": {"intent": {"enum": ["billing", "other"]}}, "required": ["intent"]}

    assert answer(name, few, ticket="I want a refund for the broken parcel")["intent"] in ("billing", "other")


@pytest.mark.parametrize("name", ["small", "large"])
def test_clear_tickets_get_more_confidence_than_noise(name: str) -> None:
    clear = reply(name, asking(SCHEMA, ticket="Refund please, I return the unused shoes, send me a return label."))
    noise = reply(name, asking(SCHEMA, ticket="hmm qwertz"))

    assert (clear.confidence or 0) > (noise.confidence or 0)
