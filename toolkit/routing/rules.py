"""Routing by rules over the row and the request, and by a function of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from toolkit.errors import StepError
from toolkit.records import Decision, Json
from toolkit.routing.router import Asking, Router, RoutingFacts, judged, settle, then


@dataclass(frozen=True)
class Rule:
    """`router` serves rows whose `field` equals `value` (of a tuple: any of its values) and requests of that length.

    `min_tokens` and `max_tokens` bound the prompt, by an estimate; `step` names the task, with its workflow or without.
    """

    router: Router
    field: str | None = None
    value: Json | tuple[Json, ...] = None
    min_tokens: int = 0
    max_tokens: int | None = None
    step: str | None = None

    def matches(self, facts: RoutingFacts) -> bool:
        if self.field is not None:
            found = facts.fields.get(self.field)
            if found not in self.value if isinstance(self.value, tuple) else found != self.value:
                return False
        if self.step is not None and facts.step != self.step and not facts.step.endswith(f"/{self.step}"):
            return False
        return self.min_tokens <= facts.input_tokens and (
            self.max_tokens is None or facts.input_tokens <= self.max_tokens
        )

    @property
    def why(self) -> str:
        parts = [f"the step is {self.step}"] if self.step is not None else []
        parts += [f"{self.field} is {_told(self.value)}"] if self.field is not None else []
        parts += [f"{self.min_tokens:,} tokens or more"] if self.min_tokens else []
        parts += [f"{self.max_tokens:,} tokens or fewer"] if self.max_tokens is not None else []
        return " and ".join(parts) or "always"

    def __repr__(self) -> str:
        told = f"router={self.router!r}, field={self.field!r}, value={self.value!r}, min_tokens={self.min_tokens!r}"
        told += "" if self.max_tokens is None else f", max_tokens={self.max_tokens!r}"
        return f"Rule({told}{'' if self.step is None else f', step={self.step!r}'})"


@dataclass(frozen=True, init=False)
class Rules(Router):
    """The first rule that matches decides; `otherwise` where none does."""

    rules: tuple[Rule, ...]
    otherwise: Router

    def __init__(self, *rules: Rule, otherwise: Router) -> None:
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "otherwise", otherwise)

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        router, why = next(
            ((r.router, r.why) for r in self.rules if r.matches(facts)), (self.otherwise, "no rule matches")
        )
        return then(
            router.decide(facts), lambda made: replace(made, router=self._label, reason=f"{why}: {made.reason}")
        )

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


def _told(value: Json | tuple[Json, ...]) -> str:
    return " or ".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
