"""What a request's text shows, cheaply: word and word-pair counts, and a few counts of its surface.

In: texts. Out: sparse counts over a vocabulary, and dense surface features. Both come from the same tokens, for the
whole batch at once, so that 20,000 requests a second are possible. Words of two letters or more are *plain*; numbers,
signs and single letters are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from toolkit.routing.lines import Names, common_lines
from toolkit.routing.lookup import Lookup
from toolkit.routing.tokens import hashed, tokens

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_TEXTS = 2

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
SPECIAL = tuple(sorted(set(chain.from_iterable(SURFACE.values()))))
KINDS = np.array([[word in words for words in SURFACE.values()] for word in SPECIAL], np.float64)


@dataclass(frozen=True)
class Counts:
    """How often texts have columns: in the order of the texts, then of the columns, each pair of them once."""

    owner: Ints
    columns: Ints
    times: Floats

    def without(self, column: int) -> Counts:
        kept = self.columns != column
        return Counts(self.owner[kept], self.columns[kept], self.times[kept])

    def table(self, shape: tuple[int, int]) -> Any:
        ends = np.searchsorted(self.owner, np.arange(shape[0] + 1))
        return sparse.csr_matrix((self.times, self.columns.astype(np.int32), ends.astype(np.int32)), shape)


@dataclass(frozen=True)
class Vocabulary:
    """The words and pairs of words that were seen in training, with their weights (inverse document frequency).

    `words` come first in the columns, those of `SURFACE` before all others; then `pairs` (each the positions of its two
    words, as first * number of words + second, sorted). Each of `common_lines`, which many requests share, counts as
    one word of its own.
    """

    words: tuple[str, ...]
    pairs: Ints
    idf: Floats
    common_lines: frozenset[str]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL:
            raise ValueError("its words do not begin with those that this version counts: fit it again")

    @classmethod
    def of(cls, texts: Sequence[str]) -> Vocabulary:
        """Learn words and pairs that at least two of the texts have."""
        common = common_lines(texts)
        own = Names(common).own_parts(texts)
        seen = Counter(chain.from_iterable(set(tokens(text)) for text in own))
        ordinary = sorted(word for word, count in seen.items() if count >= FEWEST_TEXTS and word not in SPECIAL)
        words = (*SPECIAL, *ordinary)
        bare = cls(words, np.empty(0, np.int64), np.ones(len(words) + 1), common)
        ids, rows = bare._places(own)
        codes, owners = bare._pair_codes(ids, rows)
        distinct = np.unique(np.stack([codes, owners]), axis=1) if len(codes) else np.empty((2, 0), np.int64)
        pairs, counts = np.unique(distinct[0], return_counts=True)
        known = cls(words, pairs[counts >= FEWEST_TEXTS], np.ones(0), common)
        counted = known._counted(ids, rows)
        frequency = np.bincount(counted.columns, minlength=known.size + 1)
        return cls(words, known.pairs, np.log((1 + len(texts)) / (1 + frequency)) + 1, common)

    @property
    def size(self) -> int:
        """The number of columns."""
        return len(self.words) + len(self.pairs)

    def read(self, texts: Sequence[str]) -> tuple[Any, Floats]:
        """(n, columns) sparse weights, each row of length 1, and (n, len(SURFACE) + 3) surface features."""
        own = self._named_lines.own_parts(texts)
        ids, rows = self._places(own)
        counted = self._counted(ids, rows)
        length = np.fromiter(map(len, own), np.float64, len(own))
        tokens = np.bincount(rows, minlength=len(own))
        lines = np.fromiter((text.count("\n") for text in own), np.float64, len(own))
        surface = np.log1p(np.column_stack([length, tokens, lines, _surface(counted, len(own))]))
        weights = (1 + np.log(counted.times)) * self.idf[counted.columns]
        weights *= _to_length_one(counted.owner, weights, len(own))[counted.owner]
        known = replace(counted, times=weights).without(self.size)
        return known.table((len(own), self.size)), surface

    def stretch(self, words: Any) -> Floats:
        """(n,) what to multiply the plain words and pairs of each row with, so that they alone are of length 1."""
        owner = np.repeat(np.arange(words.shape[0]), words.indptr[1:] - words.indptr[:-1])
        return _to_length_one(owner, words.data * self.plain[words.indices], words.shape[0])

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
    def _named_lines(self) -> Names:
        return Names(self.common_lines)

    @cached_property
    def _word_lookup(self) -> Lookup:
        return Lookup.of(hashed(self.words)[0])

    @cached_property
    def _pair_lookup(self) -> Lookup:
        return Lookup.of(self.pairs.view(np.uint64))

    def _places(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """The places of all tokens in one array (unknown ones: the number of words), and whose they are."""
        numbers, rows = hashed(texts)
        found = self._word_lookup.find(numbers)
        return np.where(found < 0, len(self.words), found), rows

    def _counted(self, ids: Ints, rows: Ints) -> Counts:
        """How often the texts have each word and pair; the last column counts what is unknown."""
        words = len(self.words)
        codes, owners = self._pair_codes(ids, rows)
        found = self._pair_lookup.find(codes.view(np.uint64))
        paired = found >= 0
        columns = np.concatenate([np.where(ids == words, self.size, ids), words + found[paired]])
        owner = np.concatenate([rows, owners[paired]])
        bits = self.size.bit_length()
        cells = np.sort(owner << bits | columns)
        new = np.ones(len(cells) + 1, np.bool_)
        np.not_equal(cells[1:], cells[:-1], out=new[1:-1])
        edges = np.flatnonzero(new)
        cells = cells[edges[:-1]]
        return Counts(cells >> bits, cells & ((1 << bits) - 1), (edges[1:] - edges[:-1]).astype(np.float64))

    def _pair_codes(self, ids: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """The codes of known words that stand side by side in one text, and of plain ones with but numbers, signs and
        single letters between them; and whose they are."""
        size = len(self.words)
        plain = np.flatnonzero(self._is_plain[ids])
        apart = plain[1:] - plain[:-1] > 1
        first = np.concatenate([np.arange(max(len(ids) - 1, 0)), plain[:-1][apart]])
        second = np.concatenate([np.arange(1, len(ids)), plain[1:][apart]])
        both = (rows[first] == rows[second]) & (ids[first] < size) & (ids[second] < size)
        first, second = first[both], second[both]
        return ids[first] * size + ids[second], rows[first]


def _surface(counted: Counts, n: int) -> Floats:
    """(n, len(SURFACE)) how often the texts have words of each kind."""
    special = counted.columns < len(SPECIAL)
    found = Counts(counted.owner[special], counted.columns[special], counted.times[special])
    return np.asarray(found.table((n, len(SPECIAL))) @ KINDS)


def _to_length_one(owner: Ints, values: Floats, n: int) -> Floats:
    """(n,) what to multiply the values of each text with, so that they are of length 1; 1 where all are 0."""
    squares = np.bincount(owner, values**2, n)
    squares[squares == 0] = 1.0
    found: Floats = 1 / np.sqrt(squares)
    return found
