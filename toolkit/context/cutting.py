"""`CutMiddle`: the longest texts from outside lose their middle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.context.exchanges import outside_texts, part_bytes, with_text
from toolkit.context.fit import Fit, Fitted
from toolkit.context.room import Room
from toolkit.records import Dropped, Request

GAP = "\n[… shortened to fit …]\n"
CUTS = 12
"""How often a cut is measured and made deeper before everything is cut to its least."""

Places = Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class CutMiddle(Fit):
    """Cut the middle out of the longest data and results of tools until it fits; each keeps at least `least` bytes.

    Head and tail stay, as that is where documents and mails say what they are about and what they want.
    """

    least: int = 400

    def __post_init__(self) -> None:
        if self.least < len(GAP.encode()):
            raise ValueError(f"CutMiddle: least must be {len(GAP.encode())} or more, not {self.least}")

    def shorten(self, request: Request, room: Room) -> Fitted:
        parts = outside_texts(request)
        sizes = {place: part_bytes(part) for place, part in parts.items()}
        weights = {place: room.counter.text(part.text) / max(1, sizes[place]) for place, part in parts.items()}
        excess = room.taken(request) - room.tokens
        for _ in range(CUTS):
            cut = _cut_all(request, sizes, max(self.least, _ceiling(sizes, weights, excess)))
            over = room.taken(cut) - room.tokens
            if over <= 0:
                return Fitted(cut, _dropped(request, cut))
            excess += over + 1  # a text is denser at its ends than in the middle that went
        smallest = self.smallest(request)
        return Fitted(smallest, _dropped(request, smallest))

    def smallest(self, request: Request) -> Request:
        sizes = {place: part_bytes(part) for place, part in outside_texts(request).items()}
        return _cut_all(request, sizes, self.least)


def _ceiling(sizes: Places, weights: Mapping[tuple[int, int], float], excess: int) -> int:
    """The largest size in bytes such that cutting every larger text down to it saves `excess` tokens."""
    low, high = 0, max(sizes.values(), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(max(0, size - middle) * weights[place] for place, size in sizes.items()) >= excess:
            low = middle
        else:
            high = middle - 1
    return low


def _cut_all(request: Request, sizes: Places, ceiling: int) -> Request:
    parts = outside_texts(request)
    for place, size in sizes.items():
        if size > ceiling:
            request = with_text(request, place, _cut(parts[place].text, ceiling))
    return request


def _cut(text: str, size: int) -> str:
    """The head and the tail of a text, `size` bytes at most with the mark between them."""
    keep = max(0, size - len(GAP.encode())) // 2
    raw = text.encode()
    return raw[:keep].decode("utf-8", "ignore") + GAP + raw[len(raw) - keep :].decode("utf-8", "ignore")


def _dropped(before: Request, after: Request) -> tuple[Dropped, ...]:
    left = outside_texts(after)
    return tuple(
        Dropped(part.name, part_bytes(part) - part_bytes(left[place]), "cut in the middle")
        for place, part in outside_texts(before).items()
        if left[place] is not part
    )
