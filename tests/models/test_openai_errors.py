"""The OpenAI dialect, reading what is no reply: each has its class, and nothing else can come out."""

from __future__ import annotations

import math
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.loopback import chat
from toolkit.errors import (
    AccessDenied,
    CallError,
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    InvalidResponse,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.models.http_errors import retry_after
from toolkit.models.openai import decode
from toolkit.records import Reply, now


def read(body: bytes, *, status: int = 200, operation: str = "chat", **headers: str) -> Reply:
    return decode(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, operation=operation)


def error(message: str = "no", **fields: Any) -> bytes:
    return orjson.dumps({"error": {"message": message, **fields}})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(), InvalidRequest),
        (401, error(), AccessDenied),
        (402, error(), AccessDenied),
        (403, error(), AccessDenied),
        (404, error(), InvalidRequest),
        (405, error(), InvalidRequest),
        (408, error(), TimedOut),
        (409, error(), Unavailable),
        (413, error(), ContextOverflow),
        (418, error(), InvalidRequest),
        (422, error(), InvalidRequest),
        (429, error(), RateLimited),
        (429, error("buy more", code="insufficient_quota"), AccessDenied),
        (500, error(), Unavailable),
        (502, b"<html>Bad Gateway</html>", Unavailable),
        (503, b"", Overloaded),
        (504, error(), TimedOut),
        (520, b"\xff\xfe", Unavailable),
        (529, error(), Overloaded),
        (301, b"", InvalidRequest),
        (400, error(code="context_length_exceeded"), ContextOverflow),
        (400, error("This model's maximum context length is 8192 tokens."), ContextOverflow),
        (400, error("prompt is too long: 210000 tokens > 200000 maximum"), ContextOverflow),
        (422, error("exceeds the context window"), ContextOverflow),
        (400, error(code="content_filter"), ContentFiltered),
        (400, error("triggering Azure OpenAI's content management policy"), ContentFiltered),
        (400, b'{"detail": "there is too many tokens here"}', ContextOverflow),
        (400, b'{"object": "error", "message": "maximum context length", "code": 400}', ContextOverflow),
        (400, b'"words alone"', InvalidRequest),
        (400, b"[1, 2]", InvalidRequest),
        (500, b'{"error": null}', Unavailable),
        (200, error(code=429), RateLimited),
        (200, error(code="429"), RateLimited),
        (200, error(code="rate_limit_exceeded"), RateLimited),
        (200, error(code="context_length_exceeded"), ContextOverflow),
        (200, error(type="invalid_request_error"), InvalidRequest),
        (200, error(code=502), Unavailable),
        (200, error(code=True), Unavailable),
        (200, b'{"error": "something broke"}', Unavailable),
    ],
)
def test_a_status_and_its_words_have_a_class(status: int, body: bytes, kind: type[CallError]) -> None:
    with pytest.raises(CallError) as raised:
        read(body, status=status)
    assert type(raised.value) is kind


def test_the_providers_words_are_in_the_message() -> None:
    with pytest.raises(InvalidRequest, match=r"HTTP 400: bad_field there is no field 'tempo'"):
        read(error("there is no field 'tempo'", code="bad_field"), status=400)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("2.5", 2.5),
        (" 3 ", 3.0),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_nothing(header: str | None, seconds: float | None) -> None:
    assert retry_after({} if header is None else {"retry-after": header}) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(now() + timedelta(seconds=90), usegmt=True)
    with pytest.raises(Overloaded) as raised:
        read(b"", status=503, retry_after=date)
    assert raised.value.retry_after == pytest.approx(90, abs=2)


