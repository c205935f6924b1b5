"""Serving: what our client writes is read as the same request, what we answer it reads as the same reply, and a whole
workflow gives the same answers whether its models are in this process or behind HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import toolkit as tk
from tests.models.loopback import ASKED, EMBED, spec
from toolkit.errors import (
    AccessDenied,
    CallError,
    ContentFiltered,
    ContextOverflow,
    FleetError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.examples import support as example
from toolkit.examples.support.workflow import support
from toolkit.messages import Data, Media, Message, Reasoning, Text, ToolCall, ToolResult, ToolSpec
from toolkit.models import openai
from toolkit.models.http import HttpModel
from toolkit.records import Reply, Request, Usage
from toolkit.serving import app, dialect

FOLDER = Path(example.__file__).parent
ROWS = 24


# ----------------------------------------------------------------------------------------------------------- requests
def again(request: Request, **options: Any) -> Request:
    """The request as the server reads what the client writes."""
    return dialect.chat_request(dialect.parsed(openai.encode(request, spec("http://far/v1", **options))))


_text = st.text(min_size=1, max_size=40).filter(lambda text: text.strip() and "&lt;" not in text.lower())
_marked = st.sampled_from(["</a>", "<a>\nx\n</a>", "<b>\n", "\n</b>\n", "</A >", "\n", "<c>\n1\n</c>"])
_section = st.lists(_text | _marked, min_size=1, max_size=4).map("".join).filter(str.strip)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(instruction=_text, given=st.dictionaries(st.sampled_from(["a", "b", "ticket", "to_day"]), _section, min_size=1))
def test_sections_are_told_apart_again(instruction: str, given: dict[str, str]) -> None:
    asked = tk.prompt(instruction, **given)
    assert again(asked).messages == asked.messages


def test_everything_else_of_a_request_comes_over() -> None:
    asked = Request(
        messages=(
            Message("system", (Text("Look."),)),
            Message("user", (Text("See"), Media("image/png", "aGk="), Data("a", "1", "a"))),
            Message("assistant", (ToolCall("t-1", "search", {"k": 3}),)),
            Message("tool", (ToolResult("t-1", "", "nothing"),)),
        ),
        output_schema={"type": "object"},
        tools=(ToolSpec("search", "Searches.", {"type": "object"}),),
        max_output_tokens=9,
        temperature=0.5,
        seed=3,
    )
    assert again(asked) == asked


def test_words_between_sections_stay_words() -> None:
    said = {"role": "user", "content": "Look at\n\n<a>\n1\n</a>\n\nand at\n\n<b>\n2\n</b>\n\nplease"}
    parts = dialect.chat_request({"messages": [said]}).messages[0].parts
    assert [part.text for part in parts if isinstance(part, Text | Data)] == [
        "Look at",
        "1",
        "and at",
        "2",
        "please",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"messages": 7}',
        b'{"messages": [{"role": "wizard", "content": "x"}]}',
        b'{"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}',
        b'{"messages": [], "stream": true}',
        b'{"messages": [], "n": 2}',
        b'{"messages": [], "response_format": {"type": "json_schema"}}',
        b'{"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f"}}]}]}',
    ],
)
def test_what_cannot_be_served_is_an_invalid_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        dialect.chat_request(dialect.parsed(body))


# ------------------------------------------------------------------------------------------------------------ replies
def answered(answer: Reply | CallError, request: Request = ASKED) -> Reply:
    """What our client makes of it when a served model answers so."""

    def answers(_: Request) -> Reply:
        if isinstance(answer, CallError):
            raise answer
        return answer

    served = app(tk.Fleet({}).with_function("far-1", answers))
    model = HttpModel(spec("http://far/v1", settings={"logprobs": True}), openai, httpx.ASGITransport(served))
    return asyncio.run(model.send(request))


def test_a_reply_comes_over_whole() -> None:
    reply = Reply(
        parts=(Reasoning("hm"), Text("yes"), ToolCall("t-1", "search", {"k": 3})),
        usage=Usage(10, 4, 6, None, 2),
        finish_reasons=("tool_calls",),
        response_model="m-1",
        response_id="r-1",
        confidence=0.25,
    )
    assert answered(reply) == reply


@settings(max_examples=50, deadline=None)
@given(confidence=st.floats(0, 1))
def test_confidence_comes_over_as_one_token(confidence: float) -> None:
    reply = Reply(parts=(Text("x"),), confidence=confidence)
    body = orjson.dumps(dialect.chat_body(reply, {"model": "m", "logprobs": True}))
    assert openai.decode(200, {}, body, operation="chat").confidence == pytest.approx(confidence, rel=1e-9, abs=1e-12)


def test_confidence_is_not_told_unasked() -> None:
    assert "logprobs" not in dialect.chat_body(Reply(confidence=0.5), {"model": "m"})["choices"][0]


def test_vectors_come_over_to_the_last_bit() -> None:
    vectors = ((0.1, -1e-300), (1 / 3, 2.0))
    assert answered(Reply(vectors=vectors), EMBED).vectors == vectors


def test_vectors_may_be_asked_for_as_base64() -> None:
    body = dialect.embeddings_body(Reply(vectors=((0.5, 2.0),)), {"model": "m", "encoding_format": "base64"})
    assert body["data"][0]["embedding"] == "AAAAPwAAAEA="


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow down", retry_after=7.0),
        RateLimited("slow down"),
        Overloaded("later", retry_after=2.5),
        Unavailable("gone"),
        TimedOut("late"),
        InvalidRequest("no"),
        AccessDenied("no"),
        ContextOverflow("too long"),
        ContentFiltered("declined"),
    ],
)
def test_an_error_comes_over_with_its_class_and_its_wait(error: CallError) -> None:
    with pytest.raises(CallError, match=str(error)) as raised:
        answered(error)
    assert type(raised.value) is type(error)
    assert raised.value.retry_after == error.retry_after


def test_a_model_that_is_not_served_is_an_invalid_request() -> None:
    served = app(tk.Fleet({}).with_function("other", lambda _: "x"))
    with pytest.raises(InvalidRequest, match="served are other"):
        asyncio.run(HttpModel(spec("http://far/v1"), openai, httpx.ASGITransport(served)).send(ASKED))


def test_a_fleet_with_nobody_in_this_process_cannot_be_served() -> None:
    with pytest.raises(FleetError, match="nothing to serve"):
        app(tk.Fleet.load(FOLDER / "models.http.toml"))


# --------------------------------------------------------------------------------------------------- another process
@pytest.fixture(scope="module")
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The example's fleet, served by another process; and its URL."""
    command = [sys.executable, "-m", "toolkit.serving", "--fleet", str(FOLDER / "models.toml")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=one_thread) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def answers(fleet: tk.Fleet, home: Path) -> tuple[dict[tuple[str, str], Any], int]:
    """(row, step) → status, value and model; and how many calls that took."""
    with threadpool_limits(1):
        run: Any = support.run(FOLDER / "requests.jsonl", fleet, home=home, limit=ROWS)
    assert run.run.status == "finished"
    found = run.sql("select row_id, step, turn, status, value, model from answers")
    return {tuple(row[:3]): tuple(row[3:]) for row in found}, run.progress.tally.calls


@pytest.mark.slow
def test_a_workflow_answers_alike_over_http_by_another_fleet_file_alone(
    server: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    _, url = server
    there = tmp_path / "models.http.toml"
    served = (FOLDER / "models.http.toml").read_text().replace("http://127.0.0.1:8631/v1", url)
    there.write_text(served.replace("[models.embedder]", "[models.embedder]\nbatch = 1"))  # alike to the last digit
    far, calls = answers(tk.Fleet.load(there), tmp_path / "far")
    near, calls_near = answers(tk.Fleet.load(FOLDER / "models.toml"), tmp_path / "near")
    assert len(near) > ROWS * 5
    assert far == near
    counted = httpx.get(url.removesuffix("/v1") + "/count").json()
    assert counted["total"] == sum(counted["models"].values()) == calls == calls_near


def test_the_server_lists_its_models(server: tuple[subprocess.Popen[str], str]) -> None:
    listed = httpx.get(server[1] + "/models").json()["data"]
    assert [model["id"] for model in listed] == ["small", "large", "reader", "embedder", "quoter", "coder"]


@pytest.mark.slow
def test_the_command_says_what_is_wrong_with_a_fleet_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "toolkit.serving", "--fleet", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "none.toml" in done.stderr
