"""Every fault, in both dialects, streamed and whole: our own client makes of it what the tree of errors says."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.fake.asking import ASKED, Outcome, ask, chat, during, post
from toolkit import fake
from toolkit.errors import (
    AccessDenied,
    CallError,
    ContentFiltered,
    ContextOverflow,
    InvalidOutput,
    InvalidRequest,
    InvalidResponse,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.fake.kinds import KINDS
from toolkit.messages import ToolSpec
from toolkit.models import anthropic, http, openai
from toolkit.prompts.outputs import Output
from toolkit.records import Reply, Request

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
REQUESTS: dict[str, Request] = {
    "schema_violation": ASKED.with_options(output_schema=NUMBER),
    "bad_arguments": ASKED.with_options(tools=(ToolSpec("look_up", "Finds it.", NUMBER),)),
}
IMPATIENT = ("silent", "connect_timeout", "drip")
EXPECTED: dict[str, type[CallError] | tuple[type[CallError], ...]] = {
    "400": InvalidRequest,
    "401": AccessDenied,
    "403": AccessDenied,
    "404": InvalidRequest,
    "408": TimedOut,
    "409": Unavailable,
    "413": ContextOverflow,
    "422": InvalidRequest,
    "429": RateLimited,
    "429_date": RateLimited,
    "429_silent": RateLimited,
    "quota": AccessDenied,
    "500": Unavailable,
    "502": Unavailable,
    "503": Overloaded,
    "504": TimedOut,
    "529": Overloaded,
    "overflow": ContextOverflow,
    "filtered_400": ContentFiltered,
    "html_502": Unavailable,
    "html_200": InvalidResponse,
    "error_200": Unavailable,
    "silent": TimedOut,
    "reset": Unavailable,
    "refused": Unavailable,
    "connect_timeout": TimedOut,
    "reset_on_accept": Unavailable,
    "content_filter": ContentFiltered,
    "refusal": ContentFiltered,
    "bad_arguments": InvalidResponse,
    "cut_stream": Unavailable,
    "stream_error": (Unavailable, Overloaded),
    "truncated_json": InvalidResponse,
    "invalid_json": InvalidResponse,
    "invalid_utf8": InvalidResponse,
    "broken_gzip": InvalidResponse,
    "long_length": Unavailable,
    "short_length": (InvalidResponse, Unavailable),  # a client may see first what lies behind the body
    "drip": TimedOut,
    "endless": InvalidResponse,
    "huge": InvalidResponse,
}
REPLIES = ("length", "empty_choices", "empty_content", "schema_violation")
DIALECTS = {"openai": openai, "anthropic": anthropic}


def test_every_kind_has_its_place_in_these_tables() -> None:
    assert {*EXPECTED, *REPLIES} == set(KINDS)


def met(kind: str, dialect: ModuleType, *, streams: bool) -> tuple[Outcome, dict[str, Any]]:
    """What our client makes of a model that always has this fault, and the model's counts."""

    async def talk(served: fake.Served) -> tuple[Outcome, dict[str, Any]]:
        outcome = await ask(
            served,
            "m",
            dialect,
            request=REQUESTS.get(kind, ASKED),
            timeout_seconds=0.3 if kind in IMPATIENT else 20.0,
            stream=streams,
        )
        return outcome, served.counts()["models"]["m"]

    return during(talk, {"m": {"faults": kind, "retry_after_seconds": 2.5, "drip_seconds": 0.05}})


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", EXPECTED)
def test_a_fault_is_the_error_that_the_tree_says(
    kind: str, dialect: str, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LONGEST_BODY", 2**20)
    outcome, counts = met(kind, DIALECTS[dialect], streams=streams)
    assert isinstance(outcome, EXPECTED[kind]), outcome
    if kind not in ("refused", "connect_timeout"):  # nobody is there to count these
        assert counts["faults"] == {kind: 1}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", REPLIES)
def test_some_faults_are_replies_that_lack_something(kind: str, dialect: str, streams: bool) -> None:
    outcome, counts = met(kind, DIALECTS[dialect], streams=streams)
    assert counts["faults"] == {kind: 1}
    if kind == "empty_choices" and dialect == "openai":
        assert isinstance(outcome, InvalidResponse)
        return
    assert isinstance(outcome, Reply), outcome
    match kind:
        case "length":
            assert outcome.finish_reasons == ("length",)
            assert outcome.text
        case "schema_violation":
            with pytest.raises(InvalidOutput):
                Output.of(NUMBER).read(outcome.text)
        case _:
            assert outcome.text == ""


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("429", 2.5, 2.5), ("429_date", 2.0, 3.5), ("429_silent", None, None)]
)
def test_a_rate_limit_tells_when_to_come_again_in_seconds_or_as_a_date_or_not_at_all(
    kind: str, least: float | None, most: float | None
) -> None:
    error, _ = met(kind, openai, streams=False)
    assert isinstance(error, RateLimited)
    if least is None or most is None:
        assert error.retry_after is None
    else:
        assert error.retry_after is not None
        assert least <= error.retry_after <= most


@pytest.mark.parametrize("kind", [kind for kind, found in KINDS.items() if found.strikes != "port"])
def test_what_goes_out_has_the_status_that_the_catalogue_says(kind: str) -> None:
    async def talk(served: fake.Served) -> None:
        body = chat()
        if kind in REQUESTS:
            schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": NUMBER}}
            tools = [{"type": "function", "function": {"name": "look_up", "parameters": NUMBER}}]
            body |= {"response_format": schema} if kind == "schema_violation" else {"tools": tools}
        async with httpx.AsyncClient(timeout=0.3) as client:
            try:
                async with client.stream("POST", f"{served.url}/chat/completions", json=body) as response:
                    status: int | None = response.status_code
            except httpx.HTTPError:
                status = None
        assert status == KINDS[kind].status

    during(talk, {"m": {"faults": kind}})


