"""One flow run: hand out chunks as Prefect tasks, keep its artifacts and log, and stop cleanly when told to.

In: a form made good into an order. Out: the state of the flow run, whose result is a `Summary`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from prefect import Task, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed

from toolkit.errors import RunError, Stopped, ToolkitError
from toolkit.graph.dataflow import Wrap
from toolkit.orchestration.batch import Batch, Chunk
from toolkit.orchestration.form import Form, Given, Order, made_good
from toolkit.orchestration.lookout import LOOK_SECONDS, STOP_SECONDS, Lookout, is_cancelled
from toolkit.orchestration.plainly import failed
from toolkit.orchestration.reporting import Summary, publish
from toolkit.orchestration.stepping import OFF
from toolkit.records import RunStatus, now
from toolkit.runs.progress import line


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
        self._lookout: Lookout | None = None

    def run(self) -> State[Any]:
        """The whole flow run. Errors that a person can mend become its state, with their one sentence."""
        try:
            order = made_good(self._given, self._form, flow_run_id=self._flow_run_id)
            batch = self._batch = Batch(order, flow_run_id=self._flow_run_id, wrap=self._wrap(order))
            began = now()
            run = batch.begin()
            self._lookout = Lookout(run.id, run.workflow, home=batch.home, since=began)
        except ToolkitError as error:
            return self._failed(error)
        verb = "goes on" if order.run_id else "begins"
        self._log.info("run %s %s: %s rows, home %s", run.id, verb, batch.total, batch.home.resolve())
        try:
            return self._driven(batch)
        except BaseException as error:
            self._broken_off(batch, error)
            raise

    def _driven(self, batch: Batch) -> State[Any]:
        """All of the batch, to its end or to where it is stopped."""
        try:
            self._hand_out(batch)
        except Stopped:
            return self._stopped(batch)
        except ToolkitError as error:
            self._stop(batch, "interrupted")
            self._tell(batch)
            return self._failed(error)
        summary = self._tell(batch)
        if summary.came_to_nothing:
            nothing = RunError(f"{summary}; why most of them failed: {summary.trouble}")
            return failed(nothing, name="No row answered")
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
        assert self._lookout is not None
        while True:
            try:
                told = self._pending[0].result(timeout=LOOK_SECONDS)
            except TimeoutError:
                self._lookout.look(batch.progress)
                continue
            self._pending.popleft()
            self._log.info("%s", told)
            self._lookout.look(batch.progress)
            return

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
        further = f"continue it with run_id = {summary.run_id}"
        if batch.stopped:
            return Failed(name="Budget reached", message=f"{batch.stopped}; {summary}; {further} and a larger budget")
        return Cancelled(message=f"{summary}; {further}", data=summary)

    def _broken_off(self, batch: Batch, error: BaseException) -> None:
        """Somebody ends this process: Prefect, as the flow run was cancelled or gives way; or a person, with Ctrl-C."""
        meant = isinstance(error, KeyboardInterrupt) or is_cancelled(self._flow_run_id)
        self._log.warning("stopping between two attempts (%s)", type(error).__name__)
        self._stop(batch, "cancelled" if meant else "interrupted")
        self._tell(batch, with_picture=False)

    def _failed(self, error: ToolkitError) -> State[Any]:
        self._log.error("%s", error)
        return failed(error)

    def _tell(self, batch: Batch, *, with_picture: bool = True) -> Summary:
        if self._lookout is not None:
            self._lookout.close(batch.progress)
        summary = Summary.of(batch.run_id, batch.home)
        publish(summary, with_picture=with_picture)
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
