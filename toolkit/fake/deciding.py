"""The decision: one call and the facts of the moment in, what is done about it out. Pure.

Faults are drawn by seed, model, hash of the body and how often that body came before, and by nothing else: a retry
draws anew, and the order in which calls arrive changes nothing. Outages and limits go by time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime

import orjson

from toolkit.errors import InvalidRequest
from toolkit.fake import acts, answers
from toolkit.fake.acts import Act, Payload
from toolkit.fake.asked import Asked
from toolkit.fake.chance import lognormal, uniforms
from toolkit.fake.kinds import KINDS
from toolkit.fake.limits import told_seconds
from toolkit.fake.profiles import Line
from toolkit.records import Usage

OUTAGE, LIMIT, WINDOW = "outage", "limit", "window"
"""What strikes by the state of things, not by the draw, as it is counted."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What else the decision goes by: the outage of this moment, the wait that a rate limit wants, the time."""

    now: datetime
    outage: str | None = None
    wait_seconds: float = 0.0
    script: Sequence[Line] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is done. `usage` and `cost_usd` are of answers, whole or spoiled; `right` is of typed ones."""

    act: Act
    fault: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    right: bool | None = None


def decide(asked: Asked, moment: Moment) -> Outcome:
    """What the model does about a call."""
    if moment.outage is not None:
        return Outcome(instead(moment.outage, asked, moment), OUTAGE)
    if moment.wait_seconds > 0:
        return Outcome(_limited(asked, moment.wait_seconds), LIMIT)
    profile = asked.profile
    line = next((each for each in moment.script if _matches(each, asked)), None)
    kind = drawn(asked)
    if line is not None and line.fault is not None:
        kind, line = line.fault if asked.suits(line.fault) else None, None
    if kind is not None and KINDS[kind].strikes in ("instead", "port"):
        return Outcome(instead(kind, asked, moment), kind)
    tokens = asked.input_tokens + (asked.request.max_output_tokens or 0)
    if profile.window is not None and tokens > profile.window:
        return Outcome(acts.said(400, asked.dialect.overflow(tokens, profile.window), model=profile.name), WINDOW)
    try:
        _capable(asked)
        said = answers.answer(asked, line, must_call=kind == "bad_arguments")
        if kind == "schema_violation":
            said = answers.off_schema(said, asked)
    except InvalidRequest as error:
        return Outcome(_refused("400", asked, words=str(error)))
    cost = None if profile.price is None else profile.price.cost(said.reply.usage)
    body = asked.dialect.whole(said.reply, asked, cost_usd=cost if profile.tells_cost else None)
    return Outcome(_answered(kind, body, asked), kind, said.reply.usage, cost, None if kind else said.right)


def drawn(asked: Asked) -> str | None:
    """The fault that the draw gives this try, if it suits the call."""
    if not asked.profile.faults:
        return None
    luck = _luck(asked)[0]
    for kind, rate in asked.profile.faults.items():
        if luck < rate:
            return kind if asked.suits(kind) else None
        luck -= rate
    return None


def instead(kind: str, asked: Asked, moment: Moment) -> Act:
    """What comes in place of an answer."""
    model, wait = asked.profile.name, _latency(asked)
    match kind:
        case "silent" | "connect_timeout":
            return Act(None, (), "hang", model)
        case "reset" | "refused" | "reset_on_accept":
            return Act(None, (), "reset", model)
        case "html_200" | "html_502":
            return acts.page(KINDS[kind].status or 200, wait=wait, model=model)
        case "error_200":
            return acts.said(200, asked.dialect.error("500", None, request_id=_id(asked)), wait=wait, model=model)
        case "overflow":
            window = asked.profile.window or asked.input_tokens // 2
            return acts.said(400, asked.dialect.overflow(asked.input_tokens, window), model=model)
        case "429":
            return _refused(kind, asked, retry_after=f"{asked.profile.retry_after_seconds:g}")
        case "429_date":
            after = moment.now + timedelta(seconds=asked.profile.retry_after_seconds + 1)
            return _refused("429", asked, retry_after=format_datetime(after.replace(microsecond=0), usegmt=True))
        case "429_silent":
            return _refused("429", asked)
        case _ if KINDS[kind].strikes in ("instead", "port"):
            return _refused(kind, asked, wait=wait if kind.startswith("5") else 0.0)
        case _:
            return _refused("503", asked, wait=wait)  # an outage of a kind that only spoils answers


def _limited(asked: Asked, wait: float) -> Act:
    """429 by a limit that was really reached. What is larger than the limit itself is told no time to wait."""
    if math.isinf(wait):
        words = f"Request too large: {asked.input_tokens} tokens, more than the limit of tokens per minute allows."
        return _refused("429", asked, words=words)
    told = told_seconds(wait)
    words = f"Rate limit reached for {asked.profile.name}. Please try again in {told:g}s."
    return _refused("429", asked, words=words, retry_after=f"{told:g}")


def _refused(
    kind: str, asked: Asked, *, words: str | None = None, retry_after: str | None = None, wait: float = 0.0
) -> Act:
    more = _headers(asked) + (b"" if retry_after is None else b"retry-after: %b\r\n" % retry_after.encode())
    content = asked.dialect.error(kind, words, request_id=_id(asked))
    status = asked.dialect.STATUSES.get(kind) or KINDS[kind].status or 400
    return acts.said(status, content, wait=wait, more=more, model=asked.profile.name)


def _capable(asked: Asked) -> None:
    """Raises InvalidRequest for what this model does not do."""
    profile, can = asked.profile, asked.profile.capabilities
    operation = asked.request.operation
    if ("embed" if operation == "embeddings" else operation) not in can:
        raise InvalidRequest(f"{profile.name} does not do {operation}.")
    if asked.request.tools and "tools" not in can:
        raise InvalidRequest(f"{profile.name} does not support tools.")
    if asked.has_schema_field and profile.structured == "refused":
        raise InvalidRequest(f"{profile.name} does not support structured outputs.")


def _answered(kind: str | None, body: dict[str, object], asked: Asked) -> Act:
    profile, dialect = asked.profile, asked.dialect
    if kind is not None and KINDS[kind].strikes == "answer":
        body = dialect.spoiled(kind, body)
    if asked.streams:
        events = dialect.events(body, asked)
        payload = Payload(events, True, _gap(asked, body, len(events)))
        first = profile.first_token_seconds
        wait = _latency(asked, profile.latency_seconds if first is None else first)
    else:
        payload, wait = Payload((orjson.dumps(body),)), _latency(asked)
    if kind is None or KINDS[kind].strikes == "answer":
        return acts.good(payload, wait=wait, more=_headers(asked), model=profile.name)
    if kind == "stream_error" and not asked.streams:
        return acts.said(200, dialect.error("500", None, request_id=_id(asked)), wait=wait, model=profile.name)
    event = dialect.error_event(_id(asked))
    return acts.spoiled(kind, payload, wait=wait, drip_seconds=profile.drip_seconds, error=event, model=profile.name)


# ------------------------------------------------------------------------------------------------------------- the draw
def _luck(asked: Asked) -> tuple[float, ...]:
    return uniforms(asked.seed, asked.profile.name, asked.hash, asked.number)


def _latency(asked: Asked, median: float | None = None) -> float:
    median = asked.profile.latency_seconds if median is None else median
    return median * lognormal(_luck(asked)[1], spread=asked.profile.latency_spread) if median else 0.0


def _gap(asked: Asked, body: dict[str, object], events: int) -> float:
    """Seconds between the events of a stream, so that its tokens come at the profile's speed."""
    speed, usage = asked.profile.tokens_per_second, body["usage"]
    if speed is None or not isinstance(usage, dict):
        return 0.0
    tokens: int = usage.get("completion_tokens") or usage.get("output_tokens") or 0
    return float(tokens / speed / max(1, events - 1))


def _matches(line: Line, asked: Asked) -> bool:
    return line.model in (None, asked.profile.name) and line.match.search(asked.request.text) is not None


def _id(asked: Asked) -> str:
    return f"req_{asked.id}"


def _headers(asked: Asked) -> bytes:
    """The call's id, as both dialects tell it."""
    told = _id(asked).encode()
    return b"x-request-id: %b\r\nrequest-id: %b\r\n" % (told, told)
