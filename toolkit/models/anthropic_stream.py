"""A streamed message as the body that the same call gives unstreamed. Pure.

Source: Anthropic's API reference for streaming messages. Counts in `message_delta` are totals so far, and replace those
that came with `message_start`.
"""

from __future__ import annotations

from typing import Any

import orjson

from toolkit.errors import InvalidResponse
from toolkit.models.bodies import events, json_object

PIECES = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def assembled(body: bytes) -> dict[str, Any]:
    """The whole message, or the error that ended the stream. Raises InvalidResponse where the stream was cut."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    for data in events(body):
        event = json_object(data)
        match event.get("type"):
            case "error":
                return event
            case "message_start":
                message = dict(event["message"])
            case "content_block_start":
                blocks[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                delta = event["delta"]
                name = "input" if delta["type"] == "input_json_delta" else PIECES.get(delta["type"])
                if name is not None:
                    piece = delta["partial_json"] if name == "input" else delta[name]
                    pieces.setdefault((event["index"], name), []).append(piece)
            case "message_delta":
                message |= {k: v for k, v in event["delta"].items() if v is not None}
                told = {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
                message["usage"] = {**(message.get("usage") or {}), **told}
            case "message_stop":
                return message | {"content": _filled(blocks, pieces)}
    raise InvalidResponse("the stream was cut before its end")


def _filled(blocks: dict[int, dict[str, Any]], pieces: dict[tuple[int, str], list[str]]) -> list[dict[str, Any]]:
    for (index, name), found in pieces.items():
        whole = "".join(found)
        block = blocks[index]
        block[name] = (
            (orjson.loads(whole) if whole.strip() else {}) if name == "input" else (block.get(name) or "") + whole
        )
    return [blocks[index] for index in sorted(blocks)]
