"""Where numbers of 64 bits stand among known ones, for a whole batch at once. In: numbers. Out: places, -1 for unknown.

A table of hashes: of known numbers that want the same slot one gets it, and the others, a tenth of all, are found by
binary search. A binary search among all of a hundred thousand words costs several times as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.routing.tokens import Hashes

Ints = NDArray[np.int64]

SLOTS_FOR_EACH = 4
MIXING = np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True, eq=False)
class Lookup:
    """`slots` hold places in `known`, of the numbers that are mixed and shifted to there; `rest` are those that found
    their slot taken, sorted."""

    known: Hashes
    shift: np.uint64
    slots: NDArray[np.int32]
    rest: Hashes
    places_of_rest: Ints

    @classmethod
    def of(cls, known: Hashes) -> Lookup:
        """Of a number that is there twice the first place is found."""
        numbers, places = np.unique(known, return_index=True)
        bits = (SLOTS_FOR_EACH * len(places)).bit_length()
        shift = np.uint64(64 - bits)
        slots = np.zeros(1 << bits, np.int32)
        wanted = (numbers * MIXING) >> shift
        slots[wanted] = places
        rest = places[slots[wanted] != places]
        return cls(known, shift, slots, known[rest], rest)

    def find(self, numbers: Hashes) -> Ints:
        """(n,) places in `known`, -1 where a number is not there."""
        if not len(self.known):
            return np.full(len(numbers), -1)
        places: Ints = self.slots[(numbers * MIXING) >> self.shift].astype(np.int64)
        others = np.flatnonzero(self.known[places] != numbers)
        left, places[others] = numbers[others], -1
        at = np.searchsorted(self.rest, left)
        found = at < len(self.rest)
        found[found] = self.rest[at[found]] == left[found]
        places[others[found]] = self.places_of_rest[at[found]]
        return places
