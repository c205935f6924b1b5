"""Who works on a run: each process by a holder in the journal, and whether it still lives.

A holder gives a sign of life every few seconds. One that has not done so for long is dead, whatever it may be: asleep,
cut off, gone. On the same machine a process that has ended is known to be dead at once, also where another has its
number by now.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from toolkit.ledger.writing.processes import is_gone, this_process
from toolkit.records import new_id

HOLDERS = "select id, host, pid, process_started, beaten_at from holders"
RUNNING = "select id from runs where status = 'running'"
BEAT_SECONDS = 5.0
EXPIRES_SECONDS = 30.0

_held: set[str] = set()
"""The ids of this very process's holders, but those that have ended."""


@dataclass(frozen=True)
class Holder:
    """A process's hold on a run. Its id begins with the run's; `beaten_at` is its last sign of life, in seconds since
    1970, and `process_started` tells processes with the same number apart."""

    id: str
    host: str
    pid: int
    process_started: str
    beaten_at: float = 0.0

    @property
    def run_id(self) -> str:
        return self.id.rpartition("/")[0]

    def is_alive(self, at: float) -> bool:
        """Whether it lives at that moment, in seconds since 1970."""
        if self.beaten_at < at - EXPIRES_SECONDS:
            return False
        process = " | ".join((self.host, str(self.pid), self.process_started))
        if process == this_process():
            return self.id in _held
        return not is_gone(process)


def begun(run_id: str) -> Holder:
    """A new holder for this process."""
    host, pid, process_started = this_process().split(" | ")
    holder = Holder(f"{run_id}/{new_id()}", host, int(pid), process_started)
    _held.add(holder.id)
    return holder


def ended(holder: Holder) -> None:
    """It holds nothing any more, whether its row in the journal could be deleted or not."""
    _held.discard(holder.id)


def interrupted(running: Iterable[str], holders: Iterable[Holder], *, at: float) -> dict[str, float]:
    """Of the runs that are said to be running those whose every holder is dead: run → its last sign of life.

    A run that has no holder at all is not among them: nobody knows who writes it.
    """
    beaten: dict[str, float] = {}
    alive = set()
    for holder in holders:
        beaten[holder.run_id] = max(beaten.get(holder.run_id, 0.0), holder.beaten_at)
        if holder.is_alive(at):
            alive.add(holder.run_id)
    return {run_id: beaten[run_id] for run_id in running if run_id in beaten and run_id not in alive}


def interrupted_runs(journal: Any) -> frozenset[str]:
    """The runs that are said to be running, and that nobody works on; `journal` is a raw connection, of any version."""
    try:
        found = [Holder(*each) for each in journal.execute(HOLDERS).fetchall()]
    except sqlite3.OperationalError:  # it is older than holders
        return frozenset()
    if not found:
        return frozenset()
    running = [run_id for (run_id,) in journal.execute(RUNNING).fetchall()]
    return frozenset(interrupted(running, found, at=time.time()))
