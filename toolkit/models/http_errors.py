"""What an HTTP error stands for: status, headers and body in, a CallError with the provider's own words out. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import orjson

from toolkit.errors import (
    AccessDenied,
    CallError,
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.records import Json, now

OVERFLOW_SIGNS = (
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "too many tokens",
    "prompt is too long",
    "available context size",
)
FILTER_SIGNS = ("content_filter", "content management policy", "content_policy_violation", "content filtering policy")
ERROR_OF_STATUS: Mapping[int, type[CallError]] = {
    401: AccessDenied,
    402: AccessDenied,
    403: AccessDenied,
    408: TimedOut,
    409: Unavailable,
    413: ContextOverflow,
    429: RateLimited,
    503: Overloaded,
    504: TimedOut,
    529: Overloaded,
}
STATUS_OF_WORD: Mapping[str, int] = {
    "rate_limit": 429,
    "overloaded": 529,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "not_found_error": 404,
    "request_too_large": 413,
    "timeout_error": 504,
}
"""What an error that comes without a status of its own, say in the middle of a stream, stands for."""


def refused(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise the CallError that a status stands for, where it is none of success."""
    if status >= 400:
        raise error_of(status, headers, body)
    if status >= 300:
        raise InvalidRequest(
            f"HTTP {status}: moved to {headers.get('location')}; set the model's endpoint to what is meant"
        )


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> CallError:
    """The class of an HTTP error, with the provider's own words and its Retry-After."""
    words = _error_words(body)
    message = f"HTTP {status}: {words}"
    lowered = words.lower()
    if status in (400, 413, 422, 500) and any(sign in lowered for sign in OVERFLOW_SIGNS):
        return ContextOverflow(message)
    if status == 400 and any(sign in lowered for sign in FILTER_SIGNS):
        return ContentFiltered(message)
    if status == 429 and "insufficient_quota" in lowered:
        return AccessDenied(message)
    kind = ERROR_OF_STATUS.get(status, Unavailable if status >= 500 else InvalidRequest)
    return kind(message, retry_after=retry_after(headers) if kind.transient else None)


def status_in(error: Json) -> int:
    """The status that an error under HTTP 200 stands for, by its code, number or word."""
    code = error.get("code") or error.get("type") if isinstance(error, dict) else error
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    if isinstance(code, int):
        return code if 400 <= code < 600 else 500
    words = _words(error, "code", "type", "message").lower()
    if (known := next((status for sign, status in STATUS_OF_WORD.items() if sign in words), None)) is not None:
        return known
    return 400 if any(sign in words for sign in (*OVERFLOW_SIGNS, *FILTER_SIGNS, "invalid_request")) else 500


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: by retry-after-ms, or by Retry-After, a number or a date (RFC 9110, 10.2.3).

    None where absent or odd. LiteLLM's proxy passes its provider's word on under a name of its own.
    """
    exact = _seconds(headers.get("retry-after-ms", ""))
    if exact is not None:
        return exact / 1000
    value = headers.get("retry-after") or headers.get("llm_provider-retry-after")
    if value is None:
        return None
    seconds = _seconds(value)
    return _seconds_until(value) if seconds is None else seconds


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _seconds_until(date: str) -> float | None:
    """0 for a date that has passed."""
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(date) - now()).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _error_words(body: bytes) -> str:
    """What the provider says: code and message where they are told, else the start of the body."""
    start = body[:200].decode("utf-8", "replace") or "no body"
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        return start
    error = error.get("error", error) if isinstance(error, dict) else error
    return _words(error, "code", "message", "detail") or start


def _words(error: Json, *names: str) -> str:
    told = [error.get(name) for name in names] if isinstance(error, dict) else [error]
    return " ".join(str(word) for word in told if word and isinstance(word, str | int))[:500]
