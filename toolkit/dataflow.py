"""One row through the graph: each step starts as soon as what it needs is there.

In: the fields of a row. Out: the answer of every step, and with them how the row ended. Values travel as the plain JSON
that is recorded, and become typed objects only on their way into a step, so that a resumed run sees the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from toolkit.asking import Asker
from toolkit.calling import are_requests, raised, run_function, run_tool
from toolkit.errors import InvalidOutput, LedgerError, SetupError, StepError, Stopped, ToolkitError
from toolkit.messages import Text
from toolkit.outputs import Output
from toolkit.prompting import Skip, plain
from toolkit.questions import Plan, Question
from toolkit.records import (
    Answer,
    Json,
    Place,
    Reply,
    Request,
    RowRecord,
    answer_key,
    canonical,
)
from toolkit.rowstate import RowState, row_record, total_cost
from toolkit.steps import RUN_PARAMETER, About, Step
from toolkit.workflow import Workflow

T = TypeVar("T")

BATCH_ROW = "*"
"""The row id under which once-steps and reducing steps are recorded."""

Ask = Callable[[Question], Awaitable[Answer]]
Wrap = Callable[[Question, Ask], Awaitable[Answer]]
"""Stands around each request of a step, say to show it elsewhere: it awaits `ask(question)` and gives its answer."""


async def unwrapped(question: Question, ask: Ask) -> Answer:
    """The wrap that adds nothing."""
    return await ask(question)


class Dataflow:
    """A workflow bound to a run. `path` is the workflow's name, below that of the workflow it is a step of."""

    def __init__(self, workflow: Workflow, asker: Asker, run: About, *, path: str = "", wrap: Wrap = unwrapped) -> None:
        self.workflow = workflow
        self.path = f"{path}/{workflow.name}" if path else workflow.name
        self.journal = asker.journal
        self.recorder = asker.recorder
        self._asker = asker
        self._redactor = asker.redactor
        self._run = run
        self._wrap = wrap
        self._row_reader = Output.of(workflow.rows)
        self._readers = {step.name: step.reader() for step in workflow.steps}
        self._plans = {s.name: workflow.plan(s, asker.fleet) for s in workflow.steps if s.route is not None}
        self._inner = {
            step.name: Dataflow(step.inner, asker, run, path=self.path, wrap=wrap)
            for step in workflow.steps
            if step.inner is not None
        }
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
        place = Place(self._run.run_id, state.row_id, f"{self.path}/{step.name}")
        started = time.perf_counter()
        try:
            inputs = self._batch_inputs(step, state) if step.reduces else await self._inputs(step, state, place)
            if isinstance(inputs, Answer):
                return replace(inputs, place=place)
            if step.inner is not None:
                return await self._nested(step, place, state, inputs)
            return await self._call(step, place, state, inputs)
        except (SetupError, LedgerError, Stopped):
            raise
        except Exception as error:
            known = error if isinstance(error, ToolkitError) else raised(step, error)
            reason = self._redactor.told(str(known).encode(errors="replace").decode())
            cost_usd, seconds = total_cost(state.asked[step.name]), time.perf_counter() - started
            failed = Answer(place, "", "failed", reason=reason, cost_usd=cost_usd, seconds=seconds)
            self._asker.keep(failed)
            return failed

    async def _inputs(self, step: Step, state: RowState, place: Place) -> dict[str, Json] | Answer:
        """The raw inputs by name; or an answer where the step cannot run, for what it needs is not there."""
        inputs: dict[str, Json] = {}
        for name in step.needs:
            if name == RUN_PARAMETER:
                continue
            if name not in self.workflow.by_name:
                if state.has(name):
                    inputs[name] = state.fields.get(name)
                elif name not in step.optional:
                    raise StepError(f"the row has no column {name!r}")
                continue
            answer = await self._once_answer(name) if name in self.workflow.once else state.answers[name]
            if answer.status == "answered":
                inputs[name] = answer.value
            elif answer.status != "skipped":
                return Answer(answer.place, "", answer.status, reason=f"needs {name}: {answer.reason}")
            elif name not in step.optional:
                skipped = Answer(place, "", "skipped", reason=f"needs {name}, which was skipped: {answer.reason}")
                self._asker.keep(skipped)
                return skipped
        return inputs

    def _batch_inputs(self, step: Step, state: RowState) -> dict[str, Json]:
        """The raw inputs of a reducing step: of a column or a per-row step the list over all answered rows, in their
        order and with None where a step was skipped; of another step its one value."""
        rows = self._answered_rows()
        inputs: dict[str, Json] = {}
        for name in step.needs:
            if name in state.answers:
                answer = state.answers[name]
                if answer.status == "answered":
                    inputs[name] = answer.value
                elif answer.status != "skipped" or name not in step.optional:
                    raise StepError(f"needs {name}: {answer.reason}")
            elif name in self.workflow.by_name:
                values = dict(self.journal.step_values(self._run.run_id, f"{self.path}/{name}"))
                inputs[name] = [values.get(row_id) for row_id in rows]
            elif name not in step.optional or any(name in fields for fields in rows.values()):
                inputs[name] = [fields.get(name) for fields in rows.values()]
        inputs.pop(RUN_PARAMETER, None)
        return inputs

    def _answered_rows(self) -> dict[str, Mapping[str, Json]]:
        """Fields of the batch's own rows that are answered, by row id."""
        statuses = self.journal.row_statuses(self._run.run_id)
        fields = self.journal.row_fields(self._run.run_id)
        return {row_id: given for row_id, given in fields if statuses[row_id] == "answered"}

    def _sources(self, step: Step, state: RowState) -> dict[str, str]:
        """Input → key of the answer that it holds; lists over all rows, and columns of the row, are not among them."""
        known = dict(state.answers)
        known |= {name: task.result() for name, task in self._once.items() if task.done()}
        return {name: known[name].key for name in step.needs if name in known and known[name].key}

    def _revived(self, step: Step, state: RowState, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """The inputs as the step's function sees them."""
        values: dict[str, Any] = {}
        for name, value in inputs.items():
            source = self.workflow.by_name.get(name)
            if source is None:
                values[name] = value if step.reduces else state.column(name)
            elif step.reduces and not source.reduces and name not in self.workflow.once:
                reader = self._readers[name]
                values[name] = [None if item is None else reader.revive(item) for item in value]
            else:
                values[name] = self._readers[name].revive(value) if source.each is None else value
        if RUN_PARAMETER in step.needs:
            values[RUN_PARAMETER] = replace(self._run, row_id=state.row_id)
        return values

    async def _once_answer(self, name: str) -> Answer:
        """A once-step's answer: the first row that needs it starts it, all wait for the same."""
        if name not in self._once:
            step = self.workflow.by_name[name]
            self._once[name] = asyncio.ensure_future(self._step(step, RowState(BATCH_ROW, {})))
        return await asyncio.shield(self._once[name])

    # ---------------------------------------------------------------------------------------------- calls of functions
    async def _call(self, step: Step, place: Place, state: RowState, inputs: Mapping[str, Json]) -> Answer:
        values = self._revived(step, state, inputs)
        if step.asks:
            result = run_function(step, values)
            if isinstance(result, Request):
                return await self._ask(step, place, state, values, result)
            if not isinstance(result, Generator) and not are_requests(result):
                return self._valued(step, place, self._own_key(place, inputs, "value"), result, time.perf_counter())
        key = self._own_key(place, inputs, self._plans[step.name].label if step.asks else "tool")
        if (found := await self._asker.recalled(key, place)) is not None:
            return found
        started = time.perf_counter()
        if not step.asks:
            if step.acts:
                await self.journal.committed()
            result = await run_tool(step, values)
            if isinstance(result, Request | Generator) or are_requests(result):
                raise StepError(
                    f"step {step.name!r} returned a request, but has no route; say who answers: route=Fixed('…')"
                )
            return self._valued(step, place, key, result, started)
        if isinstance(result, Generator):
            return await self._drive(step, place, state, values, result, key)
        answers = await _together(
            self._ask(step, replace(place, turn=turn), state, values, item) for turn, item in enumerate(result, start=1)
        )
        return self._gathered(place, key, answers)

    async def _ask(
        self,
        step: Step,
        place: Place,
        state: RowState,
        values: Mapping[str, Any],
        request: Request,
        *,
        plan: Plan | None = None,
    ) -> Answer:
        plan = plan or self._plans[step.name]
        if request.output_schema is not None and plan.output.schema is None:
            plan = replace(plan, output=Output.of(request.output_schema))
        schema = plan.output.schema if request.operation == "chat" else None
        request = replace(
            request,
            output_schema=request.output_schema or schema,
            needs=(*request.needs, *step.capabilities),
            max_output_tokens=request.max_output_tokens or step.max_output_tokens,
        )
        question = Question(place, request, plan, state.fields, values, self._sources(step, state))
        answer = await self._wrap(question, self._asker.ask)
        state.asked[step.name].append(answer)
        return answer

    async def _drive(
        self,
        step: Step,
        place: Place,
        state: RowState,
        values: Mapping[str, Any],
        turns: Generator[Any, Any, Any],
        key: str,
    ) -> Answer:
        """A generator step: it yields a request, or a list of them, and is sent the reply, or the list of replies.

        Only its last word is read as the step's output; what it asks on the way is free text unless the request says.
        """
        plan = replace(self._plans[step.name], output=Output(), graders=())
        started, turn = time.perf_counter(), 0
        sent: Any = None
        while True:
            try:
                wanted = turns.send(sent)
            except StopIteration as stop:
                return self._valued(step, place, key, stop.value, started, cost_usd=total_cost(state.asked[step.name]))
            except ToolkitError:
                raise
            except (Exception, SystemExit) as error:
                raise raised(step, error) from error
            if not isinstance(wanted, Request) and not are_requests(wanted) and wanted != []:
                kind = type(wanted).__name__
                raise StepError(f"step {step.name!r} yielded a {kind}; it may yield a request or a list of requests")
            requests = [wanted] if isinstance(wanted, Request) else list(wanted)
            asked = await _together(
                self._ask(step, replace(place, turn=turn), state, values, request, plan=plan)
                for turn, request in enumerate(requests, start=turn + 1)
            )
            turn += len(requests)
            if (bad := next((a for a in asked if a.status != "answered"), None)) is not None:
                turns.close()
                return replace(bad, place=place, key="", cost_usd=total_cost(state.asked[step.name]))
            replies = [_reply(request, answer) for request, answer in zip(requests, asked, strict=True)]
            sent = replies[0] if isinstance(wanted, Request) else replies

    def _gathered(self, place: Place, key: str, answers: list[Answer]) -> Answer:
        """A list of requests, answered: the list of values, or the first that is missing."""
        bad = next((answer for answer in answers if answer.status != "answered"), None)
        if bad is not None:
            reason = f"part {bad.place.turn} of {len(answers)}: {bad.reason}"
            return replace(bad, place=place, key="", reason=reason, cost_usd=total_cost(answers))
        whole = Answer(
            place,
            key,
            "answered",
            value=[answer.value for answer in answers],
            cost_usd=total_cost(answers),
            seconds=max((answer.seconds for answer in answers), default=0.0),
        )
        self._asker.keep(whole)
        return whole

    def _valued(
        self, step: Step, place: Place, key: str, result: Any, started: float, *, cost_usd: float | None = 0.0
    ) -> Answer:
        """The answer of a step that gave a value itself, or a reason to be skipped."""
        seconds = time.perf_counter() - started
        if isinstance(result, Skip):
            reason = self._redactor.text(result.reason)
            answer = Answer(place, "", "skipped", reason=reason, seconds=seconds, cost_usd=cost_usd)
        else:
            try:
                value = orjson.loads(canonical(plain(result)))
            except TypeError as error:
                raise StepError(f"step {step.name!r} returned what JSON cannot hold: {error}") from error
            reader = self._readers[step.name]
            checked = reader.check(value) if reader.schema is not None else value
            value = self._redactor.value(checked)
            if value is not checked and reader.schema is not None:
                value = reader.check(value)
            answer = Answer(place, key, "answered", value=value, seconds=seconds, cost_usd=cost_usd)
        self._asker.keep(answer)
        return answer

    def _own_key(self, place: Place, inputs: Mapping[str, Json], plan: str) -> str:
        """The key of an answer that rests on a step's inputs, not on one request: of this row of this run alone."""
        try:
            return answer_key(place.step, canonical(inputs), f"inputs of {place.run_id} {place.row_id} {plan}")
        except TypeError as error:
            raise StepError(f"the inputs of step {place.step!r} cannot be written as JSON: {error}") from error

    # ---------------------------------------------------------------------------------------------- nested workflows
    async def _nested(self, step: Step, place: Place, state: RowState, inputs: Mapping[str, Json]) -> Answer:
        """The inner workflow for this row, or for each item of a list; child rows are recorded with their parent."""
        inner = self._inner[step.name]
        key = self._own_key(place, inputs, "workflow")
        if step.each is None:
            child = await self._child(inner, step, f"{place.row_id}/{step.name}", inputs, state)
            return self._kept(replace(self._child_answer(place, child), key=key))
        source, column = step.each
        items = inputs[source]
        if not isinstance(items, list):
            raise StepError(f"step {step.name!r} runs over {source!r}, which is a {type(items).__name__} and no list")
        shared = {name: value for name, value in inputs.items() if name != source}
        children = await _together(
            self._child(inner, step, f"{place.row_id}/{step.name}[{i}]", {**shared, column: item}, state)
            for i, item in enumerate(items)
        )
        answers = [self._child_answer(place, child) for child in children]
        bad = next((answer for answer in answers if answer.status != "answered"), None)
        whole = bad or Answer(place, key, "answered", value=[answer.value for answer in answers])
        return self._kept(replace(whole, cost_usd=total_cost(answers)))

    def _kept(self, answer: Answer) -> Answer:
        if answer.status == "answered":
            self._asker.keep(answer)
        return answer

    async def _child(
        self, inner: Dataflow, step: Step, row_id: str, fields: Mapping[str, Json], parent: RowState
    ) -> tuple[RowState, RowRecord]:
        started = time.perf_counter()
        state, fault = RowState(row_id, fields), ""
        try:
            typed = inner.typed(fields)
        except InvalidOutput as error:
            fault = f"does not fit {inner.workflow.rows.__name__}: {error}"
        else:
            state = await inner.row(row_id, fields, typed)
        record = row_record(
            state,
            run_id=self._run.run_id,
            index=0,
            seconds=time.perf_counter() - started,
            parent=(parent.row_id, f"{self.path}/{step.name}"),
        )
        if fault:
            record = replace(record, status="set_aside", reason=fault)
        self.recorder.row(record)
        return state, record

    def _child_answer(self, place: Place, child: tuple[RowState, RowRecord]) -> Answer:
        state, record = child
        value = {name: answer.value for name, answer in state.answers.items() if answer.status == "answered"}
        status = "failed" if record.status == "set_aside" else record.status
        return Answer(place, "", status, value=value, reason=record.reason, cost_usd=record.cost_usd)


# ----------------------------------------------------------------------------------------------------------- helpers
async def _all(advance: Any, steps: list[Step]) -> None:
    if len(steps) == 1:
        await advance(steps[0])
    elif steps:
        await _together(map(advance, steps))


async def _together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, when all are over: where one raises, the others are waited for, and then the first is raised."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]


def _reply(request: Request, answer: Answer) -> Reply:
    """What a generator step is sent: the recorded answer as a reply."""
    if request.operation == "embeddings":
        vectors = [answer.value] if len(request.inputs) == 1 else answer.value
        return Reply(vectors=tuple(tuple(vector) for vector in vectors), value=answer.value)
    text = answer.value if isinstance(answer.value, str) else canonical(answer.value).decode()
    return Reply(parts=(Text(text),), value=answer.value)
