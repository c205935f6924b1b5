"""Turns of a conversation, one at a time over all processes: begun with what the user says, ended with the reply.

In: what is to be said, as an action in a transaction. Out: what others have said meanwhile, and the place of the new
message. A turn is held like the row of a run: where its holder dies, it is anyone's, and its message has no reply.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.errors import SessionBusy, SessionError
from toolkit.ledger import decoding
from toolkit.ledger.conversations import Said, Session
from toolkit.ledger.entries import Entry, message_entry, run_entry, session_entry
from toolkit.ledger.writing import claims, statements
from toolkit.ledger.writing.holders import Holder
from toolkit.ledger.writing.transaction import Transaction
from toolkit.messages import Message
from toolkit.records import Run, RunStatus, now

TURN = "turn"
"""What is claimed by who takes the next turn of a conversation."""

SINCE = 'select body from messages where session_id = :session_id and "index" >= :since order by "index"'
HELD_BY = """select h.host, h.pid from claims c join holders h on h.id = c.holder
    where c.run_id = :session_id and c.row_id = :turn"""


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is ours: what was said since we last looked, the user's message of this turn last."""

    since: tuple[Said, ...]

    @property
    def asked(self) -> Said:
        return self.since[-1]


def opened(transaction: Transaction, session: Session, *, run: Run, first: Message | None) -> tuple[Session, bool]:
    """The conversation of that id or name, the newest where several have it; begun as `session` where there is none.

    Whether it was there. `first` is a system message to begin with.
    """
    found = transaction.rows(statements.SESSION_NAMED, name=session.name)
    if found:
        return decoding.session(found[0][0]), True
    said = () if first is None else (message_entry(Said(session.id, 0, first, session.started_at, session.id)),)
    transaction.write(session_entry(session), run_entry(run), *said)
    return session, False


def begin(
    transaction: Transaction,
    *,
    holder: Holder,
    run: Run,
    known: int,
    message: Message | None,
    instead: bool = False,
) -> Begun:
    """Begin the next turn with this message; with None, go on with the one that has no reply.

    `known` is how many messages the caller knows: those after them are told. Where the last one has no reply, it is
    replaced `instead`, or nothing new is begun. Raises SessionBusy where a turn is under way, SessionError.
    """
    session_id, at = run.id, time.time()
    since = [decoding.said(body) for (body,) in transaction.rows(SINCE, session_id=session_id, since=max(known - 1, 0))]
    last = since[-1] if since else None
    before = transaction.rows(HELD_BY, session_id=session_id, turn=TURN)
    claims.enter(transaction, holder, run=run, at=at)
    if claims.end(transaction, holder, part=TURN, at=at) == "theirs":
        raise SessionBusy(_busy(session_id, last, before))
    pending = last if last is not None and last.message.role == "user" else None
    if message is None:
        if pending is None:
            raise SessionError(f"session {session_id} has no message without a reply; say something")
        return Begun(tuple(since))
    if pending is not None and not instead:
        raise SessionError(
            f"session {session_id}: what was said at {pending.said_at:%Y-%m-%d %H:%M:%S} UTC has no reply yet; without "
            "words say() asks for it again, and for nothing that is on record; say(…, instead=True) replaces it"
        )
    index = pending.index if pending is not None else 0 if last is None else last.index + 1
    said = Said(session_id, index, message, now(), session_id)
    transaction.write(message_entry(said))
    return Begun((*(each for each in since if each.index != index), said))


def end(transaction: Transaction, holder: Holder, *, run: Run, entries: Sequence[Entry], at: float) -> None:
    """End the turn: the reply and the row of the turn go on record with it. Raises LedgerError where it is not ours."""
    claims.leave(transaction, holder, run=run, unfinished=(), ends=True, at=at)
    transaction.write(*entries)


def _busy(session_id: str, last: Said | None, held_by: list[tuple[str, int]]) -> str:
    since = "" if last is None else f" since {last.said_at:%H:%M:%S} UTC"
    who = "another process" if not held_by else f"process {held_by[0][1]} on {held_by[0][0].split(' ')[0]}"
    return (
        f"a turn of session {session_id} is under way{since}, by {who}; ask when it is over, "
        'or open the session with when_busy="queue" to wait for it'
    )


def with_status(run: Run, status: RunStatus, *, turns: int | None = None) -> Run:
    """The run of a conversation, during a turn or between two."""
    finished_at = None if status == "running" else now()
    return replace(run, status=status, finished_at=finished_at, rows_total=turns)
