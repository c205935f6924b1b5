"""Lines that many requests share, such as worked examples. In: texts. Out: texts with one word for each such line.

Their words say nothing about a request, that it has the line does. So does not the middle of a very long text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import chain

LONGEST = 4_000
COMMON_SHARE, COMMON_LEAST = 0.02, 5
LETTERS_OF_HEX = str.maketrans("0123456789", "ghijklmnop")


class Names(dict[str, str]):
    """For each common line its name, a word of small letters that no text has; for each other line itself."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__((line, _name(line)) for line in lines)

    def __missing__(self, line: str) -> str:
        return self.get(line.strip(), line)

    def own_parts(self, texts: Sequence[str]) -> list[str]:
        """The texts with the names of common lines in their place; as they are where they have no other lines."""
        return [_cut(self._own_part(text) if self and "\n" in text else text) for text in texts]

    def _own_part(self, text: str) -> str:
        lines = text.split("\n")
        own = "\n".join(map(self.__getitem__, lines))
        return own if any(line.strip() and line.strip() not in self for line in reversed(lines)) else text


def common_lines(texts: Sequence[str]) -> frozenset[str]:
    """The lines, without blanks around them, that at least 2 % of the texts have, and at least five."""
    lines = Counter(chain.from_iterable({line.strip() for line in text.split("\n")} for text in texts))
    least = max(COMMON_LEAST, COMMON_SHARE * len(texts))
    return frozenset(line for line, count in lines.items() if line and count >= least)


def _name(line: str) -> str:
    digest = blake2b(line.encode(errors="replace"), digest_size=8).hexdigest()
    return "line" + digest.translate(LETTERS_OF_HEX)


def _cut(text: str) -> str:
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}\n{text[-LONGEST:]}"
