"""One row through the graph: each step starts as soon as what it needs is there.

In: the fields of a row. Out: the answer of every step, and with them how the row ended. Values travel as the plain JSON
that is recorded, and become typed objects only on their way into a step, so that a resumed run sees the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import Any

from toolkit.asking.loop import Asker
from toolkit.errors import LedgerError, SetupError, Stopped, ToolkitError
from toolkit.graph.answering import Answering, Ask, Wrap, unwrapped
from toolkit.graph.calling import raised, together
from toolkit.graph.inputs import batch_inputs, revived, row_inputs, sources
from toolkit.graph.nesting import nested
from toolkit.graph.past import Past
from toolkit.graph.rowstate import RowState
from toolkit.graph.steps import About, Step
from toolkit.graph.work import Work
from toolkit.graph.workflow import Workflow
from toolkit.prompts.outputs import Output
from toolkit.records import Answer, Json, Place

__all__ = ["BATCH_ROW", "Ask", "Dataflow", "Wrap", "unwrapped"]

BATCH_ROW = "*"
"""The row id under which once-steps and reducing steps are recorded."""

Turn = Callable[[str], AbstractAsyncContextManager[object]]
"""While it lasts, nobody else works on what has that name, also in another process."""


class Dataflow:
    """A workflow bound to a run. `path` is the workflow's name, below that of the workflow it is a step of."""

    def __init__(
        self,
        workflow: Workflow,
        asker: Asker,
        run: About,
        *,
        path: str = "",
        wrap: Wrap = unwrapped,
        turn: Turn = nullcontext,
    ) -> None:
        self.workflow = workflow
        self.path = f"{path}/{workflow.name}" if path else workflow.name
        self.journal = asker.journal
        self.recorder = asker.recorder
        self._asker = asker
        self._run = run
        self._answering = Answering(workflow, asker, run, wrap=wrap)
        self._past = None if path else Past.of(run.settings, workflow, asker.journal)
        self._row_reader = Output.of(workflow.rows)
        self._inner = {
            step.name: Dataflow(step.inner, asker, run, path=self.path, wrap=wrap, turn=turn)
            for step in workflow.steps
            if step.inner is not None
        }
        self._turn = turn
        self._once: dict[str, asyncio.Task[Answer]] = {}

    # ---------------------------------------------------------------------------------------------------------- rows
    def typed(self, fields: Mapping[str, Json]) -> Any:
        """A row as the type that the workflow declares, None where it declares none. Raises InvalidOutput."""
        if self._row_reader.schema is None:
            return None
        self._row_reader.check(dict(fields))
        return self._row_reader.revive(dict(fields))

    async def row(self, row_id: str, fields: Mapping[str, Json], typed: Any = None) -> RowState:
        """All per-row steps of one row. Raises Stopped where the run was cancelled, and what is no row's fault."""
        state = RowState(row_id, fields, typed)
        waiting = {s.name: sum(name in self.workflow.dependents for name in s.needs) for s in self.workflow.per_row}

        async def advance(step: Step) -> None:
            state.answers[step.name] = await self._step(step, state)
            ready = []
            for dependent in self.workflow.dependents[step.name]:
                waiting[dependent.name] -= 1
                if not waiting[dependent.name]:
                    ready.append(dependent)
            await _all(advance, ready)

        await _all(advance, [step for step in self.workflow.per_row if not waiting[step.name]])
        return state

    async def reduce(self) -> dict[str, Answer]:
        """The reducing steps, over all answered rows as the journal has them, and the once-steps that no row needed."""
        state = RowState(BATCH_ROW, {})
        for step in self.workflow.order:
            if step.name in self.workflow.once:
                state.answers[step.name] = await self._once_answer(step.name)
            elif step.reduces:
                state.answers[step.name] = await self._step(step, state)
        return state.answers

    # ---------------------------------------------------------------------------------------------------------- steps
    async def _step(self, step: Step, state: RowState) -> Answer:
        """The answer of a step, or what became of it: only what no row can help is raised."""
        place = Place(self._run.run_id, state.row_id, f"{self.path}/{step.name}")
        if self._past is not None and (taken := self._past.answer(place)) is not None:
            return await self._asker.recalled(taken.key, place) or self._kept(taken)
        work = Work(step, place, {}, {}, state.fields, {}, state.asked[step.name])
        try:
            return await self._settled(work, state)
        except (SetupError, LedgerError, Stopped):
            raise
        except Exception as error:
            known = error if isinstance(error, ToolkitError) else raised(step, error)
            reason = self._asker.redactor.told(str(known).encode(errors="replace").decode())
            failed = Answer(place, "", "failed", reason=reason, cost_usd=work.cost_usd, seconds=work.seconds)
            self._asker.keep(failed)
            return failed

    async def _settled(self, work: Work, state: RowState) -> Answer:
        step, known = work.step, await self._known(work.step, state)
        if step.reduces:
            inputs = batch_inputs(self.workflow, step, state, journal=self.journal, place=work.place)
        else:
            given = row_inputs(self.workflow, step, state, known=known, place=work.place)
            if isinstance(given, Answer):
                if given.status == "skipped":
                    self._asker.keep(given)
                return given
            inputs = given
        if step.inner is not None:
            answer = await nested(self._inner[step.name], step, place=work.place, inputs=inputs)
            if answer.status == "answered":
                self._asker.keep(answer)
            return answer
        readers, run = self._answering.readers, self._run
        await self._asker.steering.clear()
        values = revived(self.workflow, step, inputs, state=state, readers=readers, run=run)
        work = replace(work, inputs=inputs, values=values, sources=sources(step, known), began=time.perf_counter())
        return await self._answering.answer(work)

    def _kept(self, taken: Answer) -> Answer:
        self._asker.tally.reused += 1
        self._asker.keep(taken)
        return taken

    async def _known(self, step: Step, state: RowState) -> dict[str, Answer]:
        """The answers of this row's steps so far, and of the once-steps that a step needs."""
        known = dict(state.answers)
        for name in step.needs:
            if name in self.workflow.once and name not in known:
                known[name] = await self._once_answer(name)
        return known

    async def _once_answer(self, name: str) -> Answer:
        """A once-step's answer: the first row that needs it starts it, all wait for the same."""
        if name not in self._once:
            self._once[name] = asyncio.ensure_future(self._in_turn(self.workflow.by_name[name]))
        return await asyncio.shield(self._once[name])

    async def _in_turn(self, step: Step) -> Answer:
        async with self._turn(f"{self.path}/{step.name}"):
            return await self._step(step, RowState(BATCH_ROW, {}))


async def _all(advance: Any, steps: list[Step]) -> None:
    if len(steps) == 1:
        await advance(steps[0])
    elif steps:
        await together(map(advance, steps))
