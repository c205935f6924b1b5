"""A process's hold on a run: it gives signs of life, claims rows before they begin, and lets go when they have ended.

In: rows that somebody wants to drive. Out: those that are this process's, each at one process only. `Holding` has the
clock and the journal; what may be claimed is decided in `ledger.writing.claims`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from toolkit.asking.steering import Steering
from toolkit.errors import Stopped
from toolkit.ledger import Journal
from toolkit.ledger.writing import claims, holders, wishes
from toolkit.ledger.writing.claims import END, Taken, Whose
from toolkit.ledger.writing.transaction import Transaction
from toolkit.records import RowStatus, Run, RunStatus, now

LOOK_SECONDS = 0.25
"""How often is looked whether others are through with what they have."""
LISTEN_SECONDS = 1.0
"""How often is looked whether somebody wishes that the run pauses, goes on or stops."""


class Holding:
    """A run, held by this process until it leaves. `steering` hears what is wished of it, and ends all waiting.

    `left` are the rows that had failed, or were parked, when it was entered, and when they had. `others` is how many
    other processes work on it; `is_shared` tells whether any did meanwhile.
    """

    def __init__(self, journal: Journal, run: Run, *, steering: Steering | None = None) -> None:
        self.run = run
        self.left: Mapping[str, datetime] = {}
        self.others = 0
        self.is_shared = False
        self._journal = journal
        self._steering = steering or Steering()
        self._stop = self._steering.stop
        self._holder = holders.begun(run.id)
        self._unfinished: set[str] = set()
        self._finished: list[str] = []
        self._has_left = self._ends = self._is_late = False
        self._patient_until = 0.0
        self._beaten_at = time.time()

    @property
    def holder(self) -> str:
        """The id under which others know this process's hold."""
        return self._holder.id

    def enter(self, *, is_part: bool = False) -> Holding:
        """Put the run on record, and the hold on it; what was written to the journal before is durable then.

        A part of a run that others began does as was wished of the whole. Raises RunError where it is being cancelled.
        """
        entered = self._journal.decided(
            lambda t: claims.enter(t, self._holder, run=self.run, at=time.time(), is_part=is_part)
        )
        self.left = entered.left
        self._steering.hear(entered.wish)
        self._journal.repeat(self._beat, seconds=holders.BEAT_SECONDS)
        self._journal.repeat(self._listen, seconds=LISTEN_SECONDS)
        return self

    async def take(
        self, wanted: Collection[str], *, were_theirs: Collection[str] = (), left: Mapping[str, datetime]
    ) -> Taken:
        """Claim what is free of these rows; see `claims.take`."""
        finished, self._finished = self._finished, []
        taken = await self._journal.decide(
            lambda t: claims.take(
                t,
                self._holder,
                wanted=wanted,
                were_theirs=were_theirs,
                left=left,
                finished=finished,
                at=self._judged_at(),
            )
        )
        self._unfinished |= taken.ours
        self.others = taken.others
        self.is_shared |= taken.others > 0 or taken.is_inherited
        self._is_late |= taken.is_late and bool(taken.ours)
        return taken

    def finished(self, row_id: str, status: RowStatus) -> None:
        """That row has ended, and its record is durable.

        Its claim goes when the next rows are claimed; that of a failed one when we leave, so that until then nobody who
        works on the run beside us tries it again.
        """
        self._unfinished.discard(row_id)
        if status != "failed":
            self._finished.append(row_id)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """While it lasts nobody else does what has that name; who was before us is through with it, and it is on
        record. Raises Stopped."""
        part = f"{END}/{name}"
        while await self._claim(part) == "theirs":
            await self.pause()
        try:
            yield
        finally:
            await self._journal.decide(lambda t: claims.release(t, self._holder, rows=[part]))

    async def is_ours_to_end(self) -> bool:
        """Whether the end of the run is ours, once nobody else is at it; False where it was done. Raises Stopped."""
        while (whose := await self._claim(END)) == "theirs":
            await self.pause()
        self._ends = whose == "ours"
        return self._ends

    async def sure(self) -> None:
        """Before anything is paid for: where we gave no sign of life for a while, give one, and see whether we are
        still there. Raises LedgerError where others have given us up."""
        if time.time() - self._beaten_at > holders.EXPIRES_SECONDS / 2:
            await self._journal.decide(self._beat)

    async def pause(self) -> None:
        """Give the others a moment. Raises Stopped."""
        self.is_shared = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), LOOK_SECONDS)
        if self._stop.is_set():
            raise Stopped("the run was cancelled")

    async def leave(self, status: RunStatus) -> Run:
        """Let go; the run as it is on record then. `status` goes there where nobody else works on it.

        Raises LedgerError where the journal cannot be written, or others have given us up.
        """
        run = replace(self.run, status=status, finished_at=None if status == "running" else now())
        ends = self._ends and status == "finished"

        def leaving(transaction: Transaction) -> Run:
            self._has_left = True
            return claims.leave(
                transaction, self._holder, run=run, unfinished=self._unfinished, ends=ends, at=self._judged_at()
            )

        try:
            return await self._journal.decide(leaving)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go without a word: from now on we count as dead."""
        holders.ended(self._holder)

    # -------------------------------------------------------------------------------------------------------- helpers
    async def _claim(self, part: str) -> Whose:
        whose = await self._journal.decide(
            lambda t: claims.end(t, self._holder, part=part, is_late=self._is_late, at=self._judged_at())
        )
        self.is_shared |= whose != "ours"
        return whose

    def _beat(self, transaction: Transaction) -> None:
        """A sign of life. Raises LedgerError, which ends all writing, where others have given us up."""
        if self._has_left:
            return
        slept = claims.beat(transaction, self._holder, at=time.time())
        self._beaten_at = time.time()
        if slept > holders.EXPIRES_SECONDS / 2:  # the machine slept, or its clock was set: others are to beat first
            self._patient_until = time.time() + 2 * holders.BEAT_SECONDS

    def _listen(self, transaction: Transaction) -> None:
        """Hear what is wished of the run."""
        if not self._has_left:
            self._steering.hear(wishes.wished(transaction, self.run.id))

    def _judged_at(self) -> float:
        """The time by which others are judged; while we are patient, nobody is."""
        at = time.time()
        return 0.0 if at < self._patient_until else at
