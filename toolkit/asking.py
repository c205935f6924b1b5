"""The loop: one request in, one answer out, every attempt on record. The only place that asks.

    request ─▶ reuse? ─▶ decision ─▶ policy: next move ─▶ gate ▸ fit ▸ send ▸ read ▸ grade ─▶ attempt ─┬─▶ answer
                                     ▲──────────────────── attempts so far ◀─────────────────┘

Routers and policies choose; this module has the clock, the chance, the clients and the journal, and no opinions.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from toolkit.context import BYTES_PER_TOKEN, Fit, Keep, room_bytes, text_bytes
from toolkit.errors import CallError, CutShort, InvalidOutput, InvalidResponse, Stopped, ToolkitError
from toolkit.fleet import Fleet
from toolkit.gates import OPEN, Gate
from toolkit.grading import Case, Grader
from toolkit.ledger import Review, entries
from toolkit.messages import Message, Text
from toolkit.models.spec import ModelSpec, Provider
from toolkit.outputs import Output
from toolkit.policies import Accept, Facts, GiveUp, Park, Policy, Try, decide
from toolkit.records import (
    Answer,
    Attempt,
    Decision,
    Grade,
    Json,
    Place,
    Reply,
    Request,
    answer_key,
    content_hash,
    new_id,
    now,
)
from toolkit.routing.router import ModelFacts, Router, RoutingFacts

if TYPE_CHECKING:
    from toolkit.ledger import Journal

MOST_ATTEMPTS = 64
GATE_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Plan:
    """How a step's requests are to be answered. `label` stands for all of it in keys and in the history."""

    route: Router
    policy: Policy
    output: Output = field(default_factory=Output)
    graders: tuple[Grader, ...] = ()
    fit: Fit = field(default_factory=Keep)
    label: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A request at its place, with what its graders and rules may look at."""

    place: Place
    request: Request
    plan: Plan
    fields: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Tally:
    """Running totals of a run, read by whoever shows progress."""

    calls: int = 0
    errors: int = 0
    reused: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0


class Asker:
    """Answers questions for one run: holds the clients, the gates and what has been answered before.

    Once `stop` is set, whatever is under way raises Stopped before its next attempt. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        fleet: Fleet,
        journal: Journal,
        *,
        seed: int = 0,
        fresh: bool = False,
        stop: asyncio.Event | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.fleet = fleet
        self.journal = journal
        self.tally = Tally()
        self._seed = seed
        self._fresh = fresh
        self._clock = clock
        self._stop = stop or asyncio.Event()
        self._providers: dict[str, Provider] = {}
        self._doors: dict[str, asyncio.Semaphore] = {}
        self._gates: dict[str, Gate] = {}
        self._known: dict[str, set[str]] = {}
        self._asking: dict[str, asyncio.Future[Answer]] = {}
        self._open: dict[tuple[str, Place], Review] | None = None

    # ------------------------------------------------------------------------------------------------------- answers
    async def ask(self, question: Question) -> Answer:
        """The answer: out of the record where it is there, else by asking. Never raises for what a model did."""
        place, body = question.place, question.request.canonical()
        key = answer_key(place.step, body, question.plan.label, turn=place.turn, repeat=place.repeat)
        while (asked := self._asking.get(key)) is not None:
            await asyncio.wait([asked])
            if not asked.cancelled() and (answer := asked.result()).status == "answered":
                return self._reused(answer, place)
        asked = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            known = await self.recalled(key, place) or self._parked(key, place)
            settled = known or await self._settle(question, key, body)
            asked.set_result(settled)
            return settled
        except BaseException:
            asked.cancel()
            raise
        finally:
            del self._asking[key]

    async def recalled(self, key: str, place: Place) -> Answer | None:
        """The answer that the record has under this key; in a fresh run only of this very run."""
        if key not in self._keys(place.step):
            return None
        run_id = place.run_id if self._fresh else None
        found = self.journal.find_answer(key, run_id=run_id)
        if found is None:
            await self.journal.committed()
            found = self.journal.find_answer(key, run_id=run_id)
        return None if found is None else self._reused(found, place)

    def _parked(self, key: str, place: Place) -> Answer | None:
        """The question as it waits for a person in this run already: nobody else is asked again meanwhile."""
        if self._open is None:
            self._open = {(review.key, review.place): review for review in self.journal.parked(place.run_id)}
        review = self._open.get((key, place))
        return None if review is None else Answer(place, key, "parked", reason=review.why, model=review.person)

    def keep(self, answer: Answer) -> int:
        """Record an answer that nobody was asked for (a tool step's); the ticket of its commit."""
        if answer.status == "answered":
            self._keys(answer.place.step).add(answer.key)
        return self.journal.write(entries.answer_entry(answer))

    async def close(self) -> None:
        """Close the clients."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))
        self._providers.clear()

    def _keys(self, step: str) -> set[str]:
        """Keys of all that is answered for a step."""
        if step not in self._known:
            self._known[step] = self.journal.known_keys(step)
        return self._known[step]

    def _reused(self, answer: Answer, place: Place) -> Answer:
        """The answer at another place: it cost nothing there, and says whose it is; at its own place it stays."""
        self.tally.reused += 1
        if answer.place == place:
            return answer
        source = answer.reused_from or answer.place.run_id
        again = replace(answer, place=place, reused_from=source, cost_usd=0.0, seconds=0.0, attempts=0, answered_at=now())
        self.journal.write(entries.answer_entry(again))
        return again

    # ------------------------------------------------------------------------------------------------------ the loop
    async def _settle(self, question: Question, key: str, body: bytes) -> Answer:
        started = self._clock()
        plan, place = question.plan, question.place
        seed = _seed(self._seed, place)
        request_hash = content_hash(body)
        try:
            decision = await self._decide(question, seed)
        except CallError as error:
            failed = Answer(place, key, "failed", reason=f"the router could not ask: {error}")
            self.keep(failed)
            return failed
        decision_id = new_id()
        self.journal.write(
            entries.content_entry(body), entries.decision_entry(decision_id, place, decision, request_hash)
        )
        chance = random.Random(seed)
        attempts: list[Attempt] = []
        while True:
            if len(attempts) >= MOST_ATTEMPTS:
                move: Any = GiveUp(f"{MOST_ATTEMPTS} attempts are enough; the policy {plan.policy!r} does not end")
            else:
                move = decide(plan.policy, self._facts(decision, attempts, started, chance))
            match move:
                case Try():
                    attempt = await self._attempt(
                        question, move, decision_id=decision_id, request_hash=request_hash, number=len(attempts) + 1
                    )
                    attempts.append(attempt)
                    continue
                case Accept(attempt=accepted):
                    answer = self._answer(question, key, attempts, started, accepted, move.why)
                case Park():
                    answer = self._park(question, key, attempts, started, move)
                case GiveUp():
                    answer = self._answer(question, key, attempts, started, None, move.why)
            self.keep(answer)
            return answer

    async def _decide(self, question: Question, seed: int) -> Decision:
        """The router's decision. Where shut gates alone leave nobody to ask, they are waited for, but not for ever."""
        request, plan = question.request, question.plan
        facts = RoutingFacts(
            request=request,
            models=self._models(),
            step=question.place.step,
            fields=question.fields,
            input_tokens=_tokens(text_bytes(request)),
            min_input_tokens=_tokens(plan.fit.least_bytes(request)),
            seed=seed,
        )
        decision = plan.route.decide(facts)
        if isinstance(decision, Decision):
            patient_until = self._clock() + GATE_PATIENCE_SECONDS
            while (shut := _shut(decision)) and self._clock() < patient_until:
                await self._pause(min(self._gate(name).opens_in(self._clock()) for name in shut))
                again = plan.route.decide(replace(facts, models=self._models()))
                assert isinstance(again, Decision)
                decision = again
            return decision
        place = replace(question.place, step=f"{question.place.step}/route")
        try:
            model, wanted = next(decision)
            while True:
                asked = Question(place, wanted, Plan(plan.route, plan.policy))
                attempt = await self._attempt(asked, Try(model, why="routing"))
                if attempt.error is not None:
                    raise attempt.error
                assert attempt.reply is not None
                model, wanted = decision.send(attempt.reply)
        except StopIteration as stop:
            settled: Decision = stop.value
            return settled

    def _models(self) -> Mapping[str, ModelFacts]:
        """The fleet as routers see it now: a shut gate makes a model unavailable."""
        facts = self.fleet.facts
        now_ = self._clock()
        shut = [name for name, gate in self._gates.items() if not gate.admits(now_)]
        return {**facts, **{name: replace(facts[name], available=False) for name in shut}} if shut else facts

    def _facts(self, decision: Decision, attempts: list[Attempt], started: float, chance: random.Random) -> Facts:
        return Facts(
            decision=decision,
            attempts=tuple(attempts),
            persons=self.fleet.persons,
            now=self._clock() - started,
            spent_usd=sum(attempt.cost_usd or 0.0 for attempt in attempts),
            draw=chance.random(),
        )

    # ------------------------------------------------------------------------------------------------------- attempt
    async def _attempt(
        self,
        question: Question,
        move: Try,
        *,
        decision_id: str | None = None,
        request_hash: str | None = None,
        number: int = 1,
    ) -> Attempt:
        """One try: wait for the door, fit, send, read, grade, record. Whatever goes wrong is part of the attempt.

        `request_hash` names the question's request where that is on record already.
        """
        began, stamp = self._clock(), now()
        await self._pause(move.after)
        spec = self.fleet[move.model]
        provider, door = self._provider(spec)
        request = _repaired(question.request, move.repair)
        reply: Reply | None = None
        value: Json = None
        error: CallError | None = None
        grades: tuple[Grade, ...] = ()
        async with door:
            await self._pause(0)
            opened = self._clock()
            try:
                request = _fitted(request, question.plan.fit, spec)
                reply = await self._send(spec, provider, request)
            except CallError as failed:
                error = failed
            finished = self._clock()
        if reply is not None:
            try:
                value = _read(reply, question)
                grades = _grades(question, reply, value)
            except CallError as failed:
                error = failed
            except Exception as bug:
                error = _call_error("reading and grading the answer", bug)
        cost_usd, version = self._cost(spec, reply)
        self.tally.calls += 1
        self.tally.errors += error is not None
        self.tally.cost_usd += cost_usd or 0.0
        self.tally.unpriced += cost_usd is None and reply is not None
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
            error=error,
            cost_usd=cost_usd,
            price_version=version,
            grades=grades,
        )
        known = request_hash if request is question.request else None
        self._record(question, decision_id, attempt, request, known)
        return attempt

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

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the run is stopped meanwhile. Raises Stopped."""
        if seconds > 0 and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        if self._stop.is_set():
            raise Stopped("the run was cancelled")

    def _provider(self, spec: ModelSpec) -> tuple[Provider, asyncio.Semaphore]:
        if spec.name not in self._providers:
            self._providers[spec.name] = self.fleet.open(spec.name)
            self._doors[spec.name] = asyncio.Semaphore(spec.concurrency)
        return self._providers[spec.name], self._doors[spec.name]

    def _gate(self, model: str) -> Gate:
        return self._gates.get(model, OPEN)

    def _cost(self, spec: ModelSpec, reply: Reply | None) -> tuple[float | None, str | None]:
        if reply is None:
            return None, None
        if reply.cost_usd is not None:
            return reply.cost_usd, "provider"
        price = self.fleet.facts[spec.name].price
        if price is None:
            return None, None
        return price.cost(reply.usage), self.fleet.prices.stamp(spec.name)

    # ------------------------------------------------------------------------------------------------------- endings
    def _record(
        self, question: Question, decision_id: str | None, attempt: Attempt, sent: Request, request_hash: str | None
    ) -> None:
        """The attempt, with the request as it was sent: shortened to fit, or with the answer to repair."""
        if request_hash is None:
            content = entries.content_entry(sent.canonical())
            self.journal.write(content)
            request_hash = content.id
        self.journal.write(
            *entries.attempt_entries(question.place, decision_id, attempt, request_hash, operation=sent.operation)
        )

    def _answer(
        self, question: Question, key: str, attempts: list[Attempt], started: float, accepted: Attempt | None, why: str
    ) -> Answer:
        return Answer(
            place=question.place,
            key=key,
            status="failed" if accepted is None else "answered",
            value=None if accepted is None else accepted.value,
            reason=why,
            model=None if accepted is None else accepted.model,
            attempt_id=None if accepted is None else accepted.id,
            attempts=len(attempts),
            cost_usd=_total(attempts),
            seconds=self._clock() - started,
        )

    def _park(self, question: Question, key: str, attempts: list[Attempt], started: float, move: Park) -> Answer:
        review = Review(
            key=key,
            place=question.place,
            person=move.model,
            question=question.request.text,
            output_schema=question.request.output_schema,
            asked_at=now(),
            why=move.why,
        )
        self.journal.write(entries.review_entry(review))
        parked = self._answer(question, key, attempts, started, None, move.why)
        return replace(parked, status="parked", model=move.model)


# ----------------------------------------------------------------------------------------------------------- helpers
def _seed(seed: int, place: Place) -> int:
    """64 bits of chance for a place: the same for the same row and step of a run with the same seed."""
    name = f"{seed}/{place.row_id}/{place.step}/{place.turn}/{place.repeat}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def _tokens(size: int) -> int:
    """About how many tokens that many bytes are."""
    return -(-size // BYTES_PER_TOKEN)


def _shut(decision: Decision) -> list[str]:
    """The models whose gate alone keeps them from being asked, where nobody else can be."""
    return [
        candidate.model
        for candidate in (() if decision.order else decision.candidates)
        if [verdict.constraint for verdict in candidate.verdicts if not verdict.passed] == ["gate"]
    ]


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


def _total(attempts: list[Attempt]) -> float | None:
    """What the attempts cost together; None where one that was answered has no known cost."""
    if any(attempt.cost_usd is None and attempt.reply is not None for attempt in attempts):
        return None
    return sum(attempt.cost_usd or 0.0 for attempt in attempts)


def unanswerable(fleet: Fleet, plan: Plan, step: str) -> str | None:
    """Why nobody in the fleet could ever answer this step, or None.

    Raises FleetError where a model is unknown, or cannot be opened (its key or a file is missing).
    """
    names = plan.route.names()
    specs = [fleet[name] for name in (fleet.specs if names is None else names)]
    if not specs:
        return f"step {step!r}: its router {plan.route!r} names no model"
    for spec in specs:
        fleet.open(spec.name)
    if plan.output.schema is None or any({"json", "*"} & spec.capabilities for spec in specs):
        return None
    return f"step {step!r} wants typed output, and none of {', '.join(s.name for s in specs)} has the capability 'json'"
