"""One try at one model: fit, send through its door, read, grade. Whatever goes wrong is part of it.

Graders that ask models come after it (`marking`), when the attempt is on record and its cost settled.

In: a question and the policy's move. Out: an `Attempt`, and the request as it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.asking.fitting import Ask, Fitter, unasked
from toolkit.asking.questions import Question, Tally
from toolkit.asking.sending import Sender
from toolkit.asking.spending import Purse
from toolkit.asking.steering import Held, Steering
from toolkit.asking.tool_turns import TurnOutput
from toolkit.asking.trails import Flying
from toolkit.context import Fitted
from toolkit.errors import CallError, ContentFiltered, CutShort, InvalidOutput, Stopped
from toolkit.fleet import Fleet
from toolkit.grading import Case, graded
from toolkit.messages import Message, Text
from toolkit.models.coalescing import Call
from toolkit.models.spec import ModelSpec
from toolkit.policies import Try
from toolkit.records import Attempt, Grade, Json, Reply, Request
from toolkit.redaction import Redactor
from toolkit.routing.router import ModelFacts

if TYPE_CHECKING:
    from toolkit.ledger import Journal


class Attempter:
    """Asks the members of a fleet for one run. Once it is to stop, nothing more is sent: Stopped is raised instead.

    What a model says, and what an error tells, goes through the redactor before it is read. `ask` answers what a
    fitting strategy asks on the way.
    """

    def __init__(
        self,
        fleet: Fleet,
        redactor: Redactor,
        *,
        steering: Steering,
        clock: Callable[[], float],
        ask: Ask = unasked,
        journal: Journal | None = None,
    ) -> None:
        self.tally = Tally()
        self.purse: Purse | None = None
        self._fleet = fleet
        self._redactor = redactor
        self._steering = steering
        self._stop = steering.stop
        self._clock = clock
        self._fitter = Fitter(fleet, ask)
        self._sender = Sender(fleet, journal=journal, steering=steering, clock=clock, heard=self._fitter.heard)

    async def attempt(self, question: Question, flying: Flying) -> tuple[Attempt, Request]:
        """The attempt, and the request as it went out: shortened to fit, or with the answer that is to be repaired.

        Raises OverBudget where the purse cannot hold what it may cost.
        """
        move = flying.move
        await self.pause(move.after)
        spec = self._fleet[move.model]
        fitted, error = await self._fitted(question, spec, move)
        request = fitted.request
        if error is None:
            if self.purse is not None:
                request = await self.purse.reserve(flying.id, question.place, spec, request)
            call = await self._sender.send(question, spec, request, let_in=lambda: flying.left(self._clock()))
        else:
            call = Call(self._clock(), self._clock(), error=error)
        came = call.error.billed if isinstance(call.error, ContentFiltered) else call.reply
        reply, error = None if came is None else self._redactor.reply(came), call.error
        value, grades, unread = self._read_and_graded(reply, question) if reply and not error else (None, (), None)
        error = error or unread
        reported = reply.cost_usd if reply else None
        computed, version = self._cost(spec, reply)
        told = reply.service_seconds if reply else None
        service = call.finished - call.opened if told is None else told
        attempt = Attempt(
            id=flying.id,
            number=flying.number,
            model=spec.name,
            why=move.why,
            provider_name=spec.provider,
            request_model=spec.model,
            started_at=flying.stamp,
            wait_seconds=max(call.opened - flying.began, call.finished - flying.began - service),
            service_seconds=service,
            reply=reply,
            value=value,
            error=None if error is None else self._redactor.error(error),
            cost_usd=computed if reported is None else reported,
            computed_cost_usd=computed,
            price_version=version,
            grades=grades,
            dropped=fitted.dropped,
        )
        self.tally.count(attempt)
        return attempt, request

    def models(self) -> Mapping[str, ModelFacts]:
        """The fleet as routers see it now: a shut gate makes a model unavailable."""
        return self._sender.models()

    def shut(self, names: Iterable[str]) -> Mapping[str, float]:
        """Those of these models that may not be asked now, and the seconds until they may."""
        opening = ((name, self.opens_in((name,))) for name in names if not self._fleet[name].is_person)
        return {name: seconds for name, seconds in opening if seconds > 0}

    def opens_in(self, names: Iterable[str]) -> float:
        """Seconds until the first of these models may be asked again."""
        return self._sender.opens_in(names)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the run is stopped meanwhile. Raises Stopped, and Held where it is paused by then."""
        if seconds > 0 and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        if self._stop.is_set():
            raise Stopped("the run was cancelled")
        if self._steering.is_paused:
            raise Held

    async def close(self) -> None:
        """Tell other processes what is to be told, and close the clients."""
        await self._sender.close()

    async def _fitted(self, question: Question, spec: ModelSpec, move: Try) -> tuple[Fitted, CallError | None]:
        """The request as it is to go out: before the door, as a strategy may ask the very model behind it."""
        added = _repairing(move.repair)
        try:
            return await self._fitter.fitted(question, spec, added=added, shrink=move.shrink), None
        except CallError as failed:
            request = question.request
            return Fitted(replace(request, messages=(*request.messages, *added)) if added else request), failed

    def _cost(self, spec: ModelSpec, reply: Reply | None) -> tuple[float | None, str | None]:
        """What the reply cost by the price book, and the book's version."""
        if reply is None:
            return None, None
        price = self._fleet.facts[spec.name].price
        if price is None:
            return None, None
        return price.cost(reply.usage), self._fleet.prices.stamp(spec.name)

    def _read_and_graded(self, reply: Reply, question: Question) -> tuple[Json, tuple[Grade, ...], CallError | None]:
        """The value in a reply and its grades, or what is wrong with it."""
        value: Json = None
        try:
            read = _read(reply, question)
            value = self._redactor.value(read)
            if value is not read:
                value = question.plan.output.check(value)
            return value, tuple(map(self._redactor.grade, _grades(question, reply, value))), None
        except CallError as error:
            return value, (), error
        except Exception as bug:
            return value, (), _call_error("reading and grading the answer", bug)


