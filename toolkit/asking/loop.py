"""The loop: one request in, one answer out, every attempt on record. The only place that asks.

    request ─▶ reuse? ─▶ decision ─▶ policy: next move ─▶ gate ▸ fit ▸ send ▸ read ▸ grade ─▶ attempt ─┬─▶ answer
                                     ▲──────────────────── attempts so far ◀─────────────────┘

Routers and policies choose, `attempting` tries; this module has the chance and the journal, and no opinions.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from toolkit.asking.attempting import Attempter
from toolkit.asking.choosing import Chooser
from toolkit.asking.marking import Marker
from toolkit.asking.parking import is_due, lapsed, parked
from toolkit.asking.questions import Question, Tally
from toolkit.asking.spending import Purse
from toolkit.asking.steering import Held, Steering
from toolkit.asking.trails import Flying, Losers, Served, Trail, chance_seed, total_cost
from toolkit.errors import CallError, OverBudget, Stopped
from toolkit.fleet import Fleet
from toolkit.ledger import Review
from toolkit.ledger.recording import Recorder
from toolkit.ledger.writing.reviewing import ended
from toolkit.money.budgets import Budgets
from toolkit.policies import Accept, Facts, GiveUp, Park, Try, Wait, decide
from toolkit.records import (
    Answer,
    AnswerStatus,
    Attempt,
    Decision,
    Place,
    Reply,
    answer_key,
    new_id,
    now,
)
from toolkit.redaction import Redactor

MOST_ATTEMPTS = 64


async def _sure() -> None:
    """For whoever works alone."""


class Asker:
    """Answers questions for one run, out of what has been answered before or by asking.

    What a request holds that is to be redacted is so before anybody is asked and before its key is made. While
    `steering` is paused no attempt begins; once it is to stop, whatever is under way raises Stopped before its next
    attempt. `clock` gives monotonic seconds. Nothing is sent whose worst case `budgets` cannot hold. While the run
    `is_shared`, other processes answer too: the record is looked at for each question. Before each attempt it is made
    `sure` that this process still works on the run.
    """

    def __init__(
        self,
        fleet: Fleet,
        recorder: Recorder,
        redactor: Redactor,
        *,
        seed: int = 0,
        fresh: bool = False,
        steering: Steering | None = None,
        clock: Callable[[], float] = time.perf_counter,
        is_shared: Callable[[], bool] = lambda: False,
        sure: Callable[[], Awaitable[None]] = _sure,
        budgets: Budgets | None = None,
        holder: str | None = None,
    ) -> None:
        self.fleet = fleet
        self.recorder = recorder
        self.redactor = redactor
        self.journal = recorder.journal
        self.steering = steering = steering or Steering()
        self._attempter = Attempter(fleet, redactor, steering=steering, clock=clock, ask=self.ask, journal=self.journal)
        self._chooser = Chooser(self._attempter, clock=clock)
        self._marker = Marker(recorder, redactor)
        self.purse: Purse | None = None
        if budgets is not None:
            pause, tally = self._attempter.pause, self.tally
            self.purse = Purse(budgets, fleet, recorder, tally=tally, holder=holder, stop=steering.stop, pause=pause)
        self._attempter.purse = self.purse
        self._losers = Losers(max((spec.timeout_seconds for spec in fleet.specs.values()), default=0.0))
        self._served = Served()
        self._windows = {name: spec.window for name, spec in fleet.specs.items() if spec.window is not None}
        self._seed = seed
        self._fresh = fresh
        self._clock = clock
        self._is_shared = is_shared
        self._sure = sure
        self._known: dict[str, set[str]] = {}
        self._asking: dict[str, asyncio.Future[Answer]] = {}
        self._open: dict[tuple[str, Place], Review] | None = None

    @property
    def tally(self) -> Tally:
        """Running totals of the run."""
        return self._attempter.tally

    @property
    def stopped(self) -> str:
        """The budget that stopped the run, in words; empty where none did."""
        return "" if self.purse is None else self.purse.stopped

    # ------------------------------------------------------------------------------------------------------- answers
    async def ask(self, question: Question) -> Answer:
        """The answer: out of the record where it is there, else by asking. Never raises for what a model did."""
        question = replace(question, request=self.redactor.request(question.request))
        place, body = question.place, question.request.canonical()
        key = answer_key(place.step, body, question.plan.label, turn=place.turn, repeat=place.repeat)
        while (asked := self._asking.get(key)) is not None:
            await asyncio.wait([asked])
            if not asked.cancelled() and (answer := asked.result()).status == "answered":
                return self._graded_anew(self._reused(answer, place), question)
        asked = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            known = await self.recalled(key, place)
            if known is not None:
                settled = self._graded_anew(known, question)
            else:
                settled = await self._parked(key, place) or await self._settle(question, key, body)
            asked.set_result(settled)
            return settled
        except BaseException:
            asked.cancel()
            raise
        finally:
            del self._asking[key]

    async def recalled(self, key: str, place: Place) -> Answer | None:
        """The answer that the record has under this key; in a fresh run only of this very run."""
        is_known = key in self._keys(place.step)
        if not is_known and not self._is_shared():
            return None
        run_id = place.run_id if self._fresh else None
        found = self.journal.find_answer(key, run_id=run_id, place=place)
        if not is_known and (found is None or found.status != "answered"):
            return None
        if found is None:
            await self.journal.committed()
            found = self.journal.find_answer(key, run_id=run_id, place=place)
        return None if found is None else self._reused(found, place)

    async def _parked(self, key: str, place: Place) -> Answer | None:
        """The question as it waits for a person in this run already: nobody else is asked again meanwhile.

        Where it has waited long enough, its default is the answer, or it fails.
        """
        if self._open is None:
            self._open = {(review.key, review.place): review for review in self.journal.parked(place.run_id)}
        review = self._open.get((self.recorder.key(key), place))
        if review is not None and is_due(review, now()):
            await self.journal.decide(ended(review, lapsed(review, now())))
            return self.journal.find_answer(key, run_id=place.run_id, place=place)
        return None if review is None else Answer(place, key, "parked", reason=review.why, model=review.person)

    def keep(self, answer: Answer) -> int:
        """Record an answer; the ticket of its commit. Where no content is kept, it cannot be found again."""
        if answer.status == "answered" and self.recorder.content == "full":
            self._keys(answer.place.step).add(answer.key)
        return self.recorder.answer(answer)

    async def finish(self) -> None:
        """Wait for what is still under way though nobody needs it, and until all costs are known and durable."""
        await self._losers.close()
        if self.purse is not None:
            await self.purse.close()

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

    def _graded_anew(self, answer: Answer, question: Question) -> Answer:
        """The same: an answer taken from elsewhere may be right there and wrong here, where the truth is another."""
        if answer.reused_from is not None:
            self._marker.graded_anew(answer, question)
        return answer

    # ------------------------------------------------------------------------------------------------------ the loop
    async def _settle(self, question: Question, key: str, body: bytes) -> Answer:
        started, place = self._clock(), question.place
        seed = chance_seed(self._seed, place)
        asked: list[Attempt] = []
        try:
            decision = await self._chooser.decision(question, seed, partial(self._sought, asked))
        except (CallError, OverBudget) as error:
            reason = self.redactor.told(f"the router could not ask: {error}")
            failed = Answer(place, key, "failed", reason=reason, cost_usd=total_cost(asked))
            self.keep(failed)
            return failed
        hashed = self.recorder.request(body)
        trail = Trail(question, key, hashed, started, decision, decision_id=new_id(), routing=tuple(asked))
        trail.paused_seconds = self.steering.paused_seconds
        self.recorder.decision(trail.decision_id or "", place, decision, trail.request_hash, inputs=question.sources)
        answer = await self._walk(trail, random.Random(seed))
        self.keep(answer)
        return answer

    async def _sought(self, asked: list[Attempt], question: Question, decision: Decision) -> Reply:
        """The reply to what a router or a grader asks, with its value as it was read. Raises what kept it away."""
        question = replace(question, request=self.redactor.request(question.request))
        trail = Trail(question, "", "", self._clock(), decision)
        trail.paused_seconds = self.steering.paused_seconds
        try:
            answer = await self._walk(trail, random.Random(chance_seed(self._seed, question.place)))
        finally:
            asked += trail.attempts
        taken = next((attempt for attempt in trail.attempts if attempt.id == answer.attempt_id), None)
        if taken is None or taken.reply is None:
            raise (trail.last_error or CallError(answer.reason))
        return replace(taken.reply, value=taken.value)

    async def _walk(self, trail: Trail, chance: random.Random) -> Answer:
        """Move after move, until one ends it. What is under way then goes on by itself."""
        policy = trail.question.plan.policy
        try:
            while trail.begun < MOST_ATTEMPTS:
                match decide(policy, self._facts(trail, chance)):
                    case Try() as move if policy.watches:
                        flying = trail.begin(move, at=self._clock())
                        trail.fly(flying, self._try(trail, flying))
                    case Try() as move:
                        await self._try(trail, trail.begin(move, at=self._clock()))
                    case Wait(seconds=seconds):
                        await trail.landed(seconds)
                    case Accept(attempt=accepted, why=why):
                        return self._ended(trail, "answered", why, accepted)
                    case Park(model=person, why=why):
                        self._park(trail, person, why)
                        return replace(self._ended(trail, "parked", why), model=person)
                    case GiveUp(why=why):
                        self._stop_if_spent(trail)
                        return self._ended(trail, "failed", why)
        finally:
            trail.over = True
            self._losers.let_go(trail)
        return self._ended(trail, "failed", f"{MOST_ATTEMPTS} attempts are enough; the policy {policy!r} does not end")

    def _facts(self, trail: Trail, chance: random.Random) -> Facts:
        order, policy = trail.decision.order, trail.question.plan.policy
        return Facts(
            decision=trail.decision,
            attempts=tuple(trail.attempts),
            in_flight=trail.in_flight,
            persons=self.fleet.persons,
            now=self._clock() - trail.started - self.steering.paused_seconds + trail.paused_seconds,
            spent_usd=trail.known_usd,
            draw=trail.draw(chance),
            windows=self._windows,
            gates=self._attempter.shut(order),
            budget_left_usd=None if self.purse is None else self.purse.left_usd,
            denied={model: str(denial) for model, denial in trail.denied.items()},
            p95_seconds=self._served.p95(order) if policy.watches else {},
        )

    async def _try(self, trail: Trail, flying: Flying) -> None:
        """An attempt, and its record with the request as it was sent."""
        question, move, gone = trail.question, flying.move, None
        await self.steering.clear()
        await self._sure()
        began = self._clock()
        try:
            async with asyncio.timeout(move.within):
                attempt, sent = await self._attempter.attempt(question, flying)
        except Held:
            if self.purse is not None:
                self.purse.release(flying.id, sent=False)
            await self.steering.clear()
            flying.begin_again(at=self._clock())
            await self._try(trail, flying)
            return
        except OverBudget as denial:
            trail.denied[move.model] = denial
            return
        except (TimeoutError, asyncio.CancelledError) as error:
            gone = error
            attempt, sent = flying.timed_out(self.fleet[move.model], at=self._clock()), question.request
            self.tally.count(attempt)
        except BaseException as error:
            if self.purse is not None:
                self.purse.release(flying.id, sent=not isinstance(error, Stopped))
            raise
        if self.purse is not None:
            attempt = replace(attempt, reserved_usd=self.purse.held_usd(attempt.id))
        request_hash = trail.request_hash
        if sent is not question.request or not request_hash:
            request_hash = self.recorder.request(sent.canonical())
        self.recorder.attempt(question.place, trail.decision_id, attempt, request_hash, operation=sent.operation)
        if self.purse is not None:
            self.purse.settle(attempt, sent=flying.sent is not None or gone is None)
        self._served.note(attempt)
        if isinstance(gone, asyncio.CancelledError):
            trail.attempts.append(attempt)
            raise gone
        left = None if move.within is None else max(0.0, move.within - (self._clock() - began))
        trail.attempts.append(await self._marked(trail, attempt, seconds=left))

    async def _marked(self, trail: Trail, attempt: Attempt, *, seconds: float | None) -> Attempt:
        """The attempt with what graders say that ask models; nobody is asked about what failed, or comes too late."""
        question = trail.question
        if not attempt.ok or trail.over or not any(grader.names() for grader in question.plan.graders):
            return attempt
        facts = self._chooser.facts(question, chance_seed(self._seed, question.place))
        marked, paid = await self._marker.marked(
            question, attempt, facts=facts, seek=lambda made: partial(self._sought, made), seconds=seconds
        )
        trail.grading += paid
        return marked

    def _stop_if_spent(self, trail: Trail) -> None:
        """Stop the run where a budget leaves nobody to ask: the row stays as it was, for whoever resumes the run."""
        spent = trail.stops_the_run
        if spent is not None and self.purse is not None:
            self.purse.halt("toolkit.budget.reached", str(spent), place=trail.question.place)
            raise Stopped(str(spent))

    def _ended(self, trail: Trail, status: AnswerStatus, why: str, accepted: Attempt | None = None) -> Answer:
        return trail.ended(status, self.redactor.text(why), accepted, at=self._clock())

    def _park(self, trail: Trail, person: str, why: str) -> None:
        spec, why = self.fleet[person], self.redactor.text(why)
        review = parked(trail.question, key=trail.key, person=spec, why=why, at=now())
        self.recorder.review(review)
