"""Rows × steps: a batch, its progress, and the handle that a person holds while it runs and after.

    begin ─▶ hold the run ─▶ its rows (`feeding`) ─▶ the end: steps over all rows, the run's status ─▶ let go

A row that fails is kept with its reason and the batch goes on; only what no row can help (a missing key, a full disk)
ends the run, and even that can be resumed. Of several processes at one run one does the end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from toolkit.asking.questions import Tally
from toolkit.asking.settings import Settings, settings_of
from toolkit.asking.steering import Steering, steer
from toolkit.asking.thread import running_loop, submit
from toolkit.errors import Stopped
from toolkit.fleet import Fleet
from toolkit.graph.dataflow import BATCH_ROW, Dataflow, Wrap, unwrapped
from toolkit.graph.steps import About
from toolkit.graph.workflow import Workflow
from toolkit.ledger import History
from toolkit.ledger.writing.wishes import Wish
from toolkit.records import Answer, Event, Json, Run, RunStatus, now
from toolkit.runs.beginning import Begun, begin
from toolkit.runs.discretion import discreet
from toolkit.runs.feeding import Feed

if TYPE_CHECKING:
    from toolkit.ledger import Table


@dataclass
class Progress:
    """Where a run stands; written by the loop, read by anyone.

    `before` were done when it began, `elsewhere` were done by other processes meanwhile.
    """

    total: int | None = None
    answered: int = 0
    parked: int = 0
    failed: int = 0
    set_aside: int = 0
    before: int = 0
    elsewhere: int = 0
    in_flight: int = 0
    tally: Tally = field(default_factory=Tally)
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    steering: Steering = field(default_factory=Steering)

    @property
    def done(self) -> int:
        return self.answered + self.parked + self.failed + self.set_aside + self.before + self.elsewhere

    @property
    def is_paused(self) -> bool:
        return self.ended is None and self.steering.is_paused

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.began

    @property
    def seconds_left(self) -> float | None:
        """By the pace so far; None before there is one, or without a total."""
        finished = self.done - self.before - self.elsewhere
        if self.total is None or not finished:
            return None
        return (self.total - self.done) * self.seconds / finished

    def count(self, status: str) -> None:
        setattr(self, status, getattr(self, status) + 1)


class Running:
    """A run, under way or over: wait, cancel, look, ask in SQL.

    `stopped` is the budget that stopped it, in words; empty where none did.
    """

    def __init__(
        self, run: Run, workflow: Workflow, settings: Settings, *, steering: Steering, fleet: Fleet | None = None
    ) -> None:
        self.run = run
        self.workflow = workflow
        self.fleet = fleet
        self.settings = settings
        self.progress = Progress(total=len(settings.again) or run.rows_total, steering=steering)
        self.stopped = ""
        self.steering = steering
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
        from toolkit.runs.progress import watch

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
        """Stop between attempts: no further row starts, and the run stays resumable.

        Other processes at the run go on: `steering.steer(home, run_id, "cancel")` stops them all.
        """
        running_loop().call_soon_threadsafe(self.steering.stop.set)

    def pause(self) -> None:
        """No further row, step or attempt begins in any process at the run until `go_on`; what is under way ends.

        Raises RunError where the run is over.
        """
        self._steer("pause")

    def go_on(self) -> None:
        """Go on after `pause`. Raises RunError where the run is over."""
        self._steer(None)

    def _steer(self, wish: Wish | None) -> None:
        steer(self.settings.home, self.id, wish)
        self.steering.hear(wish)

    def sql(self, query: str, params: Any = None) -> Table:
        """The answer of a query in which every table and view shows this run alone (`run.history.sql`: all runs)."""
        return self.history.sql(query, params, run_id=self.id)

    def answers(self) -> Any:
        """A DataFrame with a row per row of the run: its fields' id, status, reason, cost, and each step's value."""
        from toolkit.runs.frames import answers_frame

        return answers_frame(self)

    def _ipython_display_(self) -> None:
        from toolkit import watch

        watch(self)._ipython_display_()

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
    steering = Steering()
    begun = begin(workflow, rows, fleet=fleet, settings=settings, steering=steering)
    running = Running(begun.run, workflow, settings, steering=steering, fleet=fleet)
    running._future = submit(_execute(running, begun, wrap))
    return running


# ----------------------------------------------------------------------------------------------------------- execute
async def _execute(running: Running, begun: Begun, wrap: Wrap) -> None:
    """Raises what ended the run, without what is redacted."""
    run, asker, settings, holding = begun.run, begun.asker, running.settings, begun.holding
    progress, stop = running.progress, running.steering.stop
    progress.tally = asker.tally
    about = About(run.id, BATCH_ROW, run.workflow, run.settings)
    flow = Dataflow(running.workflow, asker, about, wrap=wrap, turn=holding.turn)
    status: RunStatus = "interrupted"
    with discreet(asker.redactor):
        try:
            if "rows" in settings.parts:
                feed = Feed(flow, holding, settings=settings, progress=progress, steering=running.steering)
                await feed.rows(begun.rows)
            if "end" in settings.parts and not stop.is_set() and await holding.is_ours_to_end():
                await _reduce(flow, run)
            status = "cancelled" if stop.is_set() else _status(settings, begun.before)
        except Stopped:
            status = "cancelled"
        finally:
            running.run = replace(run, status="interrupted", finished_at=now())
            progress.ended = time.monotonic()
            try:
                await asker.finish()
                running.stopped = asker.stopped
                running.run = await holding.leave(status)
            finally:
                try:
                    await asker.close()
                finally:
                    await asyncio.to_thread(flow.journal.close)


def _status(settings: Settings, before: RunStatus | None) -> RunStatus:
    """What a run is when its parts are done: finished, if it was begun whole and nothing of it is left to others."""
    if "end" not in settings.parts:
        return before or "running"
    is_part = settings.only is not None or bool(settings.again)
    return "finished" if not is_part or before == "finished" else "interrupted"


async def _reduce(flow: Dataflow, run: Run) -> None:
    if not flow.workflow.reducing and not flow.workflow.once:
        return
    for answer in (await flow.reduce()).values():
        if answer.status != "answered":
            flow.recorder.event(Event("toolkit.step.failed", run.id, now(), _told(answer)))
    await flow.journal.committed()


def _told(answer: Answer) -> dict[str, Json]:
    return {"step": answer.place.step, "status": answer.status, "reason": answer.reason}
