"""Where numbers of 64 bits stand among known ones, for a whole batch at once. In: numbers. Out: places, -1 for unknown.

A table of hashes: of known numbers that want the same slot one gets it, and the others, a tenth of all, are found by
binary search. A binary search among all of a hundred thousand words costs several times as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

SLOTS_FOR_EACH = 4
MIXING = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Lookup:
    """`slots` hold places in `known`, of the numbers that are mixed and shifted to there; `rest` are sorted numbers."""

    known: Hashes
    shift: np.uint64
    slots: NDArray[np.int32]
    rest: Hashes
    places_of_rest: Ints

    @classmethod
    def of(cls, known: Hashes) -> Lookup:
        """Raises ValueError where a number is there twice."""
        if len(np.unique(known)) < len(known):
            raise ValueError("a number is there twice")
        bits = (SLOTS_FOR_EACH * len(known)).bit_length()
        shift = np.uint64(64 - bits)
        slots = np.zeros(1 << bits, np.int32)
        wanted = (known * MIXING) >> shift
        slots[wanted] = places = np.arange(len(known))
        rest = np.flatnonzero(slots[wanted] != places)
        rest = rest[np.argsort(known[rest])] if len(rest) else places[:1]
        return cls(known, shift, slots, known[rest], rest)

    def find(self, numbers: Hashes) -> Ints:
        """(n,) places in `known`, -1 where a number is not there."""
        if not len(self.known):
            return np.full(len(numbers), -1)
        places: Ints = self.slots[(numbers * MIXING) >> self.shift].astype(np.int64)
        others = np.flatnonzero(self.known[places] != numbers)
        left = numbers[others]
        at = np.minimum(np.searchsorted(self.rest, left), len(self.rest) - 1)
        places[others] = np.where(self.rest[at] == left, self.places_of_rest[at], -1)
        return places
