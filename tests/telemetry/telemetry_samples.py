"""A workflow in which everything happens that a trace can tell of, and what its models answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import toolkit as tk
from toolkit.errors import RateLimited
from toolkit.ledger.reading.history import History
from toolkit.messages import Text
from toolkit.records import Request, Usage

SECRET = "the parcel of ticket"
"""In every prompt, and in every answer: nothing of it may leave without content."""
ROWS = ("plain", "retried", "hard", "person", "broken")


@dataclass(frozen=True)
class Desk:
    """A home with one finished run of `WORKFLOW`."""

    history: History
    run_id: str


def fleet() -> tk.Fleet:
    """A small model that is sometimes unsure or busy, a large one, and a person."""
    asked: Counter[str] = Counter()

    def small(request: Request) -> tk.Reply:
        ticket = request.text.rsplit("ticket ", 1)[-1].split("\n")[0]
        asked[ticket] += 1
        if ticket == "retried" and asked[ticket] == 1:
            raise RateLimited(f"slow down, says {SECRET}", retry_after=0.01)
        sure = {"hard": 0.2, "person": 0.1}.get(ticket, 0.9)
        return _reply(f"{SECRET} is late", confidence=sure, usage=Usage(100, 10, 40, 5, 2))

    def large(request: Request) -> tk.Reply:
        sure = 0.1 if "ticket person" in request.text else 0.95
        return _reply(f"{SECRET} is lost", confidence=sure, usage=Usage(300, 30))

    made = tk.Fleet({}).with_function("small", small).with_function("large", large)
    person = tk.ModelSpec("person", "person", "person")
    return tk.Fleet({**made.specs, "person": person}, made.functions)


def _reply(text: str, **known: Any) -> tk.Reply:
    return tk.Reply(parts=(Text(text),), finish_reasons=("stop",), response_id="response-1", **known)


@tk.step
def glossary() -> list[str]:
    return ["late", "lost"]


@tk.step(
    route=tk.Ladder("small", "large", "person"),
    policy=tk.Retry(2) | tk.Escalate(below=0.5, person_below=0.3) | tk.Fallback(),
    grade=tk.grading.Confidence(),
)
def verdict(ticket: str) -> tk.Request:
    return tk.prompt(f"Judge {SECRET}.", ticket=ticket).with_options(temperature=0.0, max_output_tokens=50)


@tk.step
def words(verdict: str, glossary: list[str], ticket: str) -> list[str]:
    if ticket == "ticket broken":
        raise ValueError(f"cannot count {SECRET}")
    return [word for word in glossary if word in verdict]


@tk.step
def length(word: str) -> int:
    return len(word)


SPELLED = tk.Workflow("spelled", [length])
WORKFLOW = tk.Workflow("desk", [glossary, verdict, words, SPELLED.over("words", item="word")])


def rows(*names: str) -> list[dict[str, str]]:
    """Rows of those names, each with its ticket."""
    return [{"id": name, "ticket": f"ticket {name}"} for name in names]
