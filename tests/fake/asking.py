"""Fake servers for tests, and our own client asking them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any, TypeVar

import httpx

from toolkit import fake
from toolkit.errors import CallError
from toolkit.messages import Data, Message, Text
from toolkit.models.http import HttpModel
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request

T = TypeVar("T")
Outcome = Reply | CallError

TICKET = "Where is my parcel?"
ASKED = Request(messages=(Message("system", (Text("Answer."),)), Message("user", (Data("ticket", TICKET, "ticket"),))))


def during(talk: Callable[[fake.Served], Awaitable[T]], models: dict[str, Any], **settings: Any) -> T:
    """What `talk` gives, while a server with these models runs in the same event loop."""

    async def go() -> T:
        async with fake.serving(fake.settings({"models": models, **settings})) as served:
            return await talk(served)

    return asyncio.run(go())


async def ask(
    served: fake.Served | fake.Running,
    model: str,
    dialect: ModuleType,
    *,
    request: Request = ASKED,
    timeout_seconds: float = 20.0,
    **settings: Any,
) -> Outcome:
    """What our client makes of one call."""
    spec = ModelSpec(
        model, "openai", model, endpoint=served.endpoint(model), timeout_seconds=timeout_seconds, settings=settings
    )
    client = HttpModel(spec, dialect)
    try:
        return await client.send(request)
    except CallError as error:
        return error
    finally:
        await client.close()


async def post(served: fake.Served, path: str, body: Any) -> httpx.Response:
    """A call by plain httpx."""
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.post(served.url.removesuffix("/v1") + path, json=body)


def chat(words: str = TICKET, model: str = "m", **fields: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": words}], **fields}
