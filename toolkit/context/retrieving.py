"""`Retrieve`: of lists of passages, and of old turns, those stay that are most like the question."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from toolkit.context.exchanges import Exchange, exchanges, old_exchanges, outside_texts, with_text, without
from toolkit.context.fit import CannotFit, Fit, Fitted, Shortening
from toolkit.context.ranking import bm25, cosine
from toolkit.context.room import Room
from toolkit.messages import Data, Text
from toolkit.prompts.tokens import prompt_tokens
from toolkit.records import Dropped, Request

HOW = "least like the question"
LONGEST_EMBEDDED = 4_000
"""Characters of a passage that are embedded: its beginning says what it is about."""
MARK = "\n…\n"

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passage:
    """One of a section's passages; `value` is what stands in its list, or a paragraph."""

    place: Place
    index: int
    name: str
    value: Any

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else orjson.dumps(self.value).decode()

    def dropped(self) -> Dropped:
        return Dropped(f"{self.name}[{self.index}]", len(self.text.encode()), HOW)


Piece = Passage | Exchange


@dataclass(frozen=True)
class Retrieve(Fit):
    """Drop what is least like the question until it fits: passages of lists, and exchanges before the last.

    A list is a section of data that is a JSON array (a step's list of passages); of the sections named in `sections`
    the paragraphs count as passages too. Each keeps at least `keep`, and what stays, stays in its order. The question
    is the last turn without these sections, and the instruction where that leaves nothing. Likeness is BM25 over words,
    or, with `embedder`, the cosine of that model's vectors.
    """

    sections: tuple[str, ...] = ()
    keep: int = 1
    embedder: str | None = None

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"Retrieve: keep must be 1 or more, not {self.keep}")
        if isinstance(self.sections, str):
            raise TypeError(f"Retrieve: sections is a tuple of names; write sections=({self.sections!r},)")

    def shorten(self, request: Request, room: Room) -> Fitted | Shortening:
        lists = self._lists(request)
        pieces: list[Piece] = [passage for found in lists.values() for passage in found]
        pieces += old_exchanges(request.messages, 1)
        if not pieces:
            return Fitted(request)
        question, texts = _question(request, lists), [_text(piece) for piece in pieces]
        if self.embedder is None:
            return self._kept(request, room, pieces, bm25(question, texts))
        return self._by_vectors(request, room, pieces, [question, *texts])

    def smallest(self, request: Request) -> Request:
        """Each list with its shortest passages alone, whichever these will be."""
        lists = self._lists(request)
        gone: list[Piece] = list(old_exchanges(request.messages, 1))
        for found in lists.values():
            gone += sorted(found, key=lambda passage: len(passage.text))[self.keep :]
        return _without(request, gone, lists)

    def names(self) -> tuple[str, ...]:
        return () if self.embedder is None else (self.embedder,)

    def _by_vectors(self, request: Request, room: Room, pieces: list[Piece], texts: list[str]) -> Shortening:
        assert self.embedder is not None
        inputs = tuple(text[:LONGEST_EMBEDDED].strip() or "-" for text in texts)
        reply = yield self.embedder, Request(operation="embeddings", inputs=inputs)
        if len(reply.vectors) != len(inputs):
            raise CannotFit(f"{self.embedder} gave {len(reply.vectors)} vectors for {len(inputs)} texts")
        return self._kept(request, room, pieces, cosine(reply.vectors[0], reply.vectors[1:]))

    def _kept(self, request: Request, room: Room, pieces: list[Piece], scores: list[float]) -> Fitted:
        """Without the least like, as many as it takes; of two alike the later passage, or the older exchange, goes."""
        lists = self._lists(request)
        left = {place: len(found) for place, found in lists.items()}
        excess, gone = room.taken(request) - room.tokens, list[Piece]()
        shorter = request
        for _, _, piece in sorted(
            ((score, _late(piece), piece) for score, piece in zip(scores, pieces, strict=True)),
            key=lambda each: each[:2],
        ):
            if excess <= 0:
                shorter = _without(request, gone, lists)
                excess = room.taken(shorter) - room.tokens
                if excess <= 0:
                    break
            if isinstance(piece, Passage):
                if left[piece.place] <= self.keep:
                    continue
                left[piece.place] -= 1
            gone.append(piece)
            excess -= _tokens(piece, room)
        shorter = _without(request, gone, lists)
        chosen = set(map(id, gone))
        ordered = [piece for piece in pieces if id(piece) in chosen]
        return Fitted(shorter, tuple(p.dropped() if isinstance(p, Passage) else p.dropped(HOW) for p in ordered))

    def _lists(self, request: Request) -> dict[Place, list[Passage]]:
        """The sections that are made of passages, of which some may go."""
        found = {}
        for place, part in outside_texts(request).items():
            if not isinstance(part, Data) or (self.sections and part.name not in self.sections):
                continue
            values = _listed(part.text)
            if values is None and part.name in self.sections:
                values = [paragraph for paragraph in part.text.split("\n\n") if paragraph.strip()]
            if values is not None and len(values) > self.keep:
                found[place] = [Passage(place, index, part.name, value) for index, value in enumerate(values)]
        return found


def _listed(text: str) -> list[Any] | None:
    """The values of a JSON array, None for any other text."""
    if not text.lstrip().startswith("["):
        return None
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return values if isinstance(values, list) else None


def _question(request: Request, lists: Collection[Place]) -> str:
    """The words of the last turn that are not themselves to be thinned out; else the instruction's."""
    told: dict[bool, list[str]] = {True: [], False: []}
    last = {place for exchange in exchanges(request.messages)[-1:] for place in exchange.places}
    for place, message in enumerate(request.messages):
        for inner, part in enumerate(message.parts):
            if isinstance(part, Text | Data) and (place, inner) not in lists:
                told[place in last].append(part.text)
    return "\n".join(told[True] or told[False])


def _text(piece: Piece) -> str:
    return piece.text if isinstance(piece, Passage) else piece.transcript


def _late(piece: Piece) -> int:
    return -piece.index if isinstance(piece, Passage) else piece.places[0]


def _tokens(piece: Piece, room: Room) -> int:
    if isinstance(piece, Exchange):
        return prompt_tokens(Request(piece.messages), room.counter)
    return room.counter.text(piece.text)


def _without(request: Request, gone: Sequence[Piece], lists: dict[Place, list[Passage]]) -> Request:
    """The request without these; a list stays a list, and paragraphs have a mark where one is gone."""
    missing = {(piece.place, piece.index) for piece in gone if isinstance(piece, Passage)}
    shorter = request
    for place, found in lists.items():
        kept = [passage for passage in found if (place, passage.index) not in missing]
        if len(kept) < len(found):
            shorter = with_text(shorter, place, _written(kept, request.messages[place[0]].parts[place[1]]))
    return without(shorter, [piece for piece in gone if isinstance(piece, Exchange)])


def _written(kept: Sequence[Passage], part: Any) -> str:
    if _listed(part.text) is not None:
        return orjson.dumps([passage.value for passage in kept], option=orjson.OPT_INDENT_2).decode()
    found: list[str] = []
    before = -1
    for passage in kept:
        found.append(("" if not found else MARK if passage.index > before + 1 else "\n\n") + passage.text)
        before = passage.index
    return "".join(found)
