"""Calls by the official SDKs, for an interpreter that has them: what came of each, as JSON.

    python sdk_calls.py URL   (without /v1)

A model named after a fault always has it; `m` is well, `calls` calls tools.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import anthropic  # type: ignore[import-not-found]
import openai  # type: ignore[import-not-found]
from pydantic import BaseModel

SAID = [{"role": "user", "content": "Where is my parcel?"}]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "word": {"enum": ["a", "b"]}},
    "required": ["n", "word"],
    "additionalProperties": False,
}


class Typed(BaseModel):
    n: int
    parts: list[str]


def main(url: str) -> None:
    far = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=20)
    other = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, timeout=20)
    patient = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=8, timeout=20)
    calls: dict[str, Callable[[], Any]] = {
        "openai whole": lambda: chat(far),
        "openai stream": lambda: chat_stream(far),
        "openai typed": lambda: far.chat.completions.parse(model="m", messages=SAID, response_format=Typed)
        .choices[0].message.parsed.model_dump(),
        "openai tool": lambda: call_of(chat_tools(far)),
        "openai vectors": lambda: [
            len(each.embedding) for each in far.embeddings.create(model="m", input=["one", "two"]).data
        ],
        "openai models": lambda: [model.id for model in far.models.list()],
        "openai retried": lambda: chat(patient, "flaky")["text"],
        "anthropic whole": lambda: message(other),
        "anthropic stream": lambda: message_stream(other),
        "anthropic typed": lambda: json.loads(typed(other).content[0].text),
        "anthropic tool": lambda: block_of(message_tools(other)),
        "anthropic tool streamed": lambda: block_of(message_tools_stream(other)),
        "anthropic tokens": lambda: other.messages.count_tokens(model="m", messages=SAID).input_tokens,
        "anthropic models": lambda: [model.id for model in other.models.list()],
    }  # fmt: skip
    faults = sys.argv[2].split(",")
    for kind in faults:
        calls[f"openai {kind}"] = lambda kind=kind: chat(far, kind)  # type: ignore[misc]
        calls[f"openai streamed {kind}"] = lambda kind=kind: chat_stream(far, kind)  # type: ignore[misc]
        calls[f"anthropic {kind}"] = lambda kind=kind: message(other, kind)  # type: ignore[misc]
        calls[f"anthropic streamed {kind}"] = lambda kind=kind: message_stream(other, kind)  # type: ignore[misc]
    print(json.dumps({name: outcome(call) for name, call in calls.items()}))


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return {"error": type(error).__name__, "module": type(error).__module__.partition(".")[0], "says": str(error)}


def chat(client: Any, model: str = "m") -> Any:
    told = client.chat.completions.create(model=model, messages=SAID)
    choice = told.choices[0]
    return {
        "text": choice.message.content,
        "refusal": choice.message.refusal,
        "reason": choice.finish_reason,
        "tokens": [told.usage.prompt_tokens, told.usage.completion_tokens],
    }


def chat_stream(client: Any, model: str = "m") -> Any:
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=SAID, stream=True, stream_options=options))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return {
        "text": "".join(choice.delta.content or "" for choice in choices),
        "refusal": "".join(choice.delta.refusal or "" for choice in choices) or None,
        "reason": next((choice.finish_reason for choice in choices if choice.finish_reason), None),
        "tokens": [chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens],
    }


def chat_tools(client: Any) -> Any:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}
    with client.chat.completions.stream(model="calls", messages=SAID, tools=[tool]) as stream:
        return stream.get_final_completion()


def call_of(told: Any) -> Any:
    call = told.choices[0].message.tool_calls[0].function
    return {"name": call.name, "arguments": json.loads(call.arguments), "reason": told.choices[0].finish_reason}


def message(client: Any, model: str = "m") -> Any:
    return _told(client.messages.create(model=model, max_tokens=100, messages=SAID))


def message_stream(client: Any, model: str = "m") -> Any:
    with client.messages.stream(model=model, max_tokens=100, messages=SAID) as stream:
        return _told(stream.get_final_message())


def typed(client: Any) -> Any:
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    return client.messages.create(model="m", max_tokens=100, messages=SAID, output_config=form)


def message_tools(client: Any) -> Any:
    tools = [{"name": "look_up", "description": "Finds it.", "input_schema": SCHEMA}]
    return client.messages.create(model="calls", max_tokens=100, messages=SAID, tools=tools)


def message_tools_stream(client: Any) -> Any:
    tools = [{"name": "look_up", "description": "Finds it.", "input_schema": SCHEMA}]
    with client.messages.stream(model="calls", max_tokens=100, messages=SAID, tools=tools) as stream:
        return stream.get_final_message()


def block_of(told: Any) -> Any:
    return {"name": told.content[0].name, "arguments": told.content[0].input, "reason": told.stop_reason}


def _told(told: Any) -> Any:
    return {
        "text": "".join(block.text for block in told.content),
        "reason": told.stop_reason,
        "tokens": [told.usage.input_tokens, told.usage.output_tokens],
    }


if __name__ == "__main__":
    main(sys.argv[1])
