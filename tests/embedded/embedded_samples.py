"""A stranger's shop: its own tickets, passages and orders, none of them in the shipped data; and the shipped fleet."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import toolkit
from toolkit.messages import Data, Message, Text
from toolkit.models.embedded import build
from toolkit.models.spec import ModelSpec, Provider
from toolkit.records import Reply, Request

SUPPORT = Path(toolkit.__file__).parent / "examples" / "support"
INTENTS = ("refund", "delivery", "account", "billing", "product", "order", "other")
TABLE = """create table purchases (
    order_no varchar, client_id varchar, ordered_on date,
    article varchar,            -- values: Garden chair | Lawn mower | Seed box
    qty integer, amount decimal(10, 2),
    state varchar,              -- open | shipped | delivered | cancelled
    ship_date date, delivery_date date, courier varchar
)"""
PASSAGES = [
    {"id": "chairs", "title": "Care of chairs", "text": "Oil a garden chair twice a year. Keep it dry in winter."},
    {"id": "mowing", "title": "Lawn mowers", "text": "A lawn mower needs a new blade every 3 years. It takes petrol."},
]


@cache
def model(name: str) -> Provider:
    """A model of the shipped fleet, by its name there."""
    return build(spec(name))


def spec(name: str, **settings: Any) -> ModelSpec:
    """The shipped configuration of a model, with some settings changed."""
    table = tomllib.loads((SUPPORT / "models.toml").read_text(encoding="utf-8"))["models"][name]
    return ModelSpec(
        name, "embedded", table["model"], settings={**table.get("settings", {}), **settings}, folder=SUPPORT
    )


def asking(schema: Mapping[str, Any] | None = None, **sections: str) -> Request:
    """A chat request with named sections."""
    parts = tuple(Data(name, text) for name, text in sections.items())
    return Request((Message("user", (Text("Answer."), *parts)),), output_schema=schema)


def reply(name: str, request: Request) -> Reply:
    """What a model of the shipped fleet says."""
    return asyncio.run(model(name).send(request))


def answer(name: str, schema: Mapping[str, Any], **sections: str) -> Any:
    """The answer of a model to named sections, as a value."""
    return json.loads(reply(name, asking(schema, **sections)).text)


def vectors(*texts: str) -> tuple[tuple[float, ...], ...]:
    """The embedder's vectors for some texts."""
    return reply("embedder", Request(operation="embeddings", inputs=texts)).vectors


def rows(file: str) -> list[dict[str, Any]]:
    """The rows of a shipped file of JSON lines."""
    return [json.loads(line) for line in (SUPPORT / file).read_text(encoding="utf-8").splitlines()]
