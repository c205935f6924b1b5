"""A router out of a function.

@tk.router(models=("small", "large"))
def by_length(facts, *, least=500):
    return "large" if facts.input_tokens >= least else "small"

route=by_length            route=by_length(least=800)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.errors import StepError
from toolkit.records import Decision
from toolkit.routing.router import Router, RoutingFacts, judged, settle

Said = str | Sequence[str] | Mapping[str, float]


@dataclass(frozen=True)
class Custom(Router):
    """A function of the facts gives a model's name, an order of names, or the probability of each to be drawn with.

    `name` and `version` stand for the function in the history, as source code is no label. Calling it gives the same
    router with other settings, which are the function's keyword arguments. A person is never drawn.
    """

    name: str
    models: tuple[str, ...]
    version: int = 1
    settings: tuple[tuple[str, Any], ...] = ()
    function: Callable[..., Said] = field(default=lambda facts: (), repr=False, compare=False)

    def __call__(self, *, version: int | None = None, **settings: Any) -> Custom:
        """With these settings. Raises ValueError where another version is wanted than there is."""
        if version is not None and version != self.version:
            raise ValueError(f"{self.name} is at version {self.version}, not {version}")
        return replace(self, settings=tuple(sorted({**dict(self.settings), **settings}.items())))

    def decide(self, facts: RoutingFacts) -> Decision:
        said = self.function(facts, **dict(self.settings))
        given = (said,) if isinstance(said, str) else tuple(said)
        if strange := [name for name in given if name not in self.models]:
            raise StepError(f"the router {self!r} gave {strange[0]!r}, which is none of its models")
        candidates = judged(facts, self.models)
        if isinstance(said, Mapping):
            shares = {
                c.model: float(said[c.model])
                for c in candidates
                if c.eligible and said.get(c.model, 0.0) > 0 and not facts.models[c.model].is_person
            }
            total = sum(shares.values())
            chances = {name: share / total for name, share in shares.items()}
            drawn = facts.chance(self).choices(list(chances), list(chances.values())) if chances else []
            order = (*drawn, *sorted(chances, key=lambda name: -chances[name]))
            return settle(
                candidates, dict.fromkeys(order), router=self, reason=f"drawn by {self.name}", facts=facts,
                probabilities=chances, exploration_rate=1.0,
            )  # fmt: skip
        order = tuple(dict.fromkeys((*given, *self.models)))
        return settle(candidates, order, router=self, reason=f"{self.name} says {given[0] if given else 'nobody'}",
                      facts=facts)  # fmt: skip

    def names(self) -> tuple[str, ...]:
        return self.models

    def __repr__(self) -> str:
        told = [f"{name}={value!r}" for name, value in self.settings]
        return f"{self.name}({', '.join([*told, f'version={self.version}'])})"


def router(*, models: Sequence[str], version: int = 1, name: str | None = None) -> Callable[..., Custom]:
    """Make a function of the facts a router over these models. Count `version` up when the function changes."""

    def made(function: Callable[..., Said]) -> Custom:
        return Custom(name or function.__name__, tuple(models), version, function=function)

    return made
