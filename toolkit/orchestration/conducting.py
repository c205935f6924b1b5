"""One flow run: hand out chunks as Prefect tasks, keep its artifacts and log, and stop cleanly when told to.

In: a form made good into an order. Out: the state of the flow run, whose result is a `Summary`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from prefect import Task, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.context import SyncClientContext
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed

from toolkit.dataflow import Wrap
from toolkit.errors import Stopped, ToolkitError
from toolkit.orchestration.batch import Batch, Chunk
from toolkit.orchestration.form import Form, Given, Order, made_good
from toolkit.orchestration.reporting import Bar, Summary, publish
from toolkit.orchestration.stepping import OFF
from toolkit.progress import line
from toolkit.records import RunStatus

LOOK_SECONDS = 1.0
ASK_SECONDS = 2.0
STOP_SECONDS = 120.0


class Conducting:
    """A flow run under way. `run` blocks until it is over; `cancel` may be called from any thread."""

    def __init__(self, given: Given, form: Form, *, wrap: Callable[[Order], Wrap]) -> None:
        self._given = given
        self._form = form
        self._wrap = wrap
        self._log = get_run_logger()
        self._flow_run_id: str | None = runtime.flow_run.id
        self._pending: deque[PrefectFuture[Any]] = deque()
        self._batch: Batch | None = None
        self._bar: Bar | None = None
        self._asked = time.monotonic()

    def run(self) -> State[Any]:
        """The whole flow run. Errors that a person can mend become its state, with their one sentence."""
        try:
            order = made_good(self._given, self._form)
            batch = self._batch = Batch(order, flow_run_id=self._flow_run_id, wrap=self._wrap(order))
            run = batch.begin()
        except ToolkitError as error:
            return self._failed(error)
        self._log.info("run %s begins: %s rows, home %s", run.id, batch.total, batch.home.resolve())
        self._bar = Bar(run.workflow)
        try:
            self._hand_out(batch)
        except Stopped:
            return self._stopped(batch)
        except ToolkitError as error:
            self._stop(batch, "interrupted")
            return self._failed(error)
        except BaseException as error:
            self._log.warning("%s: stopping; run %s can be continued", type(error).__name__, run.id)
            self._stop(batch, "cancelled" if isinstance(error, KeyboardInterrupt) else "interrupted")
            raise
        summary = self._tell(batch)
        return Completed(message=str(summary), data=summary)

    def cancel(self) -> None:
        """Stop between two attempts; the run stays resumable."""
        if self._batch is not None:
            self._batch.cancel()

    # ------------------------------------------------------------------------------------------------------ the batch
    def _hand_out(self, batch: Batch) -> None:
        for number, chunk in enumerate(batch.chunks()):
            # Steps that run once for the batch are asked by the first chunk, and found on record by the others.
            alone = number == 1 and batch.order.workflow.once
            while self._pending and (alone or len(self._pending) >= self._form.chunks_at_once):
                self._settle(batch)
            self._pending.append(chunk_task.submit(batch, chunk))
        while self._pending:
            self._settle(batch)
        self._pending.append(end_task.submit(batch))
        self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        """Wait for the longest waiting task, looking round meanwhile. Raises what it raised."""
        while True:
            try:
                told = self._pending[0].result(timeout=LOOK_SECONDS)
            except TimeoutError:
                self._look(batch)
                continue
            self._pending.popleft()
            self._log.info("%s", told)
            self._look(batch)
            return

    def _look(self, batch: Batch) -> None:
        """Show where the batch stands, and ask whether somebody cancelled the flow run in the UI."""
        if self._bar is not None:
            self._bar.show(batch.progress)
        if self._flow_run_id is None or time.monotonic() - self._asked < ASK_SECONDS:
            return
        self._asked = time.monotonic()
        with SyncClientContext.get_or_create() as context:
            state = context.client.read_flow_run(UUID(self._flow_run_id)).state
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            raise Stopped("the flow run was cancelled")

    # ------------------------------------------------------------------------------------------------------- endings
    def _stop(self, batch: Batch, status: RunStatus) -> None:
        batch.cancel()
        deadline = time.monotonic() + STOP_SECONDS
        for future in self._pending:
            future.wait(timeout=max(0.0, deadline - time.monotonic()))
        self._pending.clear()
        batch.close(status)

    def _stopped(self, batch: Batch) -> State[Any]:
        self._stop(batch, "cancelled")
        summary = self._tell(batch)
        return Cancelled(message=f"{summary}; continue it with run_id = {summary.run_id}", data=summary)

    def _failed(self, error: ToolkitError) -> State[Any]:
        self._log.error("%s", error)
        return Failed(message=str(error), data=error)

    def _tell(self, batch: Batch) -> Summary:
        if self._bar is not None:
            self._bar.show(batch.progress)
        summary = Summary.of(batch.run_id, batch.home)
        publish(summary)
        self._log.info("%s", summary)
        return summary


# -------------------------------------------------------------------------------------------------------------- tasks
def _work(batch: Batch, chunk: Chunk) -> Any:
    return _told(lambda: f"{chunk.name}: {line(replace(batch.work(chunk), total=chunk.total))}")


def _end(batch: Batch) -> Any:
    reducing = ", ".join(step.name for step in batch.order.workflow.reducing)
    return _told(lambda: f"the end: {f'{reducing}; ' if reducing else ''}the run is {batch.end().status}")


def _told(work: Any) -> Any:
    """What the work says; where it fails as foreseen, a state with its sentence and without a trace."""
    try:
        return work()
    except Stopped as stopped:
        return Cancelled(message=str(stopped), data=stopped)
    except ToolkitError as error:
        return Failed(message=str(error), data=error)


chunk_task: Task[[Batch, Chunk], Any] = Task(_work, name="rows", task_run_name="{chunk.name}", **OFF)
end_task: Task[[Batch], Any] = Task(_end, name="end", task_run_name="end of the run", **OFF)
