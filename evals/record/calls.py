"""Calls to record, the same for every way of recording: attempts with outputs of about 1.5 kB, by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from toolkit.messages import Data, Message, Text
from toolkit.records import Answer, Attempt, Candidate, Decision, Place, Reply, Request, Usage, Verdict, content_hash

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
STEP = "support/reply"
INSTRUCTION = "Answer the customer from the passages only."
_WORDS = 230


@dataclass(frozen=True)
class Call:
    """All that one call to a model leaves: a decision on a request, an attempt with its output, an answer."""

    request: Request
    decision: Decision
    decision_id: str
    attempt: Attempt
    answer: Answer

    @property
    def place(self) -> Place:
        return self.answer.place


def calls(count: int, *, seed: int = 1) -> Iterator[Call]:
    """That many calls, of one row each; no two texts are the same."""
    chance = random.Random(seed)
    words = vocabulary(chance)
    for number in range(count):
        said, asked = (" ".join(chance.choices(words, k=_WORDS)) for _ in range(2))
        yield _call(number, f"{number} {asked}", f"{number} {said}")


def vocabulary(chance: random.Random) -> list[str]:
    """4,000 words of 2 to 9 letters; 230 of them with spaces are about 1.5 kB."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    return ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(4_000)]


def _call(number: int, asked: str, said: str) -> Call:
    at = START + timedelta(milliseconds=37 * number)
    decision_id, attempt_id = (f"{int(at.timestamp() * 1e9) + step:016x}{number:016x}" for step in range(2))
    place = Place("run-1", f"row-{number:07d}", STEP)
    request = Request((Message("system", (Text(INSTRUCTION),)), Message("user", (Data("ticket", asked),))))
    candidates = (
        Candidate("small", (Verdict("window", True, "300 of 8000"), Verdict("gate", True)), 0.9, 0.9, 0.001),
        Candidate("large", (Verdict("window", True, "300 of 128000"), Verdict("gate", True)), 0.5, 0.1, 0.01),
    )
    decision = Decision("small", candidates, ("small", "large"), "the first that fits", 'Ladder("small", "large")')
    attempt = Attempt(
        *(attempt_id, 1, "first", "small", "openai", "gpt-small", at, 0.01, 1.2),
        reply=Reply((Text(said),), usage=Usage(400, 380, 100, 0, 0), finish_reasons=("stop",), confidence=0.8),
        cost_usd=0.0004,
        computed_cost_usd=0.0004,
        price_version="models.toml",
    )
    key = content_hash(f"key {number}".encode())
    answer = Answer(place, key, "answered", said, model="small", attempt_id=attempt_id, attempts=1, answered_at=at)
    return Call(request, decision, decision_id, attempt, answer)
