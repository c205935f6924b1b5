"""Every model step as a Prefect task run of its own: for small runs, to see each in the UI.

A wrap around the engine's asking: the answer is the engine's, the task run only shows it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed, aget_state_exception

from toolkit.asking.questions import Question
from toolkit.errors import Stopped, ToolkitError
from toolkit.graph.dataflow import Ask
from toolkit.records import Answer, Place

OFF: dict[str, Any] = {"retries": 0, "cache_policy": NO_CACHE, "persist_result": False}
"""Attempts, reuse and results are the engine's: done here too, they would be paid for twice."""


class Shown:
    """Asks each question within a task run that is named after step and row, and ends as the answer did.

    A place is shown once: every chunk wants the answers of once-steps, and all but the first find them on record.
    Without `words` no reason is shown, as it may quote what was asked or answered.
    """

    def __init__(self, *, words: bool = True) -> None:
        self._places: set[Place] = set()
        self._words = words

    async def __call__(self, question: Question, ask: Ask) -> Answer:
        """The answer of `ask`, or what it raised."""
        if question.place in self._places:
            return await ask(question)
        self._places.add(question.place)
        return await _shown(question, ask, words=self._words)


async def _shown(question: Question, ask: Ask, *, words: bool) -> Answer:
    outcome: list[Answer | ToolkitError] = []

    async def work() -> State[Any]:
        try:
            answer = await ask(question)
        except ToolkitError as error:
            outcome.append(error)
            return Cancelled(message=str(error)) if isinstance(error, Stopped) else Failed(message=str(error))
        outcome.append(answer)
        return _state(answer if words else replace(answer, reason=""))

    place = question.place
    turn = f", turn {place.turn}" if place.turn else ""
    state = await _task(place.step.replace("/", " › "))(f"{place.row_id}{turn}", work, return_state=True)
    if not outcome:
        raise await aget_state_exception(state)
    if isinstance(outcome[0], ToolkitError):
        raise outcome[0]
    return outcome[0]


@cache
def _task(name: str) -> Any:
    async def step(row: str, work: Callable[[], Awaitable[State[Any]]]) -> State[Any]:
        return await work()

    return Task(step, name=name, task_run_name=name + ", row {row}", **OFF)


def _state(answer: Answer) -> State[Any]:
    if answer.status == "failed":
        return Failed(message=answer.reason)
    who = f"{answer.model}: " if answer.model else ""
    name = "Parked" if answer.status == "parked" else "Reused" if answer.reused_from else "Answered"
    return Completed(name=name, message=f"{who}{answer.reason}"[:500])
