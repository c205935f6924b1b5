"""A desk whose truth is known: rows with a label, models that are right as often as one says, and runs over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import toolkit as tk
from toolkit.grading import Exact
from toolkit.graph.steps import Step
from toolkit.messages import Data
from toolkit.money.prices import Price
from toolkit.policies import Policy
from toolkit.records import Request
from toolkit.routing.router import Router
from toolkit.runs.running import Running

SKILL = {"small": 0.5, "large": 0.9, "other": 0.7}
PRICES = {"small": 1.0, "large": 10.0, "other": 4.0}
EXACT = Exact("truth")


def rows(n: int = 60, **more: Callable[[int], Any]) -> list[dict[str, Any]]:
    """Rows whose truth is yes or no, four of a customer."""
    return [
        {"id": f"r{i:05}", "text": f"question {i}", "truth": "yes" if i % 2 else "no", "customer": f"c{i // 4}"}
        | {name: make(i) for name, make in more.items()}
        for i in range(n)
    ]


def luck(*about: object) -> float:
    """A number between 0 and 1 that depends on nothing but these."""
    return int.from_bytes(blake2b(repr(about).encode(), digest_size=7).digest(), "big") / 2**56


def text_of(request: Request) -> str:
    return next(p.text for m in request.messages for p in m.parts if isinstance(p, Data) and p.name == "text")


def answer(model: str, text: str) -> str:
    """What a model says of a row: right with the probability of its skill, always the same."""
    truth = "yes" if int(text.split()[-1]) % 2 else "no"
    return truth if luck(model, text) < SKILL[model] else "perhaps"


def is_right(model: str, row: Mapping[str, Any]) -> float:
    return float(answer(model, row["text"]) == row["truth"])


def fleet(*names: str, priced: bool = True, calls: list[str] | None = None) -> tk.Fleet:
    """Models by name, small and large without; `calls` is told of every call."""
    found = tk.Fleet.of()
    for name in names or ("small", "large"):

        def ask(request: Request, name: str = name) -> str:
            if calls is not None:
                calls.append(name)
            return answer(name, text_of(request))

        found = found.with_function(name, ask, price=Price(request=PRICES[name] / 1000) if priced else None)
    return found


@tk.step(route=tk.Fixed("small"), grade=EXACT)
def label(text: str) -> Request:
    return tk.prompt("Yes or no?", text=text)


@tk.step
def shout(label: str) -> str:
    return label.upper()


def desk(route: Router | None = None, policy: Policy | None = None, *, step: Step = label) -> tk.Workflow:
    """The workflow: a labelled step, and a tool step after it."""
    made = replace(step, policy=policy) if policy else step
    return tk.Workflow("desk", [made.with_route(route) if route else made, shout])


def ran(
    home: Path, route: Router, *, n: int = 60, policy: Policy | None = None, given: Any = None, **options: Any
) -> Running:
    """A run of the desk over its rows."""
    models = options.pop("models", None) or fleet()
    return desk(route, policy).run(rows(n) if given is None else given, models, home=home, **options)
