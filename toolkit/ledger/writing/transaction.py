"""Looking before writing: an action inside one of the writer's transactions.

Budgets, claims on rows, gates, turns of a conversation and answers of people are decided by what the journal says at
that moment, and other processes decide too. The writer's transactions come one after the other, over all processes:
what an action sees stays true until what it writes is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from toolkit.ledger.entries import Entry
from toolkit.ledger.writing.statements import Dialect


class Transaction:
    """The transaction under way, as an action sees it. It ends with the action; keep none of it."""

    def __init__(self, cursor: Any, dialect: Dialect, insert: Callable[[Any, Sequence[Entry]], None]) -> None:
        self._cursor = cursor
        self._dialect = dialect
        self._insert = insert

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query with named parameters (`:name`)."""
        self._cursor.execute(self._dialect.sql(statement), parameters)
        found: list[tuple[Any, ...]] = self._cursor.fetchall()
        return found

    def run(self, statement: str, **parameters: Any) -> int:
        """Carry out a statement; how many rows it changed."""
        self._cursor.execute(self._dialect.sql(statement), parameters)
        return int(self._cursor.rowcount)

    def write(self, *entries: Entry) -> None:
        """Write entries: they are durable with whatever else the action does, or not at all."""
        self._insert(self._cursor, entries)

    def attempt(self, action: Callable[[Transaction], Any]) -> tuple[Any, Exception | None]:
        """What the action gives, or what it raised; what it had written is taken back then."""
        self._cursor.execute("savepoint action")
        outcome: tuple[Any, Exception | None]
        try:
            outcome = action(self), None
        except Exception as error:
            self._cursor.execute("rollback to savepoint action")
            outcome = None, error
        self._cursor.execute("release savepoint action")
        return outcome


@dataclass
class Act:
    """An action that waits for its turn: after that many entries, so that it sees what was written before it."""

    action: Callable[[Transaction], Any]
    after: int
    done: Future[Any] = field(default_factory=Future)
    outcome: tuple[Any, Exception | None] = (None, None)

    def settle(self) -> None:
        """Tell whoever waits; its transaction is committed."""
        result, error = self.outcome
        if error is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(error)


@dataclass
class Repeat:
    """An action to be carried out again after that many seconds; `due` is on the writer's monotonic clock."""

    action: Callable[[Transaction], Any]
    seconds: float
    due: float
