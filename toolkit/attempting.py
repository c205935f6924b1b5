"""One try at one model: wait for its door, fit, send through its gate, read, grade. Whatever goes wrong is part of it.

In: a question and the policy's move. Out: an `Attempt`, and the request as it was sent. Here are the clients, the clock
and the gates; the journal is not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from toolkit.context import Fit, room_bytes
from toolkit.errors import CallError, CutShort, InvalidOutput, InvalidResponse, Stopped, ToolkitError
from toolkit.fleet import Fleet
from toolkit.gates import OPEN, Gate
from toolkit.grading import Case
from toolkit.messages import Message, Text
from toolkit.models.spec import ModelSpec, Provider
from toolkit.policies import Try
from toolkit.questions import Question, Tally
from toolkit.records import Attempt, Grade, Json, Reply, Request, new_id, now
from toolkit.redaction import Redactor
from toolkit.routing.router import ModelFacts


class Attempter:
    """Asks the members of a fleet for one run. Once `stop` is set, nothing more is sent: Stopped is raised instead.

    What a model says, and what an error tells, goes through the redactor before it is read.
    """

    def __init__(self, fleet: Fleet, redactor: Redactor, *, stop: asyncio.Event, clock: Callable[[], float]) -> None:
        self.tally = Tally()
        self._fleet = fleet
        self._redactor = redactor
        self._stop = stop
        self._clock = clock
        self._providers: dict[str, Provider] = {}
        self._doors: dict[str, asyncio.Semaphore] = {}
        self._gates: dict[str, Gate] = {}

    async def attempt(self, question: Question, move: Try, *, number: int = 1) -> tuple[Attempt, Request]:
        """The attempt, and the request as it went out: shortened to fit, or with the answer that is to be repaired."""
        began, stamp = self._clock(), now()
        await self.pause(move.after)
        spec = self._fleet[move.model]
        provider, door = self._provider(spec)
        request, reply, error = _repaired(question.request, move.repair), None, None
        async with door:
            await self.pause(0)
            opened = self._clock()
            try:
                request = _fitted(request, question.plan.fit, spec)
                reply = self._redactor.reply(await self._send(spec, provider, request))
            except CallError as failed:
                error = failed
            finished = self._clock()
        value, grades, unread = (None, (), None) if reply is None else self._read_and_graded(reply, question)
        error = error or unread
        reported = reply.cost_usd if reply else None
        computed, version = self._cost(spec, reply)
        told = reply.service_seconds if reply else None
        attempt = Attempt(
            id=new_id(),
            number=number,
            model=spec.name,
            why=move.why,
            provider_name=spec.provider,
            request_model=spec.model,
            started_at=stamp,
            wait_seconds=opened - began,
            service_seconds=finished - opened if told is None else told,
            reply=reply,
            value=value,
            error=None if error is None else self._redactor.error(error),
            cost_usd=computed if reported is None else reported,
            computed_cost_usd=computed,
            price_version=version,
            grades=grades,
        )
        self.tally.count(attempt)
        return attempt, request

    def models(self) -> Mapping[str, ModelFacts]:
        """The fleet as routers see it now: a shut gate makes a model unavailable."""
        facts, at = self._fleet.facts, self._clock()
        shut = [name for name, gate in self._gates.items() if not gate.admits(at)]
        return {**facts, **{name: replace(facts[name], available=False) for name in shut}} if shut else facts

    def opens_in(self, names: Iterable[str]) -> float:
        """Seconds until the first of these models may be asked again."""
        return min(self._gate(name).opens_in(self._clock()) for name in names)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the run is stopped meanwhile. Raises Stopped."""
        if seconds > 0 and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        if self._stop.is_set():
            raise Stopped("the run was cancelled")

    async def close(self) -> None:
        """Close the clients."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))
        self._providers.clear()

    async def _send(self, spec: ModelSpec, provider: Provider, request: Request) -> Reply:
        """Send through the model's gate. Raises CallError whatever the provider raised, but for what ends the run."""
        self._gates[spec.name] = self._gate(spec.name).entered(self._clock())
        error: CallError | None = None
        try:
            reply = await provider.send(request)
            if not isinstance(reply, Reply):
                raise InvalidResponse(f"the provider {spec.provider!r} gave a {type(reply).__name__} and no Reply")
            reply.text.encode()  # half a character could not go on record
            return reply
        except CallError as failed:
            error = failed
            raise
        except ToolkitError:
            raise
        except (Exception, SystemExit, asyncio.CancelledError) as bug:
            if isinstance(bug, asyncio.CancelledError) and _is_cancelled():
                raise
            error = _call_error(f"the provider {spec.provider!r}", bug)
            raise error from bug
        finally:
            self._gates[spec.name] = self._gate(spec.name).after(error, self._clock())

    def _provider(self, spec: ModelSpec) -> tuple[Provider, asyncio.Semaphore]:
        if spec.name not in self._providers:
            self._providers[spec.name] = self._fleet.open(spec.name)
            self._doors[spec.name] = asyncio.Semaphore(spec.concurrency)
        return self._providers[spec.name], self._doors[spec.name]

    def _gate(self, model: str) -> Gate:
        return self._gates.get(model, OPEN)

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


def _is_cancelled() -> bool:
    """Whether it is this very task that is being cancelled, and not something that a provider waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _repaired(request: Request, broken: Attempt | None) -> Request:
    """The request once more, with the model's own answer and what was wrong with it."""
    if broken is None or broken.reply is None:
        return request
    said = Message("assistant", (Text(broken.reply.text),))
    fault = Message("user", (Text(f"That answer cannot be used: {broken.error}. Answer again, without that fault."),))
    return replace(request, messages=(*request.messages, said, fault))


def _fitted(request: Request, fit: Fit, spec: ModelSpec) -> Request:
    if spec.window is None:
        return request
    return fit.fit(request, room_bytes(spec.window, request))[0]


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
        return question.plan.output.read(reply.text)
    except InvalidOutput as error:
        if "length" in reply.finish_reasons:
            raise CutShort(f"stopped at the output limit, and what came is no whole answer: {error}") from error
        raise


def _grades(question: Question, reply: Reply, value: Json) -> tuple[Grade, ...]:
    if not question.plan.graders:
        return ()
    case = Case(value, question.fields, question.inputs, question.request, reply)
    found = (grader.grade(case) for grader in question.plan.graders)
    return tuple(grade for grade in found if grade is not None)
