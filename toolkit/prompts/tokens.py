"""How many tokens a prompt has: by a tokenizer where one is at hand, else estimated and corrected by what comes back.

    Counter (a tokenizer, or an Estimate) ── prompt_tokens(request, counter) ──▶ tokens

Pure. Tokenizers themselves are loaded in `toolkit.models.tokenizers`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from toolkit.messages import Data, Media, Part, Reasoning, Text, ToolCall, ToolResult
from toolkit.records import Request, canonical

MESSAGE_TOKENS = 4
"""What a message costs beside its words: its role, and the marks around it."""
IMAGE_TOKENS = 1_600
"""What an image costs at most, once a provider has made it as large as it takes images."""
DOCUMENT_BYTES_PER_TOKEN = 16
"""Attachments such as PDF, whose pages are read as text and seen as images."""
AUDIO_BYTES_PER_TOKEN = 1_000

LEAST_MARGIN = 0.02
MOST_MARGIN = 0.5
RATIOS = (0.25, 2.0)
"""The bounds of a correction: what reports beyond them say is not about tokens of text."""
LEAST_REPORT = 32
"""A report on fewer tokens than this says more of the overhead than of the words."""
LONGEST_MEMORY = 20

_TWO_BYTES, _THREE_BYTES, _FOUR_BYTES = bytes(range(0xC0, 0xE0)), bytes(range(0xE0, 0xF0)), bytes(range(0xF0, 0xF8))


class Counter(Protocol):
    """Counts tokens of a text. `margin` is the share by which it may be wrong: 0.1 is ten percent."""

    @property
    def margin(self) -> float: ...

    def text(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens by the kind of characters, times `ratio`, which follows what a provider reports of its prompts.

    `spread` is the standard deviation of that ratio over the reports, of which `seen` came in; twice that is the
    margin. The first reports weigh most, older ones fade: after twenty each new one weighs a twentieth.
    """

    ratio: float = 1.0
    spread: float = 0.05
    seen: int = 0

    @property
    def margin(self) -> float:
        return min(MOST_MARGIN, max(LEAST_MARGIN, 2 * self.spread))

    def text(self, text: str) -> int:
        return math.ceil(guess(text) * self.ratio)

    def after(self, guessed: int, reported: int) -> Estimate:
        """Corrected by one report: `guessed` is what `Estimate()` makes of the prompt that had `reported` tokens."""
        if guessed < LEAST_REPORT or reported < 1:
            return self
        lowest, highest = RATIOS
        weight = max(1 / (self.seen + 2), 1 / LONGEST_MEMORY)
        off = min(highest, max(lowest, reported / guessed)) - self.ratio
        spread = math.sqrt((1 - weight) * (self.spread**2 + weight * off**2))
        return Estimate(self.ratio + weight * off, spread, self.seen + 1)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes of UTF-8: as many tokens as a text can have at most, for no tokenizer makes two of one byte."""

    margin: float = 0.0

    def text(self, text: str) -> int:
        return len(text.encode("utf-8", "surrogatepass"))


ESTIMATE = Estimate()
BYTES = Bytes()


def guess(text: str) -> float:
    """Tokens of a text by its characters: four of ASCII to a token, two of other alphabets, one of Chinese, Japanese,
    Korean and the scripts of India, half an emoji."""
    if text.isascii():
        return len(text) / 4
    raw = text.encode("utf-8", "surrogatepass")
    two, three, four = (len(raw) - len(raw.translate(None, leads)) for leads in (_TWO_BYTES, _THREE_BYTES, _FOUR_BYTES))
    return (len(raw) - 2 * two - 3 * three - 4 * four) / 4 + two / 2 + three + 2 * four


def prompt_tokens(request: Request, counter: Counter) -> int:
    """Tokens of all that a model is told: words, data, calls of tools and results, tools, schema and attachments."""
    parts = [part for message in request.messages for part in message.parts]
    attached = sum(media_tokens(part) for part in parts if isinstance(part, Media))
    told = (*(text for part in parts for text in _texts(part)), *request.inputs, *_declared(request))
    return MESSAGE_TOKENS * len(request.messages) + attached + sum(map(counter.text, told))


def window_tokens(request: Request, counter: Counter) -> int:
    """The tokens that one window must hold: all of a prompt, the longest of texts to embed."""
    if request.operation == "embeddings":
        return max(map(counter.text, request.inputs), default=0)
    return prompt_tokens(request, counter)


def media_tokens(media: Media) -> int:
    """About what an attachment takes; its base64 is a third longer than itself."""
    if media.media_type.startswith("image/"):
        return IMAGE_TOKENS
    per_token = AUDIO_BYTES_PER_TOKEN if media.media_type.startswith("audio/") else DOCUMENT_BYTES_PER_TOKEN
    return math.ceil(len(media.data) * 3 / 4 / per_token)


def with_margin(tokens: int, counter: Counter) -> int:
    """As many tokens as these may turn out to be."""
    return math.ceil(tokens * (1 + counter.margin))


def _texts(part: Part) -> Iterator[str]:
    match part:
        case Text() | Reasoning() | ToolResult():
            yield part.text
        case Data():
            yield f"<{part.name}>\n\n</{part.name}>"
            yield part.text
        case ToolCall():
            yield part.name
            yield canonical(part.arguments).decode()


def _declared(request: Request) -> Iterator[str]:
    for tool in request.tools:
        yield canonical(tool).decode()
    if request.output_schema is not None:
        yield canonical(request.output_schema).decode()
