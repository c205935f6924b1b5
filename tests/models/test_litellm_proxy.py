"""Both dialects, spoken to a proxy that is not ours: LiteLLM's, on the loopback, in front of our fake server.

Its upstream is `hosted_vllm/`, as its own mocks ignore streaming and invent usage. So each answer crosses two
implementations: the proxy reads what the fake server sends, and our client reads what the proxy makes of it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import orjson
import pytest

import toolkit as tk
from tests.environments import installed
from toolkit import fake
from toolkit.errors import (
    AccessDenied,
    CallError,
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    InvalidResponse,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.fake.starting import Running
from toolkit.messages import Data, Message, Text, ToolCall, ToolResult, ToolSpec
from toolkit.models import anthropic, openai
from toolkit.models.http import HttpModel
from toolkit.models.spec import ModelSpec
from toolkit.prompts.outputs import Output
from toolkit.records import Reply, Request, Usage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOCK = Path(__file__).with_name("litellm.lock")
KEY_ENV = "TOOLKIT_TEST_PROXY_KEY"
DIALECTS = {"openai": openai, "anthropic": anthropic}
BOTH = pytest.mark.parametrize("dialect", DIALECTS)
STREAMS = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
LOOK_UP = ToolSpec("look_up", "Finds it.", NUMBER)
ASKED = Request(
    messages=(
        Message("system", (Text("Answer."),)),
        Message("user", (Data("ticket", "Where is my parcel?", "ticket"),)),
    )
)
CLASSES: Mapping[str, type[CallError]] = {
    "400": InvalidRequest, "401": AccessDenied, "403": AccessDenied, "404": InvalidRequest, "408": TimedOut,
    "409": Unavailable, "413": ContextOverflow, "422": InvalidRequest, "429": RateLimited, "quota": AccessDenied,
    "500": Unavailable, "502": Unavailable, "503": Overloaded, "504": TimedOut, "529": Overloaded,
    "overflow": ContextOverflow, "filtered_400": ContentFiltered, "html_502": Unavailable, "error_200": Unavailable,
    "reset": Unavailable, "content_filter": ContentFiltered, "cut_stream": Unavailable, "stream_error": Unavailable,
    "broken_gzip": Unavailable,
}  # fmt: skip
"""What faults behind the proxy are to us, in both dialects, whole and streamed."""
WHOLE_ONLY = ("html_200", "truncated_json", "invalid_json", "invalid_utf8")
"""Faults of which the proxy makes an answer when it streams: it leaves out the events that it cannot read."""
MODELS: Mapping[str, Mapping[str, Any]] = {
    "well": {},
    "counting": {"cached_share": 0.5, "reasoning_tokens": 7},
    "dear": {"tells_cost": True, "price": {"input": 1.0, "output": 2.0}},
    "calls": {"tools": "first-turn"},
    "flaky": {"faults": {"429": 0.3, "500": 0.2}, "retry_after_seconds": 0.01},
    "length": {"faults": "length"},
    "bad_arguments": {"faults": "bad_arguments"},
    **{kind: {"faults": kind, "retry_after_seconds": 3} for kind in (*CLASSES, *WHOLE_ONLY)},
}


# ----------------------------------------------------------------------------------------------------------- the proxy
@dataclass(frozen=True)
class Proxy:
    """The proxy's endpoint, and the fake server behind it."""

    endpoint: str
    behind: Running

    def spec(self, model: str, dialect: str, **settings: Any) -> ModelSpec:
        return ModelSpec(
            model, dialect, model, endpoint=self.endpoint, key_env=KEY_ENV, timeout_seconds=30, settings=settings
        )

    def ask(self, model: str, dialect: str, *, request: Request = ASKED, **settings: Any) -> Reply | CallError:
        async def go() -> Reply | CallError:
            found: ModuleType = DIALECTS[dialect]
            client = HttpModel(self.spec(model, dialect, **settings), found)
            try:
                return await client.send(request)
            except CallError as error:
                return error
            finally:
                await client.close()

        return asyncio.run(go())

    def counts(self, model: str) -> dict[str, Any]:
        found: dict[str, Any] = self.behind.counts()["models"][model]
        return found


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    python = installed(LOCK, tmp_path_factory.mktemp("litellm"))
    folder = tmp_path_factory.mktemp("proxy")
    key = f"sk-{secrets.token_hex(32)}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with fake.running(fake.settings({"models": {name: dict(profile) for name, profile in MODELS.items()}})) as server:
        config = folder / "config.yaml"  # JSON is YAML
        config.write_bytes(orjson.dumps(_config(server.url)))
        command = [
            str(python.with_name("litellm")),
            "--config",
            str(config),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        with (folder / "log").open("wb") as log, pytest.MonkeyPatch.context() as environment:
            environment.setenv(KEY_ENV, key)
            process = subprocess.Popen(
                [*command, "--telemetry", "False"], env=_environment(key, folder), stdout=log, stderr=log, cwd=folder
            )
            try:
                _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "log")
                yield Proxy(f"http://127.0.0.1:{port}/v1", server)
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _config(upstream: str) -> dict[str, Any]:
    return {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": f"hosted_vllm/{name}", "api_base": upstream, "api_key": "none"},
            }
            for name in MODELS
        ],
        "litellm_settings": {"num_retries": 0, "request_timeout": 20},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


