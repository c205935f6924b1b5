"""Every router that ships keeps the laws that authors of plug-ins are given; and the laws catch those that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import toolkit as tk
from toolkit.records import Decision
from toolkit.routing import Measured, Measurement, Router, RoutingFacts, judged, settle
from toolkit.routing.conformance import RouterConformance

SEEN = Measured(
    tuple(Measurement("desk/reply", model, 40, 2, seconds, graded=30, quality=quality)
          for model, seconds, quality in (("small", 1.0, 0.6), ("large", 3.0, 0.75), ("coder", 2.0, 0.5)))
)  # fmt: skip
EXAMPLES = {"coder": ("fix this python loop", "my loop never ends"), "small": ("where is my parcel", "where is it?")}
LADDER = tk.Ladder("small", "large", "person")


def measured(folder: Path) -> str:
    return str(SEEN.save(folder / "seen.json").source)


def alike(folder: Path) -> tk.Similarity:
    return tk.Similarity(EXAMPLES, otherwise=tk.Fixed("large")).save(folder / "alike.json")


ROUTERS: dict[str, Callable[[Path], Router]] = {
    "Fixed": lambda folder: tk.Fixed("small"),
    "a person": lambda folder: tk.Fixed("person"),
    "Ladder": lambda folder: LADDER,
    "Cheapest": lambda folder: tk.Cheapest(),
    "Uniform": lambda folder: tk.Uniform(),
    "Uniform of some": lambda folder: tk.Uniform("small", "large", "person"),
    "Rules": lambda folder: tk.Rules(
        tk.Rule(tk.Fixed("large"), min_tokens=1_000), tk.Rule(tk.Uniform(), field="customer"), otherwise=LADDER
    ),
    "Fastest": lambda folder: tk.Fastest(measured(folder)),
    "Balanced": lambda folder: tk.Balanced(measured(folder), worth=40),
    "Thompson": lambda folder: tk.Thompson(measured(folder)),
    "Similarity": alike,
    "Judge": lambda folder: tk.Judge("small", "large", by="coder"),
    "Explore": lambda folder: tk.Explore(LADDER, rate=0.3),
    "Explore twice": lambda folder: tk.Explore(tk.Explore(LADDER, rate=0.3), rate=0.5),
    "Explore a judge": lambda folder: tk.Explore(tk.Judge("small", "large", "person", by="coder"), rate=0.3),
    "Explore a draw": lambda folder: tk.Explore(tk.Thompson(measured(folder)), rate=0.3),
    "Where": lambda folder: tk.Uniform().where(max_usd=0.01),
    "Where, by time": lambda folder: tk.Explore(LADDER, rate=0.5).where(max_seconds=2, measured=measured(folder)),
    "Split": lambda folder: tk.Split(tk.Fixed("small"), tk.Explore(LADDER, rate=0.5), shares=(0.3, 0.7)),
    "Sticky": lambda folder: tk.Sticky(tk.Uniform("small", "large"), by="customer"),
    "Shadow": lambda folder: tk.Shadow(tk.Uniform("small", "large"), beside=tk.Judge("small", "large", by="coder")),
    "joined": lambda folder: tk.Uniform("small").where(max_usd=1e-9) | tk.Explore(LADDER, rate=0.4) | tk.Fixed("coder"),
    "joined with one who asks": lambda folder: tk.Fixed("coder") | tk.Judge("small", "large", by="coder"),
}
STATEFUL = ("Fastest", "Balanced", "Thompson", "Explore a draw", "Where, by time", "Similarity")


@pytest.fixture(params=ROUTERS)
def suite(request: pytest.FixtureRequest, tmp_path: Path) -> RouterConformance:
    made, name = ROUTERS[request.param], request.param

    class Suite(RouterConformance):
        stateful = name in STATEFUL

        def router(self) -> Router:
            return made(tmp_path)

    return Suite()


def laws(kind: type) -> list[str]:
    return sorted(name for name in dir(kind) if name.startswith("test_"))


@pytest.mark.slow
def test_every_law_holds_for_every_router(suite: RouterConformance) -> None:
    for law in laws(RouterConformance):
        getattr(suite, law)()


# --------------------------------------------------------------------------------------------------- the laws that bite
@dataclass(frozen=True)
class Broken(Router):
    """A ladder with one thing wrong."""

    how: str = ""

    def decide(self, facts: RoutingFacts) -> Decision:
        names = tuple(facts.models)
        candidates = judged(facts, names)
        made = settle(candidates, names, router=self, reason="first", facts=facts)
        arms = [c.model for c in candidates if c.eligible]
        even = tuple(replace(c, probability=1 / len(arms) if c.model in arms else 0.0) for c in made.candidates)
        changes: dict[str, dict[str, Any]] = {
            "asks those that may not be asked": {"order": names},
            "says nothing": {"reason": " "},
            "forgets its label": {"router": "Broken"},
            "forgets the seed": {"seed": -1},
            "draws a person": {"candidates": even, "choice": facts.chance(self).choice(arms) if arms else ""},
            "says 1/n and takes the first": {"candidates": tuple(c for c in even if c.model != "person")},
            "names no state": {},
        }
        return replace(made, **changes[self.how])


@pytest.mark.parametrize(
    ("how", "law"),
    [
        ("asks those that may not be asked", "test_every_request_gets_a_decision_among_those_that_may_be_asked"),
        ("says nothing", "test_every_request_gets_a_decision_among_those_that_may_be_asked"),
        ("forgets its label", "test_the_record_gives_the_same_decision_again"),
        ("forgets the seed", "test_the_record_gives_the_same_decision_again"),
        ("draws a person", "test_a_person_is_never_drawn"),
        ("says 1/n and takes the first", "test_models_are_served_as_often_as_the_record_says"),
        ("names no state", "test_a_state_is_named"),
    ],
)
def test_a_router_that_breaks_a_law_is_told(how: str, law: str) -> None:
    class Suite(RouterConformance):
        stateful = True
        readable = False

        def router(self) -> Router:
            return Broken(how)

    with pytest.raises(AssertionError):
        getattr(Suite(), law)()
