"""What holds for all models alike."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from enum import StrEnum
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from tests.embedded.embedded_samples import PASSAGES, TABLE, answer, asking, model, reply, spec
from toolkit.errors import FleetError, InvalidRequest
from toolkit.models.embedded import EMBEDDED, build
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request


class Intent(StrEnum):
    refund = "refund"
    delivery = "delivery"
    billing = "billing"


class Referred(BaseModel):
    """Choices by reference into $defs."""

    intent: Intent
    urgent: bool
    comment: str | None = None


class Told(BaseModel):
    """Choices in place, optional."""

    intent: Literal["refund", "delivery", "account", "billing", "product", "order", "other"] | None
    urgent: bool | None = False


class Entities(BaseModel):
    order_id: str | None
    amount: float | None = Field(description="EUR")
    date: str | None


class Answer(BaseModel):
    answer: str
    sources: list[str]


class Query(BaseModel):
    sql: str


TICKETS = (
    "My tent never came and I want my money back, order L-20999, 219 euros!",
    "Wo bleibt mein Paket?",
    "asdf",
    "",
    "💥" * 50,
    "word " * 3000,
)
ASKED: list[tuple[str, type[BaseModel], dict[str, str]]] = [
    ("small", Referred, {}),
    ("small", Told, {}),
    ("large", Referred, {}),
    ("large", Told, {}),
    ("reader", Entities, {"received": "2026-03-01"}),
    ("quoter", Answer, {"passages": json.dumps(PASSAGES)}),
    ("quoter", Answer, {"facts": json.dumps([{"orders": 3}])}),
    ("coder", Query, {"table": TABLE, "today": "2026-03-01", "customer_id": "C-0001"}),
]


def said_or_refused(name: str, request: Request) -> tuple[Reply | None, str]:
    """The reply, or None and what the refusal says."""
    try:
        return reply(name, request), ""
    except InvalidRequest as error:
        return None, str(error)


@pytest.mark.slow
@pytest.mark.parametrize("ticket", TICKETS, ids=lambda text: text[:12] or "empty")
@pytest.mark.parametrize(("name", "shape", "sections"), ASKED, ids=lambda part: getattr(part, "__name__", None))
def test_answers_fit_the_schema_or_are_refused_in_a_sentence(
    name: str, shape: type[BaseModel], sections: dict[str, str], ticket: str
) -> None:
    schema = shape.model_json_schema()
    given, refusal = said_or_refused(name, asking(schema, ticket=ticket, **sections))
    if given is None:
        assert refusal and "failed on this request" not in refusal
        return
    jsonschema.validate(json.loads(given.text), schema)
    assert given.confidence is not None and 0 <= given.confidence <= 1
    assert given.usage.output_tokens and given.finish_reasons == ("stop",)


@pytest.mark.parametrize(("name", "shape", "sections"), ASKED, ids=lambda part: getattr(part, "__name__", None))
def test_the_same_request_gets_the_same_answer_from_a_model_made_anew(
    name: str, shape: type[BaseModel], sections: dict[str, str]
) -> None:
    request = asking(shape.model_json_schema(), ticket="How many garden chairs did I order, for 30 euros?", **sections)
    again = build(spec(name))

    there, here = asyncio.run(again.send(request)), reply(name, request)
    assert (there.text, there.confidence, there.usage) == (here.text, here.confidence, here.usage)


@pytest.mark.parametrize("name", ["small", "large", "reader", "quoter", "coder"])
def test_what_is_no_chat_request_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="not embeddings"):
        reply(name, Request(operation="embeddings", inputs=("a",)))


@pytest.mark.parametrize("name", ["small", "large", "reader", "quoter", "coder"])
def test_fields_that_nobody_taught_are_refused(name: str) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}},
        "required": ["colour"],
    }
    with pytest.raises(InvalidRequest):
        reply(name, asking(schema, ticket="how many orders?", table=TABLE, today="2026-01-01", passages="[]"))


def test_a_field_that_may_be_null_is_null_where_it_is_not_served() -> None:
    schema = Referred.model_json_schema()
    schema["required"] = ["intent", "urgent", "comment"]

    assert answer("small", schema, ticket="refund please")["comment"] is None


def test_every_model_closes_and_answers_after_that() -> None:
    asyncio.run(model("small").close())

    assert reply("small", asking(Told.model_json_schema(), ticket="hello")).text


def test_unknown_models_and_missing_files_are_found_when_the_fleet_is_made() -> None:
    with pytest.raises(FleetError, match="keywords, linear, reader"):
        build(ModelSpec("x", "embedded", "gpt"))
    with pytest.raises(FleetError, match=r"nowhere\.toml"):
        build(spec("small", lexicon="nowhere.toml"))


def test_importing_the_models_loads_none_of_the_heavy_libraries() -> None:
    heavy = ("sklearn", "numpy", "duckdb", "scipy")
    code = f"import sys, toolkit.models.embedded; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
    assert len(EMBEDDED) == 7
