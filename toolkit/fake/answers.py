"""What a fake model says: one call in, a reply out, the same for the same seed, model and body. Pure.

Free text echoes the request. A typed answer is a value of its schema: the right one is the script's, else it depends on
seed, question and schema alone, so that all models agree on it; with the probability that `quality` leaves, a model
says another. What tools gave comes up in the answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from toolkit.errors import InvalidRequest
from toolkit.fake.asked import Asked, tokens_in
from toolkit.fake.chance import dice, uniforms
from toolkit.fake.profiles import Line
from toolkit.fake.schemas import satisfying, violating
from toolkit.fake.values import Unsatisfiable
from toolkit.messages import Part, Text, ToolCall
from toolkit.records import Json, Reply, Usage, canonical

EXCERPT_CHARACTERS = 120
BYTES_READ = 4_000
OTHER_TRIES = 12
LARGEST_VECTOR = 4096


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, and whether its typed answer is the right one (None: there is nothing to be right about)."""

    reply: Reply
    right: bool | None = None


def answer(asked: Asked, line: Line | None = None, *, must_call: bool = False) -> Said:
    """What the model says; `line` is that of the script, if one matched. Raises InvalidRequest where it cannot."""
    if asked.request.operation == "embeddings":
        vectors = tuple(vector(asked, text) for text in asked.request.inputs)
        entered = sum(max(1, tokens_in(text)) for text in asked.request.inputs)
        return Said(Reply(vectors=vectors, usage=Usage(entered, 0), response_model=asked.profile.name))
    if line is None and (must_call or calls_tool(asked)):
        calls = tuple(_call(asked, number) for number in range(asked.profile.calls_at_once))
        return Said(_reply(asked, calls, reason="tool_calls"))
    schema = asked.schema
    if schema is None:
        text = _scripted(line.answer) if line is not None else free_text(asked)
        return Said(_cut(asked, text, confidence=0.5 + uniforms(asked.seed, asked.profile.name, asked.hash)[1] / 2))
    value, right = typed(asked, schema, line)
    luck = uniforms(asked.seed, asked.profile.name, asked.hash)[1]
    text = value if isinstance(value, str) and line is not None else orjson.dumps(value).decode()
    return Said(_cut(asked, text, confidence=0.6 + 0.4 * luck if right else 0.3 + 0.5 * luck), right)


def off_schema(said: Said, asked: Asked) -> Said:
    """The same, but with a value that does not satisfy the schema."""
    try:
        value = orjson.loads(said.reply.text)
    except orjson.JSONDecodeError:
        value = None
    wrong = orjson.dumps(violating(asked.schema, value)).decode()
    return Said(replace(said.reply, parts=(Text(wrong),), finish_reasons=("stop",)), False)


def typed(asked: Asked, schema: Any, line: Line | None) -> tuple[Json, bool]:
    """A value of the schema, and whether it is the right one."""
    question = (asked.seed, asked.topic, _open(canonical(schema)))
    words = _words(asked.topic)
    try:
        right = line.answer if line is not None else satisfying(schema, dice=dice("right", *question), words=words)
        if uniforms("quality", asked.profile.name, *question)[0] < asked.profile.quality:
            return right, True
        chance = dice("wrong", asked.profile.name, *question)
        others = (satisfying(schema, dice=chance, words=words) for _ in range(OTHER_TRIES))
        other = next((value for value in others if value != right), right)
    except Unsatisfiable as error:
        raise InvalidRequest(f"Invalid schema for response_format: {error}") from error
    return other, other == right


def calls_tool(asked: Asked) -> bool:
    """Whether the model calls a tool now."""
    if not asked.tools:
        return False
    if asked.must_call:
        return True
    match asked.profile.tools:
        case "always":
            return True
        case "first-turn":
            return not asked.results
        case "sometimes":
            return not asked.results and uniforms("tool", asked.seed, asked.profile.name, asked.hash)[0] < 0.5
        case _:
            return False


