"""The suite of the routing evaluation: read, refused in words, held against a pool; its command and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from evals.routing.__main__ import SUITE
from evals.routing.cuts import APART, closed, recut
from evals.routing.suite import Demand, Pool, Suite, load
from tests.routing.routing_samples import pool
from toolkit.errors import RunError
from toolkit.evaluation.outcomes import Outcomes
from toolkit.routing.frontier import Floats

GIVEN = """
replicates = 10
[[pools]]
name = "made"
[[demands]]
measure = "over_zero_low"
least = -0.02
required = true
"""


def written(folder: Path, found: Outcomes) -> Path:
    """The pool as a table of the toolkit's own layout."""
    rows = [
        ("made", found.query_ids[n], query, found.tasks[n], model, float(found.score[n, k]), float(found.cost[n, k]))
        for n, query in enumerate(found.queries)
        for k, model in enumerate(found.models)
    ]
    path = folder / "outcomes.parquet"
    with duckdb.connect() as connection:
        connection.execute("create table t (dataset text, query_id text, query text, task text, model text, "
                           "score double, cost_usd double)")  # fmt: skip
        connection.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute(f"copy t to '{path}' (format parquet)")
    return path


def command(folder: Path, suite: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "suite.toml").write_text(suite, encoding="utf-8")
    told = [sys.executable, "-m", "evals.routing", "--suite", str(folder / "suite.toml"), "--quick", "--jobs", "1"]
    env = {**os.environ, "TOOLKIT_OUTCOMES": str(folder)}
    return subprocess.run([*told, *more], capture_output=True, text=True, env=env, check=False)


def test_the_suite_beside_the_evaluation_is_read() -> None:
    found = load(SUITE)
    assert [each.name for each in found.pools] == ["mmlu", "gsm8k", "routerbench", "zeroeval", "bfcl"]
    assert any(demand.required and demand.over == "logistic TF-IDF" for demand in found.demands)


def test_a_demand_on_one_pool_goes_before_that_on_all() -> None:
    shared, own = Demand("gap", required=True), Demand("gap", 0.5, pool="a", required=True)
    suite = Suite("s", (Pool("a"), Pool("b")), (shared, own))
    assert suite.of("a") == (own,) and suite.of("b") == (shared,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no \\[\\[pools\\]\\]"),
        ("x = [", "cannot read the suite"),
        ("[[pools]]\nname = 'a'\nfolds = 3", "unknown entry 'folds'"),
        ("[[pools]]\nname = 'a'\n[[demands]]\nmeasure = 'luck'", "measure is one of .* not 'luck'"),
        ("[[pools]]\nname = 'a'\n[[demands]]\nmeasure = 'gap'\npool = 'b'", "pool 'b', which the suite does not have"),
        ("[[pools]]\ndataset = 'a'", "missing 1 required positional argument: 'name'"),
    ],
)  # fmt: skip
def test_a_suite_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "suite.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=told):
        load(tmp_path / "suite.toml")


@pytest.mark.slow
def test_the_command_passes_where_demands_are_met_and_fails_where_one_is_missed(tmp_path: Path) -> None:
    written(tmp_path, pool(300))
    good = command(tmp_path, GIVEN)
    assert good.returncode == 0 and "All required demands are met" in good.stdout, good.stderr
    bad = command(tmp_path, GIVEN.replace("-0.02", "0.9"))
    assert bad.returncode == 1 and "MISSED, and required:\nmade: ours: over zero, lower end at least 0.9" in bad.stdout


def test_a_new_cut_leaves_the_fold_apart_and_keeps_equal_texts_together() -> None:
    given = pool(120)
    twice = given.take(np.repeat(np.arange(120), 2))
    first, second = recut(twice, 0), recut(twice, 1)
    assert set(first.query_ids) == {q for q, fold in zip(given.query_ids, given.fold, strict=True) if fold != APART}
    assert len(set(zip(first.queries, first.fold.tolist(), strict=True))) == len(set(first.queries))
    assert sorted(set(first.fold.tolist())) == [0, 1, 2, 3] and (first.fold != second.fold).any()


def test_the_gap_of_a_cut_is_that_of_rows_which_the_router_had_not_seen() -> None:
    given = recut(pool(200, signal=0.0), 0)

    def by_heart(train: Outcomes, test: Outcomes) -> tuple[Floats, Floats]:
        """Knows what it was shown, and nothing else."""
        known = dict(zip(train.queries, train.score, strict=True))
        mean = train.score.mean(axis=0)
        cost = np.tile(train.cost.mean(axis=0), (len(test), 1))
        return np.array([known.get(query, mean) for query in test.queries]), cost

    assert abs(closed(given, by_heart)) < 0.05


@pytest.mark.slow
def test_a_pool_that_is_not_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    written(tmp_path, pool(50))
    found = command(tmp_path, GIVEN, "other")
    assert found.returncode == 2 and "has no dataset 'other'" in found.stderr and "Traceback" not in found.stderr
