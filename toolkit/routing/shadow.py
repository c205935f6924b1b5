"""A second router beside the one that serves: what it would have done is on record, and never done."""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.records import Candidate, Decision, Verdict
from toolkit.routing.router import Asking, Router, RoutingFacts, judged, then

SHADOW = "shadow"


@dataclass(frozen=True)
class Shadow(Router):
    """`base` decides. The choice of `beside` is noted on that candidate, as a passed verdict named "shadow".

    The verdict's words name the router beside, the probability of its choice and its snapshot. Probabilities, order and
    choice are those of `base` alone. A shadow that fails harms nobody; one that asks models is not let ask.
    """

    base: Router
    beside: Router

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        return then(self.base.decide(facts), lambda made: self._noted(made, facts))

    def names(self) -> tuple[str, ...] | None:
        return self.base.names()

    def __repr__(self) -> str:
        return f"Shadow({self.base!r}, beside={self.beside!r})"

    def _noted(self, made: Decision, facts: RoutingFacts) -> Decision:
        seen = self._seen(facts)
        if isinstance(seen, str) or not seen.choice:
            why = seen if isinstance(seen, str) else seen.reason
            return replace(made, router=self._label, reason=f"{made.reason} (beside it {why})")
        origin = "" if seen.snapshot is None else f" from {seen.snapshot}"
        note = Verdict(SHADOW, True, f"{self.beside!r} would choose it{origin}, probability {seen.probability:.6g}")
        candidates = made.candidates
        if seen.choice not in {candidate.model for candidate in candidates}:
            candidates = (*candidates, *judged(facts, (seen.choice,)))
        return replace(made, router=self._label, candidates=tuple(_with(c, note, seen.choice) for c in candidates))

    def _seen(self, facts: RoutingFacts) -> Decision | str:
        """What the router beside decides, or why it does not."""
        try:
            seen = self.beside.decide(facts)
        except Exception as error:  # code on trial, of anybody's: it must not cost the row
            return f"{self.beside!r} failed: {error or type(error).__name__}"
        if isinstance(seen, Decision):
            return seen
        seen.close()
        return f"{self.beside!r} would ask a model first"


def _with(candidate: Candidate, note: Verdict, choice: str) -> Candidate:
    return replace(candidate, verdicts=(*candidate.verdicts, note)) if candidate.model == choice else candidate
