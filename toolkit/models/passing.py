"""From the neutral form to a model's own: what its format cannot say is taken out, and each loss has its name. Pure.

In: a request, and the spec of who is to be told. Out: the request that `encode` can say in full, and what it lost, as
`Dropped(…, how="format")`. Nothing is lost on the way to a model that is handed the neutral form itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from toolkit.context import Fitted
from toolkit.context.exchanges import part_bytes
from toolkit.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from toolkit.models.spec import ModelSpec
from toolkit.records import Dropped, Request

FORMAT = "format"
SEES = "vision"
"""The capability of models that are shown attachments."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a format can say of what messages may hold; what it says without a loss is not listed.

    `reasoning`: sealed reasoning goes back to where it came from; `errors`: a tool's result may be marked as an error;
    `seed`: a seed may be set; `order`: system messages stay where they are, and neighbours of one role stay apart.
    """

    media: tuple[str, ...] = ()
    reasoning: bool = False
    errors: bool = False
    seed: bool = False
    order: bool = True


DIALECTS = {
    "openai": Dialect(media=("image/", "application/pdf", "audio/wav", "audio/mp3", "audio/mpeg"), seed=True),
    "anthropic": Dialect(
        media=("image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"),
        reasoning=True,
        errors=True,
        order=False,
    ),
    "embedded": Dialect(errors=True, seed=True),
    "recorded": Dialect(errors=True, seed=True),
}
"""By provider. Functions and providers of other packages are handed the request as it is."""


def passed(request: Request, spec: ModelSpec) -> Fitted:
    """The request as this model's format can say it; the very same where nothing is lost but order."""
    dialect = DIALECTS.get(spec.provider)
    if dialect is None or request.operation == "embeddings":
        return Fitted(request)
    lost: list[Dropped] = []
    messages = tuple(_message(at, message, dialect, spec, lost) for at, message in enumerate(request.messages))
    changed = any(new is not old for new, old in zip(messages, request.messages, strict=True))
    if changed:
        request = replace(request, messages=tuple(message for message in messages if message.parts))
    if request.seed is not None and not dialect.seed:
        lost.append(Dropped("seed", 0, FORMAT))
        request = replace(request, seed=None)
    if not dialect.order:
        lost += _reordered(request.messages)
    return Fitted(request, tuple(lost))


def _message(at: int, message: Message, dialect: Dialect, spec: ModelSpec, lost: list[Dropped]) -> Message:
    if all(type(part) is not Reasoning and type(part) not in _RARE for part in message.parts):
        return message
    parts = []
    for part in message.parts:
        told, name = _told(part, message, dialect, spec)
        if told is not None:
            parts.append(told)
        if name:
            size = 0 if isinstance(told, ToolResult) else part_bytes(part)
            lost.append(Dropped(f"messages[{at}]: {name}", size, FORMAT))
    return (
        message
        if all(map(_is, parts, message.parts)) and len(parts) == len(message.parts)
        else replace(message, parts=tuple(parts))
    )


_RARE = (Media, ToolCall, ToolResult)


def _is(new: Part, old: Part) -> bool:
    return new is old


def _told(part: Part, message: Message, dialect: Dialect, spec: ModelSpec) -> tuple[Part | None, str]:
    """The part as it can be said, None where it cannot; and the name of what is lost by it."""
    match part:
        case Reasoning() if not dialect.reasoning or part.signature is None or message.role != "assistant":
            return None, "reasoning" if part.signature is None else "reasoning with its signature"
        case Media():
            return _shown(part, message, dialect, spec)
        case ToolCall() if message.role != "assistant":
            return None, f"call of {part.name} by the {message.role}"
        case ToolResult() if message.role not in ("user", "tool"):
            return None, f"result of {part.name} told by the {message.role}"
        case ToolResult(is_error=True) if not dialect.errors:
            return replace(part, is_error=False), f"that the result of {part.name} is an error"
    return part, ""


def _shown(media: Media, message: Message, dialect: Dialect, spec: ModelSpec) -> tuple[Part | None, str]:
    """An attachment, or the words that stand for one that is not shown."""
    kind = media.media_type
    if message.role in ("user", "tool") and kind.startswith(dialect.media or "\0") and {SEES, "*"} & spec.capabilities:
        return media, ""
    return Text(f"[an attachment of type {kind}, which cannot be shown here]"), kind


def _reordered(messages: tuple[Message, ...]) -> Iterator[Dropped]:
    """System messages that go to the front, and messages that go out as one with the one before them."""
    before: Message | None = None
    for at, message in enumerate(messages):
        if message.role == "system":
            if before is not None:
                yield Dropped(f"messages[{at}]: its place; it goes to the front", 0, FORMAT)
            continue
        if before is not None and before.role == message.role and message.role != "tool":
            yield Dropped(f"messages[{at}]: its beginning; it is joined to the one before", 0, FORMAT)
        before = message
