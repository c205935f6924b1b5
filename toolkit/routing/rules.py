"""Routing by rules over the row and the request, and by a function of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from toolkit.errors import StepError
from toolkit.records import Decision, Json
from toolkit.routing.router import Router, RoutingFacts, judged, settle


@dataclass(frozen=True)
class Rule:
    """`router` serves rows whose `field` equals `value`, or requests of at least `min_tokens` (an estimate)."""

    router: Router
    field: str | None = None
    value: Json = None
    min_tokens: int = 0

    def matches(self, facts: RoutingFacts) -> bool:
        if self.field is not None and facts.fields.get(self.field) != self.value:
            return False
        return facts.input_tokens >= self.min_tokens

    @property
    def why(self) -> str:
        parts = [f"{self.field} is {self.value!r}"] if self.field is not None else []
        parts += [f"{self.min_tokens:,} tokens or more"] if self.min_tokens else []
        return " and ".join(parts) or "always"


@dataclass(frozen=True, init=False)
class Rules(Router):
    """The first rule that matches decides; `otherwise` where none does."""

    rules: tuple[Rule, ...]
    otherwise: Router

    def __init__(self, *rules: Rule, otherwise: Router) -> None:
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "otherwise", otherwise)

    def decide(self, facts: RoutingFacts) -> Decision:
        router, why = next(
            ((r.router, r.why) for r in self.rules if r.matches(facts)), (self.otherwise, "no rule matches")
        )
        decision = router.decide(facts)
        if not isinstance(decision, Decision):
            raise TypeError(f"Rules cannot hold a router that asks models: {router!r}")
        return replace(decision, router=repr(self), reason=f"{why}: {decision.reason}")

    def names(self) -> tuple[str, ...] | None:
        parts = [rule.router.names() for rule in self.rules] + [self.otherwise.names()]
        if any(part is None for part in parts):
            return None
        return tuple(dict.fromkeys(name for part in parts for name in part or ()))

    def __repr__(self) -> str:
        return f"Rules({', '.join([*map(repr, self.rules), f'otherwise={self.otherwise!r}'])})"


@dataclass(frozen=True)
class ByFunction(Router):
    """A function of the facts gives the name of the model; the others of `models` follow as fallbacks.

    `label` stands for the function in the history, as source code is no label: change it when the function changes.
    """

    function: Callable[[RoutingFacts], str]
    models: tuple[str, ...]
    label: str

    def decide(self, facts: RoutingFacts) -> Decision:
        first = self.function(facts)
        if first not in self.models:
            raise StepError(f"the router {self!r} gave {first!r}, which is none of its models")
        order = (first, *(name for name in self.models if name != first))
        return settle(judged(facts, order), order, router=self, reason=f"{self.label} says {first}", facts=facts)

    def names(self) -> tuple[str, ...]:
        return self.models

    def __repr__(self) -> str:
        return f"ByFunction({self.label}, models={self.models!r})"
