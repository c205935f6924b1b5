"""Bodies of responses as JSON: whole, or as a stream of server-sent events. Pure.

Source of the stream's format: the HTML standard, section "Server-sent events".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from toolkit.errors import InvalidResponse
from toolkit.records import Json

LARGEST_COUNT = 2**53


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises InvalidResponse, quoting how the body starts."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        start = body[:60].decode("utf-8", "replace")
        raise InvalidResponse(f"the body is no JSON ({error}); it starts with {start!r}") from error
    if not isinstance(content, dict):
        raise InvalidResponse(f"the body is a JSON {type(content).__name__}, not an object")
    return content


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether a body is a stream of events."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"


def events(body: bytes) -> Iterator[bytes]:
    """The data of each event of a stream, in order; comments, names and ids of events are left out.

    An event that a blank line does not end was cut off with the connection, and is not given.
    """
    lines: list[bytes] = []
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in text.split(b"\n")[:-1]:
        if not line:
            if lines:
                yield b"\n".join(lines)
            lines = []
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))


def word(value: Json) -> str | None:
    """A text, None for anything else."""
    return value if isinstance(value, str) else None


def count(holder: Json, name: str) -> int | None:
    """A number of tokens, None where it is missing or impossible."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT else None


def part_of(whole: int | None, part: int | None) -> int | None:
    """A part, None where it is larger than its whole: that is a mistake of the provider's and counts as unknown."""
    return None if part is None or (whole is not None and part > whole) else part
