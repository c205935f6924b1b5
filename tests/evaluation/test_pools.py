"""On recorded answers of real models: what an exploring log says of five other routers, beside what they are worth."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import toolkit as tk
from evals.counterfactual import pools
from toolkit.evaluation.estimates import Estimate
from toolkit.evaluation.outcomes import Outcomes, load_outcomes
from toolkit.grading import Recorded
from toolkit.records import Request
from toolkit.routing.router import Router

TABLE = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"
needs_outcomes = pytest.mark.skipif(not TABLE.exists(), reason="TOOLKIT_OUTCOMES names no folder with outcomes.parquet")
QUERIES = 600


@tk.step(route=tk.Fixed("m0"), grade=Recorded())
def asked(query_id: str) -> Request:
    return tk.prompt("Answer.", query_id=query_id)


def pool_of(name: str) -> tuple[Outcomes, tk.Fleet]:
    """The first queries of a pool, and its models as a fleet that plays them back, the cheapest first."""
    pool = pools.chosen(load_outcomes(TABLE, name))
    pool = pool.take(np.arange(min(QUERIES, len(pool))))
    settings = {"table": TABLE.name, "key": "query_id", "dataset": name}
    specs = [
        tk.ModelSpec(f"m{n}", "recorded", model, settings=settings, folder=TABLE.parent)
        for n, model in enumerate(pool.models)
    ]
    return pool, tk.Fleet.of(*specs)


def rows_of(pool: Outcomes) -> list[dict[str, str]]:
    return [{"id": name, "query_id": name, "task": task} for name, task in zip(pool.query_ids, pool.tasks, strict=True)]


@needs_outcomes
@pytest.mark.slow
@pytest.mark.parametrize("name", ["zeroeval", "bfcl"])
def test_a_log_through_the_engine_tells_what_five_other_routers_are_worth(name: str, tmp_path: Path) -> None:
    pool, fleet = pool_of(name)
    first, last = "m0", f"m{len(pool.models) - 1}"
    route = tk.Explore(tk.Ladder(*fleet), rate=0.4)
    run = tk.Workflow("pool", [asked.with_route(route)]).run(rows_of(pool), fleet, home=tmp_path, seed=3)
    routers: dict[str, Router] = {
        "cheapest": tk.Fixed(first),
        "dearest": tk.Fixed(last),
        "any": tk.Uniform(*fleet),
        "a task apart": tk.Rules(tk.Rule(tk.Fixed(last), field="task", value=pool.tasks[0]), otherwise=tk.Fixed(first)),
        "mostly dearest": tk.Explore(tk.Ladder(last, *[each for each in fleet if each != last]), rate=0.5),
    }
    found = tk.counterfactual(run, routers, step="asked", quality="Recorded")
    score = pool.score
    of_task = np.array([task == pool.tasks[0] for task in pool.tasks])
    truth = {
        "cheapest": score[:, 0].mean(),
        "dearest": score[:, -1].mean(),
        "any": score.mean(),
        "a task apart": np.where(of_task, score[:, -1], score[:, 0]).mean(),
        "mostly dearest": 0.5 * score[:, -1].mean() + 0.5 * score.mean(),
    }
    results = {label: found.of(label) for label in routers}
    known = {label: each for label, each in results.items() if isinstance(each, Estimate)}
    assert len(known) == 5
    assert sum(each.low <= truth[label] <= each.high for label, each in known.items()) >= 4


@needs_outcomes
@pytest.mark.slow
def test_a_replay_of_a_complete_pool_equals_direct_computation_exactly(tmp_path: Path) -> None:
    pool, fleet = pool_of("zeroeval")
    flow = tk.Workflow("pool", [replace(asked, policy=tk.Once())])
    for model in fleet:
        run = flow.with_routes(tk.Fixed(model)).run(rows_of(pool), fleet, home=tmp_path)
    found = tk.replay(run, flow, fleet, routes=tk.Uniform(*fleet), seed=5)
    assert found.is_complete
    chosen = dict(found.history.sql("select row_id, choice from decisions").rows)
    place = {f"m{n}": n for n in range(len(pool.models))}
    direct = [
        (pool.score[n, place[chosen[row_id]]], pool.cost[n, place[chosen[row_id]]])
        for n, row_id in enumerate(pool.query_ids)
    ]
    told = found.history.sql(
        "select g.value, a.cost_usd from answers a join grades g on g.attempt_id = a.attempt_id order by a.row_id"
    ).rows
    assert sorted(told) == sorted(direct)


@needs_outcomes
@pytest.mark.slow
def test_intervals_of_many_logs_of_a_pool_hold_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "POOLS", ("zeroeval",))
    _, faults = pools.report(list(pools.told(TABLE, logs=30)), logs=30)
    assert faults == []
