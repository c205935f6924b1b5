"""The tools that a model called in one turn: run, and on record, each call with its arguments, result and duration.

In: calls, and the tools that the step declares. Out: a result for each, in their order. Nothing is raised for what a
tool did: an unknown tool, arguments that do not fit its schema and a function that raises are results that the model is
told as errors. What is on record is not called again, in the same run; no other run is looked at.

Calls of one turn run together. Those of tools that act come after the others, one at a time in the model's order, each
when all before it is durable. A call that was cut off between its effect and its record is made again on resuming, with
the same `run.call_id`: an act that must not happen twice hands that on to whoever can tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from toolkit.asking.loop import Asker
from toolkit.errors import InvalidOutput
from toolkit.graph.calling import called, together
from toolkit.graph.steps import About
from toolkit.messages import Message, Text, ToolCall, ToolResult
from toolkit.prompts.prompting import plain
from toolkit.prompts.tools import RUN_PARAMETER, Tool, ToolFailed
from toolkit.records import Answer, Attempt, Json, Place, Reply, Request, answer_key, canonical, new_id, now

MOST_CALLS = 32
"""So many calls of one turn are made; a model that wants more is told so."""
UNKNOWN = "unknown_tool"
"""Under this name stands on record what a model called that is no tool of the step."""


@dataclass(frozen=True)
class Called:
    """A call at its place: the turn of the step, and which call of that turn, from 0 (`place.repeat`)."""

    place: Place
    call: ToolCall
    tool: Tool | None

    @property
    def key(self) -> str:
        """Of this call in this row of this run alone."""
        about = canonical({"name": self.call.name, "arguments": self.call.arguments})
        plan = f"tool call of {self.place.run_id} {self.place.row_id}"
        return answer_key(self.place.step, about, plan, turn=self.place.turn, repeat=self.place.repeat)

    @property
    def request(self) -> Request:
        """The call as the record has it."""
        return Request(messages=(Message("assistant", (self.call,)),), operation="execute_tool")


class ToolCalls:
    """Runs the calls of a step with these tools, for one run."""

    def __init__(self, tools: Sequence[Tool], asker: Asker, run: About) -> None:
        self._tools: Mapping[str, Tool] = {tool.name: tool for tool in tools}
        self._asker = asker
        self._run = run

    async def results(self, calls: Sequence[ToolCall], *, step: Place) -> list[ToolResult]:
        """What the tools gave; `step` is the place of the turn that called them."""
        made = [self._called(call, step, number) for number, call in enumerate(calls)]
        acting = [each for each in made if each.tool is not None and each.tool.acts]
        told = await together(self._told(each) for each in made if each not in acting)
        for each in acting:
            told.append(await self._told(each))
        by_place = dict(told)
        return [by_place[each.place] for each in made]

    def _called(self, call: ToolCall, step: Place, number: int) -> Called:
        tool = self._tools.get(call.name)
        name = UNKNOWN if tool is None else tool.name
        return Called(replace(step, step=f"{step.step}/{name}", repeat=number), call, tool)

    async def _told(self, made: Called) -> tuple[Place, ToolResult]:
        answer = await self._asker.recalled(made.key, made.place) or await self._run_and_recorded(made)
        return made.place, ToolResult(made.call.id, made.call.name, answer.value["text"], answer.value["is_error"])

    async def _run_and_recorded(self, made: Called) -> Answer:
        await self._asker.steering.clear()
        queued = time.perf_counter()
        if made.tool is not None and made.tool.acts:
            await self._asker.journal.committed()
        began, stamp = time.perf_counter(), now()
        text, error = await self._outcome(made)
        seconds = time.perf_counter() - began
        name = made.place.step.rpartition("/")[2]
        attempt = Attempt(
            id=new_id(),
            number=1,
            model=f"tool:{name}",
            why=f"called in turn {made.place.turn}",
            provider_name="tool",
            request_model=name,
            started_at=stamp,
            wait_seconds=began - queued,
            service_seconds=seconds,
            reply=Reply(parts=(Text(text),)) if error is None else None,
            error=error,
            cost_usd=0.0,
        )
        recorder = self._asker.recorder
        request_hash = recorder.request(made.request.canonical())
        recorder.attempt(made.place, None, attempt, request_hash, operation="execute_tool")
        value = {"text": text, "is_error": error is not None}
        answer = Answer(
            made.place, made.key, "answered", value=value, attempt_id=attempt.id, attempts=1, seconds=seconds
        )
        self._asker.keep(answer)
        return answer

    async def _outcome(self, made: Called) -> tuple[str, ToolFailed | None]:
        """What the model is told, after redaction, and the error where it is one."""
        try:
            return self._worded(await self._result(made)), None
        except ToolFailed as failed:
            told = self._asker.redactor.told(str(failed))
            return told, ToolFailed(told)

    async def _result(self, made: Called) -> Json:
        """What the function gave. Raises ToolFailed."""
        tool = made.tool
        if made.place.repeat >= MOST_CALLS:
            raise ToolFailed(f"no more than {MOST_CALLS} calls are made in one turn; this one was not")
        if tool is None:
            known = ", ".join(self._tools) or "none"
            raise ToolFailed(f"there is no tool {made.call.name!r}; there are {known}")
        try:
            values = tool.arguments(made.call.arguments)
        except InvalidOutput as error:
            raise ToolFailed(f"{tool.name} was not called, its arguments do not fit: {error}") from error
        if tool.sees_run:
            values[RUN_PARAMETER] = replace(self._run, row_id=made.place.row_id, call_id=made.key)
        try:
            async with asyncio.timeout(tool.timeout_seconds) as limit:
                return await called(tool.function, values)
        except TimeoutError as error:
            if not limit.expired():
                raise _failed(tool, error) from error
            raise ToolFailed(f"{tool.name} took longer than {tool.timeout_seconds:g} s") from error
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            raise _failed(tool, error) from error

    def _worded(self, result: Json) -> str:
        """A result as text: words as they are, anything else as JSON. Raises ToolFailed where JSON cannot hold it."""
        try:
            value = self._asker.redactor.value(plain(result))
            told = canonical(value).decode()
        except TypeError as error:
            raise ToolFailed(f"the tool gave what JSON cannot hold: {error}") from error
        return value if isinstance(value, str) else told


def _is_cancelled() -> bool:
    """Whether it is this very task that is being cancelled, and not something that a tool waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failed(tool: Tool, error: BaseException) -> ToolFailed:
    return ToolFailed(f"{tool.name} raised {type(error).__name__}: {error}")
