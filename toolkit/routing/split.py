"""Routers that look at who asks: an A/B split by a hash of the row, and draws that stick to a customer or a session."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from toolkit.errors import StepError
from toolkit.records import Decision, canonical
from toolkit.routing.joined import merged, union
from toolkit.routing.router import Asking, Router, RoutingFacts, then


@dataclass(frozen=True, init=False)
class Split(Router):
    """One of its routers by a hash of the row, each with its share: the same row goes the same way, whatever the run.

    `shares` default to alike, `by` names the field that is hashed (None: all fields), another `salt` splits anew. Over
    salts the split is a draw, so the probability on record is exact: that of a model over all routers. A router with
    nobody to ask gives its rows to the others; their rows stay where they are (weighted rendezvous hashing,
    Schindelhauer and Schomaker 2005).
    """

    routers: tuple[Router, ...]
    shares: tuple[float, ...]
    by: str | None
    salt: str

    def __init__(
        self, *routers: Router, shares: Sequence[float] | None = None, by: str | None = None, salt: str = ""
    ) -> None:
        if not routers:
            raise ValueError("Split: name the routers between which rows are split")
        given = tuple(shares) if shares is not None else (1 / len(routers),) * len(routers)
        if len(given) != len(routers) or min(given) <= 0 or not math.isclose(sum(given), 1):
            raise ValueError(f"Split: {len(routers)} shares above 0 that sum to 1, not {given}")
        for name, value in {"routers": routers, "shares": given, "by": by, "salt": salt}.items():
            object.__setattr__(self, name, value)

    def decide(self, facts: RoutingFacts) -> Decision:
        made = [self._decided(router, facts) for router in self.routers]
        open_ = [place for place, decision in enumerate(made) if decision.order] or list(range(len(made)))
        row = canonical(dict(facts.fields) if self.by is None else facts.fields.get(self.by))
        chosen = min(open_, key=lambda place: -math.log(_point(self.salt, place, row)) / self.shares[place])
        total = sum(self.shares[place] for place in open_)
        chances: dict[str, float] = {}
        for place in open_:
            for candidate in made[place].candidates:
                share = self.shares[place] / total * candidate.probability
                chances[candidate.model] = chances.get(candidate.model, 0.0) + share
        mine = made[chosen]
        return replace(
            mine,
            candidates=merged([mine, *(each for each in made if each is not mine)], chances),
            reason=f"branch {chosen + 1} of {len(made)}: {mine.reason}",
            router=self._label,
            probabilities=next((d.probabilities for d in made if d.probabilities != "exact"), "exact"),
        )

    def names(self) -> tuple[str, ...] | None:
        return union(self.routers)

    def __repr__(self) -> str:
        parts = [*map(repr, self.routers)]
        parts += [f"shares={self.shares!r}"] if len(set(self.shares)) > 1 else []
        parts += [f"by={self.by!r}"] if self.by is not None else []
        parts += [f"salt={self.salt!r}"] if self.salt else []
        return f"Split({', '.join(parts)})"

    def _decided(self, router: Router, facts: RoutingFacts) -> Decision:
        decision = router.decide(facts)
        if not isinstance(decision, Decision):
            decision.close()
            raise StepError(f"Split cannot hold a router that asks models, as each branch is asked: {router!r}")
        return decision


@dataclass(frozen=True)
class Sticky(Router):
    """`base`, with its chance taken from a field of the row in place of the request: a customer keeps the arm drawn.

    Without `by` it sticks to the facts' `run_id`. Where there is no such value, the reason says so. What the facts
    change (a shut gate, a longer prompt) may still change the choice. Rows of one value share a draw: cluster by it.
    """

    base: Router
    by: str | None = None

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        value = facts.run_id or None if self.by is None else facts.fields.get(self.by)
        stuck = facts if value is None else replace(facts, seed=_number(canonical([self.by, value])) >> 1)
        name = "run" if self.by is None else self.by
        told = f", drawn for this row alone: it has no {name}" if value is None else f", kept for {name} {value!r}"
        return then(
            self.base.decide(stuck),
            lambda made: replace(made, router=self._label, seed=facts.seed, reason=f"{made.reason}{told}"),
        )

    def names(self) -> tuple[str, ...] | None:
        return self.base.names()

    def __repr__(self) -> str:
        return f"Sticky({self.base!r}{'' if self.by is None else f', by={self.by!r}'})"


def _point(salt: str, place: int, row: bytes) -> float:
    """A number in (0, 1] for a row at a branch, as good as drawn."""
    return ((_number(f"{salt}/{place}/".encode() + row) >> 11) + 1) / 2**53


def _number(told: bytes) -> int:
    return int.from_bytes(blake2b(told, digest_size=8).digest(), "big")
