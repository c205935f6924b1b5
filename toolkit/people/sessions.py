"""Conversations that last over processes and days: each turn is durable before it counts, and one is taken at a time.

    with Session.open("advice for Ada", fleet=fleet, route=Ladder("small", "large"), system="Be brief.") as session:
        print(session.say("My name is Ada."))
        print(session.say("What is my name?"))

A turn is a question like any other: routed, tried, graded, redacted and recorded, under a run whose id is the session's
and a row whose id is the number of the turn (step `session/turn`). What was said is in the table `messages`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from toolkit.asking import reconciling
from toolkit.asking.settings import DEFAULT_HOME, Settings
from toolkit.asking.thread import submit
from toolkit.context import DropOldest, Fit
from toolkit.errors import LedgerError, SessionBusy, SessionError
from toolkit.fleet import Fleet
from toolkit.graph.affording import check_prices
from toolkit.graph.steps import step
from toolkit.graph.workflow import Workflow
from toolkit.ledger import History, Journal, Said, Table, entries
from toolkit.ledger import Session as Recorded
from toolkit.ledger.recording import Recorder
from toolkit.ledger.writing import claims, holders, turns
from toolkit.ledger.writing.holders import Holder
from toolkit.ledger.writing.transaction import Transaction
from toolkit.messages import Message, Text
from toolkit.money.budgets import Budget, Budgets, budgets_of
from toolkit.people.answering import STEP, WORKFLOW, Answering
from toolkit.people.turn import Turn, message_of, replied, row_of
from toolkit.policies import Policy
from toolkit.records import Json, Request, Run, RunStatus, now
from toolkit.redaction import Redact, Redactor
from toolkit.routing.router import Router
from toolkit.runs.beginning import new_run_id
from toolkit.runs.discretion import Discretion

LOOK_SECONDS = (0.05, 1.0)
"""How often is looked whether the turn of somebody else is over: at first, and after a while."""

WhenBusy = Literal["conflict", "queue"]


class Session:
    """A conversation, open in this process. Others may have it open too; each turn is taken by one of them."""

    def __init__(
        self, recorded: Recorded, journal: Journal, asking: Answering, *, when_busy: WhenBusy, patience_seconds: float
    ) -> None:
        self._recorded = recorded
        self._journal = journal
        self._asking = asking
        self._when_busy = when_busy
        self._patience_seconds = patience_seconds
        self._said = journal.messages(recorded.id)
        self._holder: Holder | None = None
        self._queue = asyncio.Lock()
        journal.repeat(self._beat, seconds=holders.BEAT_SECONDS)

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        fleet: Fleet,
        route: Router,
        policy: Policy | None = None,
        fit: Fit | None = None,
        system: str | None = None,
        output: Any = None,
        when_busy: WhenBusy = "conflict",
        patience_seconds: float = float("inf"),
        home: Path | str = DEFAULT_HOME,
        redact: Redact | str | None = "",
        budget: Budget | Budgets | str | None = "",
        about: Mapping[str, Json] | None = None,
    ) -> Session:
        """The conversation with that name or id, begun where there is none.

        `fit` says what goes out where the window is too small for all that was said (the oldest turns go, if nothing
        is said of it); `system` is the instruction that it begins with. Where another turn is under way, a turn raises
        SessionBusy (`when_busy="conflict"`) or waits for it, up to `patience_seconds` (`"queue"`). `budget` is what the
        session may cost, over all processes and days; left empty, it is as it was. `about` is kept with the session.
        Router, policy, fitting and models may be others each time it is opened. Raises SessionError where it was begun
        with another instruction, FleetError and WorkflowError where nobody could answer.
        """
        if when_busy not in ("conflict", "queue"):
            raise SessionError(f"when_busy is 'conflict' or 'queue', not {when_busy!r}")
        asked = step(route=route, policy=policy, fit=fit or DropOldest(), output=output, name=STEP)(_turn)
        workflow = Workflow(WORKFLOW, [asked])
        workflow.check(fleet)
        journal = Journal.open(home)
        try:
            recorded, run, redactor = _opened(
                journal, name, system=system, about=about or {}, redact=redact, fleet=fleet
            )
            budgets = budgets_of(run.settings.get("budget") if budget == "" else budget)
            if budgets is not None:
                check_prices(budgets, workflow, fleet)
                run = replace(run, settings={**run.settings, "budget": repr(budgets)})
                reconciling.opened(journal, budgets, run_id=run.id, continued=True)
            journal.write(*(entries.price_entry(*listed, noted_at=now()) for listed in fleet.prices.entries()))
            asking = Answering(workflow, fleet, recorder=Recorder(journal), redactor=redactor, run=run, budgets=budgets)
            return cls(recorded, journal, asking, when_busy=when_busy, patience_seconds=patience_seconds)
        except BaseException:
            journal.close()
            raise

    # ---------------------------------------------------------------------------------------------------------- turns
    async def ask(self, text: str | None = None, /, *, instead: bool = False, **data: Any) -> Turn:
        """Say something, with named sections of data beside it, and the turn that comes of it.

        Without words it goes on with the message that has no reply yet (`unanswered`): what is on record of it is not
        asked again. Another message is said `instead` of that one. A turn that fails is no exception: it has a status,
        and its message stays without a reply. Raises SessionBusy or SessionError where no turn could begin.
        """
        return await asyncio.wrap_future(submit(self._take(message_of(text, data), instead=instead)))

    def say(self, text: str | None = None, /, *, instead: bool = False, **data: Any) -> Turn:
        """The same for a script or a notebook's cell: waits for the reply."""
        return submit(self._take(message_of(text, data), instead=instead)).result()

    # -------------------------------------------------------------------------------------------------------- looking
    @property
    def id(self) -> str:
        """The session's id, which is that of its run."""
        return self._recorded.id

    @property
    def name(self) -> str:
        return self._recorded.name

    @property
    def messages(self) -> tuple[Said, ...]:
        """All that was said, as far as this process knows: turns of others are seen when the next one begins."""
        return tuple(self._said)

    @property
    def unanswered(self) -> Said | None:
        """The message without a reply, of a turn that was broken off, failed or waits for a person; `ask()` goes on."""
        last = self._said[-1] if self._said else None
        return last if last is not None and last.message.role == "user" else None

    def sql(self, query: str, params: Any = None) -> Table:
        """The answer of a query in which every table and view shows this session alone."""
        return History(self._journal.home).sql(query, params, run_id=self.id)

    def close(self) -> None:
        """Commit what is queued and close the clients. Not to be called within a turn."""
        submit(self._asking.close()).result()
        self._journal.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        told = f", {self._recorded.name!r}" if self._recorded.name != self.id else ""
        return f"<session {self.id}{told}: {len(self._said)} messages>"

    # -------------------------------------------------------------------------------------------------------- one turn
    async def _take(self, message: Message | None, *, instead: bool) -> Turn:
        if message is not None:
            message = self._asking.redactor.request(Request((message,))).messages[0]
        async with self._queue if self._when_busy == "queue" else nullcontext():
            holder, asked = await self._begun(message, instead=instead)
            try:
                return await self._answered(holder, asked, goes_on=message is None)
            except BaseException:
                with suppress(LedgerError):  # then what ended the turn is to be told, and its holder is dead
                    await asyncio.shield(self._ended(holder, "interrupted"))
                raise
            finally:
                self._holder = None
                holders.ended(holder)

    async def _begun(self, message: Message | None, *, instead: bool) -> tuple[Holder, Said]:
        """The turn, once it is ours. Raises SessionBusy where it is not, or not in time."""
        pause, longest = LOOK_SECONDS
        until = time.monotonic() + self._patience_seconds
        while True:
            holder, known = holders.begun(self.id), len(self._said)
            run = turns.with_status(self._asking.run, "running", turns=self._number)
            try:
                begun = await self._journal.decide(
                    partial(turns.begin, holder=holder, run=run, known=known, message=message, instead=instead)
                )
            except BaseException as error:
                holders.ended(holder)
                if not isinstance(error, SessionBusy) or self._when_busy == "conflict" or time.monotonic() > until:
                    raise
                await asyncio.sleep(pause)
                pause = min(longest, 1.5 * pause)
                continue
            self._holder = holder
            self._said[begun.since[0].index :] = begun.since
            return holder, begun.asked

    async def _answered(self, holder: Holder, asked: Said, *, goes_on: bool) -> Turn:
        """Ask, and put the turn on record as a whole."""
        number = self._number
        answer, left_out = await self._asking.answer(number, [said.message for said in self._said], goes_on=goes_on)
        reply = replied(answer, asked)
        written = [
            entries.row_entry(row_of(answer, asked, number=number, left_out=left_out)),
            *map(entries.message_entry, reply),
        ]
        await self._ended(holder, "finished", written)
        self._said += reply
        return Turn.of(answer, number=number, left_out=left_out)

    async def _ended(self, holder: Holder, status: RunStatus, written: Sequence[entries.Entry] = ()) -> None:
        """The turn is over, for others too, and this goes on record with it. Raises LedgerError."""
        run = turns.with_status(self._asking.run, status, turns=self._number)

        def ending(transaction: Transaction) -> None:
            self._holder = None  # on the thread that gives signs of life
            turns.end(transaction, holder, run=run, entries=written, at=time.time())

        await self._journal.decide(ending)

    @property
    def _number(self) -> int:
        """The number of the turn under way, or of the next: one more than there are replies."""
        return 1 + sum(said.message.role == "assistant" for said in self._said)

    def _beat(self, transaction: Transaction) -> None:
        """A sign of life while a turn is under way."""
        if (holder := self._holder) is not None:
            claims.beat(transaction, holder, at=time.time())


