"""Hard constraints around any router: where a model stands, what a call may cost and how long it may take.

They come before the router: it chooses among those that qualify, and the record keeps the verdict on each candidate.
What is unknown does not qualify, a person's price and time included: join a person behind it (`… | Fixed('person')`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.records import Decision, Verdict
from toolkit.routing.measured import Measured, known
from toolkit.routing.router import Asking, ModelFacts, Router, RoutingFacts, then

RESIDENCY = "residency:"


@dataclass(frozen=True, init=False)
class Where(Router):
    """`base` among the models that meet every constraint.

    `residency="eu"` wants a member of the fleet with the capability "residency:eu" ("*" is not enough), `needs` further
    capabilities. `max_usd` bounds the expected cost of the call, `max_seconds` the median service time in `measured`
    (a file of `Measured.save`, or the value itself).
    """

    base: Router
    residency: str | None
    needs: tuple[str, ...]
    max_usd: float | None
    max_seconds: float | None
    source: str | None
    measured: Measured | None

    def __init__(
        self,
        base: Router,
        *,
        residency: str | None = None,
        needs: tuple[str, ...] = (),
        max_usd: float | None = None,
        max_seconds: float | None = None,
        measured: str | Measured | None = None,
    ) -> None:
        if (max_seconds is None) != (measured is None):
            raise ValueError("Where: max_seconds needs measured=, which says how long models take, and only that does")
        if not (residency or needs or max_usd is not None or max_seconds is not None):
            raise ValueError("Where: name a constraint: residency, needs, max_usd or max_seconds")
        source, value = (None, None) if measured is None else known(measured)
        given = {"base": base, "residency": residency, "needs": tuple(needs), "max_usd": max_usd}
        for name, each in {**given, "max_seconds": max_seconds, "source": source, "measured": value}.items():
            object.__setattr__(self, name, each)

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        return then(
            self.base.decide(replace(facts, constraints=(*facts.constraints, self))),
            lambda made: replace(made, router=self._label, snapshot=made.snapshot or self._snapshot),
        )

    def verdicts(self, facts: RoutingFacts, model: ModelFacts, cost_usd: float | None) -> list[Verdict]:
        """One for each of its constraints."""
        found = []
        if self.residency is not None:
            stays = f"{RESIDENCY}{self.residency}" in model.capabilities
            found.append(Verdict("residency", stays, "" if stays else f"not declared to stay in {self.residency}"))
        if self.needs:
            lacking = [] if "*" in model.capabilities else sorted(set(self.needs) - model.capabilities)
            found.append(Verdict("needs", not lacking, f"lacks {', '.join(lacking)}" if lacking else ""))
        if self.max_usd is not None:
            told = "its price is unknown" if cost_usd is None else f"about ${cost_usd:.2g}"
            within = cost_usd is not None and cost_usd <= self.max_usd
            found.append(Verdict("max_usd", within, "" if within else f"{told}, and ${self.max_usd:g} is the most"))
        if self.max_seconds is not None:
            seconds = self._seconds(facts.step, model.name)
            told = "its time is not measured" if seconds is None else f"takes {seconds:.3g} s"
            within = seconds is not None and seconds <= self.max_seconds
            found.append(
                Verdict("max_seconds", within, "" if within else f"{told}, and {self.max_seconds:g} s is the most")
            )
        return found

    def names(self) -> tuple[str, ...] | None:
        return self.base.names()

    def __repr__(self) -> str:
        told = {"residency": self.residency, "needs": self.needs or None, "max_usd": self.max_usd}
        told |= {"max_seconds": self.max_seconds, "measured": self.source}
        given = ", ".join(f"{name}={value!r}" for name, value in told.items() if value is not None)
        return f"Where({self.base!r}, {given})"

    @property
    def _snapshot(self) -> str | None:
        return None if self.measured is None else self.measured.hash

    def _seconds(self, step: str, model: str) -> float | None:
        row = None if self.measured is None else self.measured.about(step).get(model)
        return None if row is None else row.seconds
