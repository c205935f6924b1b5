"""HTTP as clients really send it: in pieces, several at once, in chunks, with expectations, and wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp
import httpx
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fake.asking import chat, during
from toolkit import fake
from toolkit.fake.parsing import HttpRequest, Malformed, Parser

BODY = orjson.dumps(chat())
SIZED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
CHUNKED = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(pieces: Iterable[bytes]) -> list[HttpRequest]:
    parser = Parser()
    return [request for piece in pieces for request in parser.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def chunks(body: bytes, places: list[int]) -> bytes:
    told = b"".join(b"%X;a=b\r\n%b\r\n" % (len(piece), piece) for piece in cut(body, places) if piece)
    return CHUNKED + told + b"0\r\nTrailer: x\r\n\r\n"


_places = st.lists(st.integers(0, 2_000), max_size=12)


@given(
    bodies=st.lists(st.tuples(st.binary(max_size=300), st.booleans(), _places), min_size=1, max_size=4), cuts=_places
)
@example(bodies=[(b"x" * 300, True, [1, 2, 3])], cuts=list(range(600)))
def test_requests_are_the_same_however_their_bytes_arrive(
    bodies: list[tuple[bytes, bool, list[int]]], cuts: list[int]
) -> None:
    sent = b"".join(chunks(body, at) if chunked else SIZED % (len(body), body) for body, chunked, at in bodies)
    assert [request.body for request in read(cut(sent, cuts))] == [body for body, _, _ in bodies]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"SSH-2.0-x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (CHUNKED + b"zz\r\n", 400),
        (CHUNKED + b"-1\r\n", 400),
        (CHUNKED + b"1\r\nab\r\n", 400),
        (CHUNKED + b"fffffffff\r\n", 413),
        (b"GET / HTTP/1.1\r\na: " + b"x" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_said_to_be_none(sent: bytes, status: int) -> None:
    with pytest.raises(Malformed) as caught:
        read([sent])
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/v1/models?a=b", "/v1/models", "a=b"),
        ("http://127.0.0.1:80/v1/models", "/v1/models", ""),
        ("/v1/mod%65ls", "/v1/models", ""),
        ("//v1/models", "//v1/models", ""),
    ],
)
def test_a_target_is_a_path_and_a_query(target: str, path: str, query: str) -> None:
    (request,) = read([f"GET {target} HTTP/1.1\r\n\r\n".encode()])
    assert (request.path, request.query) == (path, query)


async def exchanged(served: fake.Served, *sent: bytes, until: bytes | None = None, ends: bool = True) -> bytes:
    """What comes back over one connection, until the server ends it or says `until`."""
    port = int(served.url.rpartition(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.001)
    found = await reader.read() if until is None else await reader.readuntil(until)
    writer.close()
    return found


def test_several_requests_in_one_piece_are_answered_in_their_order() -> None:
    bodies = [orjson.dumps(chat(f"number {n} of all", model="slow" if n == 0 else "m")) for n in range(50)]
    sent = b"".join(SIZED % (len(body), body) for body in bodies) + b"GET /v1/x HTTP/1.1\r\nConnection: close\r\n\r\n"

    async def talk(served: fake.Served) -> None:
        told = await exchanged(served, sent)
        places = [told.index(b"number %d of all" % n) for n in range(50)]
        assert places == sorted(places)
        assert told.count(b"HTTP/1.1 200 OK") == 50
        assert told.count(b"HTTP/1.1 404 Not Found\r\nconnection: close") == 1

    during(talk, {"m": {}, "slow": {"latency_seconds": 0.05}})


def test_a_client_that_expects_to_be_asked_for_its_body_is_asked() -> None:
    head = SIZED.replace(b"Host", b"Expect: 100-continue\r\nConnection: close\r\nHost") % (len(BODY), b"")

    async def talk(served: fake.Served) -> None:
        port = int(served.url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert b"200 OK" in await reader.read()
        writer.close()

    during(talk, {"m": {}})


def test_an_old_client_is_answered_and_the_connection_ended() -> None:
    async def talk(served: fake.Served) -> None:
        told = await exchanged(served, SIZED.replace(b"1.1", b"1.0") % (len(BODY), BODY))
        assert told.startswith(b"HTTP/1.1 200 OK\r\nconnection: close")

    during(talk, {"m": {}})


def test_nonsense_is_answered_with_400_and_the_connection_ended() -> None:
    async def talk(served: fake.Served) -> None:
        told = await exchanged(served, b"nonsense\r\n\r\n")
        assert told.startswith(b"HTTP/1.1 400 Bad Request\r\nconnection: close")

    during(talk, {"m": {}})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("HEAD", "/nothing/here", 404),
        ("POST", "/v1/responses", 404),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/m", 200),
        ("GET", "/v1/models/nobody", 404),
        ("HEAD", "/v1/models", 200),
        ("DELETE", "/fake/counts", 404),
        ("GET", "/fake/requests?since=x", 400),
        ("POST", "/v1/chat/completions", 400),
        ("POST", "/v1/messages", 400),
    ],
)
def test_every_path_has_an_answer_in_json(method: str, path: str, status: int) -> None:
    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient(base_url=served.url.removesuffix("/v1")) as client:
            response = await client.request(method, path, content=b"" if method != "POST" else b"[1]")
            assert response.status_code == status
            assert response.headers["content-type"] == "application/json"
            assert response.content == b"" if method == "HEAD" else isinstance(response.json(), dict)
            assert (await client.get("/v1/models")).status_code == 200  # over the same connection

    during(talk, {"m": {}})


@pytest.mark.parametrize("wrong", [b"", b"{", b"null", b'{"model": 1}', b'{"model": ["m"]}', b'{"model": {}}'])
def test_a_body_that_is_no_call_is_refused(wrong: bytes) -> None:
    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient() as client:
            for path in ("chat/completions", "embeddings", "messages"):
                response = await client.post(f"{served.url}/{path}", content=wrong)
                assert response.status_code in (400, 404)
                assert response.json()["error"]["message"]

    during(talk, {"m": {}})


def test_a_large_body_in_many_pieces_is_taken_by_httpx_and_aiohttp_alike() -> None:
    body = orjson.dumps(chat("word " * 400_000))

    async def pieces() -> object:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    async def talk(served: fake.Served) -> None:
        url = f"{served.url}/chat/completions"
        async with httpx.AsyncClient(timeout=60) as client:
            tokens = [(await client.post(url, content=body)).json()["usage"]["prompt_tokens"]]
            tokens.append((await client.post(url, content=pieces())).json()["usage"]["prompt_tokens"])  # type: ignore[arg-type]
        async with aiohttp.ClientSession() as session:
            for expects in (False, True):
                async with session.post(url, data=pieces(), expect100=expects) as response:
                    tokens.append((await response.json())["usage"]["prompt_tokens"])
        assert len(tokens) == 4
        assert set(tokens) == {500_000}
        assert served.counts()["models"]["m"]["distinct"] == 1

    during(talk, {"m": {}})


def test_a_client_that_goes_away_is_counted_and_nobody_waits_for_it() -> None:
    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient(timeout=0.1) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"{served.url}/chat/completions", json=chat())
        for _ in range(200):
            if (counts := served.counts()["models"]["m"])["abandoned"]:
                break
            await asyncio.sleep(0.01)
        assert (counts["abandoned"], counts["in_flight"], counts["peak_in_flight"]) == (1, 0, 1)

    during(talk, {"m": {"latency_seconds": 600}})
