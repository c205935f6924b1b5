"""Whatever a body holds, the desk answers it: with a reply, or with an error in the dialect's words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import fake
from toolkit.fake.desk import CALLS, Desk
from toolkit.fake.parsing import HttpRequest

DESK = Desk(fake.settings({"models": {"m": {"tools": "sometimes", "cached_share": 0.5}}}))

_odd = st.none() | st.booleans() | st.integers(-(2**40), 2**70) | st.floats() | st.text(max_size=5)
_json = st.recursive(
    _odd, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3)
)
_part = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "image", "tool_use", "tool_result", "thinking", "x"]) | _odd},
    optional={
        "text": _json, "image_url": _json, "source": _json, "id": _json, "name": _json, "input": _json,
        "tool_use_id": _json, "content": _json, "thinking": _json,
    },
)  # fmt: skip
_call = st.fixed_dictionaries({"id": _json, "function": st.fixed_dictionaries({"name": _json, "arguments": _json})})
_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "developer"]) | _odd},
    optional={
        "content": st.text(max_size=30) | st.lists(_part, max_size=3) | _json,
        "tool_calls": st.lists(_call, max_size=2) | _json,
        "tool_call_id": _json,
    },
)
_schema = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "integer", "number", "null", "boolean"]) | _json,
        "properties": st.dictionaries(st.text(max_size=3), _json, max_size=2) | _json,
        "enum": _json, "anyOf": _json, "$ref": _json, "items": _json, "minimum": _json, "maxLength": _json,
        "pattern": _json, "minItems": st.integers(0, 3) | _odd, "required": _json, "allOf": _json,
    },
)  # fmt: skip
_tool = st.fixed_dictionaries(
    {},
    optional={
        "name": _json,
        "input_schema": _schema,
        "function": st.fixed_dictionaries({"name": _json}, optional={"parameters": _schema | _json}),
    },
)
_form = st.fixed_dictionaries(
    {"type": st.just("json_schema"), "json_schema": st.fixed_dictionaries({"schema": _schema})}
)
_body = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(_message, max_size=3) | _json},
    optional={
        "max_tokens": st.integers(1, 5) | _json,
        "stream": st.booleans() | _json,
        "stream_options": _json,
        "tools": st.lists(_tool, max_size=2) | _json,
        "tool_choice": _json | st.sampled_from(["auto", "required"]),
        "response_format": _form | _json,
        "output_config": st.fixed_dictionaries({"format": st.fixed_dictionaries({"schema": _schema})}) | _json,
        "system": _json,
        "logprobs": _json,
        "input": _json | st.lists(st.text(max_size=5), max_size=3),
        "dimensions": _json,
        "encoding_format": _json,
        "temperature": _json,
    },
)


def dumped(body: Any) -> bytes | None:
    try:
        return orjson.dumps(body)
    except TypeError:  # an integer beyond JSON's usual ones
        return None


@pytest.mark.slow
@pytest.mark.parametrize("path", CALLS)
@settings(max_examples=100, deadline=None)
@given(body=_body)
def test_any_body_is_answered(path: str, body: dict[str, Any]) -> None:
    content = dumped(body)
    if content is not None:
        act = DESK.answer(HttpRequest("POST", f"/v1{path}", "", {}, content, True))
        assert act.status in (200, 400)
        assert b"".join(data for _, data in act.pieces).startswith(b"HTTP/1.1 %d " % act.status)
