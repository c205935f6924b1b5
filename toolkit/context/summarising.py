"""`Summarise`: a cheap model says in short what must go."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from toolkit.context.exchanges import Exchange, old_exchanges, outside_texts, part_bytes, with_text, without
from toolkit.context.fit import CannotFit, Fit, Fitted, Shortening
from toolkit.context.room import Room
from toolkit.messages import Data, Message, Text
from toolkit.prompts.tokens import Counter, prompt_tokens
from toolkit.records import Dropped, Reply, Request

EARLIER = "summary_of_earlier_turns"
"""The section that stands for the turns that are gone, before the first that is left."""
INSTRUCTION = (
    "Summarise the text between the marks in at most {words} words, in its own language. Keep names, numbers, dates, "
    "decisions, and what is still open. Write the summary alone."
)
TOKENS_PER_WORD = 1.5

_Asking = Generator[tuple[str, Request], Reply, str]


@dataclass(frozen=True)
class Summarise(Fit):
    """Let `model` summarise what does not fit, `tokens` at most for each piece of up to `piece_bytes`.

    Oldest exchanges first, but for the last `keep`; then the longest data and results of tools. Pieces are whole
    exchanges, closed as soon as they are that long, so that a growing conversation is cut in the same places each turn:
    a piece that is closed has the same summary for good, out of the record. Joined with others it says what to do where
    summaries are too long as well: `Summarise("small") | CutMiddle()`.
    """

    model: str
    tokens: int = 200
    piece_bytes: int = 4_000
    keep: int = 1

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.keep < 1 or self.piece_bytes < 4 * self.tokens:
            raise ValueError(
                f"Summarise: tokens and keep are 1 or more and piece_bytes at least 4 × tokens, not "
                f"tokens={self.tokens}, keep={self.keep}, piece_bytes={self.piece_bytes}"
            )

    def shorten(self, request: Request, room: Room) -> Shortening:
        fitted = yield from self._turns(request, room)
        for part in sorted(outside_texts(request).values(), key=part_bytes, reverse=True):
            if room.holds(fitted.request):
                break
            found = next((now for now, other in outside_texts(fitted.request).items() if other is part), None)
            if found is None or room.counter.text(part.text) <= self._bound(part.text):
                continue
            summary = yield from self._summary(part.text)
            shorter = with_text(fitted.request, found, summary)
            fitted = fitted.then(Fitted(shorter, (Dropped(part.name, part_bytes(part), self._how),)))
        return fitted

    def smallest(self, request: Request) -> Request:
        """With a stand-in of full length for each summary."""
        filler = "word" * self.tokens
        gone = [exchange for piece in self._pieces(request) for exchange in piece]
        smaller = _with_earlier(without(request, gone), [filler] * len(self._pieces(request)))
        for place, part in outside_texts(smaller).items():
            if part_bytes(part) > self._bound(part.text) * 4 and part.name != EARLIER:
                smaller = with_text(smaller, place, filler * len(self._split(part.text)))
        return smaller

    def names(self) -> tuple[str, ...]:
        return (self.model,)

    @property
    def _how(self) -> str:
        return f"summarised by {self.model}"

    def _turns(self, request: Request, room: Room) -> Shortening:
        """The request with its oldest pieces as summaries, as many as it takes."""
        excess = room.taken(request) - room.tokens
        gone: list[Exchange] = []
        summaries: list[str] = []
        for piece in self._pieces(request):
            if excess <= 0:
                break
            transcript = _transcript(piece)
            saved = _tokens(piece, room.counter) - self._bound(transcript)
            if saved <= 0:
                continue
            summaries.append((yield from self._summary(transcript)))
            gone += piece
            excess -= saved
        shorter = _with_earlier(without(request, gone), summaries)
        return Fitted(shorter, tuple(exchange.dropped(self._how) for exchange in gone))

    def _pieces(self, request: Request) -> list[list[Exchange]]:
        """The old exchanges by pieces, from the oldest on: a prefix of a conversation is always cut alike."""
        pieces: list[list[Exchange]] = [[]]
        for exchange in old_exchanges(request.messages, self.keep):
            if len(_transcript(pieces[-1]).encode()) >= self.piece_bytes:
                pieces.append([])
            pieces[-1].append(exchange)
        return [piece for piece in pieces if piece]

    def _summary(self, text: str) -> _Asking:
        """The summaries of a text's pieces, one after the other. Raises CannotFit where one is empty."""
        told = []
        for piece in self._split(text):
            reply = yield self.model, self.request(piece)
            if not reply.text.strip():
                raise CannotFit(f"{self.model} gave an empty summary")
            told.append(reply.text.strip())
        return "\n".join(told)

    def request(self, text: str) -> Request:
        """The request for the summary of one piece: the same for the same text, whoever asks."""
        words = max(1, round(self.tokens / TOKENS_PER_WORD))
        instruction = Message("system", (Text(INSTRUCTION.format(words=words)),))
        return Request((instruction, Message("user", (Data("text", text),))), max_output_tokens=self.tokens)

    def _bound(self, text: str) -> int:
        return self.tokens * len(self._split(text))

    def _split(self, text: str) -> list[str]:
        return split(text, 2 * self.piece_bytes)


def split(text: str, longest: int) -> list[str]:
    """A text in pieces of `longest` bytes at most, parted where a paragraph, a line or else a word ends."""
    pieces = []
    while len(text.encode()) > longest:
        head = text.encode()[:longest].decode("utf-8", "ignore")
        ends = (
            head.rfind(mark, len(head) // 2) + len(mark)
            for mark in ("\n\n", "\n", " ")
            if mark in head[len(head) // 2 :]
        )
        end = next(ends, len(head))
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text]


def _with_earlier(request: Request, summaries: Sequence[str]) -> Request:
    """The request with summaries as data at the head of its first turn."""
    if not summaries:
        return request
    earlier = Data(EARLIER, "\n\n".join(summaries), source="summary")
    messages = list(request.messages)
    first = next((place for place, message in enumerate(messages) if message.role != "system"), len(messages))
    if first < len(messages) and messages[first].role == "user":
        messages[first] = replace(messages[first], parts=(earlier, *messages[first].parts))
    else:
        messages.insert(first, Message("user", (earlier,)))
    return replace(request, messages=tuple(messages))


def _transcript(piece: Sequence[Exchange]) -> str:
    return "\n\n".join(exchange.transcript for exchange in piece)


def _tokens(piece: Sequence[Exchange], counter: Counter) -> int:
    return prompt_tokens(Request(tuple(m for exchange in piece for m in exchange.messages)), counter)
