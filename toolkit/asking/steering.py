"""A run under way is steered: it goes on, pauses or stops, by the wish of anybody who has its record.

    somebody wishes (`steer`) ─▶ journal ─▶ every process that holds the run hears it (`Steering`) ─▶ the loop obeys

While it is paused no row, step or attempt begins, and what is under way ends; nobody takes it for dead.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from toolkit.asking.thread import running_loop
from toolkit.errors import RunError, Stopped
from toolkit.ledger import Journal
from toolkit.ledger.homes import has_journal
from toolkit.ledger.writing import claims, wishes
from toolkit.ledger.writing.transaction import Transaction
from toolkit.ledger.writing.wishes import Wish


class Held(Exception):
    """An attempt is not to begin now: the run was paused while it waited for its turn."""


class Steering:
    """What one process knows of the wishes. `stop` is set once it is to stop, by a wish or for another reason."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.wish: Wish | None = None
        self._go = asyncio.Event()
        self._go.set()
        self._paused_at: float | None = None
        self._paused_seconds = 0.0

    @property
    def is_paused(self) -> bool:
        return self._paused_at is not None and not self.stop.is_set()

    @property
    def paused_seconds(self) -> float:
        """How long it was paused so far, all together."""
        return self._paused_seconds + (0.0 if self._paused_at is None else time.monotonic() - self._paused_at)

    def hear(self, wish: Wish | None) -> None:
        """Obey a wish, from any thread."""
        if wish != self.wish:
            running_loop().call_soon_threadsafe(self.obey, wish)

    def obey(self, wish: Wish | None) -> None:
        """Obey a wish, on the loop. A cancelled run does not go on any more."""
        self.wish = wish
        if wish == "pause" and self._paused_at is None:
            self._paused_at = time.monotonic()
            self._go.clear()
        elif wish != "pause" and self._paused_at is not None:
            self._paused_seconds = self.paused_seconds
            self._paused_at = None
            self._go.set()
        if wish == "cancel":
            self.stop.set()

    async def clear(self) -> None:
        """Wait while it is paused. Raises Stopped where it is to stop instead."""
        if not self.is_paused:
            return
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._go, self.stop)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        if self.stop.is_set():
            raise Stopped("the run was cancelled")


def steer(home: Path | str, run_id: str, wish: Wish | None) -> bool:
    """Wish that a run pauses, is cancelled, or (None) goes on; whether that is news. It is heard within seconds.

    Raises RunError where nobody works on that run, LedgerError where the journal cannot be written.
    """

    def wishing(transaction: Transaction) -> bool:
        at = time.time()
        living = [each for each in claims.bury(transaction, at) if each.run_id == run_id]
        known = claims.run_of(transaction, run_id)
        if known is None:
            raise RunError(f"there is no run {run_id!r} in {home}")
        return wishes.express(transaction, run_id, wish, living=living, status=known.status, at=at)

    if not has_journal(home):
        raise RunError(f"there is no journal in {home}; name the --home in which the run is going on")
    with Journal.open(home, merges=False) as journal:
        return journal.decided(wishing)
