"""The faults that can be asked for, by name: where each strikes, and what a client sees of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Strikes = Literal["port", "instead", "answer", "bytes"]
"""`port`: the connection is never made. `instead`: something else comes in place of an answer. `answer`: the answer is
of the dialect, but not what was wanted. `bytes`: the answer is spoiled on its way."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault. `status` is the response's, None where there is none; `wants` is what a call must have for it."""

    strikes: Strikes
    what: str
    status: int | None = 200
    wants: Literal["any", "chat", "schema", "tools"] = "any"


KINDS: Mapping[str, Kind] = {
    "400": Kind("instead", "invalid request", 400),
    "401": Kind("instead", "wrong key", 401),
    "403": Kind("instead", "no permission", 403),
    "404": Kind("instead", "no such model", 404),
    "408": Kind("instead", "the provider gave up waiting for the request", 408),
    "409": Kind("instead", "conflict", 409),
    "413": Kind("instead", "request too large", 413),
    "422": Kind("instead", "request not understood", 422),
    "429": Kind("instead", "rate limit, with Retry-After in seconds", 429),
    "429_date": Kind("instead", "rate limit, with Retry-After as an HTTP date", 429),
    "429_silent": Kind("instead", "rate limit, without Retry-After", 429),
    "quota": Kind("instead", "the account's money is spent (Anthropic: 402)", 429),
    "500": Kind("instead", "internal error", 500),
    "502": Kind("instead", "bad gateway", 502),
    "503": Kind("instead", "overloaded", 503),
    "504": Kind("instead", "gateway time-out", 504),
    "529": Kind("instead", "overloaded, as Anthropic says it", 529),
    "overflow": Kind("instead", "400: the prompt is too long for the window, in the dialect's own words", 400),
    "filtered_400": Kind("instead", "400: a content filter refused the prompt", 400),
    "html_502": Kind("instead", "a proxy's HTML page under 502", 502),
    "html_200": Kind("instead", "an HTML page under 200", 200),
    "error_200": Kind("instead", "an error's body under 200", 200),
    "silent": Kind("instead", "read time-out: the request is taken and never answered", None),
    "reset": Kind("instead", "the connection is reset when the request has been read", None),
    "refused": Kind("port", "the request is reset, and the model's port is shut for `shut_seconds`", None),
    "connect_timeout": Kind("port", "the request is not answered, and the port takes no connection meanwhile", None),
    "reset_on_accept": Kind("port", "connections are reset as soon as they are made, by the connection's number", None),
    "content_filter": Kind("answer", "a filter withholds the answer (Anthropic: stop reason refusal)", wants="chat"),
    "refusal": Kind("answer", "the model refuses (OpenAI: message.refusal)", wants="chat"),
    "length": Kind("answer", "the answer is cut at the output limit", wants="chat"),
    "empty_choices": Kind("answer", "no choices (Anthropic: no content; embeddings: no data)"),
    "empty_content": Kind("answer", "an answer of no words", wants="chat"),
    "schema_violation": Kind("answer", "JSON that does not satisfy the schema", wants="schema"),
    "bad_arguments": Kind("answer", "a tool is called with arguments that are no JSON object", wants="tools"),
    "cut_stream": Kind("bytes", "the connection ends in the middle of the answer"),
    "stream_error": Kind("bytes", "an error event in the middle of a stream (unstreamed: error_200)", wants="chat"),
    "truncated_json": Kind("bytes", "half of the JSON, as if that were all"),
    "invalid_json": Kind("bytes", "what looks like JSON and is none"),
    "invalid_utf8": Kind("bytes", "bytes that are no UTF-8"),
    "broken_gzip": Kind("bytes", "compressed, and damaged"),
    "long_length": Kind("bytes", "a content-length larger than the body, then the end"),
    "short_length": Kind("bytes", "a content-length smaller than the body"),
    "drip": Kind("bytes", "the answer, a byte every `drip_seconds`"),
    "endless": Kind("bytes", "a body without end"),
    "huge": Kind("bytes", "a body of 1 GiB"),
}
PORT_KINDS = tuple(name for name, kind in KINDS.items() if kind.strikes == "port")