def test_an_error_that_cannot_pass_has_no_retry_after() -> None:
    with pytest.raises(AccessDenied) as raised:
        read(error(), status=401, retry_after="5")
    assert raised.value.retry_after is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", InvalidResponse),
        (b"<!doctype html><title>Sign in</title>", InvalidResponse),
        (chat()[:-5], InvalidResponse),
        (b'{"choices": [{"message": {"content": "\xff\xfe"}}]}', InvalidResponse),
        (b'{"choices": [{"message": {"content": "\\ud800"}}]}', InvalidResponse),
        (b"null", InvalidResponse),
        (b"[]", InvalidResponse),
        (b"{}", InvalidResponse),
        (b'{"choices": []}', InvalidResponse),
        (b'{"choices": {}}', InvalidResponse),
        (b'{"choices": [null]}', InvalidResponse),
        (b'{"choices": [{"message": null}]}', InvalidResponse),
        (chat(7), InvalidResponse),
        (chat([{"type": "text", "text": 7}]), InvalidResponse),
        (chat("half", finish_reason="content_filter"), ContentFiltered),
        (chat(message={"content": None, "refusal": "I will not."}), ContentFiltered),
        (b'{"choices": ' + b"[" * 900 + b"]" * 900 + b"}", InvalidResponse),
    ],
)
def test_what_is_no_reply_has_a_class(body: bytes, kind: type[CallError]) -> None:
    with pytest.raises(CallError) as raised:
        read(body)
    assert type(raised.value) is kind


def test_what_was_withheld_is_billed_all_the_same() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "cost": 0.25}
    with pytest.raises(ContentFiltered) as raised:
        read(chat("half", finish_reason="content_filter", usage=usage))
    billed = raised.value.billed
    assert billed is not None and (billed.usage.input_tokens, billed.usage.output_tokens) == (100, 7)
    assert (billed.cost_usd, billed.text, billed.finish_reasons) == (0.25, "", ("content_filter",))


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = """
    error choices message content finish_reason logprobs logprob usage prompt_tokens completion_tokens data index
    embedding tool_calls function name arguments id type text model refusal reasoning code detail
    prompt_tokens_details cached_tokens completion_tokens_details reasoning_tokens
"""
_names = st.sampled_from(_NAMES.split())
_likely = st.recursive(
    _json, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=6), max_leaves=40
)
_loose = dict.fromkeys(("content", "tool_calls", "refusal", "reasoning", "reasoning_content"), _likely)
_near = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {"message": st.fixed_dictionaries({}, optional=_loose)},
                optional={"logprobs": st.fixed_dictionaries({"content": _likely}), "finish_reason": _likely},
            ),
            max_size=2,
        ),
        "data": st.lists(st.fixed_dictionaries({"index": _json, "embedding": st.lists(_json, max_size=3)}), max_size=2),
    },
    optional={"error": _likely, "usage": _likely, "id": _json, "model": _json},
)
_bodies = st.binary(max_size=60) | st.one_of(_json, _likely, _near).map(orjson.dumps)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    body=_bodies,
    status=st.sampled_from([200, 204, 302, 400, 408, 413, 422, 429, 500, 503]),
    operation=st.sampled_from(["chat", "embeddings"]),
    wait=st.none() | st.text(max_size=12) | st.sampled_from(["3", "Wed, 21 Oct 2015 07:28:00 GMT"]),
)
def test_whatever_comes_is_a_reply_or_a_call_error(body: bytes, status: int, operation: str, wait: str | None) -> None:
    told = {} if wait is None else {"retry-after": wait}
    outcome: Reply | CallError
    try:
        outcome = decode(status, told, body, operation=operation)
    except CallError as failed:
        outcome = failed
    if isinstance(outcome, CallError):
        assert outcome.retry_after is None or outcome.retry_after >= 0
        return
    usage = outcome.usage
    assert outcome.confidence is None or 0 <= outcome.confidence <= 1
    assert (usage.cache_read_input_tokens or 0) <= (math.inf if usage.input_tokens is None else usage.input_tokens)
    assert (usage.reasoning_output_tokens or 0) <= (math.inf if usage.output_tokens is None else usage.output_tokens)
    orjson.dumps(outcome)
