"""Several processes at one run: each drives the rows that it has claimed, and nobody drives a row twice.

In: what a process wants to do next (`enter`, `beat`, `take`, `end`, `leave`), as actions in a transaction. Out: what
it may do. A claim counts while its holder lives; a claim left behind, by the dead or by who stopped early, is anyone's.
A claim that is gone was kept until its row was done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast

from toolkit.errors import LedgerError, RunError
from toolkit.ledger import decoding
from toolkit.ledger.entries import run_entry
from toolkit.ledger.writing import holders, statements, wishes
from toolkit.ledger.writing.holders import Holder, interrupted
from toolkit.ledger.writing.transaction import Transaction
from toolkit.ledger.writing.wishes import Wish
from toolkit.records import RowStatus, Run

Whose = Literal["ours", "theirs", "done"]

END = "*"
"""What is claimed by who does the end of a run: the row of the batch."""

ENTER = """insert into holders (id, host, pid, process_started, beaten_at)
    values (:id, :host, :pid, :process_started, :beaten_at)"""
BEAT = "update holders set beaten_at = :beaten_at where id = :id"
BEATEN_AT = "select beaten_at from holders where id = :id"
LEAVE = "delete from holders where id = :id"
RUN_STATUS = "select status from runs where id = :run_id"
ENDED_ROWS = "select row_id, status, body from rows where run_id = :run_id and row_id in ({rows})"
LEFT = "select row_id, body from rows where run_id = :run_id and status in ('failed', 'parked')"
CLAIMED = "select row_id, holder from claims where run_id = :run_id and row_id in ({rows})"
CLAIM = """insert into claims (run_id, row_id, holder) values {rows}
    on conflict (run_id, row_id) do update set holder = excluded.holder"""
RELEASE = "delete from claims where run_id = :run_id and holder = :holder and row_id in ({rows})"
RELEASE_ALL = "delete from claims where holder = :holder"
RELEASE_OTHERS = "delete from claims where run_id = :run_id and holder = :holder and row_id not in ({rows})"
FORGET_LEFT_BEHIND = "delete from claims where run_id = :run_id and holder not in (select id from holders)"


@dataclass(frozen=True)
class Taken:
    """Of the rows that somebody wanted: those that are theirs now, those that others have, and how the rest ended.

    `others` is how many other holders of the run live; `is_late` says that somebody has come to the run's end already.
    """

    ours: frozenset[str] = frozenset()
    theirs: frozenset[str] = frozenset()
    done: Mapping[str, RowStatus] = field(default_factory=dict)
    others: int = 0
    is_inherited: bool = False
    is_late: bool = False


@dataclass(frozen=True)
class Entered:
    """The rows that had failed or were parked when a holder began, and when; and what is wished of the run."""

    left: Mapping[str, datetime]
    wish: Wish | None = None


def enter(transaction: Transaction, holder: Holder, *, run: Run, at: float, is_part: bool = False) -> Entered:
    """The holder begins to work on a run, which is put on record.

    Runs that are said to be running, and that nobody works on, are put on record as interrupted. Who begins a run anew,
    and not a part of it, lifts what was wished of those who are gone. Raises RunError where others are still about to
    stop.
    """
    held = {each.run_id for each in bury(transaction, at)}
    wish = wishes.wished(transaction, run.id)
    if wish is not None and not is_part:
        if run.id not in held:
            wishes.forget(transaction, run.id)
            wish = None
        elif wish == "cancel":
            raise RunError(f"run {run.id} is being cancelled: its calls under way end first; try again in a moment")
    for (run_id,) in transaction.rows(holders.RUNNING):
        if run_id not in held and run_id != run.id:
            _interrupt(transaction, run_id, None)
    told = {"host": holder.host, "pid": holder.pid, "process_started": holder.process_started}
    transaction.run(ENTER, id=holder.id, beaten_at=at, **told)
    transaction.write(run_entry(run))
    left = {row: decoding.row(body).finished_at for row, body in transaction.rows(LEFT, run_id=run.id)}
    return Entered(left, wish)


def beat(transaction: Transaction, holder: Holder, *, at: float) -> float:
    """A sign of life; seconds since the one before. Raises LedgerError where others have given the holder up."""
    before = _beaten_at(transaction, holder)
    transaction.run(BEAT, id=holder.id, beaten_at=at)
    return at - before


def bury(transaction: Transaction, at: float) -> list[Holder]:
    """Take the dead off the list, so that they write no more; the living. A run that nobody holds is interrupted."""
    found = [Holder(*each) for each in transaction.rows(holders.HOLDERS)]
    living = [holder for holder in found if holder.is_alive(at)]
    if len(living) < len(found):
        running = [run_id for (run_id,) in transaction.rows(holders.RUNNING)]
        for run_id, beaten_at in interrupted(running, found, at=at).items():
            _interrupt(transaction, run_id, datetime.fromtimestamp(beaten_at, UTC))
        for holder in set(found).difference(living):
            transaction.run(LEAVE, id=holder.id)
    return living


def take(
    transaction: Transaction,
    holder: Holder,
    *,
    wanted: Collection[str],
    were_theirs: Collection[str],
    left: Mapping[str, datetime],
    finished: Collection[str],
    at: float,
) -> Taken:
    """Claim what is free of the rows `wanted`; claims on `finished` rows are let go first.

    `were_theirs` are those that others had when they were last looked at. Rows that have ended are done, but those in
    `left`, which had ended at these times when the holder began: they are to be driven again, unless somebody has. As
    who began first waits for no row that has ended, no two wait for each other. Raises LedgerError where others have
    given the holder up.
    """
    living, run_id = _others(transaction, holder, at), holder.run_id
    others = {each.id for each in living if each.run_id == run_id}
    if finished:
        _in_rows(transaction, RELEASE, finished, run_id=run_id, holder=holder.id)
    claimed: dict[str, str] = dict(_found(transaction, CLAIMED, [*wanted, END], run_id=run_id))
    ended = {row: (status, body) for row, status, body in _found(transaction, ENDED_ROWS, wanted, run_id=run_id)}
    ours, theirs, done = set[str](), set[str](), dict[str, RowStatus]()
    for row in wanted:
        status, body = ended.get(row, (None, ""))
        is_new = status is not None and (row not in left or left[row] != decoding.row(body).finished_at)
        if is_new or (status is not None and row in were_theirs and row not in claimed):
            done[row] = cast("RowStatus", status)
        elif claimed.get(row) in others:
            theirs.add(row)
        else:
            ours.add(row)
    _claim(transaction, ours, holder)
    is_late = claimed.get(END) in others or transaction.rows(RUN_STATUS, run_id=run_id) == [("finished",)]
    is_inherited = not ours.isdisjoint(claimed)
    return Taken(frozenset(ours), frozenset(theirs), done, len(others), is_inherited, is_late)


def end(transaction: Transaction, holder: Holder, *, part: str = END, is_late: bool = False, at: float) -> Whose:
    """Whose the end of the run is: ours from now on, another's who lives, or done.

    `part` names another thing that is done once for the run. What was driven late calls for another end.
    """
    living, run_id = _others(transaction, holder, at), holder.run_id
    claimed: dict[str, str] = dict(_found(transaction, CLAIMED, [part], run_id=run_id))
    if claimed.get(part) in {each.id for each in living}:
        return "theirs"
    if part == END and not is_late and transaction.rows(RUN_STATUS, run_id=run_id) == [("finished",)]:
        return "done"
    _claim(transaction, [part], holder)
    return "ours"


def release(transaction: Transaction, holder: Holder, *, rows: Collection[str]) -> None:
    """Let go of these rows: they are done."""
    _in_rows(transaction, RELEASE, rows, run_id=holder.run_id, holder=holder.id)


def leave(
    transaction: Transaction, holder: Holder, *, run: Run, unfinished: Collection[str], at: float, ends: bool
) -> Run:
    """The holder goes; the run as it is on record then.

    It puts its run on record if it `ends` it, or if nobody else works on it and nobody has ended it. Rows that it has
    not finished stay claimed by one who is gone, and so are anyone's.
    """
    living = _others(transaction, holder, at)
    transaction.run(LEAVE, id=holder.id)
    if unfinished:
        _in_rows(transaction, RELEASE_OTHERS, unfinished, run_id=run.id, holder=holder.id)
    else:
        transaction.run(RELEASE_ALL, holder=holder.id)
    found = run_of(transaction, run.id)
    is_alone = all(each.run_id != run.id for each in living)
    if is_alone:
        wishes.forget(transaction, run.id)
    if ends:
        transaction.run(FORGET_LEFT_BEHIND, run_id=run.id)
    elif not is_alone or run.status == "running" or (found is not None and found.status != "running"):
        return found or run
    transaction.write(run_entry(run))
    return run


def run_of(transaction: Transaction, run_id: str) -> Run | None:
    """That run as it is on record."""
    found = transaction.rows(statements.RUN, run_id=run_id)
    return decoding.run(found[0][0]) if found else None


# ----------------------------------------------------------------------------------------------------------- helpers
def _others(transaction: Transaction, holder: Holder, at: float) -> list[Holder]:
    """The living but the holder itself. If it has given no sign of life for a while it has slept: so may they have."""
    judged_at = min(at, _beaten_at(transaction, holder) + holders.BEAT_SECONDS)
    return [each for each in bury(transaction, judged_at) if each.id != holder.id]


def _beaten_at(transaction: Transaction, holder: Holder) -> float:
    found = transaction.rows(BEATEN_AT, id=holder.id)
    if not found:
        raise LedgerError(
            f"this process gave no sign of life for so long that another one took over its rows of run "
            f"{holder.run_id}; what it had recorded is kept, and the other goes on: nothing is to be done here"
        )
    return float(found[0][0])


def _interrupt(transaction: Transaction, run_id: str, at: datetime | None) -> None:
    run = run_of(transaction, run_id)
    if run is not None:
        transaction.write(run_entry(replace(run, status="interrupted", finished_at=at)))


def _claim(transaction: Transaction, rows: Collection[str], holder: Holder) -> None:
    if rows:
        names = {f"row_{number}": row for number, row in enumerate(rows)}
        values = ", ".join(f"(:run_id, :{name}, :holder)" for name in names)
        transaction.run(CLAIM.format(rows=values), run_id=holder.run_id, holder=holder.id, **names)


def _found(transaction: Transaction, statement: str, rows: Collection[str], **named: str) -> list[tuple[Any, ...]]:
    if not rows:
        return []
    names = {f"row_{number}": row for number, row in enumerate(rows)}
    return transaction.rows(statement.format(rows=_marks(names)), **named, **names)


def _in_rows(transaction: Transaction, statement: str, rows: Collection[str], **named: str) -> None:
    if rows:
        names = {f"row_{number}": row for number, row in enumerate(rows)}
        transaction.run(statement.format(rows=_marks(names)), **named, **names)


def _marks(names: Iterable[str]) -> str:
    return ", ".join(f":{name}" for name in names)
