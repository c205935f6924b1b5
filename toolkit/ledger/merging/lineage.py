"""Which journal this is, told apart from its own copies and its own past.

A journal numbers its entries, and a history knows by the journal's id up to which number it has them. A copy of the
file, or a backup that is put back, goes on numbering where it stood: one id and number would then name two entries, and
the history would skip the second. So a journal that finds itself in another file than the one it was written in, or
behind what the history has of it, goes on under a new id. Its earlier ids are kept with the last number given under
each: what a history has of them up to there, it has of this journal too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

IDENTITY = "select name, value from meta where name in ('journal_id', 'earlier_ids')"


@dataclass(frozen=True)
class Lineage:
    """A journal's id, and the earlier ones with the last number given under each, oldest first."""

    id: str
    earlier: tuple[tuple[str, int], ...] = ()

    @staticmethod
    def of(journal: Any) -> Lineage:
        """The lineage of a journal, by a raw connection; within a snapshot that of all entries in the snapshot."""
        return Lineage.parsed(dict(journal.execute(IDENTITY).fetchall()))

    @staticmethod
    def parsed(meta: Mapping[str, str]) -> Lineage:
        """The lineage as the rows of `meta` tell it, name → value."""
        earlier = json.loads(meta.get("earlier_ids", "[]"))
        return Lineage(meta["journal_id"], tuple((str(id), int(last)) for id, last in earlier))

    @property
    def earlier_ids(self) -> str:
        """The earlier ids as `meta` keeps them."""
        return json.dumps(self.earlier)

    def reached(self, known: Mapping[str, int]) -> int:
        """The number up to which they have this journal's entries who have those of each id up to `known[id]`."""
        return max(known.get(self.id, 0), *(min(known.get(id, 0), last) for id, last in self.earlier), 0)

    def marks(self, last: int, known: Mapping[str, int]) -> dict[str, int]:
        """What is known of each of its ids when all entries up to `last` are there.

        Of the earlier ids too: whoever looked into the journal before it got its new id goes by those.
        """
        reached = {id: min(last, given) for id, given in self.earlier} | {self.id: last}
        return {id: max(number, known.get(id, 0)) for id, number in reached.items()}

    def renewed(self, id: str, *, given: int, oldest: int | None) -> Lineage:
        """The same journal under a new id, when `given` is the last number given and `oldest` the first in the log.

        Ids are forgotten when the log begins beyond all that was given under them; one under which nothing was given
        is not kept.
        """
        known = self.earlier
        if not known or known[-1][1] < given:
            known = (*known, (self.id, given))
        first = given + 1 if oldest is None else oldest
        return Lineage(id, tuple(pair for pair in known if pair[1] >= first - 1))


def watermarks(connection: DuckDBPyConnection, catalog: str) -> dict[str, int]:
    """Journal id → the number of its last entry that an open history has."""
    found = connection.execute(f"select journal_id, max(seq) from {catalog}.main.merged group by all").fetchall()
    return {str(id): int(last) for id, last in found}
