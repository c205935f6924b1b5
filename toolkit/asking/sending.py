"""Sending: through a model's door to whoever answers, and back. Here are the clients, and all that may go wrong there.

In: a request as it is to go out. Out: a `Call` with the reply or the error, and when it was let in and had ended.
Requests for vectors share calls (`toolkit.models.coalescing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from toolkit.asking.doors import BROKEN_OFF, Doors, Outcome, Refused
from toolkit.asking.questions import Question
from toolkit.asking.steering import Held, Steering
from toolkit.errors import CallError, InvalidResponse, Stopped, ToolkitError
from toolkit.fleet import Fleet
from toolkit.gates import Gate, OwnKeeper
from toolkit.ledger.entries import event_entry
from toolkit.ledger.writing.shared_gates import SharedKeeper, turned
from toolkit.models.coalescing import Call, Coalescer
from toolkit.models.spec import ModelSpec, Provider
from toolkit.policies import Fallback, Joined
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens
from toolkit.records import Reply, Request
from toolkit.routing.router import ModelFacts, RoutingFacts, judged

if TYPE_CHECKING:
    from toolkit.ledger import Journal

Heard = Callable[[ModelSpec, Request, Reply | CallError], object]


class Sender:
    """Sends to the members of a fleet for one run. Once it is to stop, nothing more is sent: Stopped is raised instead;
    while it is paused, Held is.

    With a journal, what a model takes and whether it is well is shared with all processes that have it open. `heard`
    is told what came of every call.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        journal: Journal | None,
        steering: Steering,
        clock: Callable[[], float],
        heard: Heard = lambda *_: None,
    ) -> None:
        self._fleet = fleet
        self._steering = steering
        self._stop = steering.stop
        self._clock = clock
        self._heard = heard
        self._journal = journal
        self._providers: dict[str, Provider] = {}
        self._coalescers: dict[tuple[str, str], Coalescer] = {}
        own = OwnKeeper(clock, told=self._told)
        shared = own if journal is None else SharedKeeper(journal, clock)
        self._doors = Doors(own=own, shared=shared, stop=steering.stop, clock=clock)

    async def send(
        self, question: Question, spec: ModelSpec, request: Request, let_in: Callable[[], None] = lambda: None
    ) -> Call:
        """What came of a request. Raises Stopped, Held, and what ends the run; what a model does is part of the call.

        `let_in` is called when it passes the door.
        """
        self._doors.look()
        if request.operation == "embeddings" and spec.is_hosted and spec.batch > 1:
            key = (spec.name, question.place.step)
            if key not in self._coalescers:
                self._coalescers[key] = Coalescer(partial(self._through, question, spec), most=spec.batch)
            return await self._coalescers[key].call(request, let_in)
        return await self._through(question, spec, request, let_in)

    def models(self) -> Mapping[str, ModelFacts]:
        """The fleet as routers see it now: a shut gate makes a model unavailable."""
        self._doors.look()
        return self._doors.facts(self._fleet.facts)

    def opens_in(self, names: Iterable[str]) -> float:
        """Seconds until the first of these models may be asked again."""
        return min(map(self._doors.opens_in, names))

    async def close(self) -> None:
        """Tell other processes what is to be told, and close the clients."""
        await self._doors.close()
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))
        self._providers.clear()

    async def _through(
        self, question: Question, spec: ModelSpec, request: Request, let_in: Callable[[], None] = lambda: None
    ) -> Call:
        """One call through the model's door."""
        provider, door, run_id = self._provider(spec), self._doors.of(spec), question.place.run_id
        passed = door.pass_at_once()
        if passed is None:
            self._doors.watch()
            tokens = prompt_tokens(request, ESTIMATE) if door.counts_tokens else 0
            elsewhere = partial(self._could_go_elsewhere, question, spec.name)
            try:
                passed = await door.enter(tokens, run_id=run_id, elsewhere=elsewhere)
            except Refused as refused:
                return Call(self._clock(), self._clock(), error=refused)
        outcome = BROKEN_OFF
        try:
            if self._stop.is_set():
                raise Stopped("the run was cancelled")
            if self._steering.is_paused:
                raise Held
            let_in()
            opened = self._clock()
            try:
                reply = await _answer(provider, spec, request)
            except CallError as error:
                outcome = Outcome(error)
                self._heard(spec, request, error)
                return Call(opened, self._clock(), error=error)
            outcome = Outcome(None, reply.usage.input_tokens, reply.usage.output_tokens)
            self._heard(spec, request, reply)
            return Call(opened, self._clock(), reply)
        finally:
            door.leave(passed, outcome, run_id=run_id)

    def _provider(self, spec: ModelSpec) -> Provider:
        provider = self._providers.get(spec.name)
        if provider is None:
            provider = self._providers[spec.name] = self._fleet.open(spec.name)
        return provider

    def _could_go_elsewhere(self, question: Question, model: str) -> bool:
        """Whether a policy that falls back would find another model of the route that may be asked now."""
        plan = question.plan
        policies = plan.policy.parts if isinstance(plan.policy, Joined) else (plan.policy,)
        if not any(isinstance(policy, Fallback) for policy in policies):
            return False
        names = plan.route.names() or tuple(self._fleet)
        others = [name for name in names if name != model and name not in self._fleet.persons]
        facts = RoutingFacts(request=question.request, models=self._doors.facts(self._fleet.facts))
        return any(candidate.eligible for candidate in judged(facts, others))

    def _told(self, before: Gate, after: Gate, run_id: str, model: str) -> None:
        """A model of this process alone is shut or open again."""
        event = turned(before, after, run_id, model, at=self._clock())
        if event is not None and self._journal is not None:
            self._journal.write(event_entry(event))


# ----------------------------------------------------------------------------------------------------------- helpers
async def _answer(provider: Provider, spec: ModelSpec, request: Request) -> Reply:
    """The reply. Raises CallError whatever the provider raised, but for what ends the run."""
    try:
        reply = await provider.send(request)
        if not isinstance(reply, Reply):
            raise InvalidResponse(f"the provider {spec.provider!r} gave a {type(reply).__name__} and no Reply")
        reply.text.encode()  # half a character could not go on record
        return reply
    except ToolkitError:
        raise
    except (Exception, SystemExit, asyncio.CancelledError) as bug:
        if isinstance(bug, asyncio.CancelledError) and _is_cancelled():
            raise
        raise CallError(f"the provider {spec.provider!r} raised {type(bug).__name__}: {bug}") from bug


def _is_cancelled() -> bool:
    """Whether it is this very task that is being cancelled, and not something that a provider waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
