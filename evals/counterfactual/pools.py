"""Recorded answers of real models: an exploring router's log tells what five others would have been worth; their true
worth is in the table, as every model answered every query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.offpolicy import Floats, Logged, Method, estimate
from toolkit.evaluation.outcomes import Outcomes, load_outcomes

POOLS = ("routellm", "routerbench", "zeroeval", "bfcl")
MODELS, RATE, LOGS = 4, 0.3, 100
METHODS: tuple[Method, ...] = ("dr", "snips", "ips")


@dataclass(frozen=True)
class Told:
    """A router on a pool: its true worth, what one log says, and how often intervals of many logs held the truth."""

    pool: str
    router: str
    method: Method
    truth: float
    first: Estimate | Refusal
    covered: float
    refused: float
    width: float


def told(table: Path, *, logs: int = LOGS, seed: int = 7) -> Iterator[Told]:
    """All routers by all methods on all pools."""
    for name in POOLS:
        pool = chosen(load_outcomes(table, name))
        past, targets = routers(pool)
        features = features_of(pool)
        for label, target in targets.items():
            truth = float((target * pool.score).sum(axis=1).mean())
            for method in METHODS:
                found = []
                for number in range(logs):
                    logged = log(pool, past, features, np.random.default_rng([seed, number]))
                    found.append(estimate(logged, target, method))
                known = [each for each in found if isinstance(each, Estimate)]
                yield Told(
                    name,
                    label,
                    method,
                    truth,
                    found[0],
                    float(np.mean([each.low <= truth <= each.high for each in known])) if known else float("nan"),
                    1 - len(known) / logs,
                    float(np.mean([each.width for each in known])) if known else float("nan"),
                )


def chosen(pool: Outcomes) -> Outcomes:
    """The pool with four of its models, from the cheapest to the dearest; all where there are fewer."""
    order = np.argsort(pool.cost.mean(axis=0))
    kept = order[np.linspace(0, len(order) - 1, min(MODELS, len(order))).round().astype(int)]
    return Outcomes(
        pool.name, pool.query_ids, pool.queries, pool.tasks, tuple(pool.models[n] for n in kept),
        pool.score[:, kept], pool.cost[:, kept], pool.fold,
    )  # fmt: skip


def routers(pool: Outcomes) -> tuple[Floats, Mapping[str, Floats]]:
    """The router that logs, which explores around the cheapest, and five others; (n, k) probabilities each."""
    n, k = pool.score.shape
    lengths = np.array([len(query) for query in pool.queries])
    long = lengths > np.median(lengths)
    best, cheapest = int(pool.score.mean(axis=0).argmax()), int(pool.cost.mean(axis=0).argmin())
    by_task = np.array([sum(map(ord, task)) % k for task in pool.tasks])
    only = np.eye(k)
    past = np.tile(RATE / k + (1 - RATE) * only[cheapest], (n, 1))
    return past, {
        "the best model": np.tile(only[best], (n, 1)),
        "the cheapest model": np.tile(only[cheapest], (n, 1)),
        "any model": np.full((n, k), 1 / k),
        "the best for long queries": np.where(long[:, None], only[best], only[cheapest]),
        "a model per task": only[by_task],
    }


def log(pool: Outcomes, past: Floats, features: Floats, rng: np.random.Generator) -> Logged:
    """One pass over the queries by the router that explores."""
    choice = (past.cumsum(axis=1) > rng.random((len(pool), 1))).argmax(axis=1)
    return Logged(choice, pool.score[np.arange(len(pool)), choice], past, features)


def features_of(pool: Outcomes) -> Floats:
    """What an outcome model is shown: the length of the query, and its task."""
    tasks = sorted(set(pool.tasks))[:20]
    of_task = np.array([[task == each for each in tasks] for task in pool.tasks], dtype=np.float64)
    length = np.log1p([len(query) for query in pool.queries])
    return np.column_stack([length, of_task])


def report(found: list[Told], *, logs: int) -> tuple[list[str], list[str]]:
    """The table, and what does not hold: a router whose interval holds the truth in less than 90 of 100 logs."""
    lines = [
        "# Counterfactual estimates on recorded answers of real models",
        "",
        f"An exploring log (ε = {RATE:g}) around the cheapest of up to {MODELS} models; {logs} logs of each pool. The "
        "truth is computed from the complete table.",
        "",
        "| pool | router | method | truth | one log says | covered | refused | mean width |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {each.pool} | {each.router} | {each.method} | {each.truth:.3f} | {_first(each.first)} | "
            f"{100 * each.covered:.0f} % | {100 * each.refused:.0f} % | {each.width:.3f} |"
            for each in found
        ),
        "",
    ]
    faults = [
        f"{each.method} covers {each.router} on {each.pool} in {100 * each.covered:.0f} % of logs"
        for each in found
        if each.method in ("dr", "snips") and each.covered < 0.9
    ]
    return [*lines, *(f"* does not hold: {fault}" for fault in faults)], faults


def _first(found: Estimate | Refusal) -> str:
    return found.reason if isinstance(found, Refusal) else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