def free_text(asked: Asked) -> str:
    """Words of the request, or what the tools gave; as long as the profile says."""
    name = asked.profile.name
    if asked.results:
        gave = "; ".join(_excerpt(result.text) for result in asked.results[-3:])
        opening = f"{name}, told by the tool: {gave}"
    else:
        opening = f"{name} answers: {_excerpt(asked.question) or 'nothing was asked'}"
    missing = asked.profile.answer_tokens - tokens_in(opening)
    if missing <= 0:
        return opening
    words = _words(asked.question)
    round_of_words = " ".join(words)
    times = math.ceil(missing * 4 / (len(round_of_words.encode()) + 1))
    return f"{opening} {' '.join([round_of_words] * times)}".encode()[: asked.profile.answer_tokens * 4].decode(
        errors="ignore"
    )


def vector(asked: Asked, text: str) -> tuple[float, ...]:
    """A unit vector: the sum of those of its words, so that texts with words in common lie close together."""
    wanted = asked.body.get("dimensions")
    size = wanted if isinstance(wanted, int) and 0 < wanted <= LARGEST_VECTOR else asked.profile.dimensions
    added = [0.0] * size
    for word in text[:BYTES_READ].casefold().split() or [text]:
        added = [a + b for a, b in zip(added, _direction(asked.seed, asked.profile.name, word, size), strict=True)]
    length = math.hypot(*added) or 1.0
    return tuple(number / length for number in added)


@lru_cache(maxsize=20_000)
def _direction(seed: int, model: str, word: str, size: int) -> tuple[float, ...]:
    chance = dice("word", seed, model, word)
    return tuple(chance.gauss(0.0, 1.0) for _ in range(size))


# -------------------------------------------------------------------------------------------------------------- replies
@lru_cache(maxsize=1024)
def _open(schema: bytes) -> bytes:
    """The schema without the closing of its objects, which some clients add and others do not."""
    return canonical(_opened(orjson.loads(schema)))


def _opened(schema: Json) -> Json:
    if isinstance(schema, dict):
        return {k: _opened(v) for k, v in schema.items() if not (k == "additionalProperties" and v is False)}
    return [_opened(item) for item in schema] if isinstance(schema, list) else schema


def _cut(asked: Asked, text: str, *, confidence: float) -> Reply:
    """The text as a reply, cut where the caller set a limit."""
    limit, reason = asked.request.max_output_tokens, "stop"
    if limit is not None and tokens_in(text) > limit:
        text, reason = text.encode()[: limit * 4].decode(errors="ignore"), "length"
    return _reply(asked, (Text(text),), reason=reason, confidence=confidence)


def _call(asked: Asked, number: int) -> ToolCall:
    """Another call of the reply; the first is the same, however many follow."""
    which = (number,) if number else ()
    chance = dice("call", asked.seed, asked.profile.name, asked.hash, *which)
    tool = chance.choice(asked.tools)
    schema = {"type": "object", **tool.parameters}
    try:
        arguments = satisfying(schema, dice=chance, words=_words(asked.question))
    except Unsatisfiable as error:
        raise InvalidRequest(f"Invalid schema for function {tool.name!r}: {error}") from error
    return ToolCall(
        "_".join(map(str, ("call", asked.id, *which))), tool.name, arguments if isinstance(arguments, dict) else {}
    )


def _reply(asked: Asked, parts: tuple[Part, ...], *, reason: str, confidence: float | None = None) -> Reply:
    profile = asked.profile
    written = "".join(
        part.text if isinstance(part, Text) else orjson.dumps(part.arguments).decode()
        for part in parts
        if isinstance(part, Text | ToolCall)
    )
    entered = asked.input_tokens
    return Reply(
        parts=parts,
        usage=Usage(
            input_tokens=entered,
            output_tokens=tokens_in(written) + profile.reasoning_tokens,
            cache_read_input_tokens=int(entered * profile.cached_share) if profile.cached_share else None,
            reasoning_output_tokens=profile.reasoning_tokens or None,
        ),
        finish_reasons=(reason,),
        response_model=profile.name,
        confidence=confidence,
    )


def _scripted(told: Json) -> str:
    return told if isinstance(told, str) else orjson.dumps(told).decode()


def _excerpt(text: str) -> str:
    words = " ".join(text[: 4 * EXCERPT_CHARACTERS].split())
    return words if len(words) <= EXCERPT_CHARACTERS else words[:EXCERPT_CHARACTERS].rpartition(" ")[0] + " …"


def _words(text: str) -> Sequence[str]:
    return text[:BYTES_READ].split()[:200] or ("nothing",)
