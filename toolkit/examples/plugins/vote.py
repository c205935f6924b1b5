"""A policy: several models are asked the same, and the answer is what most of them say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from toolkit.policies import Accept, Facts, Move, Policy
from toolkit.records import Attempt, canonical


@dataclass(frozen=True)
class Vote(Policy):
    """The first answer that `agree` models give alike; `voters` are asked, in the router's order, each once.

    Where no answer has so many votes, the next in the order is asked (a person, say), whose word counts; with nobody
    left the answer with most votes is taken, of several the first. Answers are alike as JSON: declare an `output` type,
    as two models hardly ever say the same in the same words. Joined behind `Retry`, it sees what came of that.
    """

    voters: int = 3
    agree: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.agree <= self.voters:
            raise ValueError(f"Vote: between 1 and {self.voters} voters have to agree, not {self.agree}")

    def __call__(self, facts: Facts) -> Move | None:
        if not facts.attempts:
            return None
        ballots = [attempt for attempt in facts.attempts if attempt.ok]
        votes = Counter(map(_ballot, ballots))
        first = max(ballots, key=lambda each: (votes[_ballot(each)], -each.number), default=None)
        if first is not None and votes[_ballot(first)] >= self.agree:
            return Accept(first, why=f"{votes[_ballot(first)]} of {len(ballots)} agree")
        asked = {attempt.model for attempt in facts.attempts}
        if len(asked) > self.voters and ballots:
            last = ballots[-1]
            return Accept(last, why=f"{last.model} decides, as no {self.agree} of {self.voters} agree")
        voter = facts.other()
        if voter is not None:
            return facts.ask(
                voter, f"voter {len(asked) + 1}" if len(asked) < self.voters else "no majority: it decides"
            )
        return (
            None if first is None else Accept(first, why=f"{votes[_ballot(first)]} of {len(ballots)}, the most votes")
        )


def _ballot(attempt: Attempt) -> bytes:
    return canonical(attempt.value)
