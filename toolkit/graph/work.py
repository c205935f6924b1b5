"""A step at work: where it stands, what it is given, and the answer that a value of its own makes. Pure.

In: a step's inputs as they are recorded, and as its function sees them. Out: the key under which its own answer is
kept, and that answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from toolkit.errors import StepError
from toolkit.graph.rowstate import total_cost
from toolkit.graph.steps import Step
from toolkit.prompts.outputs import Output
from toolkit.prompts.prompting import Skip, plain
from toolkit.records import Answer, Json, Place, answer_key, canonical
from toolkit.redaction import Redactor


@dataclass(frozen=True)
class Work:
    """A step at its place, from the moment at which it `began`.

    `inputs` are plain JSON by name, `values` what its function sees, `fields` the columns of the row, `sources` the
    keys of the answers among the inputs; `asked` grows with each answer to a request of its.
    """

    step: Step
    place: Place
    inputs: Mapping[str, Json]
    values: Mapping[str, Any]
    fields: Mapping[str, Json]
    sources: Mapping[str, str]
    asked: list[Answer]
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def cost_usd(self) -> float | None:
        """What it has asked so far cost together; None where one's cost is unknown."""
        return total_cost(self.asked)

    def own_key(self, plan: str) -> str:
        """The key of an answer that rests on the inputs, not on one request: of this row of this run alone."""
        return own_key(self.place, self.inputs, plan)

    def answered(self, value: Json, *, key: str) -> Answer:
        """Its answer, out of all that it asked."""
        attempts = sum(answer.attempts for answer in self.asked)
        return Answer(
            self.place, key, "answered", value=value, cost_usd=self.cost_usd, seconds=self.seconds, attempts=attempts
        )

    def unanswered(self, bad: Answer) -> Answer:
        """Its answer where one of its requests has none: what became of that one becomes of it."""
        return replace(bad, place=self.place, key="", cost_usd=self.cost_usd)


def own_key(place: Place, inputs: Mapping[str, Json], plan: str) -> str:
    """The key of what a step makes of these inputs itself, in this row of this run. Raises StepError."""
    try:
        return answer_key(place.step, canonical(inputs), f"inputs of {place.run_id} {place.row_id} {plan}")
    except TypeError as error:
        raise StepError(f"the inputs of step {place.step!r} cannot be written as JSON: {error}") from error


def valued(work: Work, result: Any, *, key: str, reader: Output, redactor: Redactor) -> Answer:
    """The answer of a step that gave a value itself, or a reason to be skipped. Raises StepError, InvalidOutput."""
    if isinstance(result, Skip):
        reason = redactor.text(result.reason)
        return Answer(work.place, "", "skipped", reason=reason, seconds=work.seconds, cost_usd=work.cost_usd)
    try:
        value = orjson.loads(canonical(plain(result)))
    except TypeError as error:
        raise StepError(f"step {work.step.name!r} returned what JSON cannot hold: {error}") from error
    checked = reader.check(value) if reader.schema is not None else value
    value = redactor.value(checked)
    if value is not checked and reader.schema is not None:
        value = reader.check(value)
    return Answer(work.place, key, "answered", value=value, seconds=work.seconds, cost_usd=work.cost_usd)


def gathered(place: Place, key: str, answers: Sequence[Answer]) -> Answer:
    """A list of requests, answered: the list of values, or the first that is missing."""
    bad = next((answer for answer in answers if answer.status != "answered"), None)
    if bad is not None:
        reason = f"part {bad.place.turn} of {len(answers)}: {bad.reason}"
        return replace(bad, place=place, key="", reason=reason, cost_usd=total_cost(answers))
    return Answer(
        place,
        key,
        "answered",
        value=[answer.value for answer in answers],
        cost_usd=total_cost(answers),
        seconds=max((answer.seconds for answer in answers), default=0.0),
    )
