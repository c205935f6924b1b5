"""Ways to damage a body: bytes, events, and the JSON inside. Pure: the chance comes in."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import orjson

from evals.fuzz.corpus import STREAM, Response

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**53, 2**63 - 1, -(2**63), 0.5, -0.0, 1e308, "", " ", "x", "0", "nan", "503", "\x00",
    "[1]", "é📦", "a" * 300, [], {}, [[]], [{}], {"": None}, [None], {"type": "text"}, {"index": "a"}, ["x"] * 3,
)  # fmt: skip
TOKENS = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"Infinity", b"1e999", b"-", b"\\u0000", b"\\ud800",
    b"\xff\xfe", b"\xc3\x28", b"\xef\xbb\xbf", b"\n", b"\r\n\r\n", b"data:", b"data: [DONE]\n\n", b"event: error\n",
    b"<html>", b"9" * 400, b"[" * 400, b'{"a":' * 200,
)  # fmt: skip
STATUSES = (200, 200, 200, 201, 204, 299, 301, 400, 401, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 529, 999)
WAITS = (None, "0", "-1", "1e400", "nan", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Foo 9999 99:99:99", "١")


def mutated(response: Response, chance: Random) -> Response:
    """A response damaged in one to four places."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        response = _ways(response, chance)
    return response


def noise(response: Response, chance: Random) -> Response:
    """A response of the same kind whose body is bytes by chance."""
    length = min(int(chance.expovariate(1 / 60)), 2_000)
    if chance.random() < 0.5:
        return replace(response, body=chance.randbytes(length))
    return replace(response, body=b"".join(chance.choice(TOKENS) for _ in range(length // 10)))


def _ways(response: Response, chance: Random) -> Response:
    way = chance.random()
    if way < 0.45:
        return replace(response, body=_damaged_json(response, chance))
    if way < 0.85:
        return replace(response, body=_damaged_bytes(response.body, chance))
    if way < 0.9:
        return replace(response, status=chance.choice(STATUSES))
    if way < 0.94:
        return replace(response, retry_after=chance.choice(WAITS))
    if way < 0.97:
        return replace(response, content_type=chance.choice((STREAM, "application/json", "", "text/html; charset=x")))
    return replace(response, operation=chance.choice(("chat", "embeddings")))


def _damaged_bytes(body: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(body) + 1)
    until = min(len(body), at + chance.choice((0, 1, 1, 4, 30)))
    match chance.randrange(5):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + body[until:]
        case 2:
            return body[:at] + chance.choice(TOKENS) + body[until:]
        case 3:
            return body[:at] + chance.randbytes(chance.randrange(1, 8)) + body[until:]
        case _:
            return body[:at] + body[at:until] * 3 + body[until:]


def _damaged_json(response: Response, chance: Random) -> bytes:
    """A value somewhere in the JSON replaced, dropped, doubled or moved; in a stream, in one of its events."""
    if response.content_type != STREAM:
        return _damaged_value(response.body, chance)
    events = response.body.split(b"\n\n")
    at = chance.randrange(len(events))
    match chance.randrange(6):
        case 0:
            del events[at]
        case 1:
            events.insert(at, events[chance.randrange(len(events))])
        case 2:
            other = chance.randrange(len(events))
            events[at], events[other] = events[other], events[at]
        case _:
            events[at] = b"data: " + _damaged_value(events[at].removeprefix(b"data: "), chance)
    return b"\n\n".join(events)


def _damaged_value(body: bytes, chance: Random) -> bytes:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _damaged_bytes(body, chance)
    return orjson.dumps(_changed(value, chance))


def _changed(value: Any, chance: Random) -> Any:
    """The value with one thing in it changed, the deeper the likelier."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return chance.choice(ODD)
    if isinstance(value, dict):
        name = chance.choice(list(value))
        way = chance.random()
        if way < 0.1:
            return {k: v for k, v in value.items() if k != name}
        if way < 0.15:
            return {**value, chance.choice(("error", "type", "index", "content", "usage")): chance.choice(ODD)}
        return {**value, name: _changed(value[name], chance)}
    at = chance.randrange(len(value))
    if chance.random() < 0.15:
        return value[:at] + value[at + 1 :] if chance.random() < 0.5 else [*value, value[at]]
    return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
