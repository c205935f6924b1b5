"""A batch in chunks: many parts of one run, each started and waited for on its own. Knows nothing of Prefect.

    begin ─▶ the run's record ─▶ chunk, chunk, … (rows alone) ─▶ end (reducing steps, the run's status)

All parts share one run id, so that the history shows one run, whose rows are those of all chunks. Each part holds the
run while it works, and the batch from its beginning to its end, so that it is never taken for a dead one in between.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from toolkit.asking.questions import Tally
from toolkit.asking.settings import Part, Settings
from toolkit.asking.thread import submit
from toolkit.errors import Stopped
from toolkit.graph.dataflow import Wrap, unwrapped
from toolkit.ledger import Journal
from toolkit.orchestration.form import Order
from toolkit.records import Run, RunStatus
from toolkit.rows import Rows
from toolkit.runs.beginning import new_run_id
from toolkit.runs.claiming import Holding
from toolkit.runs.feeding import identify
from toolkit.runs.running import Progress, Running, start

COUNTS = ("answered", "parked", "failed", "set_aside", "before", "elsewhere", "in_flight")


@dataclass(frozen=True)
class Chunk(Rows):
    """Consecutive rows, the first of which is row `first` (from 0) of the whole table.

    `taken` are those ids in it that a row of an earlier chunk has too.
    """

    first: int = 0
    taken: frozenset[str] = frozenset()

    def head(self, limit: int | None, skip: int = 0) -> Rows:
        """Itself: a chunk is cut already, `skip` only says where it stands in the table."""
        return self

    @property
    def name(self) -> str:
        """Its rows as people count them."""
        return f"rows {self.first + 1:,} to {self.first + (self.total or 0):,}"


class Batch:
    """The rows of an order, in chunks. Its parts may run in several threads; `cancel` stops them all.

    `stopped` is the budget that stopped it, in words; empty where none did.
    """

    def __init__(self, order: Order, *, flow_run_id: str | None = None, wrap: Wrap = unwrapped) -> None:
        self.order = order
        self.home = Path(order.form.home)
        self.run_id = order.run_id or new_run_id(order.workflow.name)
        self.total = order.rows.total
        self._flow_run_id = flow_run_id
        self._wrap = wrap
        self._lock = threading.Lock()
        self._under_way: set[Running] = set()
        self._progress: list[Progress] = []
        self._cancelled = False
        self.stopped = ""
        self._is_over = False
        self._run: Run | None = None
        self._journal: Journal | None = None
        self._holding: Holding | None = None

    # ---------------------------------------------------------------------------------------------------------- parts
    def begin(self) -> Run:
        """Put the run on record, as a whole. Raises a SetupError where nothing could run."""
        running = self._part(self.order.rows, Settings(limit=self.order.limit), parts=frozenset())
        run = self._run = replace(running.run, status="running", finished_at=None)
        self._journal = Journal.open(self.home)
        self._holding = Holding(self._journal, run).enter()
        return run

    def chunks(self) -> Iterator[Chunk]:
        """The rows, cut up; read once, as they are wanted."""
        rows, size, first = self.order.rows, self.order.form.chunk_size, 0
        stream, seen = rows.stream(), set[str]()
        while cut := tuple(islice(stream, size)):
            ids = {identify(self.order.workflow, first + place, fields) for place, fields in enumerate(cut)}
            taken = frozenset(ids & seen)
            seen |= ids
            yield Chunk(rows.columns, len(cut), cut.__iter__, rows.source, first=first, taken=taken)
            first += len(cut)

    def work(self, chunk: Chunk) -> Progress:
        """All rows of a chunk, as far as they are not on record. Raises Stopped where the batch was cancelled."""
        return self._part(chunk, Settings(skip=chunk.first, taken=chunk.taken), parts=frozenset({"rows"})).progress

    def end(self) -> Run:
        """The reducing steps, and the run's status."""
        self._run = self._part(self.order.rows, Settings(), parts=frozenset({"end"})).run
        self.close("running")
        return self._run

    # -------------------------------------------------------------------------------------------------------- control
    @property
    def progress(self) -> Progress:
        """Where all chunks together stand."""
        with self._lock:
            parts = list(self._progress)
        counted = {name: sum(getattr(part, name) for part in parts) for name in COUNTS}
        tallies = [part.tally for part in parts]
        whole = Tally(
            calls=sum(tally.calls for tally in tallies),
            errors=sum(tally.errors for tally in tallies),
            reused=sum(tally.reused for tally in tallies),
            cost_usd=sum(tally.cost_usd for tally in tallies),
            unpriced=sum(tally.unpriced for tally in tallies),
        )
        began = min((part.began for part in parts), default=None)
        ended = max((part.ended or 0.0 for part in parts), default=0.0) if self._is_over else None
        progress = Progress(total=self.total, tally=whole, **counted)
        return progress if began is None else replace(progress, began=began, ended=ended or None)

    def cancel(self) -> None:
        """Stop all parts between two attempts; no further part starts."""
        with self._lock:
            self._cancelled = True
            under_way = list(self._under_way)
        for running in under_way:
            running.cancel()

    def close(self, status: RunStatus) -> None:
        """Let go of the run; it is put on record as ended early where nobody else works on it, and can be continued."""
        self._is_over = True
        if self._holding is None or self._journal is None:
            return
        try:
            submit(self._holding.leave(status)).result()
        finally:
            self._journal.close()
            self._holding = None

    # -------------------------------------------------------------------------------------------------------- helpers
    def _part(self, rows: Rows, settings: Settings, *, parts: frozenset[Part]) -> Running:
        """Run one part of the run and wait for it in this thread."""
        with self._lock:
            if self._cancelled:
                raise Stopped("the run was cancelled")
        form = self.order.form
        settings = replace(
            settings,
            home=self.home,
            fresh=form.fresh,
            seed=form.seed,
            redact=self.order.discretion.redact,
            content=self.order.discretion.content,
            run_id=self.run_id,
            origin="prefect",
            flow_run_id=self._flow_run_id,
            budget=form.budget.strip(),
            parts=parts,
            told=self.order.told,
        )
        running = start(self.order.workflow, rows, self.order.fleet, settings=settings, wrap=self._wrap)
        with self._lock:
            self._under_way.add(running)
            if "rows" in parts:
                self._progress.append(running.progress)
            if self._cancelled:
                running.cancel()
        try:
            running.wait(show=False)
        finally:
            with self._lock:
                self._under_way.discard(running)
        if running.steering.wish == "cancel":  # by somebody who has the record, not by whoever has this batch
            raise Stopped("the run was cancelled")
        if running.stopped:
            self.stopped = self.stopped or running.stopped
            self.cancel()
            raise Stopped(running.stopped)
        return running
