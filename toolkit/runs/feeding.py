"""The rows of a run into its dataflow: claimed, a bounded number under way, durable, counted.

    rows ─▶ claimed, a slab at a time ─▶ at most `in_flight` at once ─▶ dataflow ─▶ record, durable ─▶ counted as done

Rows are streamed: what is held is what is in flight and the slabs ahead of it. Several processes may feed the same run:
each drives the rows that it has claimed, and looks again at those of others, which become its own if those die.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toolkit.asking.settings import Settings
from toolkit.asking.steering import Steering
from toolkit.errors import InvalidOutput, Stopped
from toolkit.graph.dataflow import Dataflow
from toolkit.graph.rowstate import row_record
from toolkit.graph.workflow import Workflow
from toolkit.records import Event, RowRecord, RowStatus, now
from toolkit.rows import Fields, Rows
from toolkit.runs.claiming import Holding

if TYPE_CHECKING:
    from toolkit.runs.running import Progress

SLAB_ROWS = (4, 256)
"""The least and the most rows claimed at once."""
IN_ADVANCE = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table, at its place; `fault` says why it is set aside before anything is done with it."""

    index: int
    id: str
    fields: Fields
    fault: str = ""


def identify(workflow: Workflow, index: int, fields: Fields) -> str:
    """The id of the row at `index`: what its id column says, else its place in the table."""
    given = fields.get(workflow.row_id)
    return f"row-{index}" if given is None or given == "" else str(given)


class Feed:
    """A run's rows through its dataflow; one table, once."""

    def __init__(
        self, flow: Dataflow, holding: Holding, *, settings: Settings, progress: Progress, steering: Steering
    ) -> None:
        self._flow = flow
        self._holding = holding
        self._settings = settings
        self._progress = progress
        self._steering = steering
        self._stop = steering.stop
        self._journal = flow.journal
        self._left = dict(holding.left) | {row.row_id: row.ended_at for row in settings.again}
        self._done = {row for row in self._journal.row_statuses(holding.run.id) if row not in self._left}
        self._is_explicit = settings.only is not None or bool(settings.again)
        self._read = 0
        self._is_read = False
        self._torn: BaseException | None = None
        self._fault: BaseException | None = None
        self._theirs: deque[Row] = deque()

    async def rows(self, table: Rows) -> None:
        """All rows of the table. Raises what no row can help; Stopped where the run was cancelled."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            await self._begin(table, tasks)
        finally:
            while tasks:
                await asyncio.wait(tasks)
        if self._fault is not None:
            raise self._fault
        if self._stop.is_set():
            raise Stopped("the run was cancelled")

    async def _begin(self, table: Rows, tasks: set[asyncio.Task[None]]) -> None:
        """Begin each row as soon as there is room for it."""
        slots = asyncio.Semaphore(self._settings.in_flight)
        async with aclosing(self._ours(table)) as ours:
            async for row in ours:
                await slots.acquire()
                await self._journal.room()
                with suppress(Stopped):
                    await self._steering.clear()
                if self._is_over():
                    break
                task = asyncio.create_task(self._one(row, slots))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._fault is not None

    # --------------------------------------------------------------------------------------------------------- claims
    async def _ours(self, table: Rows) -> AsyncGenerator[Row, None]:
        """The rows that this process is to drive; while a slab of them begins, the next one is claimed."""
        listed = self._listed(table)
        ahead = asyncio.ensure_future(self._slab(listed, table.total))
        try:
            while (slab := await ahead) is not None:
                ahead = asyncio.ensure_future(self._slab(listed, table.total))
                for row in slab:
                    yield row
        finally:
            await asyncio.gather(ahead, return_exceptions=True)  # what it claims is to be known to who lets go of it

    async def _slab(self, listed: Iterator[Row], total: int | None) -> list[Row] | None:
        """Rows that are ours from now on; None where there are no more, neither to be read nor in other hands."""
        if self._is_over():
            return None
        size = self._slab_rows(total)
        looked_at = min(len(self._theirs), SLAB_ROWS[1])
        seen = {row.id: row for row in (self._theirs.popleft() for _ in range(looked_at))}
        were_theirs = frozenset() if self._is_explicit else frozenset(seen)
        seen |= {row.id: row for row in self._next(listed, size)}
        if not seen:
            if self._torn is not None:
                raise self._torn
            return None
        taken = await self._holding.take(seen, were_theirs=were_theirs, left=self._left)
        self._progress.elsewhere += len(taken.done)
        self._theirs.extend(row for row in seen.values() if row.id in taken.theirs)
        if self._is_read and not taken.ours and self._theirs:
            await self._holding.pause()
        return [row for row in seen.values() if row.id in taken.ours]

    def _slab_rows(self, total: int | None) -> int:
        """Fewer rows toward the end, so that processes that share them end together."""
        least, most = SLAB_ROWS
        most = min(max(IN_ADVANCE, self._settings.in_flight), most)
        if total is None:
            return most
        return max(least, min(most, (total - self._read) // (2 * (self._holding.others + 2))))

    def _next(self, listed: Iterator[Row], count: int) -> list[Row]:
        """The next rows, fewer at the end of the table or where it cannot be read on."""
        found: list[Row] = []
        try:
            while len(found) < count:
                found.append(next(listed))
        except StopIteration:
            self._is_read = True
        except Exception as error:
            self._torn, self._is_read = error, True
        return found

    def _listed(self, table: Rows) -> Iterator[Row]:
        """The table's rows that are not done, each under an id of its own."""
        settings, workflow, seen = self._settings, self._flow.workflow, set(self._settings.taken)
        if settings.again:
            for place, fields in zip(settings.again, table.stream(), strict=True):
                yield Row(place.index, place.row_id, fields)
            return
        for index, fields in enumerate(table.stream(), start=settings.skip):
            self._read += 1
            row = Row(index, identify(workflow, index, fields), fields)
            if row.id in seen:
                row = replace(row, id=f"{row.id}#{index}", fault=f"a row before it has the id {row.id!r} too")
            seen.add(row.id)
            if row.id in self._done:
                self._progress.before += 1
            elif settings.only is None or row.id in settings.only:
                yield row

    # ----------------------------------------------------------------------------------------------------------- rows
    async def _one(self, row: Row, slots: asyncio.Semaphore) -> None:
        self._progress.in_flight += 1
        try:
            try:
                record = await self._through(row)
            finally:
                slots.release()
                self._progress.in_flight -= 1
            self._flow.recorder.row(record)
            if record.status == "parked":
                about = {"row_id": row.id, "reason": record.reason}
                self._flow.recorder.event(Event("toolkit.row.parked", record.run_id, now(), about))
            await self._journal.committed()
            self._progress.count(record.status)
            self._holding.finished(row.id, record.status)
        except Stopped:
            pass
        except BaseException as error:
            self._fault = self._fault or error

    async def _through(self, row: Row) -> RowRecord:
        run_id, started = self._holding.run.id, time.perf_counter()
        if row.fault:
            return self._ended(row, "set_aside", row.fault)
        try:
            typed = self._flow.typed(row.fields)
        except InvalidOutput as error:
            rows = self._flow.workflow.rows
            return self._ended(row, "set_aside", f"the row does not fit {rows.__name__}: {error}")
        state = await self._flow.row(row.id, row.fields, typed)
        return row_record(state, run_id=run_id, index=row.index, seconds=time.perf_counter() - started)

    def _ended(self, row: Row, status: RowStatus, reason: str) -> RowRecord:
        return RowRecord(self._holding.run.id, row.id, row.index, status, row.fields, reason=reason)
