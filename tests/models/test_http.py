"""The HTTP client: whatever the network does, a Reply or a CallError of the right class comes back, in time."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time

import httpx
import pytest

from tests.models.loopback import ASKED, asked, chat, response, spec
from toolkit.errors import FleetError, InvalidRequest, InvalidResponse, RateLimited, TimedOut, Unavailable
from toolkit.messages import Message, Text
from toolkit.models import http, openai
from toolkit.models.http import HttpModel
from toolkit.records import Request


def test_a_whole_answer_is_a_reply() -> None:
    assert asked(response(chat())).text == "hello"


def test_a_refused_connection_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = HttpModel(spec(f"http://127.0.0.1:{port}/v1"), openai)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        asyncio.run(model.send(ASKED))


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    model = HttpModel(spec("http://no-such-host.invalid/v1", timeout_seconds=20), openai)
    with pytest.raises(Unavailable):
        asyncio.run(model.send(ASKED))


def test_a_silent_server_is_a_timeout() -> None:
    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    with pytest.raises(TimedOut, match=r"within 0\.2 s"):
        asked(silent, timeout_seconds=0.2)


def test_a_slow_drip_does_not_outlast_the_deadline() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"", length=1000))
        for _i in range(100):
            writer.write(b"{")
            await writer.drain()
            await asyncio.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(TimedOut):
        asked(drip, timeout_seconds=0.4)
    assert time.monotonic() - began < 4, "all of it would take five seconds"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="before a word"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", id="within the head"),
        pytest.param(response(chat()[:20], length=len(chat())), id="within the body"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="no HTTP at all"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", id="broken chunks"),
    ],
)
def test_a_cut_or_broken_connection_is_unavailable(said: bytes) -> None:
    with pytest.raises(Unavailable):
        asked(said)


def test_a_body_over_the_bound_is_an_invalid_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST_BODY", 2**20)
    with pytest.raises(InvalidResponse, match="longer than 1 MiB"):
        asked(response(chat("x" * 2**21)))


def test_a_small_body_that_unpacks_over_the_bound_is_an_invalid_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST_BODY", 2**20)
    with pytest.raises(InvalidResponse, match="longer than 1 MiB"):
        asked(response(gzip.compress(chat("x" * 2**23)), headers="content-encoding: gzip\r\n"))


def test_a_compressed_body_is_read() -> None:
    assert asked(response(gzip.compress(chat()), headers="content-encoding: gzip\r\n")).text == "hello"


def test_a_body_that_is_not_compressed_as_told_is_an_invalid_response() -> None:
    with pytest.raises(InvalidResponse, match="decompressed"):
        asked(response(chat(), headers="content-encoding: gzip\r\n"))


def test_an_error_carries_its_retry_after() -> None:
    with pytest.raises(RateLimited) as raised:
        asked(response(b'{"error": {"message": "slow down"}}', status=429, headers="Retry-After: 7\r\n"))
    assert raised.value.retry_after == 7


def test_a_redirect_is_not_followed_but_told() -> None:
    with pytest.raises(InvalidRequest, match="http://elsewhere/v2"):
        asked(response(b"", status=307, headers="location: http://elsewhere/v2\r\n"))


def test_text_that_is_no_unicode_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        asked(response(chat()), Request(messages=(Message("user", (Text("\ud800"),)),)))


def test_any_transport_of_httpx_serves() -> None:
    transport = httpx.MockTransport(lambda asked: httpx.Response(200, content=chat(asked.url.path)))
    model = HttpModel(spec("http://far/v1/"), openai, transport)
    assert asyncio.run(model.send(ASKED)).text == "/v1/chat/completions"


@pytest.mark.parametrize("endpoint", [None, "", "127.0.0.1:8000/v1", "ftp://far/v1", "http://", "http://[::1/v1"])
def test_an_endpoint_that_is_no_url_is_found_before_anything_is_sent(endpoint: str | None) -> None:
    with pytest.raises(FleetError, match=r"far.*endpoint"):
        HttpModel(spec(endpoint or ""), openai)


def test_the_key_goes_out_as_a_header_and_never_into_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", "s3cret")
    said: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        said.append(request)
        return httpx.Response(401, json={"error": {"message": "wrong key"}})

    model = HttpModel(spec("http://far/v1", key_env="FAR_KEY"), openai, httpx.MockTransport(refuse))
    with pytest.raises(Exception, match="wrong key") as raised:
        asyncio.run(model.send(ASKED))
    assert said[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(raised.value) + str(raised.value)