@pytest.mark.parametrize("kind", ["schema_violation", "bad_arguments", "content_filter", "length", "stream_error"])
def test_a_fault_that_does_not_suit_the_call_does_not_strike(kind: str) -> None:
    async def talk(served: fake.Served) -> None:
        embed = Request(operation="embeddings", inputs=("one",))
        assert isinstance(await ask(served, "m", openai, request=embed), Reply)
        assert served.counts()["models"]["m"]["faults"] == {}

    during(talk, {"m": {"faults": kind}})


@pytest.mark.parametrize("kind", ["500", "empty_choices", "truncated_json", "cut_stream", "html_200", "429"])
def test_embeddings_fail_too(kind: str) -> None:
    async def talk(served: fake.Served) -> Outcome:
        return await ask(served, "m", openai, request=Request(operation="embeddings", inputs=("one", "two")))

    assert isinstance(during(talk, {"m": {"faults": kind}}), EXPECTED.get(kind, InvalidResponse))


def test_a_drip_that_is_waited_for_is_a_whole_answer() -> None:
    async def talk(served: fake.Served) -> Outcome:
        return await ask(served, "m", openai)

    assert isinstance(during(talk, {"m": {"faults": "drip", "drip_seconds": 0.0001}}), Reply)


async def first_refusal(served: fake.Served) -> Request:
    """The first of many calls that draws the fault; those before it are answered."""
    for number in range(200):
        request = ASKED.with_options(seed=number)
        outcome = await ask(served, "m", openai, request=request)
        if isinstance(outcome, CallError):
            assert isinstance(outcome, Unavailable)
            return request
    raise AssertionError("the fault was never drawn")


def test_a_drawn_refusal_shuts_the_port_for_whoever_comes_next() -> None:
    async def talk(served: fake.Served) -> None:
        await first_refusal(served)
        again = await ask(served, "m", openai, request=ASKED)
        assert "Cannot connect" in str(again), again

    during(talk, {"m": {"faults": "refused:0.2", "shut_seconds": 600}})


def test_a_port_that_was_shut_for_a_while_is_open_again_and_a_retry_succeeds() -> None:
    async def talk(served: fake.Served) -> None:
        request = await first_refusal(served)
        for _ in range(200):
            if isinstance(await ask(served, "m", openai, request=request), Reply):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the port stayed shut")

    during(talk, {"m": {"faults": "refused:0.2", "shut_seconds": 0.2}})


def test_a_reset_opens_a_port_that_a_call_had_shut() -> None:
    async def talk(served: fake.Served) -> None:
        await first_refusal(served)
        served.reset()
        for _ in range(200):
            if isinstance(await ask(served, "m", openai, request=ASKED), Reply):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the port stayed shut")

    during(talk, {"m": {"faults": "refused:0.2", "shut_seconds": 600}})


def test_a_model_whose_port_is_shut_leaves_the_others_alone() -> None:
    async def talk(served: fake.Served) -> None:
        assert isinstance(await ask(served, "dead", openai), Unavailable)
        assert isinstance(await ask(served, "well", openai), Reply)
        assert served.endpoint("dead") != served.endpoint("well")

    during(talk, {"dead": {"faults": "refused"}, "well": {}})


def test_a_wrong_certificate_is_not_trusted() -> None:
    async def talk(served: fake.Served) -> None:
        assert served.tls_url is not None
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
                await client.post(f"{served.tls_url}/chat/completions", json=chat())
        async with httpx.AsyncClient(verify=False) as client:
            assert (await client.post(f"{served.tls_url}/chat/completions", json=chat())).status_code == 200

    during(talk, {"m": {}}, tls=True)


def test_a_prompt_over_the_window_is_an_overflow_in_both_dialects() -> None:
    async def talk(served: fake.Served) -> None:
        for dialect in DIALECTS.values():
            assert isinstance(await ask(served, "m", dialect), ContextOverflow)
        assert served.counts()["models"]["m"]["faults"] == {"window": 2}

    during(talk, {"m": {"window": 5}})


def test_what_a_model_cannot_do_is_an_invalid_request_or_is_ignored() -> None:
    typed = ASKED.with_options(output_schema=NUMBER)

    async def talk(served: fake.Served) -> None:
        assert isinstance(await ask(served, "refuses", openai, request=typed), InvalidRequest)
        assert isinstance(await ask(served, "refuses", openai, request=REQUESTS["bad_arguments"]), InvalidRequest)
        ignored = await ask(served, "ignores", openai, request=typed)
        assert isinstance(ignored, Reply)
        with pytest.raises(InvalidOutput):
            Output.of(NUMBER).read(ignored.text)
        told = await ask(served, "ignores", openai, request=typed, structured=False)
        assert isinstance(told, Reply)
        assert Output.of(NUMBER).read(told.text)

    during(talk, {"refuses": {"structured": "refused", "capabilities": ["chat"]}, "ignores": {"structured": "ignored"}})


def test_an_unknown_model_is_not_found() -> None:
    async def talk(served: fake.Served) -> None:
        for path in ("/v1/chat/completions", "/v1/messages"):
            assert (await post(served, path, chat(model="nobody", max_tokens=5))).status_code == 404
        assert served.counts()["of_unknown_models"] == 2

    during(talk, {"m": {}})
