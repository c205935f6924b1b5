"""Rows × steps: a batch, its progress, and the handle that a person holds while it runs and after.

    rows ─▶ at most `in_flight` at once ─▶ dataflow ─▶ row's record, durable ─▶ counted as done

Rows are streamed: what is held is what is in flight. A row that fails is set aside with its reason and the batch goes
on; only what no row can help (a missing key, a full disk) ends the run, and even that can be resumed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from toolkit.beginning import Begun, begin
from toolkit.dataflow import BATCH_ROW, Dataflow, Wrap, unwrapped
from toolkit.discretion import discreet
from toolkit.errors import InvalidOutput, Stopped
from toolkit.fleet import Fleet
from toolkit.ledger import History
from toolkit.loop import submit
from toolkit.questions import Tally
from toolkit.records import Answer, Event, Json, RowRecord, Run, RunStatus, now
from toolkit.rows import Fields, Rows
from toolkit.rowstate import RowState, row_record
from toolkit.settings import Settings, settings_of
from toolkit.steps import About
from toolkit.workflow import Workflow

if TYPE_CHECKING:
    from toolkit.ledger import Table


@dataclass
class Progress:
    """Where a run stands; written by the loop, read by anyone."""

    total: int | None = None
    answered: int = 0
    parked: int = 0
    failed: int = 0
    set_aside: int = 0
    before: int = 0
    in_flight: int = 0
    tally: Tally = field(default_factory=Tally)
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def done(self) -> int:
        return self.answered + self.parked + self.failed + self.set_aside + self.before

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.began

    @property
    def seconds_left(self) -> float | None:
        """By the pace so far; None before there is one, or without a total."""
        finished = self.done - self.before
        if self.total is None or not finished:
            return None
        return (self.total - self.done) * self.seconds / finished

    def count(self, status: str) -> None:
        setattr(self, status, getattr(self, status) + 1)


class Running:
    """A run, under way or over: wait, cancel, look, ask in SQL."""

    def __init__(self, run: Run, workflow: Workflow, settings: Settings, *, stop: asyncio.Event) -> None:
        self.run = run
        self.workflow = workflow
        self.settings = settings
        self.progress = Progress(total=run.rows_total)
        self._stop = stop
        self._future: Future[None] | None = None

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def is_finished(self) -> bool:
        return self._future is not None and self._future.done()

    @cached_property
    def history(self) -> History:
        """The record, for SQL over all runs."""
        return History(self.settings.home)

    def wait(self, *, show: bool | None = None) -> Running:
        """Until the run is over, with a progress line where somebody watches (`show=False`: without).

        Ctrl-C stops cleanly: what is under way ends its attempt, and the run can be resumed. Raises what ended the run.
        """
        from toolkit.progress import watch

        assert self._future is not None
        try:
            watch(self, show=show)
        except KeyboardInterrupt:
            self.cancel()
            if show is not False:
                print("stopping after the calls under way; once more to leave at once", file=sys.stderr, flush=True)
            watch(self, show=False)
            raise
        self._future.result()
        return self

    def cancel(self) -> None:
        """Stop between attempts: no further row starts, and the run stays resumable."""
        from toolkit.loop import running_loop

        running_loop().call_soon_threadsafe(self._stop.set)

    def sql(self, query: str, params: Any = None) -> Table:
        """The answer of a query in which every table and view shows this run alone (`run.history.sql`: all runs)."""
        return self.history.sql(query, params, run_id=self.id)

    def answers(self) -> Any:
        """A DataFrame with a row per row of the run: its fields' id, status, reason, cost, and each step's value."""
        from toolkit.frames import answers_frame

        return answers_frame(self)

    def __repr__(self) -> str:
        p = self.progress
        state = "under way" if not self.is_finished else self.run.status
        return (
            f"<run {self.id}: {state}, {p.done} rows: {p.answered} answered, {p.parked} parked, {p.failed} failed, "
            f"{p.set_aside} set aside; {p.tally.calls} calls, {p.tally.cost_usd:.4f} USD>"
        )


def start(
    workflow: Workflow,
    rows: Any,
    fleet: Fleet,
    *,
    settings: Settings | None = None,
    wrap: Wrap = unwrapped,
    **options: Any,
) -> Running:
    """Begin a run and return its handle at once.

    `options` are the fields of `Settings` (home, in_flight, fresh, limit, seed …); `wrap` stands around each request of
    a step. Raises a SetupError where nothing could run: the workflow does not fit the fleet, a column is missing, there
    are no rows.
    """
    settings = settings or settings_of(options)
    stop = asyncio.Event()
    begun = begin(workflow, rows, fleet=fleet, settings=settings, stop=stop)
    running = Running(begun.run, workflow, settings, stop=stop)
    running._future = submit(_execute(running, begun, wrap))
    return running


def identify(workflow: Workflow, index: int, fields: Fields) -> str:
    """The id of the row at `index`: what its id column says, else its place in the table."""
    given = fields.get(workflow.row_id)
    return f"row-{index}" if given is None or given == "" else str(given)


# ----------------------------------------------------------------------------------------------------------- execute
async def _execute(running: Running, begun: Begun, wrap: Wrap) -> None:
    """Raises what ended the run, without what is redacted."""
    run, asker, settings = begun.run, begun.asker, running.settings
    running.progress.tally = asker.tally
    flow = Dataflow(running.workflow, asker, About(run.id, BATCH_ROW, run.workflow, run.settings), wrap=wrap)
    batch = _Batch(running, flow)
    status: RunStatus = "interrupted"
    with discreet(asker.redactor):
        try:
            if "rows" in settings.parts:
                await batch.feed(begun.rows)
            if "end" in settings.parts and not running._stop.is_set():
                await _reduce(flow, run)
            status = "cancelled" if running._stop.is_set() else "finished"
        except Stopped:
            status = "cancelled"
        finally:
            if "end" in settings.parts or status != "finished":
                running.run = replace(run, status=status, finished_at=now())
                asker.recorder.run(running.run)
            running.progress.ended = time.monotonic()
            try:
                await asker.close()
            finally:
                await asyncio.to_thread(flow.journal.close)


async def _reduce(flow: Dataflow, run: Run) -> None:
    if not flow.workflow.reducing and not flow.workflow.once:
        return
    for answer in (await flow.reduce()).values():
        if answer.status != "answered":
            flow.recorder.event(Event("toolkit.step.failed", run.id, now(), _told(answer)))
    await flow.journal.committed()


def _told(answer: Answer) -> dict[str, Json]:
    return {"step": answer.place.step, "status": answer.status, "reason": answer.reason}


class _Batch:
    """The rows of one run through its dataflow, `in_flight` at a time."""

    def __init__(self, running: Running, flow: Dataflow) -> None:
        self.running = running
        self.flow = flow
        self.journal = flow.journal
        statuses = self.journal.row_statuses(running.id)
        self.done = {row_id for row_id, status in statuses.items() if status in ("answered", "set_aside")}
        self.seen = set(running.settings.taken)
        self.fault: BaseException | None = None

    async def feed(self, table: Rows) -> None:
        """All rows of the table. Raises what no row can help; Stopped where the run was cancelled."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            await self._begin(table, tasks)
        finally:
            while tasks:
                await asyncio.wait(tasks)
        if self.fault is not None:
            raise self.fault
        if self.running._stop.is_set():
            raise Stopped("the run was cancelled")

    async def _begin(self, table: Rows, tasks: set[asyncio.Task[None]]) -> None:
        """Begin each row as soon as there is room for it."""
        stop, slots = self.running._stop, asyncio.Semaphore(self.running.settings.in_flight)
        for index, fields in enumerate(table.stream(), start=self.running.settings.skip):
            row_id = identify(self.running.workflow, index, fields)
            if row_id in self.done and row_id not in self.seen:
                self.running.progress.before += 1
                continue
            await slots.acquire()
            await self.journal.room()
            if stop.is_set() or self.fault is not None:
                break
            task = asyncio.create_task(self._one(index, row_id, fields, slots))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _one(self, index: int, row_id: str, fields: Fields, slots: asyncio.Semaphore) -> None:
        progress = self.running.progress
        progress.in_flight += 1
        try:
            try:
                record = await self._through(index, row_id, fields)
            finally:
                slots.release()
                progress.in_flight -= 1
            self.flow.recorder.row(record)
            if record.status == "parked":
                about = {"row_id": row_id, "reason": record.reason}
                self.flow.recorder.event(Event("toolkit.row.parked", record.run_id, now(), about))
            await self.journal.committed()
            progress.count(record.status)
        except Stopped:
            pass
        except BaseException as error:
            self.fault = self.fault or error

    async def _through(self, index: int, row_id: str, fields: Fields) -> RowRecord:
        run_id, started = self.running.id, time.perf_counter()
        duplicate = row_id in self.seen
        self.seen.add(row_id)
        if duplicate:
            return _set_aside(run_id, f"{row_id}#{index}", index, fields, f"a row before it has the id {row_id!r} too")
        try:
            typed = self.flow.typed(fields)
        except InvalidOutput as error:
            fault = f"the row does not fit {self.running.workflow.rows.__name__}: {error}"
            return _set_aside(run_id, row_id, index, fields, fault)
        state: RowState = await self.flow.row(row_id, fields, typed)
        return row_record(state, run_id=run_id, index=index, seconds=time.perf_counter() - started)


def _set_aside(run_id: str, row_id: str, index: int, fields: Fields, reason: str) -> RowRecord:
    return RowRecord(run_id=run_id, row_id=row_id, index=index, status="set_aside", fields=fields, reason=reason)
