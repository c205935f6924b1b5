"""A run with a row for everything that can happen to one, for the tests of what shows rows."""

from __future__ import annotations

from pathlib import Path

import toolkit as tk
from toolkit.errors import RateLimited, Unavailable
from toolkit.messages import Text
from toolkit.records import Reply, Request
from toolkit.runs.running import Running

HOSTILE = "<script>alert('boo')</script><img src=x onerror=alert(1)>"
TICKETS = {
    "fine": "Where is my parcel?",
    "retried": "It is busy: where is my parcel?",
    "fell": "It is down: where is my parcel?",
    "climbed": "It is unsure: where is my parcel?",
    "left": "It is for a person: where is my parcel?",
    "hostile": f"Where is my parcel? {HOSTILE}",
    "long": "Where is my parcel? " + "It was blue. " * 2000,
    "bad": "There is no such order.",
}


@tk.step
def order(ticket: str) -> dict[str, str]:
    if "no such order" in ticket:
        raise ValueError("there is no such order")
    return {"order": ticket[-30:]}


@tk.step(
    route=tk.Ladder("small", "large", "person"),
    policy=tk.Retry(2, base=0.01) | tk.Escalate(below=0.5, person_below=0.2) | tk.Fallback(),
    grade=tk.grading.Confidence(),
)
def reply(ticket: str, order: dict[str, str]) -> Request:
    return tk.prompt("Answer the ticket.", ticket=ticket, order=str(order))


@tk.step
def words(ticket: str) -> list[str]:
    return ticket.split()[:3]


@tk.step(route=tk.Fixed("small"))
def spelt(word: str) -> Request:
    return tk.prompt("Spell it.", word=word)


spelling = tk.Workflow("spelling", [spelt])
desk = tk.Workflow("desk", [order, reply, words, spelling.over("words", item="word")])


def fleet() -> tk.Fleet:
    """A small model that is busy, down and unsure when a ticket says so, a large one, and a person."""
    seen: dict[str, int] = {}

    def small(request: Request) -> Reply:
        text = request.text
        seen[text] = seen.get(text, 0) + 1
        if "is busy" in text and seen[text] == 1:
            raise RateLimited("HTTP 429: slow down", retry_after=0.05)
        if "is down" in text:
            raise Unavailable("HTTP 503: away for lunch")
        confidence = 0.4 if "is unsure" in text else 0.1 if "is for a person" in text else 0.9
        return Reply((Text("small says yes"),), confidence=confidence)

    def large(request: Request) -> Reply:
        return Reply((Text("large says no"),), confidence=0.05 if "is for a person" in request.text else 0.9)

    person = tk.ModelSpec(name="person", provider="person", model="person")
    return tk.Fleet({"person": person}).with_function("small", small).with_function("large", large)


def ran(home: Path, **options: object) -> Running:
    """The run, over."""
    rows = [{"id": name, "ticket": ticket} for name, ticket in TICKETS.items()]
    return desk.run(rows, fleet(), home=home, **options)
