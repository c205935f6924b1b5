"""What a flow run does beside its work: it shows how far it is, passes on what happens, looks whether it is to stop.

In: a run on record, and its progress now and then. Out: a progress artifact, log lines and events; `Stopped` once
somebody has cancelled the flow run in Prefect.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect import get_run_logger, runtime
from prefect.context import SyncClientContext
from prefect.exceptions import ObjectNotFound

from toolkit.errors import BudgetReached, Stopped
from toolkit.ledger import History
from toolkit.orchestration.passing_on import PassingOn, overheard
from toolkit.orchestration.reporting import Bar
from toolkit.records import Run, now
from toolkit.runs.progress import line
from toolkit.runs.running import Progress, Running

LOOK_SECONDS = 0.5
ASK_SECONDS = 2.0
LOG_SECONDS = 15.0
STOP_SECONDS = 20.0
"""Prefect kills what has not stopped 30 s after it was told to."""


class Lookout:
    """Looks round for a flow run, within which it is made; `look` as often as you like.

    What happened after `since` (by default, from now on) is passed on.
    """

    def __init__(self, run_id: str, workflow: str, *, home: Path, since: datetime | None = None) -> None:
        self.log = get_run_logger()
        self._flow_run_id: str | None = runtime.flow_run.id
        self._passing_on = PassingOn(History(home), run_id, workflow, log=self.log, since=since or now())
        self._bar = Bar(workflow)
        self._asked = self._said = time.monotonic()
        self._hearing = ExitStack()
        self._hearing.enter_context(overheard(self.log))
        self._passing_on.begin()

    def look(self, progress: Progress) -> None:
        """Show where the run stands; raises Stopped where the flow run was cancelled."""
        self._bar.show(progress)
        moment = time.monotonic()
        if moment - self._said >= LOG_SECONDS:
            self._said = moment
            self.log.info("%s", line(progress))
        if moment - self._asked >= ASK_SECONDS:
            self._asked = moment
            if is_cancelled(self._flow_run_id):
                raise Stopped("the flow run was cancelled")

    def close(self, progress: Progress) -> None:
        """Show and pass on the last of it."""
        self._hearing.close()
        self._passing_on.end()
        self._bar.show(progress)


def follow(running: Running, *, home: Path, since: datetime | None = None) -> Running:
    """Wait for a run in a flow run, which shows it. Raises what ended the run, Stopped where it was cancelled, and
    BudgetReached where a budget stopped it.

    Whatever ends the wait, the run has stopped between two attempts by then, and can be resumed.
    """
    lookout = Lookout(running.id, running.run.workflow, home=home, since=since)
    try:
        while not running.is_finished:
            lookout.look(running.progress)
            time.sleep(LOOK_SECONDS)
    except BaseException:
        running.cancel()
        deadline = time.monotonic() + STOP_SECONDS
        while not running.is_finished and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        raise
    finally:
        lookout.close(running.progress)
    running.wait(show=False)
    if running.stopped:
        raise BudgetReached(running.stopped)
    return running


def is_cancelled(flow_run_id: Any) -> bool:
    """Whether somebody has cancelled that flow run; what Prefect cannot tell counts as no."""
    if flow_run_id is None:
        return False
    try:
        with SyncClientContext.get_or_create() as context:
            state = context.client.read_flow_run(UUID(str(flow_run_id))).state
    except (HTTPError, ObjectNotFound):
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def left_to(run: Run) -> str:
    """Why a run that stopped is not to go on by itself, by what Prefect says of the flow run that began it; else ""."""
    if run.flow_run_id is None:
        return ""
    try:
        with SyncClientContext.get_or_create() as context:
            flow_run = context.client.read_flow_run(UUID(run.flow_run_id))
    except (ObjectNotFound, ValueError):
        return ""
    state = flow_run.state
    if state is None or flow_run.id == runtime.flow_run.id:
        return ""
    if state.is_cancelled() or state.is_cancelling():
        return f"its flow run {flow_run.name!r} was cancelled"
    if state.is_scheduled() or state.is_pending():
        return f"Prefect starts its flow run {flow_run.name!r} again"
    return ""
