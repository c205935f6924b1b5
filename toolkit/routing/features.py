"""What a request's text shows, cheaply: word and word-pair counts, and a few counts of its surface.

In: texts. Out: sparse counts over a vocabulary, and dense surface features. Both come from the same tokens, for the
whole batch at once, so that 20,000 requests a second are possible. Words of two letters or more are *plain*; numbers,
signs and single letters are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from toolkit.routing.tokens import Hashes, hashed, tokens

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LONGEST = 4_000
COMMON_LINE_SHARE, COMMON_LINE_LEAST = 0.02, 5
FEWEST_TEXTS = 2
LETTERS_OF_HEX = str.maketrans("0123456789", "ghijklmnop")

SURFACE: dict[str, tuple[str, ...]] = {
    "numbers": tuple("0" * n for n in range(1, 13)),
    "large numbers": tuple("0" * n for n in range(3, 13)),
    "sentences": (".", "!", "?"),
    "questions": ("?",),
    "commas": (",", ";"),
    "operators": ("+", "-", "*", "/", "=", "<", ">", "^"),
    "brackets": ("(", ")", "[", "]", "{", "}"),
    "quotes": ('"', "'", "`"),
    "colons": (":",),
    "money": ("$", "€", "£"),
    "percent": ("%", "percent", "percentage"),
    "rates": ("each", "per", "every", "rate", "average"),
    "multiples": ("twice", "half", "third", "quarter", "double", "triple", "times", "dozen"),
    "comparisons": ("more", "less", "than", "fewer", "most", "least", "older", "younger", "longer"),
    "conditions": ("if", "when", "unless", "then", "after", "before", "until"),
    "negations": ("not", "no", "never", "except", "without", "none"),
    "joins": ("and", "also", "both", "plus"),
    "choices": ("or", "either"),
    "sums": ("total", "altogether", "sum", "all", "remaining", "left", "rest"),
    "how": ("how",),
    "what": ("what", "which", "who", "where"),
    "why": ("why", "because", "explain"),
    "time": ("day", "days", "week", "weeks", "month", "months", "year", "years", "hour", "hours", "minutes"),
}


@dataclass(frozen=True)
class Vocabulary:
    """The words and pairs of words that were seen in training, with their weights (inverse document frequency).

    `words` come first in the columns, then `pairs` (each the positions of its two words, as first * number of words +
    second, sorted). `common_lines` are lines that many requests share, such as worked examples: their words say nothing
    about a request, so each such line counts as one word of its own.
    """

    words: tuple[str, ...]
    pairs: Ints
    idf: Floats
    common_lines: frozenset[str]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Vocabulary:
        """Learn words and pairs that at least two of the texts have."""
        lines = Counter(chain.from_iterable({line.strip() for line in text.split("\n")} for text in texts))
        least = max(COMMON_LINE_LEAST, COMMON_LINE_SHARE * len(texts))
        common = frozenset(line for line, count in lines.items() if line and count >= least)
        own = _own_parts(texts, _names(common))
        seen = Counter(chain.from_iterable(set(tokens(text)) for text in own))
        special = sorted(set(chain.from_iterable(SURFACE.values())))
        ordinary = sorted(word for word, count in seen.items() if count >= FEWEST_TEXTS and word not in set(special))
        words = (*special, *ordinary)
        bare = cls(words, np.empty(0, np.int64), np.ones(len(words) + 1), common)
        ids, rows = bare._places(own)
        codes, owners = bare._pair_codes(ids, rows)
        distinct = np.unique(np.stack([codes, owners]), axis=1) if len(codes) else np.empty((2, 0), np.int64)
        pairs, counts = np.unique(distinct[0], return_counts=True)
        known = cls(words, pairs[counts >= FEWEST_TEXTS], np.ones(0), common)
        counted = known._counted(ids, rows, len(texts))
        frequency = np.bincount(counted.indices, minlength=counted.shape[1])
        return cls(words, known.pairs, np.log((1 + len(texts)) / (1 + frequency)) + 1, common)

    def read(self, texts: Sequence[str]) -> tuple[Any, Floats]:
        """(n, columns) sparse weights, each row of length 1, and (n, len(SURFACE) + 3) surface features."""
        own = _own_parts(texts, self._named_lines)
        ids, rows = self._places(own)
        counted = self._counted(ids, rows, len(own))
        length = np.fromiter(map(len, own), np.float64, len(own))
        tokens = np.bincount(rows, minlength=len(own))
        lines = np.fromiter((text.count("\n") for text in own), np.float64, len(own))
        surface = np.log1p(np.column_stack([length, tokens, lines, counted @ self._surface_of_column]))
        counted.data = (1 + np.log(counted.data)) * self.idf[counted.indices]
        squares = _by_row(counted, counted.data**2)
        counted.data /= np.repeat(np.sqrt(np.where(squares > 0, squares, 1.0)), np.diff(counted.indptr))
        return _without_last_column(counted), surface

    def stretch(self, words: Any) -> Floats:
        """(n,) what to multiply the plain words and pairs of each row with, so that they alone are of length 1."""
        squares = _by_row(words, words.data**2 * self.plain[words.indices])
        found: Floats = 1 / np.sqrt(np.where(squares > 0, squares, 1.0))
        return found

    @cached_property
    def plain(self) -> Floats:
        """(columns,) 1 at plain words and their pairs, 0 where there are numbers, signs and single letters."""
        words = self._is_plain[:-1]
        first, second = np.divmod(self.pairs, len(words))
        return np.concatenate([words, words[first] & words[second]]).astype(np.float64)

    @cached_property
    def _is_plain(self) -> NDArray[np.bool_]:
        """Of each word; then of what is unknown, which parts its neighbours as a word would."""
        return np.array([*(len(word) > 1 and word.isalpha() for word in self.words), True])

    @cached_property
    def _named_lines(self) -> Mapping[str, str]:
        return _names(self.common_lines)

    @cached_property
    def _known(self) -> tuple[Hashes, Ints]:
        """The words as numbers, in order, and their places."""
        numbers, _ = hashed(self.words)
        order = np.argsort(numbers)
        return numbers[order], order

    @cached_property
    def _surface_of_column(self) -> Any:
        place = {word: n for n, word in enumerate(self.words)}
        cells = [(place[w], column) for column, words in enumerate(SURFACE.values()) for w in words if w in place]
        rows, columns = zip(*cells, strict=True)
        return sparse.csr_matrix(
            (np.ones(len(cells)), (rows, columns)), (len(self.words) + len(self.pairs) + 1, len(SURFACE))
        ).toarray()

    def _places(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """The places of all tokens in one array (unknown ones: the number of words), and whose they are."""
        numbers, rows = hashed(texts)
        known, places = self._known
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where(known[at] == numbers, places[at], len(self.words)), rows

    def _counted(self, ids: Ints, rows: Ints, n: int) -> Any:
        """(n, words + pairs + 1) counts; the last column counts what is unknown."""
        size = len(self.words)
        codes, owners = self._pair_codes(ids, rows)
        places = np.searchsorted(self.pairs, codes)
        found = places < len(self.pairs)
        found[found] = self.pairs[places[found]] == codes[found]
        last = size + len(self.pairs)
        columns = np.concatenate([np.where(ids == size, last, ids), size + places[found]])
        owner = np.concatenate([rows, owners[found]])
        cells, counts = np.unique(owner * (last + 1) + columns, return_counts=True)
        owner, columns = np.divmod(cells, last + 1)
        ends = np.searchsorted(owner, np.arange(n + 1))
        return sparse.csr_matrix((counts.astype(np.float64), columns, ends), (n, last + 1))

    def _pair_codes(self, ids: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """The codes of known words that stand side by side in one text, and of plain ones with but numbers, signs and
        single letters between them; and whose they are."""
        size = len(self.words)
        plain = np.flatnonzero(self._is_plain[ids])
        apart = np.diff(plain) > 1
        first = np.concatenate([np.arange(max(len(ids) - 1, 0)), plain[:-1][apart]])
        second = np.concatenate([np.arange(1, len(ids)), plain[1:][apart]])
        both = (rows[first] == rows[second]) & (ids[first] < size) & (ids[second] < size)
        first, second = first[both], second[both]
        return ids[first] * size + ids[second], rows[first]


def _by_row(table: Any, values: Floats) -> Floats:
    """(n,) sums of values that belong to the cells of a sparse table, in their order."""
    sums: Floats = np.add.reduceat(np.append(values, 0.0), table.indptr[:-1])
    sums[np.diff(table.indptr) == 0] = 0.0
    return sums


def _without_last_column(counted: Any) -> Any:
    """The same as slicing, at a third of its price for one row."""
    last = counted.shape[1] - 1
    kept = counted.indices < last
    ends = np.concatenate([[0], np.cumsum(kept)])[counted.indptr]
    return sparse.csr_matrix((counted.data[kept], counted.indices[kept], ends), (counted.shape[0], last))


def _own_parts(texts: Sequence[str], named: Mapping[str, str]) -> list[str]:
    """The texts with one word for each line that many requests share, cut in the middle where they are very long."""
    return [_cut(_own_part(text, named) if named and "\n" in text else text) for text in texts]


def _own_part(text: str, named: Mapping[str, str]) -> str:
    """The text with the names of common lines in their place; as it is where it has no other lines."""
    lines = text.split("\n")
    own = [named.get(line.strip(), line) for line in lines]
    return "\n".join(own) if any(line.strip() and line.strip() not in named for line in lines) else text


def _names(lines: Iterable[str]) -> dict[str, str]:
    """A word of small letters that no text has, for each line."""
    digests = {line: blake2b(line.encode(errors="replace"), digest_size=8).hexdigest() for line in lines}
    return {line: "line" + digest.translate(LETTERS_OF_HEX) for line, digest in digests.items()}


def _cut(text: str) -> str:
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}\n{text[-LONGEST:]}"
