"""Fitting a prompt to the window of the model chosen. Pure: request and window in, request and what was dropped out.

Only `Data` is ever shortened; words of the workflow's author are not. The output's share of the window is reserved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.errors import ContextOverflow
from toolkit.messages import Data, Message
from toolkit.records import Request, canonical

BYTES_PER_TOKEN = 4
OUTPUT_SHARE_TOKENS = 256
GAP = "\n[… shortened to fit …]\n"


@dataclass(frozen=True, slots=True)
class Dropped:
    """How much of a section did not go out: bytes of UTF-8."""

    section: str
    bytes: int


class Fit:
    """Base of fitting strategies; a subclass is a frozen dataclass with one method."""

    def fit(self, request: Request, room_bytes: int) -> tuple[Request, tuple[Dropped, ...]]:
        """A request of at most `room_bytes` of text. Raises ContextOverflow where that cannot be."""
        raise NotImplementedError

    def least_bytes(self, request: Request) -> int:
        """The size below which this strategy cannot bring the request."""
        return window_bytes(request)


@dataclass(frozen=True)
class Keep(Fit):
    """Drop nothing: a prompt that is too long is an error, and routers leave out models it does not fit."""

    def fit(self, request: Request, room_bytes: int) -> tuple[Request, tuple[Dropped, ...]]:
        size = window_bytes(request)
        if size > room_bytes:
            raise ContextOverflow(
                f"the prompt has about {size // BYTES_PER_TOKEN:,} tokens, there is room for "
                f"{room_bytes // BYTES_PER_TOKEN:,}; declare fit=CutMiddle() on the step, or route to a larger window"
            )
        return request, ()


@dataclass(frozen=True)
class CutMiddle(Fit):
    """Cut the middle out of the longest sections until it fits; each keeps at least `least` bytes."""

    least: int = 400

    def __post_init__(self) -> None:
        if self.least < len(GAP.encode()):
            raise ValueError(f"CutMiddle: least must be {len(GAP.encode())} bytes or more, not {self.least}")

    def fit(self, request: Request, room_bytes: int) -> tuple[Request, tuple[Dropped, ...]]:
        excess = window_bytes(request) - room_bytes
        if excess <= 0:
            return request, ()
        if self.least_bytes(request) > room_bytes:
            raise ContextOverflow(
                f"even shortened, the prompt needs {self.least_bytes(request):,} bytes; {room_bytes:,} fit"
            )
        sizes = {(m, p): len(part.text.encode()) for m, p, part in _data(request)}
        ceiling = _ceiling(list(sizes.values()), excess)
        dropped = []
        messages = [list(message.parts) for message in request.messages]
        for (m, p), size in sizes.items():
            if size > ceiling:
                part = messages[m][p]
                assert isinstance(part, Data)
                shorter = _cut(part.text, ceiling)
                dropped.append(Dropped(part.name, size - len(shorter.encode())))
                messages[m][p] = replace(part, text=shorter)
        fitted = tuple(Message(old.role, tuple(new)) for old, new in zip(request.messages, messages, strict=True))
        return replace(request, messages=fitted), tuple(dropped)

    def least_bytes(self, request: Request) -> int:
        spare = sum(max(0, len(part.text.encode()) - self.least) for _, _, part in _data(request))
        return window_bytes(request) - spare


def text_bytes(request: Request) -> int:
    """Bytes of UTF-8 in all that a model is told, the output's schema included."""
    schema = len(canonical(request.output_schema)) if request.output_schema is not None else 0
    return len(request.text.encode()) + schema


def window_bytes(request: Request) -> int:
    """The bytes that one window must hold: all of a prompt, the longest of texts to embed."""
    if request.operation == "embeddings":
        return max((len(text.encode()) for text in request.inputs), default=0)
    return text_bytes(request)


def output_share_tokens(request: Request) -> int:
    """Tokens of a window that are kept for the answer."""
    return 0 if request.operation == "embeddings" else request.max_output_tokens or OUTPUT_SHARE_TOKENS


def room_bytes(window: int, request: Request) -> int:
    """Bytes of prompt that fit a window of tokens beside the output's share."""
    return max(0, window - output_share_tokens(request)) * BYTES_PER_TOKEN


def _data(request: Request) -> list[tuple[int, int, Data]]:
    return [
        (m, p, part)
        for m, message in enumerate(request.messages)
        for p, part in enumerate(message.parts)
        if isinstance(part, Data)
    ]


def _ceiling(sizes: list[int], excess: int) -> int:
    """The largest size such that cutting every larger section down to it saves `excess` bytes."""
    low, high = 0, max(sizes, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(max(0, size - middle) for size in sizes) >= excess:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, size: int) -> str:
    """The head and the tail of a text, `size` bytes at most with the mark between them."""
    keep = max(0, size - len(GAP.encode())) // 2
    raw = text.encode()
    return raw[:keep].decode("utf-8", "ignore") + GAP + raw[len(raw) - keep :].decode("utf-8", "ignore")
