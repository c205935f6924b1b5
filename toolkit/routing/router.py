"""What a router is given (`RoutingFacts`), what it is (`Router`) and what it gives (`Decision`).

Hard constraints come before any score: `judged` holds every candidate against what the request needs, and keeps the
verdicts, so that the record says why a model was not asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, overload

from toolkit.context import output_share_tokens
from toolkit.money.prices import Price
from toolkit.records import Candidate, Decision, Json, Reply, Request, Verdict

if TYPE_CHECKING:
    from toolkit.routing.measured import Measured
    from toolkit.routing.where import Where

CAPABILITY_OF = {"embeddings": "embed"}

Asking = Generator[tuple[str, Request], Reply, Decision]
"""A router that must ask yields (model, request) and is sent the reply; the loop sends, records and charges it."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A member of the fleet as a router sees it. `available` is False while its gate is open for nobody.

    `opens_in` are the seconds until it may be asked again, `waiting` the requests that wait for it in this process.
    """

    name: str
    provider_name: str
    capabilities: frozenset[str]
    window: int | None = None
    price: Price | None = None
    is_person: bool = False
    available: bool = True
    opens_in: float = 0.0
    waiting: int = 0


class Constraint(Protocol):
    """Hard constraints of the user's own: a value that says of each candidate whether it may be asked, and why not."""

    def verdicts(self, facts: RoutingFacts, model: ModelFacts, cost_usd: float | None) -> Sequence[Verdict]:
        """`cost_usd` is what the call is expected to cost, None where nobody knows the price."""


ABLE = Verdict("capabilities", True)


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """All that a decision may rest on. `input_tokens` is an estimate; `seed` is the source of all chance.

    `constraints` hold on top of what the request needs; `left_usd` is what the budgets still allow (None: no bound);
    `run_id` is the run's, in a conversation the session's.
    """

    request: Request
    models: Mapping[str, ModelFacts]
    step: str = ""
    fields: Mapping[str, Json] = field(default_factory=dict)
    input_tokens: int = 0
    min_input_tokens: int = 0
    seed: int = 0
    constraints: tuple[Constraint, ...] = ()
    left_usd: float | None = None
    run_id: str = ""

    @property
    def output_tokens(self) -> int:
        """What the answer may take of a window: its declared limit, else a guess."""
        return output_share_tokens(self.request)

    def chance(self, router: Router) -> random.Random:
        """Random numbers for one router: the same each time for the same facts, and unlike those of a router within."""
        return random.Random(f"{self.seed} {router._label}")


class Router:
    """Base of all routers: one method. A subclass is a frozen dataclass whose `repr` is the call that builds it."""

    @cached_property
    def _label(self) -> str:
        """What the record calls it: its `repr`, written once."""
        return repr(self)

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        """The decision for a request. Its `order` is empty where no candidate passes the hard constraints."""
        raise NotImplementedError

    def names(self) -> tuple[str, ...] | None:
        """The models that it may pick; None means any of the fleet."""
        return None

    def where(
        self,
        *,
        residency: str | None = None,
        needs: Sequence[str] = (),
        max_usd: float | None = None,
        max_seconds: float | None = None,
        measured: str | Measured | None = None,
    ) -> Where:
        """The same router among the models that meet these constraints; see `routing.where.Where`."""
        from toolkit.routing.where import Where

        return Where(
            self,
            residency=residency,
            needs=tuple(needs),
            max_usd=max_usd,
            max_seconds=max_seconds,
            measured=measured,
        )

    def __or__(self, other: Router) -> Router:
        """This router, and the other where this one finds nobody to ask; its models follow as last resorts."""
        from toolkit.routing.joined import joined

        return joined(self, other)


@overload
def then(decided: Decision, change: Callable[[Decision], Decision]) -> Decision: ...
@overload
def then(decided: Asking, change: Callable[[Decision], Decision]) -> Asking: ...
@overload
def then(decided: Decision | Asking, change: Callable[[Decision], Decision]) -> Decision | Asking: ...
def then(decided: Decision | Asking, change: Callable[[Decision], Decision]) -> Decision | Asking:
    """What a router around another makes of its decision: at once, or when it has asked what it must."""
    return change(decided) if isinstance(decided, Decision) else _asked_then(decided, change)


def judged(facts: RoutingFacts, names: Iterable[str] | None = None) -> tuple[Candidate, ...]:
    """The candidates, each with its verdicts and expected cost. Without `names`: every model of the fleet."""
    request = facts.request
    needed = frozenset({CAPABILITY_OF.get(request.operation, "chat"), *request.needs})
    if request.output_schema is not None:
        needed |= {"json"}
    tokens = facts.min_input_tokens + facts.output_tokens
    models = facts.models
    return tuple(_judge(facts, models[name], needed, tokens) for name in (models if names is None else names))


def settle(
    candidates: Sequence[Candidate],
    order: Iterable[str],
    *,
    router: Router,
    reason: str,
    facts: RoutingFacts,
    choice: str | None = None,
    probabilities: Mapping[str, float] | None = None,
    exploration_rate: float = 0.0,
) -> Decision:
    """A decision out of judged candidates: `order` loses those that may not be asked, its first is the choice.

    Without `probabilities` the choice is certain.
    """
    eligible = {candidate.model for candidate in candidates if candidate.eligible}
    kept = tuple(name for name in order if name in eligible)
    chosen = choice if choice is not None else (kept[0] if kept else "")
    chances = {chosen: 1.0} if probabilities is None else probabilities
    return Decision(
        choice=chosen,
        candidates=tuple(c.with_probability(chances.get(c.model, 0.0)) for c in candidates),
        order=kept,
        reason=reason if kept else _nobody(candidates),
        router=router._label,
        exploration_rate=exploration_rate,
        seed=facts.seed,
    )


def _asked_then(asking: Asking, change: Callable[[Decision], Decision]) -> Asking:
    return change((yield from asking))


def _judge(facts: RoutingFacts, model: ModelFacts, needed: frozenset[str], tokens: int) -> Candidate:
    missing = () if "*" in model.capabilities or needed <= model.capabilities else sorted(needed - model.capabilities)
    verdicts = [ABLE if not missing else Verdict("capabilities", False, f"lacks {', '.join(missing)}")]
    if model.window is not None:
        fits = tokens <= model.window
        verdicts.append(Verdict("window", fits, "" if fits else f"about {tokens:,} tokens > {model.window:,}"))
    if not model.available:
        verdicts.append(Verdict("gate", False, "its circuit breaker is open"))
    cost = None if model.price is None else model.price.expected(facts.input_tokens, facts.output_tokens)
    if facts.left_usd is not None and cost is not None and cost > facts.left_usd:
        verdicts.append(Verdict("budget", False, f"about ${cost:.2g}, and ${max(facts.left_usd, 0):.2g} are left"))
    for constraint in facts.constraints:
        verdicts += constraint.verdicts(facts, model, cost)
    return Candidate(model.name, tuple(verdicts), expected_cost_usd=cost)


def _nobody(candidates: Sequence[Candidate]) -> str:
    causes = [
        f"{c.model}: {'; '.join(v.why or v.constraint for v in c.verdicts if not v.passed)}"
        for c in candidates
        if not c.eligible
    ]
    return f"no model qualifies ({' · '.join(causes) or 'a person is never drawn'})"
