"""Who answers the turns of a conversation: the loop, with the plan of its one step. In: messages. Out: an answer."""

from __future__ import annotations

from toolkit.asking.fitting import Fitter
from toolkit.asking.loop import Asker
from toolkit.asking.questions import Question
from toolkit.errors import SessionError, Stopped
from toolkit.fleet import Fleet
from toolkit.graph.workflow import Workflow
from toolkit.ledger.recording import Recorder
from toolkit.messages import Message
from toolkit.money.budgets import Budgets
from toolkit.people.remembering import remembered
from toolkit.people.turn import fields_of
from toolkit.records import Answer, Place, Request, Run
from toolkit.redaction import Redactor

WORKFLOW = "session"
STEP = "turn"


class Answering:
    """The asker of a session's run; `run` is on record as the session has it."""

    def __init__(
        self,
        workflow: Workflow,
        fleet: Fleet,
        *,
        recorder: Recorder,
        redactor: Redactor,
        run: Run,
        budgets: Budgets | None,
    ) -> None:
        self.run = run
        self._budgets = budgets
        self.redactor = redactor
        self._fleet = fleet
        self._recorder = recorder
        self._plan = workflow.plan(workflow.steps[0], fleet)
        names = self._plan.route.names()
        self._models = [fleet[name] for name in (fleet if names is None else names)]
        self._asker = self._new_asker()

    async def answer(self, number: int, messages: list[Message], *, goes_on: bool) -> tuple[Answer, int]:
        """The answer of a turn, out of the record where it is there, and how many messages its prompt left out."""
        if goes_on:  # what others, or people, answered meanwhile is not known to an asker that has asked already
            await self._asker.close()
            self._asker = self._new_asker()
        place = Place(self.run.id, str(number), f"{WORKFLOW}/{STEP}")
        request = Request(tuple(messages), output_schema=self._plan.output.schema)
        question = Question(place, request, self._plan, fields_of(messages[-1]))
        try:
            question, left_out = await remembered(question, self._models, fitter=Fitter(self._fleet, self._asker.ask))
            return await self._asker.ask(question), left_out
        except Stopped as stopped:
            why = self._asker.stopped or stopped
            raise SessionError(
                f"session {self.run.id}: {why}; open it with a larger budget, then say() goes on"
            ) from None

    async def close(self) -> None:
        await self._asker.close()

    def _new_asker(self) -> Asker:
        return Asker(
            self._fleet,
            self._recorder,
            self.redactor,
            seed=self.run.seed,
            fresh=True,
            is_shared=lambda: True,
            budgets=self._budgets,
        )
