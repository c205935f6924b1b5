"""Two processes at one run: they share its rows; one is killed, or sleeps until the other takes over what it had.

In: a fake server, a folder and how many rounds. Out: how many requests were served beyond one for each step, beside how
many were open where a process was killed or given up.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from evals.record.harness import PRELOADED, Marks
from evals.resume.batch import FENCED, IN_FLIGHT, drive
from evals.resume.serving import Place, Served, doubled, entries, tables, undisturbed
from toolkit.fake.starting import Running as Server

BEAT_SECONDS, EXPIRES_SECONDS = 0.2, 4.0
"""In place of 5 and 30 s, where a process sleeps for longer than a holder lives."""
BETWEEN_SECONDS = 0.005
PATIENCE_SECONDS = 120


@dataclass
class Shared:
    """What came of two processes at one run."""

    rounds: int = 0
    kills: int = 0
    sleeps: int = 0
    gave_up: int = 0
    served: int = 0
    steps: int = 0
    open_calls: int = 0
    asked_again: int = 0
    written_after: int = 0
    late: int = 0
    most_late: int = 0
    doubled: int = 0
    different: int = 0
    least_share: float = 1.0

    @property
    def is_sound(self) -> bool:
        """No row was done twice, who slept noticed and wrote nothing, and the tables agree."""
        wrong = self.asked_again + self.doubled + self.different + self.written_after + (self.sleeps - self.gave_up)
        return not wrong and self.served <= self.steps + self.open_calls and self.most_late <= IN_FLIGHT


def rounds(server: Server, folder: Path, *, wanted: int, count: int, chance: random.Random) -> Shared:
    """So many rounds of each kind: both go on to the end, one is killed, one sleeps."""
    shared = Shared()
    expected, places = undisturbed(server, folder / "undisturbed-together", count, run="shared")
    for number in range(wanted):
        for kind in ("both", "killed", "asleep"):
            home = folder / f"together-{number}-{kind}"
            server.reset()
            served = Served(server, places)
            _round(kind, served, home, shared, count=count, chance=chance)
            shared.rounds += 1
            shared.steps += len(places)
            shared.served += served.calls.total()
            shared.doubled += doubled(home, "shared")
            shared.different += tables(home, "shared") != expected
    return shared


def told(shared: Shared) -> list[str]:
    """The counts as lines of Markdown."""
    return [
        "Two processes begin at one run together: both go on to the end, or one of them is killed, or the first is "
        "stopped (SIGSTOP) until the second has done all, and then wakes (a holder expires after "
        f"{EXPIRES_SECONDS:g} s here, after 30 s as a rule).",
        "",
        f"* {shared.rounds} rounds, {shared.kills} kills, {shared.sleeps} sleeps; where nobody died, each process did "
        f"at least {shared.least_share:.0%} of the rows.",
        f"* {shared.steps:,} steps, {shared.served:,} requests served; {shared.open_calls:,} were open when a process "
        f"was killed or stopped. Asked twice, though not open then: {shared.asked_again}.",
        f"* Of {shared.sleeps} that slept {shared.gave_up} noticed on waking that another had taken over; they wrote "
        f"{shared.written_after} entries after that. Requests that were on their way to the socket when they were "
        f"stopped, and went out when they woke: {shared.late}, at most {shared.most_late} at once (counted as open). "
        f"Answers on record twice: {shared.doubled}; batches with other "
        f"tables than an undisturbed one: {shared.different}.",
    ]


# ------------------------------------------------------------------------------------------------------------ a round
def _round(kind: str, served: Served, home: Path, shared: Shared, *, count: int, chance: random.Random) -> None:
    seconds = (BEAT_SECONDS, EXPIRES_SECONDS) if kind == "asleep" else None
    work = (home, "shared", served.server.url, count, seconds)
    first = _begun(*work)
    second = _begun(*work)
    lost: set[Place] = set()
    if kind == "both":
        _ended(first)
        _ended(second)
        shares = [life.rows() for life in (first, second)]
        if sum(shares) != count:
            raise RuntimeError(f"of {count} rows two processes did {shares}")
        shared.least_share = min(shared.least_share, *(share / count for share in shares))
    else:
        _until(served.server, calls=chance.randrange(count // 4, count), of=second)
        is_first = kind == "asleep" or chance.random() < 0.5
        victim, other = (first, second) if is_first else (second, first)
        lost = _struck(victim, other, served, home, is_killed=kind == "killed")
        while kind == "asleep" and not lost:  # between two rows nobody has to take over from it
            _signal(victim, signal.SIGCONT)
            time.sleep(BETWEEN_SECONDS)
            lost = _struck(victim, other, served, home, is_killed=False)
        shared.kills += kind == "killed"
        shared.sleeps += kind == "asleep"
        _ended(other)
        if kind == "asleep":
            before, calls = entries(home), served.seen()
            _signal(first, signal.SIGCONT)
            first.process.join(PATIENCE_SECONDS)
            if (ended := first.process.exitcode) != FENCED:
                print(f"the process that slept ended with {ended}; {len(lost)} of its calls were open", file=sys.stderr)
            shared.gave_up += ended == FENCED
            shared.written_after += entries(home) - before
            late = served.seen() - calls
            shared.late += late.total()
            shared.most_late = max(shared.most_late, late.total())
            lost |= late.keys()
    served.seen()
    shared.open_calls += len(lost)
    shared.asked_again += sum(calls - (2 if place in lost else 1) > 0 for place, calls in served.calls.items())


def _struck(victim: Life, other: Life, served: Served, home: Path, *, is_killed: bool) -> set[Place]:
    """Kill or stop a process; what it had asked and not on record. The other one stands still while that is counted."""
    if not victim.process.is_alive() or not other.process.is_alive():
        raise RuntimeError("a process ended before anybody was killed or stopped")
    stop(victim.process.pid or 0, home)
    _signal(other, signal.SIGSTOP)
    if is_killed:
        victim.process.kill()
        victim.process.join(PATIENCE_SECONDS)
    served.seen()
    lost = served.open_calls(home, pid=victim.process.pid or 0)
    _signal(other, signal.SIGCONT)
    return lost


def stop(pid: int, home: Path) -> None:
    """Stop a process, but not in the middle of a commit, which would keep everybody waiting."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.02)
        try:
            with closing(sqlite3.connect(home / "journal.db", timeout=0.3, isolation_level=None)) as journal:
                journal.execute("begin immediate")
            return
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)


@dataclass
class Life:
    """A process at the run, and the pipe on which it says at its end how many rows it did."""

    process: BaseProcess
    pipe: Connection

    def rows(self) -> int:
        return int(self.pipe.recv_bytes().split()[1]) if self.pipe.poll() else 0


class Quiet(Marks):
    """Says nothing of where a process is."""

    def reached(self, point: str) -> None:
        return None


def _drive(pipe: Connection, *work: Any) -> None:
    drive(Quiet(pipe), *work)


def _begun(*work: Any) -> Life:
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_drive, args=(theirs, *work))
    process.start()
    theirs.close()
    return Life(process, ours)


def _until(server: Server, *, calls: int, of: Life) -> None:
    """Until the server was asked that often, and that process is at work."""
    while server.counts()["requests"] < calls and of.process.is_alive():
        time.sleep(0.002)


def _ended(life: Life) -> None:
    life.process.join(PATIENCE_SECONDS)
    if life.process.exitcode != 0:
        raise RuntimeError(f"a process that was to go on to the end ended with {life.process.exitcode}")


def _signal(life: Life, signal_number: int) -> None:
    assert life.process.pid is not None
    os.kill(life.process.pid, signal_number)
