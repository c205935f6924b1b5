"""A question on its way to its answer: what was decided, what has been tried, and what is under way.

In: attempts as they begin and end. Out: the facts that a policy looks at.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b

from toolkit.asking.questions import Question
from toolkit.errors import CallError, OverBudget, TimedOut
from toolkit.models.spec import ModelSpec
from toolkit.policies import Flight, Try
from toolkit.records import Answer, AnswerStatus, Attempt, Decision, Place, new_id, now

LEAST_SEEN, MOST_SEEN = 20, 200


@dataclass(eq=False)
class Flying:
    """An attempt under way. `sent` is when it left, on the loop's clock; None while it waits for its turn."""

    id: str
    number: int
    move: Try
    stamp: datetime
    began: float
    sent: float | None = None
    task: asyncio.Task[None] | None = None

    def begin_again(self, *, at: float) -> None:
        """The run was paused before it could leave: it begins now, and does not wait again before it is tried."""
        self.id, self.stamp, self.began, self.move = new_id(), now(), at, replace(self.move, after=0.0)

    def left(self, at: float) -> None:
        """It has passed its model's door."""
        self.sent = at

    def timed_out(self, spec: ModelSpec, *, at: float) -> Attempt:
        """The attempt as it is on record when it was not waited for any longer."""
        served = 0.0 if self.sent is None else at - self.sent
        where = "before it was sent" if self.sent is None else f"after {served:.2f} s"
        return Attempt(
            id=self.id,
            number=self.number,
            model=spec.name,
            why=self.move.why,
            provider_name=spec.provider,
            request_model=spec.model,
            started_at=self.stamp,
            wait_seconds=at - self.began - served,
            service_seconds=served,
            error=TimedOut(f"given up {where}: the request's limit of time was reached"),
        )


@dataclass
class Trail:
    """A question, and all that became of it so far.

    `routing` are the attempts that its router made, `grading` those of its graders; once it is `over`, nobody waits for
    what is still under way. `paused_seconds` is how long the run had been paused when it began: a pause
    is no part of its limit of time.
    """

    question: Question
    key: str
    request_hash: str
    started: float
    decision: Decision
    decision_id: str | None = None
    routing: tuple[Attempt, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    grading: list[Attempt] = field(default_factory=list)
    over: bool = False
    denied: dict[str, OverBudget] = field(default_factory=dict)
    flying: list[Flying] = field(default_factory=list)
    begun: int = 0
    draws: list[float] = field(default_factory=list)
    paused_seconds: float = 0.0

    @property
    def paid(self) -> tuple[Attempt, ...]:
        """All attempts that were made for it, its router's and its graders' included."""
        return (*self.routing, *self.attempts, *self.grading)

    @property
    def known_usd(self) -> float:
        """What is known of their cost."""
        return sum(attempt.cost_usd or 0.0 for attempt in self.paid)

    @property
    def in_flight(self) -> tuple[Flight, ...]:
        """What is under way, as policies see it."""
        since = ((each.move.model, each.sent) for each in self.flying)
        return tuple(Flight(model, None if sent is None else sent - self.started) for model, sent in since)

    @property
    def stops_the_run(self) -> OverBudget | None:
        """The budget that leaves nobody to ask in the whole run, where one does."""
        return next((denial for denial in self.denied.values() if denial.stops_the_run), None)

    @property
    def last_error(self) -> CallError | None:
        """What was wrong with the latest attempt."""
        return self.attempts[-1].error if self.attempts else None

    def draw(self, chance: random.Random) -> float:
        """The draw for the next move: one for each attempt, however often it is looked at what is under way."""
        while len(self.draws) <= len(self.attempts):
            self.draws.append(chance.random())
        return self.draws[len(self.attempts)]

    def begin(self, move: Try, *, at: float) -> Flying:
        """The next attempt."""
        self.begun += 1
        return Flying(new_id(), self.begun, move, now(), at)

    def ended(self, status: AnswerStatus, why: str, accepted: Attempt | None, *, at: float) -> Answer:
        """The answer that it comes to."""
        return Answer(
            place=self.question.place,
            key=self.key,
            status=status,
            value=None if accepted is None else accepted.value,
            reason=why,
            model=None if accepted is None else accepted.model,
            attempt_id=None if accepted is None else accepted.id,
            attempts=len(self.attempts),
            cost_usd=total_cost(self.paid),
            seconds=at - self.started,
        )

    def fly(self, flying: Flying, work: Coroutine[None, None, None]) -> None:
        """Let an attempt be under way beside others."""
        flying.task = asyncio.ensure_future(work)
        self.flying.append(flying)

    async def landed(self, seconds: float | None) -> None:
        """Wait until one of those under way has ended, or that long. Raises what it raised."""
        tasks = {each.task for each in self.flying if each.task is not None}
        ended, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self.flying = [each for each in self.flying if each.task not in ended]
        for task in ended:
            task.result()


class Losers:
    """Attempts that nobody waits for any more, as another one was quicker: they end by themselves, and are recorded
    with what they cost. A call lasts `longest` seconds at most."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._tasks: set[asyncio.Task[None]] = set()

    def let_go(self, trail: Trail) -> None:
        """Leave to themselves those of a trail that are still under way."""
        for task in (each.task for each in trail.flying):
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Wait for all of them; what lasts too long is given up."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._longest)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # what ends the run is raised where it matters too


class Served:
    """How long the models of a run took, for the latest calls that were answered."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}

    def note(self, attempt: Attempt) -> None:
        if attempt.reply is not None:
            self._seconds.setdefault(attempt.model, deque(maxlen=MOST_SEEN)).append(attempt.service_seconds)

    def p95(self, models: Iterable[str]) -> Mapping[str, float]:
        """Model → what 95 % of its calls take at most; without those of which too little is known."""
        known = ((model, self._seconds.get(model, ())) for model in models)
        return {model: sorted(seen)[int(0.95 * (len(seen) - 1))] for model, seen in known if len(seen) >= LEAST_SEEN}


def chance_seed(seed: int, place: Place) -> int:
    """63 bits of chance for a place: the same for the same row and step of a run with the same seed."""
    name = f"{seed}/{place.row_id}/{place.step}/{place.turn}/{place.repeat}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def total_cost(attempts: Iterable[Attempt]) -> float | None:
    """What attempts cost together; None where one that was answered has no known cost."""
    attempts = tuple(attempts)
    if any(attempt.cost_usd is None and attempt.reply is not None for attempt in attempts):
        return None
    return sum(attempt.cost_usd or 0.0 for attempt in attempts)
