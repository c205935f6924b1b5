"""A streamed chat completion as the body that the same call gives unstreamed. Pure.

Source: OpenAI's API reference for chat completion chunks. Usage comes with the last chunk, where the server was asked
for it (`stream_options.include_usage`).
"""

from __future__ import annotations

from typing import Any

from toolkit.errors import InvalidResponse
from toolkit.models.bodies import events, json_object

END = b"[DONE]"


def assembled(body: bytes) -> dict[str, Any]:
    """The whole completion. Raises InvalidResponse where the stream was cut, or is none of this dialect."""
    whole: dict[str, Any] = {}
    written: dict[str, list[str]] = {}
    calls: dict[int, dict[str, Any]] = {}
    logprobs: list[Any] = []
    finished, begun, reason = False, False, None
    for event in events(body):
        if event == END:
            finished = True
            break
        chunk = json_object(event)
        if chunk.get("error"):
            return chunk
        whole |= {name: chunk[name] for name in ("id", "model", "usage") if chunk.get(name)}
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            begun, delta = True, choice.get("delta") or {}
            for name in ("content", "reasoning_content", "reasoning", "refusal"):
                if isinstance(delta.get(name), str):
                    written.setdefault(name, []).append(delta[name])
            for call in delta.get("tool_calls") or ():
                _add_call(calls, call)
            logprobs += (choice.get("logprobs") or {}).get("content") or ()
            reason = choice.get("finish_reason") or reason
    if not finished and reason is None:
        raise InvalidResponse("the stream was cut before its end")
    if not begun:
        return whole | {"choices": []}
    message: dict[str, Any] = {name: "".join(pieces) for name, pieces in written.items()}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    choice = {"message": message, "finish_reason": reason, "logprobs": {"content": logprobs} if logprobs else None}
    return whole | {"choices": [choice]}


def _add_call(calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    """Another piece of a tool call: its id and name come first, its arguments in pieces of JSON text."""
    index = delta.get("index", len(calls) if delta.get("id") else max(len(calls) - 1, 0))
    call = calls.setdefault(int(index), {"id": None, "function": {"name": None, "arguments": ""}})
    function = delta.get("function") or {}
    call["id"] = delta.get("id") or call["id"]
    call["function"]["name"] = function.get("name") or call["function"]["name"]
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        call["function"]["arguments"] = arguments
    elif arguments:
        call["function"]["arguments"] += arguments
