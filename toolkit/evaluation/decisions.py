"""Decisions on record, with all that an estimate wants: who could have been chosen, and what came of who was.

history ─▶ Decided (n decisions of a step) ─▶ `asked(router)`: with which probability it would choose whom
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from toolkit.errors import RunError
from toolkit.evaluation.reading import columns_of, judged_by_same, path_of, used
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
AT_ONCE, JUDGEMENTS_KEPT = 10_000, 10_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision as it is on record: its facts but for the fleet, `tokens` being an estimate of its request's.

    Candidates, as they were judged, and the fields of the row stay in JSON, as there may be a million of them.
    """

    id: str
    run_id: str
    row_id: str
    step: str
    turn: int
    repeat: int
    choice: str
    candidates_json: str
    exact: bool
    router: str
    seed: int
    request: Request | None
    tokens: int
    fields_json: str

    @property
    def candidates(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(orjson.loads(self.candidates_json))

    @property
    def fields(self) -> Mapping[str, Json]:
        found: dict[str, Json] = orjson.loads(self.fields_json)
        return found


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

    def redecided(self, router: Router) -> Iterator[Decision]:
        """What the router decides about each of these requests, with the seed that is on record.

        Raises RunError where a request is not on record, or the router must ask models itself.
        """
        if (lost := next((each for each in self.decisions if each.request is None), None)) is not None:
            raise RunError(
                f"the request of row {lost.row_id}, step {lost.step}, is not on record any more (pruned, erased, or "
                "never kept), so no router can be asked about it"
            )
        wanted = router.names() or ()
        decide_many = getattr(router, "decide_many", None)
        for first in range(0, self.n, AT_ONCE):
            lot = self.decisions[first : first + AT_ONCE]
            many = [self._facts(each, wanted) for each in lot]
            for decision in decide_many(many) if decide_many else map(router.decide, many):
                if not isinstance(decision, Decision):
                    raise RunError(f"{router!r} asks models before it decides; replay it instead (tk.replay)")
                yield decision

    def _facts(self, each: Recorded, wanted: Sequence[str]) -> RoutingFacts:
        assert each.request is not None
        return RoutingFacts(
            request=each.request,
            models=self._models(each, wanted),
            step=each.step,
            fields=each.fields,
            input_tokens=each.tokens,
            min_input_tokens=with_margin(each.tokens, ESTIMATE),
            seed=each.seed,
            run_id=each.run_id,
        )

    def _models(self, each: Recorded, wanted: Sequence[str]) -> Mapping[str, ModelFacts]:
        """The fleet as it is given; else as the decision saw it: who was eligible, and what a call was to cost.

        Models `wanted` that it did not see are there too, so that it shows that they are wanted.
        """
        seen = self._seen(each.candidates_json) if self.fleet is None else self.fleet.facts
        return {**seen, **{name: _as_judged(name) for name in wanted if name not in seen}}

    @cached_property
    def _seen(self) -> Callable[[str], Mapping[str, ModelFacts]]:
        """The models of a decision as they were judged. Few decisions in a row are unlike where nothing was scored."""
        persons = self.persons

        @lru_cache(maxsize=JUDGEMENTS_KEPT)
        def seen(candidates_json: str) -> Mapping[str, ModelFacts]:
            return {
                each["model"]: _as_judged(
                    each["model"],
                    cost_usd=each.get("expected_cost_usd"),
                    is_person=each["model"] in persons,
                    available=all(verdict["passed"] for verdict in each.get("verdicts") or ()),
                )
                for each in orjson.loads(candidates_json)
            }

        return seen


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
    columns = columns_of(history, evaluations.DECIDED, params)
    rewards, cost = (np.ma.filled(columns.pop(name).astype(np.float64), np.nan) for name in ("quality", "cost_usd"))
    graders = np.ma.filled(columns.pop("graders"), 0).astype(np.uint64)
    failures = int((np.ma.filled(columns.pop("status"), "") == "failed").sum())
    groups = columns.pop("cluster").tolist()
    requests = _requests(history, params)
    decisions = tuple(_recorded(columns, {name: (each, prompt_tokens(each, ESTIMATE)) for name, each in requests}))
    if not decisions:
        raise RunError(f"no decision of step {step!r} is on record in these runs: it has no router, or was not reached")
    _check_one(step, {(each.run_id, each.step) for each in decisions})
    models, probabilities = _probabilities(decisions)
    place = {model: n for n, model in enumerate(models)}
    return Decided(
        step,
        decisions,
        models,
        np.array([place[each.choice] for each in decisions], dtype=np.int64),
        probabilities,
        rewards,
        cost,
        _clusters(decisions, groups if cluster is not None else None),
        judged_by_same=judged_by_same(rewards, graders),
        failures=failures,
        persons=frozenset(history.sql(evaluations.PERSONS).column("person")),
        fleet=fleet,
    )


# ----------------------------------------------------------------------------------------------------------- helpers
@lru_cache(maxsize=JUDGEMENTS_KEPT)
def _as_judged(
    name: str, *, cost_usd: float | None = None, is_person: bool = False, available: bool = True
) -> ModelFacts:
    """A model as a decision saw it, which cares for the price of one call alone."""
    price = None if cost_usd is None else Price(request=cost_usd)
    return ModelFacts(name, "", frozenset({"*"}), price=price, is_person=is_person, available=available)


def _requests(history: History, params: Mapping[str, Any]) -> Iterator[tuple[str, Request]]:
    """The requests that the decisions were about, each with its hash."""
    whole = bodies(history)
    for name, body in history.sql(evaluations.REQUESTS, used(evaluations.REQUESTS, params)):
        yield name, request_of(whole(body))


def _recorded(columns: Mapping[str, Any], requests: Mapping[str, tuple[Request, int]]) -> Iterator[Recorded]:
    """A decision for each place in the columns, of requests with their tokens. Texts that many share are kept once."""
    once: dict[str, str] = {}

    def shared(text: str) -> str:
        return once.setdefault(text, text)

    names = ("id", "run_id", "row_id", "step", "turn", "repeat", "choice", "candidates", "kind", "router", "seed",
             "request", "fields")  # fmt: skip
    for id_, run_id, row_id, step, turn, repeat, choice, candidates, kind, router, seed, request, fields in zip(
        *(columns[name].tolist() for name in names), strict=True
    ):
        asked, tokens = requests.get(request, (None, 0))
        yield Recorded(
            id=id_,
            run_id=shared(run_id),
            row_id=row_id,
            step=shared(step),
            turn=turn,
            repeat=repeat,
            choice=shared(choice),
            candidates_json=shared(candidates or "[]"),
            exact=kind != "monte_carlo",
            router=shared(router),
            seed=int(seed or 0),
            request=asked,
            tokens=tokens,
            fields_json=shared(fields or "{}"),
        )


def _probabilities(decisions: Sequence[Recorded]) -> tuple[tuple[str, ...], Floats]:
    """The models that any decision could choose, and (n, k) the probabilities on record."""
    place: dict[str, int] = {}
    rows, columns, values = array("q"), array("q"), array("d")
    for row, each in enumerate(decisions):
        for candidate in each.candidates:
            rows.append(row)
            columns.append(place.setdefault(candidate["model"], len(place)))
            values.append(candidate.get("probability") or 0.0)
    found = np.zeros((len(decisions), len(place)))
    found[rows, columns] = values
    return tuple(place), found


def _check_one(step: str, named: set[tuple[str, str]]) -> None:
    """Raises RunError where a run has several steps of that name."""
    if len({run_id for run_id, _ in named}) < len(named):
        raise RunError(f"a run has several steps {step!r}: name one of {', '.join(sorted({n for _, n in named}))}")


def _clusters(decisions: Sequence[Recorded], groups: Sequence[str | None] | None) -> NDArray[np.int64] | None:
    """(n,) a number for each value of a field, and for each row without one; without `groups` for each row, as several
    decisions about it belong together, and None where no row has several."""
    if groups is None and len({each.row_id for each in decisions}) == len(decisions):
        return None
    keys = (
        _row(each) if group is None else ("group", group)
        for group, each in zip(groups or [None] * len(decisions), decisions, strict=True)
    )
    codes: dict[object, int] = {}
    found = np.fromiter((codes.setdefault(key, len(codes)) for key in keys), np.int64, len(decisions))
    return None if groups is None and len(codes) == len(decisions) else found


def _row(decision: Recorded) -> tuple[str, str, str]:
    """What tells a row from others: its id and what it says, so that it is the same one in several runs."""
    return ("row", decision.row_id, orjson.dumps(decision.fields, option=orjson.OPT_SORT_KEYS).decode())
