"""Decisions on record, with all that an estimate wants: who could have been chosen, and what came of who was.

history ─▶ Decided (n decisions of a step) ─▶ `asked(router)`: with which probability it would choose whom
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from toolkit.errors import RunError
from toolkit.evaluation.reading import judged_by_same, path_of
from toolkit.evaluation.requests import bodies, request_of
from toolkit.fleet import Fleet
from toolkit.ledger import History
from toolkit.ledger.views import evaluations
from toolkit.money.prices import Price
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens, with_margin
from toolkit.records import Decision, Json, Request
from toolkit.routing.features import Vocabulary
from toolkit.routing.router import ModelFacts, Router, RoutingFacts

Floats = NDArray[np.float64]
MOST_TEXTS_READ = 50_000


@dataclass(frozen=True)
class Recorded:
    """One decision as it is on record: its facts but for the fleet, and the candidates as they were judged."""

    id: str
    run_id: str
    row_id: str
    step: str
    turn: int
    repeat: int
    choice: str
    candidates: tuple[Mapping[str, Any], ...]
    exact: bool
    router: str
    seed: int
    request: Request | None
    fields: Mapping[str, Json]


@dataclass(frozen=True, eq=False)
class Decided:
    """n decisions of one step. `reward` (n,) is NaN where the answer has no grade, `cost` (n,) where it is unknown.

    `probabilities` (n, k) are those on record, for the k `models` that any decision could choose. Decisions about the
    same row belong together, in whichever run. `judged_by_same` tells whether the same graders judged all answers.
    """

    step: str
    decisions: tuple[Recorded, ...]
    models: tuple[str, ...]
    choice: NDArray[np.int64]
    probabilities: Floats
    reward: Floats
    cost: Floats
    clusters: NDArray[np.int64] | None
    judged_by_same: bool = True
    failures: int = 0
    persons: frozenset[str] = frozenset()
    fleet: Fleet | None = field(default=None, repr=False)

    @property
    def n(self) -> int:
        return len(self.decisions)

    @cached_property
    def features(self) -> Floats:
        """(n, d) what the texts of the requests show; their length alone where there are very many."""
        texts = ["" if each.request is None else each.request.text for each in self.decisions]
        length = np.log1p(np.array([len(text) for text in texts], dtype=np.float64))[:, None]
        if not 2 <= len(texts) <= MOST_TEXTS_READ:
            return length
        surface: Floats = Vocabulary.of(texts).read(texts)[1]
        return surface

    def asked(self, router: Router) -> tuple[Floats, NDArray[np.bool_]]:
        """(n, k) the probabilities with which the router would choose, and (n,) where it finds somebody to ask.

        Models that no decision on record could choose count as chosen, though in no column: their row adds up to less
        than 1. Raises RunError where the router must ask models itself, or the requests are not on record.
        """
        place = {model: n for n, model in enumerate(self.models)}
        found, settled = np.zeros((self.n, len(self.models))), np.zeros(self.n, dtype=bool)
        for row, decision in enumerate(self.redecided(router)):
            settled[row] = bool(decision.order)
            for candidate in decision.candidates:
                if candidate.model in place and decision.order:
                    found[row, place[candidate.model]] = candidate.probability
        return found, settled

    def redecided(self, router: Router) -> list[Decision]:
        """What the router decides about each of these requests, with the seed that is on record."""
        wanted = router.names() or ()
        many = [self._facts(each, wanted) for each in self.decisions]
        decide_many = getattr(router, "decide_many", None)
        found = decide_many(many) if decide_many else [router.decide(facts) for facts in many]
        for decision in found:
            if not isinstance(decision, Decision):
                raise RunError(f"{router!r} asks models before it decides; replay it instead (tk.replay)")
        return list(found)

    def _facts(self, each: Recorded, wanted: Sequence[str]) -> RoutingFacts:
        if each.request is None:
            raise RunError(
                f"the request of row {each.row_id}, step {each.step}, is not on record any more (pruned, erased, or "
                "never kept), so no router can be asked about it"
            )
        tokens = prompt_tokens(each.request, ESTIMATE)
        return RoutingFacts(
            request=each.request,
            models=self._models(each, wanted),
            step=each.step,
            fields=each.fields,
            input_tokens=tokens,
            min_input_tokens=with_margin(tokens, ESTIMATE),
            seed=each.seed,
            run_id=each.run_id,
        )

    def _models(self, each: Recorded, wanted: Sequence[str]) -> Mapping[str, ModelFacts]:
        """The fleet as it is given; else as the decision saw it: who was eligible, and what a call was to cost.

        Models `wanted` that it did not see are there too, so that it shows that they are wanted.
        """
        if self.fleet is not None:
            seen: dict[str, ModelFacts] = dict(self.fleet.facts)
        else:
            seen = {candidate["model"]: self._as_judged(candidate) for candidate in each.candidates}
        unseen = [name for name in wanted if name not in seen]
        return {**seen, **{name: ModelFacts(name, "", frozenset({"*"})) for name in unseen}}

    def _as_judged(self, candidate: Mapping[str, Any]) -> ModelFacts:
        cost = candidate.get("expected_cost_usd")
        return ModelFacts(
            name=candidate["model"],
            provider_name="",
            capabilities=frozenset({"*"}),
            price=None if cost is None else Price(request=cost),
            is_person=candidate["model"] in self.persons,
            available=all(verdict["passed"] for verdict in candidate.get("verdicts") or ()),
        )


def decided(
    history: History,
    step: str,
    *,
    runs: Sequence[str],
    grader: str | None = None,
    cluster: str | None = None,
    failed: float = 0.0,
    fleet: Fleet | None = None,
) -> Decided:
    """The decisions of a step in these runs. Raises RunError where there are none."""
    params = {"step": step, "runs": list(runs), "grader": grader, "failed": failed, "cluster": path_of(cluster)}
    rows = history.sql(evaluations.DECIDED, params).rows
    if not rows:
        raise RunError(f"no decision of step {step!r} is on record in these runs: it has no router, or was not reached")
    _check_one(step, {(row[1], row[3]) for row in rows})
    whole = bodies(history)
    texts: dict[str, Request | None] = {}
    decisions, reward, cost, clusters, graders = [], [], [], [], []
    for row in rows:
        id_, run_id, row_id, name, turn, repeat, choice, candidates, kind, router, seed, body, fields = row[:13]
        if body is not None and body not in texts:
            texts[body] = request_of(whole(body))
        decisions.append(
            Recorded(
                id_, run_id, row_id, name, turn, repeat, choice, tuple(orjson.loads(candidates or "[]")),
                kind != "monte_carlo", router, int(seed or 0), texts.get(body), orjson.loads(fields or "{}"),
            )
        )  # fmt: skip
        quality, judged_by, _, cost_usd, _, group = row[13:]
        reward.append(np.nan if quality is None else quality)
        cost.append(np.nan if cost_usd is None else cost_usd)
        clusters.append(group)
        graders.append(judged_by or 0)
    models = tuple(dict.fromkeys(c["model"] for each in decisions for c in each.candidates))
    place = {model: n for n, model in enumerate(models)}
    probabilities = np.zeros((len(decisions), len(models)))
    for n, each in enumerate(decisions):
        for candidate in each.candidates:
            probabilities[n, place[candidate["model"]]] = candidate.get("probability") or 0.0
    rewards = np.array(reward, dtype=np.float64)
    return Decided(
        step,
        tuple(decisions),
        models,
        np.array([place[each.choice] for each in decisions], dtype=np.int64),
        probabilities,
        rewards,
        np.array(cost, dtype=np.float64),
        _codes(clusters, decisions) if cluster is not None or _repeated(decisions) else None,
        judged_by_same=judged_by_same(rewards, np.array(graders, dtype=np.uint64)),
        failures=sum(row[15] == "failed" for row in rows),
        persons=frozenset(history.sql(evaluations.PERSONS).column("person")),
        fleet=fleet,
    )


# ----------------------------------------------------------------------------------------------------------- helpers
def _check_one(step: str, named: set[tuple[str, str]]) -> None:
    """Raises RunError where a run has several steps of that name."""
    if len({run_id for run_id, _ in named}) < len(named):
        raise RunError(f"a run has several steps {step!r}: name one of {', '.join(sorted({n for _, n in named}))}")


def _repeated(decisions: Sequence[Recorded]) -> bool:
    """Whether a row has several decisions, which then belong together."""
    return len({_row(each) for each in decisions}) < len(decisions)


def _codes(groups: Sequence[str | None], decisions: Sequence[Recorded]) -> NDArray[np.int64]:
    """(n,) a number per value of the field; per row where there is none."""
    codes: dict[object, int] = {}
    keys = [
        ("group", group) if group is not None else _row(each) for group, each in zip(groups, decisions, strict=True)
    ]
    return np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)


def _row(decision: Recorded) -> tuple[str, str, bytes]:
    """What tells a row from others: its id and what it says, so that it is the same one in several runs."""
    return ("row", decision.row_id, orjson.dumps(decision.fields, option=orjson.OPT_SORT_KEYS))
