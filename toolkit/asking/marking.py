"""What graders that ask models say of an attempt: their questions, and the grades that come of them.

An attempt is on record, and its cost settled, before anybody is asked about it: so a judge waits for no money that the
attempt holds back. What is asked is recorded at `<step>/grade` and charged to the step that it serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from toolkit.asking.asides import GRADE, Replying, aside, driven
from toolkit.asking.questions import Plan, Question
from toolkit.errors import CallError, OverBudget, ToolkitError
from toolkit.grading import Case, Grader
from toolkit.grading.grader import graded, ungraded
from toolkit.ledger.recording import Recorder
from toolkit.policies import Repair, Retry
from toolkit.prompts.outputs import Output
from toolkit.records import Answer, Attempt, Grade, Reply, Request
from toolkit.redaction import Redactor
from toolkit.routing.router import RoutingFacts
from toolkit.routing.simple import Fixed

PATIENT = Retry(2) | Repair(1)


class Marker:
    """Grades the attempts of one run by the graders that ask models."""

    def __init__(self, recorder: Recorder, redactor: Redactor) -> None:
        self._recorder = recorder
        self._redactor = redactor

    async def marked(
        self,
        question: Question,
        attempt: Attempt,
        *,
        facts: RoutingFacts,
        seek: Callable[[list[Attempt]], Replying],
        seconds: float | None,
    ) -> tuple[Attempt, tuple[Attempt, ...]]:
        """The attempt with further grades, each on record, and the attempts that were made for them.

        What a grader has not said within `seconds` it does not say; nor where it fails. Raises StepError where it asks
        for what is not there, and what ends the run.
        """
        until = None if seconds is None else asyncio.get_running_loop().time() + seconds
        case = Case(attempt.value, question.fields, question.inputs, question.request, attempt.reply)
        paid: list[Attempt] = []
        for grader in question.plan.graders:
            if not grader.names():
                continue
            made: list[Attempt] = []
            grade = await self._grade(grader, case, partial(_asked, question, facts, seek(made)), until)
            paid += made
            if grade is not None:
                grade = self._redactor.grade(grade)
                ids = [each.id for each in made]
                self._recorder.grade(grade, question.place, attempt, asked=ids)
                attempt = replace(attempt, grades=(*attempt.grades, grade))
        return attempt, tuple(paid)

    def graded_anew(self, answer: Answer, question: Question) -> None:
        """Put on record what graders say that ask nobody, of an answer that was taken from another row or run.

        Whoever asks a model to grade it has done so where the answer was given; it is not paid twice.
        """
        case = Case(answer.value, question.fields, question.inputs, question.request)
        for grader in question.plan.graders:
            if grader.names():
                continue
            try:
                grade = graded(grader, case)
            except ToolkitError:
                raise
            except Exception as bug:
                grade = ungraded(grader, f"grading raised {type(bug).__name__}: {bug}")
            if grade is not None:
                self._recorder.grade_of_answer(self._redactor.grade(grade), answer)

    async def _grade(
        self, grader: Grader, case: Case, reply: Callable[[str, Request], Awaitable[Reply]], until: float | None
    ) -> Grade | None:
        who = ", ".join(grader.names())
        try:
            async with asyncio.timeout_at(until):
                found = grader.grade(case)
                return found if found is None or isinstance(found, Grade) else await driven(found, reply)
        except TimeoutError:
            why = f"{who} could not judge within the request's limit of time"
        except (CallError, OverBudget) as error:
            why = f"{who} could not judge: {error}"
        except ToolkitError:
            raise
        except Exception as bug:
            why = f"grading raised {type(bug).__name__}: {bug}"
        return ungraded(grader, why)


async def _asked(question: Question, facts: RoutingFacts, reply: Replying, model: str, wanted: Request) -> Reply:
    """The reply to what a grader asks, its value read by the schema that the request declares."""
    output = Output() if wanted.output_schema is None else Output.of(wanted.output_schema)
    plan = Plan(Fixed(model), PATIENT, output)
    return await reply(*aside(question, facts, at=GRADE, model=model, wanted=wanted, plan=plan))
