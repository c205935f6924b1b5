"""The loop: one request in, one answer out, every attempt on record. The only place that asks.

    request ─▶ reuse? ─▶ decision ─▶ policy: next move ─▶ gate ▸ fit ▸ send ▸ read ▸ grade ─▶ attempt ─┬─▶ answer
                                     ▲──────────────────── attempts so far ◀─────────────────┘

Routers and policies choose, `attempting` tries; this module has the chance and the journal, and no opinions.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from toolkit.attempting import Attempter
from toolkit.context import BYTES_PER_TOKEN, text_bytes
from toolkit.errors import CallError
from toolkit.fleet import Fleet
from toolkit.ledger import Review
from toolkit.ledger.recording import Recorder
from toolkit.policies import Accept, Facts, GiveUp, Park, Try, decide
from toolkit.questions import Plan, Question, Tally
from toolkit.records import (
    Answer,
    AnswerStatus,
    Attempt,
    Decision,
    Place,
    Reply,
    Request,
    answer_key,
    new_id,
    now,
)
from toolkit.redaction import Redactor
from toolkit.routing.router import RoutingFacts

MOST_ATTEMPTS = 64
GATE_PATIENCE_SECONDS = 120.0


@dataclass
class _Trail:
    """A question on its way to its answer: what was decided, and what has been tried."""

    question: Question
    key: str
    request_hash: str
    started: float
    decision: Decision
    decision_id: str | None = None
    attempts: list[Attempt] = field(default_factory=list)


class Asker:
    """Answers questions for one run, out of what has been answered before or by asking.

    What a request holds that is to be redacted is so before anybody is asked and before its key is made. Once `stop` is
    set, whatever is under way raises Stopped before its next attempt. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        fleet: Fleet,
        recorder: Recorder,
        redactor: Redactor,
        *,
        seed: int = 0,
        fresh: bool = False,
        stop: asyncio.Event | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.fleet = fleet
        self.recorder = recorder
        self.redactor = redactor
        self.journal = recorder.journal
        self._attempter = Attempter(fleet, redactor, stop=stop or asyncio.Event(), clock=clock)
        self._seed = seed
        self._fresh = fresh
        self._clock = clock
        self._known: dict[str, set[str]] = {}
        self._asking: dict[str, asyncio.Future[Answer]] = {}
        self._open: dict[tuple[str, Place], Review] | None = None

    @property
    def tally(self) -> Tally:
        """Running totals of the run."""
        return self._attempter.tally

    # ------------------------------------------------------------------------------------------------------- answers
    async def ask(self, question: Question) -> Answer:
        """The answer: out of the record where it is there, else by asking. Never raises for what a model did."""
        question = replace(question, request=self.redactor.request(question.request))
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
        found = self.journal.find_answer(key, run_id=run_id, place=place)
        if found is None:
            await self.journal.committed()
            found = self.journal.find_answer(key, run_id=run_id, place=place)
        return None if found is None else self._reused(found, place)

    def _parked(self, key: str, place: Place) -> Answer | None:
        """The question as it waits for a person in this run already: nobody else is asked again meanwhile."""
        if self._open is None:
            self._open = {(review.key, review.place): review for review in self.journal.parked(place.run_id)}
        review = self._open.get((self.recorder.key(key), place))
        return None if review is None else Answer(place, key, "parked", reason=review.why, model=review.person)

    def keep(self, answer: Answer) -> int:
        """Record an answer; the ticket of its commit. Where no content is kept, it cannot be found again."""
        if answer.status == "answered" and self.recorder.content == "full":
            self._keys(answer.place.step).add(answer.key)
        return self.recorder.answer(answer)

    async def close(self) -> None:
        """Close the clients."""
        await self._attempter.close()

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
        again = replace(
            answer, place=place, reused_from=source, attempts=0, cost_usd=0.0, seconds=0.0, answered_at=now()
        )
        self.recorder.answer(again)
        return again

    # ------------------------------------------------------------------------------------------------------ the loop
    async def _settle(self, question: Question, key: str, body: bytes) -> Answer:
        started, place = self._clock(), question.place
        seed = _seed(self._seed, place)
        try:
            decision = await self._decide(question, seed)
        except CallError as error:
            failed = Answer(place, key, "failed", reason=self.redactor.told(f"the router could not ask: {error}"))
            self.keep(failed)
            return failed
        trail = _Trail(question, key, self.recorder.request(body), started, decision, decision_id=new_id())
        self.recorder.decision(trail.decision_id or "", place, decision, trail.request_hash, inputs=question.sources)
        answer = await self._walk(trail, random.Random(seed))
        self.keep(answer)
        return answer

    async def _walk(self, trail: _Trail, chance: random.Random) -> Answer:
        """Move after move, until one ends it."""
        policy = trail.question.plan.policy
        while len(trail.attempts) < MOST_ATTEMPTS:
            match decide(policy, self._facts(trail, chance)):
                case Try() as move:
                    trail.attempts.append(await self._try(trail, move))
                case Accept(attempt=accepted, why=why):
                    return self._ended(trail, "answered", why, accepted)
                case Park(model=person, why=why):
                    self._park(trail, person, why)
                    return replace(self._ended(trail, "parked", why), model=person)
                case GiveUp(why=why):
                    return self._ended(trail, "failed", why)
        return self._ended(trail, "failed", f"{MOST_ATTEMPTS} attempts are enough; the policy {policy!r} does not end")

    async def _decide(self, question: Question, seed: int) -> Decision:
        """The router's decision. Where shut gates alone leave nobody to ask, they are waited for, but not for ever."""
        request, plan = question.request, question.plan
        facts = RoutingFacts(
            request=request,
            models=self._attempter.models(),
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
                await self._attempter.pause(self._attempter.opens_in(shut))
                again = plan.route.decide(replace(facts, models=self._attempter.models()))
                assert isinstance(again, Decision)
                decision = again
            return decision
        try:
            model, wanted = next(decision)
            while True:
                model, wanted = decision.send(await self._routing_reply(question, model, wanted))
        except StopIteration as stop:
            settled: Decision = stop.value
            return settled

    async def _routing_reply(self, question: Question, model: str, wanted: Request) -> Reply:
        """The reply to a request of the router's own; it is recorded below the step's name. Raises its CallError."""
        place = replace(question.place, step=f"{question.place.step}/route")
        asked = Question(place, self.redactor.request(wanted), Plan(question.plan.route, question.plan.policy))
        decision = Decision(model, (), (model,), "routing", repr(question.plan.route))
        attempt = await self._try(_Trail(asked, "", "", self._clock(), decision), Try(model, why="routing"))
        if attempt.error is not None:
            raise attempt.error
        assert attempt.reply is not None
        return attempt.reply

    def _facts(self, trail: _Trail, chance: random.Random) -> Facts:
        return Facts(
            decision=trail.decision,
            attempts=tuple(trail.attempts),
            persons=self.fleet.persons,
            now=self._clock() - trail.started,
            spent_usd=sum(attempt.cost_usd or 0.0 for attempt in trail.attempts),
            draw=chance.random(),
        )

    async def _try(self, trail: _Trail, move: Try) -> Attempt:
        """An attempt, and its record with the request as it was sent."""
        question = trail.question
        attempt, sent = await self._attempter.attempt(question, move, number=len(trail.attempts) + 1)
        request_hash = trail.request_hash
        if sent is not question.request or not request_hash:
            request_hash = self.recorder.request(sent.canonical())
        self.recorder.attempt(question.place, trail.decision_id, attempt, request_hash, operation=sent.operation)
        return attempt

    def _ended(self, trail: _Trail, status: AnswerStatus, why: str, accepted: Attempt | None = None) -> Answer:
        return Answer(
            place=trail.question.place,
            key=trail.key,
            status=status,
            value=None if accepted is None else accepted.value,
            reason=self.redactor.text(why),
            model=None if accepted is None else accepted.model,
            attempt_id=None if accepted is None else accepted.id,
            attempts=len(trail.attempts),
            cost_usd=_total(trail.attempts),
            seconds=self._clock() - trail.started,
        )

    def _park(self, trail: _Trail, person: str, why: str) -> None:
        question = trail.question
        review = Review(
            key=trail.key,
            place=question.place,
            person=person,
            question=question.request.text,
            output_schema=question.request.output_schema,
            asked_at=now(),
            why=self.redactor.text(why),
        )
        self.recorder.review(review)


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


def _total(attempts: list[Attempt]) -> float | None:
    """What the attempts cost together; None where one that was answered has no known cost."""
    if any(attempt.cost_usd is None and attempt.reply is not None for attempt in attempts):
        return None
    return sum(attempt.cost_usd or 0.0 for attempt in attempts)
