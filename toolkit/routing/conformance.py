"""What every router owes the engine and the history, as laws that pytest collects; made for authors of plug-ins, and
used on ours.

    class TestMine(RouterConformance):
        def router(self) -> Router:
            return Mine("small", "large")

Nothing here needs pytest: each law is a method without arguments that raises an AssertionError saying what is broken.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from toolkit.errors import CallError
from toolkit.messages import Data, Message, Text
from toolkit.money.prices import Price
from toolkit.records import Decision, Json, Reply, Request
from toolkit.routing.parsing import parse_router
from toolkit.routing.router import Asking, ModelFacts, Router, RoutingFacts

FLEET = ("small", "large", "coder")
PERSON = "person"
REQUESTS: Mapping[str, Request] = {
    "words": Request((Message("system", (Text("Do it."),)), Message("user", (Data("ticket", "Where is it?", "t"),)))),
    "typed": Request((Message("user", (Text("Do it."),)),), output_schema={"type": "object"}),
    "texts": Request(operation="embeddings", inputs=("one", "two")),
    "nothing": Request(),
    "any script": Request((Message("user", (Text("Où est 📦? 荷物はどこ"),)),)),
    "long": Request((Message("user", (Text("late parcel " * 20_000),)),)),
}
REPLIES = (*FLEET, PERSON, "", "none of them")


class RouterConformance:
    """Subclass it under a name that pytest collects, and say how the router is made.

    `stateful` says that it decides from what was measured or learnt; `trials` are the draws by which probabilities are
    checked. A router that is read from text is told apart by `readable`.
    """

    stateful: ClassVar[bool] = False
    readable: ClassVar[bool] = True
    trials: ClassVar[int] = 2_000

    def router(self) -> Router:
        """The router."""
        raise NotImplementedError("say how the router is made: def router(self) -> Router")

    def fields(self, n: int) -> dict[str, Json]:
        """The n-th row. What the router's probabilities rest on is the same in all of them."""
        return {"id": f"r{n}", "customer": f"c{n}", "ticket": "Where is it?"}

    # -------------------------------------------------------------------------------------------------------- the laws
    def test_every_request_gets_a_decision_among_those_that_may_be_asked(self) -> None:
        """The order holds the eligible alone, each once; the choice is one of them, or nobody."""
        for name, decision in self._decisions():
            eligible = {candidate.model for candidate in decision.candidates if candidate.eligible}
            models = [candidate.model for candidate in decision.candidates]
            owed(len(set(models)) == len(models), f"{name}: a candidate stands there twice: {models}")
            owed(set(decision.order) <= eligible, f"{name}: the order {decision.order} has more than {eligible}")
            owed(len(set(decision.order)) == len(decision.order), f"{name}: twice in the order {decision.order}")
            expected = decision.choice in decision.order if decision.order else decision.choice == ""
            owed(expected, f"{name}: the choice is {decision.choice!r}, the order {decision.order}")
            owed(bool(decision.reason.strip()), f"{name}: the decision gives no reason")

    def test_probabilities_are_those_of_a_draw_among_the_eligible(self) -> None:
        """They sum to 1, that of the choice is above 0, and nobody has any who may not be asked."""
        for name, decision in self._decisions():
            for candidate in decision.candidates:
                held = 0.0 <= candidate.probability <= 1.0 + 1e-9
                owed(held, f"{name}: the probability of {candidate.model} is {candidate.probability}")
                owed(candidate.eligible or not candidate.probability, f"{name}: {candidate.model} may not be drawn")
            if decision.order:
                total = math.fsum(candidate.probability for candidate in decision.candidates)
                owed(abs(total - 1) < 1e-6, f"{name}: probabilities sum to {total}")
                owed(decision.probability > 0, f"{name}: {decision.choice} was chosen with probability 0")

    def test_a_person_is_never_drawn(self) -> None:
        """A person may be chosen for certain, and not by lot."""
        for name, decision in self._decisions():
            for candidate in decision.candidates:
                if candidate.model == PERSON and 0 < candidate.probability < 1:
                    raise AssertionError(f"{name}: a person is drawn with probability {candidate.probability}")

    def test_the_record_gives_the_same_decision_again(self) -> None:
        """The same facts and seed, and the router that its label builds: the very same decision, chance included."""
        router = self.router()
        again = parse_router(repr(router)) if self.readable else self.router()
        for name, facts in self._facts(router):
            first = self._settled(router, facts)
            owed(first.router == repr(router), f"{name}: the label is {first.router!r}, the router {router!r}")
            owed(first.seed == facts.seed, f"{name}: the seed on record is {first.seed}, and was {facts.seed}")
            owed(self._settled(again, facts) == first, f"{name}: decided otherwise the second time")

    def test_it_is_a_value(self) -> None:
        """Equal to one that is made alike, and to be hashed; deciding changes neither it nor the dice of others."""
        router, dice = self.router(), random.getstate()
        before = repr(router)
        for _, facts in self._facts(router):
            kept = replace(facts)
            self._settled(router, facts)
            owed(facts == kept, "the facts were changed")
        owed(random.getstate() == dice, "it draws from `random` itself; take facts.chance(self)")
        owed(repr(router) == before, "deciding changed the router")
        owed(router == self.router(), "two that are made alike are not equal; make it a frozen dataclass")
        owed(hash(router) == hash(self.router()), "two that are equal have different hashes")

    def test_it_tells_whom_it_may_pick(self) -> None:
        """`names()` holds every candidate; None means any of the fleet."""
        router = self.router()
        names = router.names()
        for name, decision in self._decisions():
            strange = [c.model for c in decision.candidates if names is not None and c.model not in names]
            served = [model for model in strange if model in decision.order]
            owed(not served, f"{name}: picks {served}, and names() has {names}")

    def test_a_state_is_named(self) -> None:
        """A router that decides from what was learnt names the hash of it in each decision."""
        for name, decision in self._decisions():
            if self.stateful and decision.order:
                owed(bool(decision.snapshot), f"{name}: no snapshot is named")

    def test_models_are_served_as_often_as_the_record_says(self) -> None:
        """Exact probabilities to within chance, those by Monte Carlo to within 5 points more."""
        router = self.router()
        ((_, facts),) = [each for each in self._facts(router) if each[0] == "words, all there"]
        found = [
            self._settled(router, replace(facts, seed=7919 * n, fields=self.fields(n))) for n in range(self.trials)
        ]
        drawn = Counter(decision.choice for decision in found)
        slack = 0.05 * self.trials if found[0].probabilities == "monte_carlo" else 0.0
        for candidate in found[0].candidates:
            chance = candidate.probability
            expected = self.trials * chance
            most = 5.5 * math.sqrt(self.trials * chance * (1 - chance)) + slack + 1e-9
            owed(
                abs(drawn[candidate.model] - expected) <= most,
                f"{candidate.model} was served {drawn[candidate.model]} times of {self.trials}, "
                f"and its probability on record is {chance:.3f}",
            )

    # --------------------------------------------------------------------------------------------------------- helpers
    def _decisions(self) -> Iterator[tuple[str, Decision]]:
        router = self.router()
        for name, facts in self._facts(router):
            decided = router.decide(facts)
            if isinstance(decided, Decision):
                yield name, decided
                continue
            decided.close()
            for said in (*REPLIES, CallError("it is down")):
                yield f"{name}, hearing {said!r}", self._settled(router, facts, said)

    def _facts(self, router: Router) -> Iterator[tuple[str, RoutingFacts]]:
        """Requests by fleets: all there, each member gone, nobody there, prices unknown, nothing left to spend."""
        names = list(dict.fromkeys([*(router.names() or FLEET), *FLEET, PERSON]))
        fleet = {name: _member(name) for name in names}
        fleets = {"all there": fleet, "nobody there": {n: replace(m, available=False) for n, m in fleet.items()}}
        fleets |= {f"{gone} gone": {**fleet, gone: replace(fleet[gone], available=False)} for gone in names}
        fleets["prices unknown"] = {name: replace(member, price=None) for name, member in fleet.items()}
        for seed, (asked, request) in enumerate(REQUESTS.items()):
            for how, models in fleets.items():
                yield (
                    f"{asked}, {how}",
                    RoutingFacts(
                        request=request, models=models, step="desk/reply", fields=self.fields(seed),
                        input_tokens=len(request.text) // 4, min_input_tokens=len(request.text) // 4,
                        seed=seed * 104_729, run_id="run",
                    ),
                )  # fmt: skip
            yield f"{asked}, nothing left", RoutingFacts(request, fleet, fields=self.fields(seed), left_usd=0.0)

    def _settled(self, router: Router, facts: RoutingFacts, said: str | CallError = FLEET[0]) -> Decision:
        """The decision; of a router that asks, when it hears `said` to whatever it asks."""
        decided: Decision | Asking = router.decide(facts)
        if isinstance(decided, Decision):
            return decided
        try:
            next(decided)
            for _ in range(64):
                decided.throw(said) if isinstance(said, CallError) else decided.send(_reply(said))
        except StopIteration as stop:
            owed(isinstance(stop.value, Decision), f"it came to {stop.value!r} and no Decision")
            settled: Decision = stop.value
            return settled
        raise AssertionError("it goes on asking: 64 replies, and no decision")


def _member(name: str) -> ModelFacts:
    """Half of the members have a window that the longest request passes."""
    price = Price(1.0 + len(name), 4.0)
    window = 8_000 if len(name) % 2 else None
    is_person = name == PERSON
    return ModelFacts(
        name, "test", frozenset({"*"}), window=None if is_person else window, price=None if is_person else price,
        is_person=is_person,
    )  # fmt: skip


def _reply(text: str) -> Reply:
    return Reply(parts=(Text(text),), value=text)


def owed(kept: Any, words: str) -> None:
    """Raise an AssertionError in these words where a promise is not kept."""
    if not kept:
        raise AssertionError(words)
