"""A small workflow of functions for the tests of this folder: it counts who is asked what."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import toolkit as tk
from toolkit.graph.steps import Step

ROWS = [{"id": f"t{i}", "ticket": f"ticket number {i}"} for i in range(1, 24)]


@tk.step
def handbook() -> list[str]:
    return ["be kind", "be quick"]


@tk.step(route=tk.Fixed("small"))
def motto(handbook: list[str]) -> tk.Request:
    return tk.prompt("A motto.", handbook=handbook)


@tk.step(route=tk.Uniform("small", "large"), policy=tk.Retry(1) | tk.Fallback())
def triage(ticket: str) -> tk.Request:
    return tk.prompt("Triage.", ticket=ticket)


@tk.step(route=tk.Fixed("large"), policy=tk.Once())
def reply(ticket: str, triage: str, motto: str) -> tk.Request:
    return tk.prompt("Reply.", ticket=ticket, triage=triage, motto=motto)


@tk.step(reduces=True)
def digest(triage: list[str]) -> dict[str, int]:
    return {"tickets": len(triage)}


DESK: list[Step] = [handbook, motto, triage, reply, digest]
desk = tk.Workflow("desk", DESK)


class Asked:
    """The two models of the desk; `asked` counts the prompts, `before` runs ahead of each."""

    def __init__(self, before: Callable[[int], Any] | None = None, seconds: float = 0.0) -> None:
        self.asked: Counter[str] = Counter()
        self.before = before
        self.seconds = seconds

    @property
    def calls(self) -> int:
        return self.asked.total()

    @property
    def fleet(self) -> tk.Fleet:
        price = tk.ModelSpec("x", "function", "x").price
        return tk.Fleet({}).with_function("small", self.say, price=price).with_function("large", self.say, price=price)

    async def say(self, request: tk.Request) -> str:
        self.asked[request.text] += 1
        if self.before is not None:
            self.before(self.calls)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if "number 7\n" in request.text + "\n" and "Reply." in request.text:
            raise ValueError("seven is too much")
        return f"said {len(request.text)}"
