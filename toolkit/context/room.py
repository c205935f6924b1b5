"""The room that a prompt has in a window: what is left of it beside the output's share, in tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.prompts.tokens import BYTES, Counter, window_tokens
from toolkit.records import Request, canonical

BYTES_PER_TOKEN = 4
OUTPUT_SHARE_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Room:
    """So many `tokens`, as `counter` counts them."""

    tokens: int
    counter: Counter

    @classmethod
    def of(cls, window: int, share: int, counter: Counter, *, shrink: float = 1.0) -> Room:
        """A window without the output's share, and without the margin by which the counter may be wrong.

        `shrink` makes it smaller still: 0.75 leaves three quarters.
        """
        return cls(int(max(0, window - share) * shrink / (1 + counter.margin)), counter)

    def taken(self, request: Request) -> int:
        """Tokens of it that a request takes."""
        return window_tokens(request, self.counter)

    def holds(self, request: Request) -> bool:
        """Whether a request fits; nothing is counted that would fit at a token a byte."""
        return window_tokens(request, BYTES) <= self.tokens or self.taken(request) <= self.tokens

    def less(self, tokens: int) -> Room:
        """The room beside something else."""
        return replace(self, tokens=max(0, self.tokens - tokens))


def output_share_tokens(request: Request) -> int:
    """Tokens of a window that are kept for the answer."""
    return 0 if request.operation == "embeddings" else request.max_output_tokens or OUTPUT_SHARE_TOKENS


def text_bytes(request: Request) -> int:
    """Bytes of UTF-8 in all that a model is told in words, the output's schema included."""
    schema = len(canonical(request.output_schema)) if request.output_schema is not None else 0
    return len(request.text.encode()) + schema