def _environment(key: str, home: Path) -> dict[str, str]:
    """Nothing of ours but the path: no proxies, no database, no list of prices from the net, nobody told."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "LITELLM_MASTER_KEY": key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
    }


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    directly = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + 180
    while True:
        try:
            directly.open(url, timeout=5).close()
            return
        except (URLError, OSError):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)


# --------------------------------------------------------------------------------------------------------------- tests
def reply(outcome: Reply | CallError) -> Reply:
    assert isinstance(outcome, Reply), outcome
    return outcome


@STREAMS
@BOTH
def test_an_answer_comes_through_with_the_counts_of_who_gave_it(proxy: Proxy, dialect: str, streams: bool) -> None:
    before = proxy.counts("well")
    said = reply(proxy.ask("well", dialect, stream=streams))
    after = proxy.counts("well")
    assert "Where is my parcel?" in said.text
    assert said.finish_reasons == ("stop",)
    assert after["requests"] == before["requests"] + 1
    assert said.usage.input_tokens == after["input_tokens"] - before["input_tokens"]
    assert said.usage.output_tokens == after["output_tokens"] - before["output_tokens"]


@STREAMS
@BOTH
def test_cached_and_reasoning_tokens_stay_parts_of_the_whole(proxy: Proxy, dialect: str, streams: bool) -> None:
    before = proxy.counts("counting")
    usage = reply(proxy.ask("counting", dialect, stream=streams)).usage
    after = proxy.counts("counting")
    assert usage.input_tokens == after["input_tokens"] - before["input_tokens"]
    assert usage.output_tokens == after["output_tokens"] - before["output_tokens"]
    assert usage.cache_read_input_tokens == (usage.input_tokens or 0) // 2
    assert usage.reasoning_output_tokens == (7 if dialect == "openai" else None)  # the other dialect is not told


@STREAMS
def test_a_cost_that_the_provider_tells_is_passed_on_in_openais_dialect(proxy: Proxy, streams: bool) -> None:
    before = proxy.counts("dear")["cost_usd"] or 0.0
    said = reply(proxy.ask("dear", "openai", stream=streams))
    assert said.cost_usd == pytest.approx(proxy.counts("dear")["cost_usd"] - before)


@pytest.mark.parametrize("structured", [True, False], ids=["as a field", "in words"])
@STREAMS
@BOTH
def test_a_typed_answer_fits_its_schema(proxy: Proxy, dialect: str, streams: bool, structured: bool) -> None:
    typed = ASKED.with_options(output_schema=NUMBER)
    said = reply(proxy.ask("well", dialect, request=typed, stream=streams, structured=structured))
    assert isinstance(Output.of(NUMBER).read(said.text)["n"], int)


@STREAMS
@BOTH
def test_a_tool_is_called_and_its_result_is_answered(proxy: Proxy, dialect: str, streams: bool) -> None:
    first = ASKED.with_options(tools=(LOOK_UP,))
    said = reply(proxy.ask("calls", dialect, request=first, stream=streams))
    (call,) = [part for part in said.parts if isinstance(part, ToolCall)]
    assert said.finish_reasons == ("tool_calls",)
    assert call.name == "look_up"
    assert isinstance(call.arguments["n"], int)
    told = Message("tool", (ToolResult(call.id, call.name, "It is in Łódź."),))
    second = first.with_options(messages=(*first.messages, Message("assistant", said.parts), told))
    last = reply(proxy.ask("calls", dialect, request=second, stream=streams))
    assert last.finish_reasons == ("stop",)
    assert "It is in Łódź." in last.text


def test_vectors_come_through_with_their_counts(proxy: Proxy) -> None:
    before = proxy.counts("well")["input_tokens"]
    said = reply(proxy.ask("well", "openai", request=Request(operation="embeddings", inputs=("one", "two"))))
    assert [len(vector) for vector in said.vectors] == [16, 16]
    assert said.usage == Usage(proxy.counts("well")["input_tokens"] - before, said.usage.output_tokens)


@STREAMS
@BOTH
@pytest.mark.parametrize("kind", CLASSES)
def test_a_fault_behind_the_proxy_is_of_its_class(proxy: Proxy, kind: str, dialect: str, streams: bool) -> None:
    outcome = proxy.ask(kind, dialect, stream=streams)
    assert type(outcome) is CLASSES[kind], outcome


@BOTH
@pytest.mark.parametrize("kind", WHOLE_ONLY)
def test_a_spoiled_answer_is_seen_where_it_is_not_streamed(proxy: Proxy, kind: str, dialect: str) -> None:
    assert isinstance(proxy.ask(kind, dialect), Unavailable)


@STREAMS
@BOTH
def test_a_tool_called_with_no_json_and_a_cut_answer_are_noticed(proxy: Proxy, dialect: str, streams: bool) -> None:
    called = proxy.ask("bad_arguments", dialect, request=ASKED.with_options(tools=(LOOK_UP,)), stream=streams)
    assert isinstance(called, InvalidResponse | Unavailable), called
    assert reply(proxy.ask("length", dialect, stream=streams)).finish_reasons == ("length",)


def test_the_wait_that_the_provider_asked_for_is_read_from_the_proxys_header(proxy: Proxy) -> None:
    refused = proxy.ask("429", "openai")
    assert isinstance(refused, RateLimited)
    assert refused.retry_after == 3


@BOTH
def test_a_wrong_key_gets_nobody_behind_the_proxy_asked(
    proxy: Proxy, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = proxy.counts("well")["requests"]
    monkeypatch.setenv(KEY_ENV, "sk-wrong")
    refused = proxy.ask("well", dialect)
    assert isinstance(refused, AccessDenied | InvalidRequest), refused  # without a database it says 400
    assert proxy.counts("well")["requests"] == before


@BOTH
def test_a_run_through_the_proxy_records_each_call_behind_it_once(proxy: Proxy, dialect: str, tmp_path: Path) -> None:
    before = proxy.counts("flaky")
    step = tk.step(route=tk.Fixed("flaky"), policy=tk.Retry(12, base=0.01))(
        lambda ticket: tk.prompt("Answer.", ticket=ticket)
    )
    rows = [{"id": str(number), "ticket": f"{dialect} {number}: where is it?"} for number in range(20)]
    fleet = tk.Fleet.of(proxy.spec("flaky", dialect, stream=True))
    run: Any = tk.Workflow("through", [step]).run(rows, fleet, home=tmp_path, in_flight=4)
    after = proxy.counts("flaky")
    assert run.progress.answered == len(rows)
    calls, failed, entered, left = run.sql(
        "select count(*), count(error_type), sum(input_tokens), sum(output_tokens) from attempts"
    ).rows[0]
    assert calls == after["requests"] - before["requests"]
    assert failed == calls - len(rows) > 0
    assert entered == after["input_tokens"] - before["input_tokens"]
    assert left == after["output_tokens"] - before["output_tokens"]
