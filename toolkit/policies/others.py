"""Another model: a stronger one after a weak answer, the next after an error, or one beside one that is slow.

A ladder only orders; `Escalate` alone climbs it. While an attempt is under way, `Hedge` alone may have another made.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.policies.moves import Accept, Facts, Move, Try, Wait
from toolkit.policies.policy import Policy
from toolkit.records import Attempt


@dataclass(frozen=True)
class Escalate(Policy):
    """Climb to the next rung while the quality (lowest grade, else confidence) is `below`; at the top take the best.

    People are dear: with `person_below` the rung of a person is climbed only below that.
    """

    below: float = 0.5
    person_below: float | None = None

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not last.ok or last.quality is None or last.quality >= self.below:
            return None
        rung = facts.above(last.model)
        best = facts.best()
        if rung is None:
            return Accept(best, why="the best there is; no rung above") if best else None
        if (
            rung in facts.persons
            and self.person_below is not None
            and best
            and (best.quality or 0.0) >= self.person_below
        ):
            return Accept(best, why=f"good enough not to ask {rung}")
        return facts.ask(rung, f"escalated: {last.model} reached {last.quality:.2f} < {self.below:g}")

    def __repr__(self) -> str:
        person = "" if self.person_below is None else f", person_below={self.person_below!r}"
        return f"Escalate(below={self.below!r}{person})"


@dataclass(frozen=True)
class Fallback(Policy):
    """After an error that retrying did not mend: the next model in the order that has not been tried.

    With `below` also after an answer whose quality (lowest grade, else confidence) is below that; where nobody is left,
    the best answer is taken.
    """

    below: float | None = None

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not (bad := self._bad(last)):
            return None
        other = facts.other()
        if other is not None:
            return facts.ask(other, f"fallback after {bad}")
        best = facts.best()
        return Accept(best, why="the best there is; nobody left to ask") if last.ok and best else None

    def _bad(self, last: Attempt) -> str:
        """What is wrong with an attempt; empty where nothing is."""
        if last.error is not None:
            return last.error.error_type
        if self.below is None or last.quality is None or last.quality >= self.below:
            return ""
        return f"a bad answer: {last.quality:.2f} < {self.below:g}"

    def __repr__(self) -> str:
        return "Fallback()" if self.below is None else f"Fallback(below={self.below!r})"


@dataclass(frozen=True)
class Hedge(Policy):
    """A second request where the first is slow: the first good answer is taken, and the cost of both is on record.

    `after` are seconds of being served; None: longer than 95 % of that model's calls in this run so far. It goes to the
    same model, or to `model`; at most `times` more are under way at once. Persons are not hurried.
    """

    after: float | None = None
    model: str | None = None
    times: int = 1

    @property
    def watches(self) -> bool:
        return True

    def __call__(self, facts: Facts) -> Move | None:
        return None

    def meanwhile(self, facts: Facts) -> Try | Wait | None:
        flight = facts.in_flight[-1]
        after = facts.p95_seconds.get(flight.model) if self.after is None else self.after
        if len(facts.in_flight) > self.times or after is None:
            return None
        if flight.since is None:
            return Wait(after)
        left = flight.since + after - facts.now
        if left > 0:
            return Wait(left)
        model = self.model or flight.model
        if model in facts.persons or model in facts.gates:
            return None
        return Try(model, why=f"hedge: {flight.model} has taken {facts.now - flight.since:.2f} s")

    def __repr__(self) -> str:
        known = [f"{name}={value!r}" for name in ("after", "model") if (value := getattr(self, name)) is not None] + [
            f"times={self.times!r}"
        ] * (self.times != 1)
        return f"Hedge({', '.join(known)})"
