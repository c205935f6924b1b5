"""One step's answer: its function is called, and what it returns says how it comes about.

a request          asked; with tools, in turns (`conversing`)
a list of them     asked together; the answer is the list of values
a generator        asked turn by turn (`turns`)
a value, a Skip    is the answer
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import replace

from toolkit.asking.loop import Asker
from toolkit.asking.questions import Plan, Question
from toolkit.errors import StepError
from toolkit.graph.calling import are_requests, run_function, run_tool, together
from toolkit.graph.conversing import conversed
from toolkit.graph.steps import About
from toolkit.graph.toolcalls import ToolCalls
from toolkit.graph.turns import driven
from toolkit.graph.work import Work, gathered, valued
from toolkit.graph.workflow import Workflow
from toolkit.prompts.outputs import Output
from toolkit.records import Answer, Request

Ask = Callable[[Question], Awaitable[Answer]]
Wrap = Callable[[Question, Ask], Awaitable[Answer]]
"""Stands around each request of a step, say to show it elsewhere: it awaits `ask(question)` and gives its answer."""


async def unwrapped(question: Question, ask: Ask) -> Answer:
    """The wrap that adds nothing."""
    return await ask(question)


class Answering:
    """Answers the steps of a workflow in one run, nested ones excepted."""

    def __init__(self, workflow: Workflow, asker: Asker, run: About, *, wrap: Wrap) -> None:
        self.readers: Mapping[str, Output] = {step.name: step.reader() for step in workflow.steps}
        self._asker = asker
        self._wrap = wrap
        self._plans = {s.name: workflow.plan(s, asker.fleet) for s in workflow.steps if s.route is not None}
        self._tools = {step.name: ToolCalls(step.tools, asker, run) for step in workflow.steps if step.tools}

    async def answer(self, work: Work) -> Answer:
        """The step's answer, on record. Raises StepError for what its function did, and what is no row's fault."""
        step = work.step
        if not step.asks:
            return await self._of_tool_step(work)
        result = run_function(step, work.values)
        plan = self._plans[step.name]
        if isinstance(result, Request):
            return await (self._conversed if step.tools else self._ask)(work, result)
        if not isinstance(result, Generator) and not are_requests(result):
            return self._valued(work, result, key=work.own_key("value"))
        if step.tools:
            raise StepError(f"step {step.name!r} has tools, and so asks one request; it gave a list of them")
        key = work.own_key(plan.label)
        if (found := await self._asker.recalled(key, work.place)) is not None:
            return found
        if isinstance(result, Generator):
            return await self._driven(work, result, key)
        answers = await together(self._ask(work, item, turn) for turn, item in enumerate(result, start=1))
        whole = gathered(work.place, key, answers)
        if whole.status == "answered":
            self._asker.keep(whole)
        return whole

    async def _of_tool_step(self, work: Work) -> Answer:
        step, key = work.step, work.own_key("tool")
        if (found := await self._asker.recalled(key, work.place)) is not None:
            return found
        if step.acts:
            await self._asker.journal.committed()
        result = await run_tool(step, work.values)
        if isinstance(result, Request | Generator) or are_requests(result):
            raise StepError(
                f"step {step.name!r} returned a request, but has no route; say who answers: route=Fixed('…')"
            )
        return self._valued(work, result, key=key)

    async def _driven(self, work: Work, turns: Generator[object, object, object], key: str) -> Answer:
        plan = replace(self._plans[work.step.name], output=Output(), graders=())
        result = await driven(work, turns, lambda request, turn: self._ask(work, request, turn, plan))
        return result if isinstance(result, Answer) else self._valued(work, result, key=key)

    async def _conversed(self, work: Work, request: Request) -> Answer:
        name = work.step.name
        return await conversed(
            work,
            request,
            plan=self._plans[name],
            tools=self._tools[name],
            ask=lambda turned, turn, plan: self._ask(work, turned, turn, plan),
            asker=self._asker,
        )

    async def _ask(self, work: Work, request: Request, turn: int = 0, plan: Plan | None = None) -> Answer:
        """The answer to a request of the step's, asked as that turn of it."""
        step = work.step
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
        question = Question(replace(work.place, turn=turn), request, plan, work.fields, work.values, work.sources)
        answer = await self._wrap(question, self._asker.ask)
        work.asked.append(answer)
        return answer

    def _valued(self, work: Work, result: object, *, key: str) -> Answer:
        answer = valued(work, result, key=key, reader=self.readers[work.step.name], redactor=self._asker.redactor)
        self._asker.keep(answer)
        return answer
