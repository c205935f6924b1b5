"""Routers in turn, joined by `|`: the first that finds somebody to ask decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.records import Candidate, Decision
from toolkit.routing.router import Asking, Router, RoutingFacts


@dataclass(frozen=True)
class Joined(Router):
    """The first of `parts` that finds somebody decides. Those behind it are asked only where it fails altogether.

    The models of the parts behind the deciding one follow in the order, for policies that fall back; routers that ask
    models, and stand behind it, are not asked for that.
    """

    parts: tuple[Router, ...]

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        made: list[Decision] = []
        for place, part in enumerate(self.parts):
            decided = part.decide(facts)
            if not isinstance(decided, Decision):
                if _found(made):
                    decided.close()
                    continue
                return self._asking(decided, made, facts, self.parts[place + 1 :])
            made.append(decided)
        return self._of(made)

    def names(self) -> tuple[str, ...] | None:
        return union(self.parts)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.parts))

    def _asking(self, asking: Asking, made: list[Decision], facts: RoutingFacts, rest: Sequence[Router]) -> Asking:
        """One part asks; the parts behind it come after."""
        made = [*made, (yield from asking)]
        for part in rest:
            decided = part.decide(facts)
            if isinstance(decided, Decision):
                made.append(decided)
            elif _found(made):
                decided.close()
            else:
                made.append((yield from decided))
        return self._of(made)

    def _of(self, made: Sequence[Decision]) -> Decision:
        """The deciding part's decision, with the candidates and the order of all."""
        chosen = _found(made) or made[-1]
        behind = [name for decision in made for name in decision.order]
        return replace(
            chosen,
            candidates=merged(made, {c.model: c.probability for c in chosen.candidates}),
            order=tuple(dict.fromkeys([*chosen.order, *behind])),
            reason=chosen.reason if chosen.order else " · ".join(dict.fromkeys(each.reason for each in made)),
            router=self._label,
        )


def joined(*routers: Router) -> Joined:
    """Routers in turn; what is joined already is taken apart."""
    return Joined(tuple(part for each in routers for part in (each.parts if isinstance(each, Joined) else (each,))))


def union(routers: Sequence[Router]) -> tuple[str, ...] | None:
    """The models that any of these routers may pick; None where one of them may pick any of the fleet."""
    named = [router.names() for router in routers]
    if any(names is None for names in named):
        return None
    return tuple(dict.fromkeys(name for names in named for name in names or ()))


def merged(made: Sequence[Decision], chances: dict[str, float]) -> tuple[Candidate, ...]:
    """The candidates of several decisions, each once: as the first saw it that would let it be asked."""
    seen: dict[str, Candidate] = {}
    for candidate in (each for decision in made for each in decision.candidates):
        if candidate.model not in seen or (candidate.eligible and not seen[candidate.model].eligible):
            seen[candidate.model] = candidate
    return tuple(replace(each, probability=chances.get(name, 0.0)) for name, each in seen.items())


def _found(made: Sequence[Decision]) -> Decision | None:
    return next((decision for decision in made if decision.order), None)
