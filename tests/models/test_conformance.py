"""Every provider of ours keeps the laws that plug-ins are held to, and each law notices who breaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.models.loopback import chat, spec
from toolkit.errors import CallError, RateLimited
from toolkit.examples import support
from toolkit.fleet import Fleet
from toolkit.messages import Text
from toolkit.models import openai
from toolkit.models.conformance import ProviderConformance
from toolkit.models.http import HttpModel
from toolkit.models.spec import ModelSpec, Provider
from toolkit.records import Reply, Request, Usage
from toolkit.serving import app

SUPPORT = Path(support.__file__).parent / "models.toml"
LAWS = [name for name in vars(ProviderConformance) if name.startswith("test_")]


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


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("kind", PROVIDERS)
def test_every_provider_keeps_every_law(kind: str, law: str, tmp_path: Path) -> None:
    class Ours(ProviderConformance):
        def provider(self) -> Provider:
            return PROVIDERS[kind](tmp_path)

    getattr(Ours(), law)()


# -------------------------------------------------------------------------------------------------- who breaks a law
class Careless:
    """A provider that breaks what it is told to."""

    def __init__(self, breaks: Callable[[Request], Any] = lambda _: Reply(parts=(Text("x"),))) -> None:
        self.breaks = breaks
        self.closed = 0

    async def send(self, request: Request) -> Reply:
        found: Reply = self.breaks(request)
        return found

    async def close(self) -> None:
        return None


class Stubborn(Careless):
    async def send(self, request: Request) -> Reply:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            raise CallError("somebody cancelled me") from None
        return Reply(parts=(Text("x"),), vectors=((0.5,),) * len(request.inputs))


class Loud(Careless):
    async def close(self) -> None:
        self.closed += 1
        if self.closed > 1:
            raise RuntimeError("closed already")


class Mixing(Careless):
    """Keeps what it was asked last in a place that all its calls share."""

    asked: Request

    async def send(self, request: Request) -> Reply:
        self.asked = request
        await asyncio.sleep(0)
        return Reply(vectors=((0.5,),) * len(self.asked.inputs))


def changes(request: Request) -> Reply:
    object.__setattr__(request, "seed", 1)
    return Reply()


def raises(_: Request) -> Reply:
    raise KeyError("x")


BREAKING: list[tuple[str, Callable[[], Provider]]] = [
    ("a_call_error", lambda: Careless(raises)),
    ("a_call_error", lambda: Careless(lambda _: "words")),
    ("a_call_error", lambda: Careless(lambda _: CallError("returned, not raised"))),
    ("of_its_kind", lambda: Careless(lambda _: Reply(parts=("words",)))),  # type: ignore[arg-type]
    ("of_its_kind", lambda: Careless(lambda _: Reply(vectors=((0.5,),) * 3))),
    ("of_its_kind", lambda: Careless(lambda request: Reply(vectors=((float("nan"),),) * len(request.inputs)))),
    ("of_its_kind", lambda: Careless(lambda _: Reply(value=object(), vectors=()))),
    ("adds_up", lambda: Careless(lambda _: Reply(usage=Usage(-1)))),
    ("adds_up", lambda: Careless(lambda _: Reply(usage=Usage(5, 5, 6)))),
    ("adds_up", lambda: Careless(lambda _: Reply(confidence=1.5))),
    ("adds_up", lambda: Careless(lambda _: Reply(cost_usd=float("nan")))),
    ("at_once", Mixing),
    ("a_cancelled_call", Stubborn),
    ("left_as_it_was", lambda: Careless(changes)),
    ("closes_quietly", Loud),
]


@pytest.mark.parametrize(("law", "make"), BREAKING, ids=lambda value: value if isinstance(value, str) else "")
def test_a_law_notices_who_breaks_it(law: str, make: Callable[[], Provider]) -> None:
    class Theirs(ProviderConformance):
        def provider(self) -> Provider:
            return make()

    (name,) = [name for name in LAWS if law in name]
    with pytest.raises((AssertionError, RuntimeError, TypeError)):  # orjson says what it cannot write
        getattr(Theirs(), name)()


def test_every_law_is_broken_by_somebody() -> None:
    assert {name for name in LAWS for law, _ in BREAKING if law in name} == set(LAWS)
