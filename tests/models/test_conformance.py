"""What every provider owes the engine, whatever it is: a Reply or a CallError, counts that add up, a quiet end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.models.loopback import ASKED, EMBED, chat, spec
from toolkit.errors import CallError, RateLimited
from toolkit.examples import support
from toolkit.fleet import Fleet
from toolkit.messages import Data, Media, Message, Text, ToolResult, ToolSpec
from toolkit.models import openai
from toolkit.models.http import HttpModel
from toolkit.models.spec import ModelSpec, Provider
from toolkit.records import Reply, Request, Usage
from toolkit.serving import app

SUPPORT = Path(support.__file__).parent / "models.toml"
TYPED = {"type": "object", "properties": {"intent": {"type": "string"}, "urgent": {"type": "boolean"}}}


def told(*sections: tuple[str, str], **options: Any) -> Request:
    parts = tuple(Data(name, text, name) for name, text in sections)
    return Request(messages=(Message("system", (Text("Do it."),)), Message("user", parts)), **options)


REQUESTS = {
    "words": ASKED,
    "typed": told(("ticket", "Where is my parcel L-20568? It cost 79,00 €."), output_schema=TYPED),
    "typed oddly": told(
        ("ticket", "x"), output_schema={"type": "object", "properties": {"zz": {"$ref": "#/$defs/no"}}}
    ),
    "typed as a list": told(("ticket", "x"), output_schema={"type": "array"}),
    "many sections": told(("question", "How many?"), ("table", "create table"), ("today", "x"), ("query_id", "q1")),
    "texts": EMBED,
    "no texts": Request(operation="embeddings"),
    "nothing": Request(),
    "an empty message": Request(messages=(Message("user", ()),)),
    "blank": Request(messages=(Message("user", (Text(" "),)),)),
    "long": told(("ticket", "parcel late " * 2000), output_schema=TYPED),
    "any script": told(("ticket", "Où est 📦? 荷物はどこ \x00 \u202e"), output_schema=TYPED),
    "attachment": Request(messages=(Message("user", (Media("image/png", "aGk="),)),)),
    "tools": Request(messages=(Message("tool", (ToolResult("1", "t", "x"),)),), tools=(ToolSpec("t", "d"),)),
}


def embedded(name: str) -> Callable[[Path], Provider]:
    return lambda _: Fleet.load(SUPPORT).open(name)


def function(answer: Callable[[Request], Any]) -> Provider:
    return Fleet({}).with_function("f", answer).open("f")


def fails(_: Request) -> str:
    raise KeyError("a bug of the user's")


def limited(_: Request) -> str:
    raise RateLimited("slow down", retry_after=1.0)


async def later(request: Request) -> Reply:
    await asyncio.sleep(0)
    return Reply(parts=(Text(request.text),), usage=Usage(5, 3, 2, None, 1), confidence=0.5)


def recorded(folder: Path) -> Provider:
    (folder / "outcomes.csv").write_text(
        "query_id,model,response,score,cost_usd,input_tokens,output_tokens,latency_s\nq1,m,yes,0.5,0.001,3,1,0.2\n"
    )
    made = ModelSpec("r", "recorded", "m", settings={"table": "outcomes.csv"}, folder=folder)
    return Fleet.of(made).open("r")


def far(answer: httpx.Response) -> Provider:
    return HttpModel(spec("http://far/v1"), openai, httpx.MockTransport(lambda _: answer))


def served(_: Path) -> Provider:
    fleet = Fleet({}).with_function("far-1", lambda request: request.text.upper() or "?")
    return HttpModel(spec("http://far/v1"), openai, httpx.ASGITransport(app(fleet)))


PROVIDERS: dict[str, Callable[[Path], Provider]] = {
    **{f"embedded {name}": embedded(name) for name in Fleet.load(SUPPORT) if name != "person"},
    "function of text": lambda _: function(lambda request: request.text),
    "function of JSON": lambda _: function(lambda _: {"intent": "refund", "n": [1, None]}),
    "function that waits": lambda _: function(later),
    "function with a bug": lambda _: function(fails),
    "function that is limited": lambda _: function(limited),
    "recorded": recorded,
    "openai": lambda _: far(httpx.Response(200, content=chat(usage={"prompt_tokens": 2}))),
    "openai that fails": lambda _: far(httpx.Response(500)),
    "openai that talks nonsense": lambda _: far(httpx.Response(200, content=b"<html>")),
    "openai, served by us": served,
    "person": lambda _: Fleet.of(ModelSpec("p", "person", "p")).open("p"),
}


async def outcomes(provider: Provider) -> dict[str, Reply | CallError]:
    found: dict[str, Reply | CallError] = {}
    for name, request in REQUESTS.items():
        try:
            found[name] = await provider.send(request)
        except CallError as error:
            found[name] = error
    await provider.close()
    await provider.close()
    return found


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_provider_gives_a_reply_or_a_call_error_and_ends_quietly_twice(kind: str, tmp_path: Path) -> None:
    for name, outcome in asyncio.run(outcomes(PROVIDERS[kind](tmp_path))).items():
        if isinstance(outcome, CallError):
            assert str(outcome), name
        else:
            check(REQUESTS[name], outcome)


def check(request: Request, reply: Reply) -> None:
    """What holds of every reply."""
    usage = reply.usage
    assert usage.input_tokens is None or usage.input_tokens >= 0
    for parts, whole in (
        ((usage.cache_read_input_tokens, usage.cache_write_input_tokens), usage.input_tokens),
        ((usage.reasoning_output_tokens,), usage.output_tokens),
    ):
        assert whole is None or sum(part or 0 for part in parts) <= whole
    assert reply.confidence is None or 0 <= reply.confidence <= 1
    assert all(math.isfinite(number) for vector in reply.vectors for number in vector)
    if reply.vectors:
        assert len(reply.vectors) == len(request.inputs)
        assert len({len(vector) for vector in reply.vectors}) == 1