# ----------------------------------------------------------------------------------------------------------- helpers
def _turn(text: str) -> Request:
    """The step of a session; its requests are made of all that was said."""
    return Request((Message("user", (Text(text),)),))


def _opened(
    journal: Journal,
    name: str | None,
    *,
    system: str | None,
    about: Mapping[str, Json],
    redact: Redact | str | None,
    fleet: Fleet,
) -> tuple[Recorded, Run, Redactor]:
    """The session's record and run, there or begun. Raises SessionError."""
    discretion = _discretion(journal, name, redact)
    redactor = discretion.redactor(fleet, key=discretion.key(journal.home))
    id, began = new_run_id(WORKFLOW), now()
    recorded = Recorded(id, redactor.text(name or id), began, redactor.value(dict(about)))
    run = Run(id, WORKFLOW, "script", began, status="finished", finished_at=began, settings=dict(discretion.told))
    first = None if system is None else Message("system", (Text(redactor.text(system)),))
    recorded, was_there = journal.decided(lambda t: turns.opened(t, recorded, run=run, first=first))
    if was_there:
        run = journal.run(recorded.id) or run
        Discretion.of(Settings(redact=redact), run)
        _check_system(journal.messages(recorded.id)[:1], first, recorded)
    return recorded, run, redactor


def _discretion(journal: Journal, name: str | None, redact: Redact | str | None) -> Discretion:
    """What the session redacts: as it was begun, where it is there."""
    known = None if name is None else journal.session_named(name)
    return Discretion.of(Settings(redact=redact), None if known is None else journal.run(known.id))


def _check_system(said: list[Said], first: Message | None, recorded: Recorded) -> None:
    begun_with = next((each.message for each in said if each.message.role == "system"), None)
    if first is not None and begun_with != first:
        told = "none" if begun_with is None else repr(begun_with.text[:80])
        raise SessionError(
            f"session {recorded.id} ({recorded.name}) was begun with another system message: {told}; leave it out to "
            "go on, or begin a session with another name"
        )