# ----------------------------------------------------------------------------------------------------------- helpers
def _call_error(what: str, bug: BaseException) -> CallError:
    return CallError(f"{what} raised {type(bug).__name__}: {bug}")


def _repairing(broken: Attempt | None) -> tuple[Message, ...]:
    """What is said to have an answer repaired: the model's own words, and what was wrong with them."""
    if broken is None or broken.reply is None:
        return ()
    said = Message("assistant", (Text(broken.reply.text),))
    fault = Message("user", (Text(f"That answer cannot be used: {broken.error}. Answer again, without that fault."),))
    return said, fault


def _read(reply: Reply, question: Question) -> Json:
    """The value in a reply: vectors, or text read as the declared type."""
    if question.request.operation == "embeddings":
        vectors = [list(vector) for vector in reply.vectors]
        if len(vectors) != len(question.request.inputs):
            raise InvalidOutput(f"{len(question.request.inputs)} texts went in, {len(vectors)} vectors came out")
        return vectors[0] if len(vectors) == 1 else vectors
    try:
        if not reply.text.strip() and not question.request.tools:
            raise InvalidOutput("the answer is empty")
        if isinstance(question.plan.output, TurnOutput):
            return question.plan.output.read_reply(reply)
        return question.plan.output.read(reply.text)
    except InvalidOutput as error:
        if "length" in reply.finish_reasons:
            raise CutShort(f"stopped at the output limit, and what came is no whole answer: {error}") from error
        raise


def _grades(question: Question, reply: Reply, value: Json) -> tuple[Grade, ...]:
    if not question.plan.graders:
        return ()
    case = Case(value, question.fields, question.inputs, question.request, reply)
    found = (graded(grader, case) for grader in question.plan.graders if not grader.names())
    return tuple(grade for grade in found if grade is not None)
