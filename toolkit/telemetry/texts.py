"""Recorded requests and outputs as the conventions' messages.

In: the two texts of an attempt as they stand in `contents`. Out: what they say under our own words for it (see
`toolkit.telemetry.conventions`); messages are JSON, as attributes of spans hold no nested values everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from toolkit.messages import delimit


def messages_of(request: str | None, output: str | None, finish_reasons: Sequence[str] | None) -> dict[str, Any]:
    """Input and output messages, instructions and parameters; what is not on record is left out."""
    found: dict[str, Any] = {}
    asked = _decoded(request)
    if isinstance(asked, Mapping):
        said = asked.get("messages") or []
        instructions = [part for message in said if message["role"] == "system" for part in _parts(message)]
        others = [{"role": m["role"], "parts": _parts(m)} for m in said if m["role"] != "system"]
        found |= {
            "system_instructions": _text(instructions) if instructions else None,
            "input_messages": _text(others) if others else None,
            "max_tokens": asked.get("max_output_tokens"),
            "temperature": asked.get("temperature"),
            "seed": asked.get("seed"),
            "output_type": "json" if asked.get("output_schema") else None,
        }
    if output is not None:
        reason = finish_reasons[0] if finish_reasons else "stop"
        parts = [{"type": "text", "content": output}]
        found["output_messages"] = _text([{"role": "assistant", "parts": parts, "finish_reason": reason}])
    return found


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_part(part) for part in message["parts"]]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part in the conventions' form; data keep the marks that set them apart from instructions."""
    match part.get("type"):
        case "text":
            return {"type": "text", "content": part["text"]}
        case "data":
            return {"type": "text", "content": delimit(part["name"], part["text"])}
        case "reasoning":
            return {"type": "reasoning", "content": part["text"]}
        case "media":
            kind = part["media_type"].partition("/")[0]
            return {"type": "blob", "modality": kind, "mime_type": part["media_type"], "content": part["data"]}
        case "tool_call":
            return {"type": "tool_call", "id": part["id"], "name": part["name"], "arguments": part["arguments"]}
        case "tool_result":
            return {"type": "tool_call_response", "id": part["id"], "response": part["text"]}
        case _:
            return dict(part)


def _decoded(text: str | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
