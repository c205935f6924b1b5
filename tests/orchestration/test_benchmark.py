"""Played-back outcomes: what the history says of quality and cost is what the table says."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

import toolkit as tk
from toolkit.errors import SetupError
from toolkit.runs.running import Running

FILE = Path(__file__).parents[2] / "flows" / "benchmark.py"
OUTCOMES = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_flow", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """Outcomes of three models for 90 queries; some answers have no text."""
    path = tmp_path / "outcomes.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"""copy (
                select 'made' as dataset, 'q' || q as query_id, 'question ' || q as query, 'm' || m as model,
                    case when (q + m) % 5 > 0 then 'answer ' || q end as response, ((q * 7 + m) % 10) / 10.0 as score,
                    (0.1 + q * m) / 3e5 as cost_usd, null::integer as input_tokens, null::integer as output_tokens,
                    null::double as latency_s
                from range(90) a(q), range(1, 4) b(m)
            ) to '{path}' (format parquet)"""
        )
    return path


def by_the_engine(benchmark: ModuleType, pool: Any, home: Path) -> Any:
    def asked(router: Any) -> Any:
        run: Running = benchmark.answering.with_routes(router).run(
            pool.queries, pool.fleet(), home=home, fresh=True, seed=benchmark.SEED
        )
        return run.sql

    return asked


@pytest.mark.slow
def test_history_and_table_agree_to_the_last_digit_for_every_router(
    benchmark: ModuleType, made_up: Path, tmp_path: Path
) -> None:
    pool = benchmark.Pool.load(made_up, "made", folder=tmp_path)
    rows = list(benchmark.measured(pool, by_the_engine(benchmark, pool, tmp_path)))
    assert [row.router for row in rows] == ["Fixed('m1')", "Fixed('m2')", "Fixed('m3')", "Uniform()", "Cheapest()"]
    assert all(row.equal for row in rows)
    assert all((row.quality, row.cost_usd) == (row.quality_of_table, row.cost_usd_of_table) for row in rows)
    assert rows[4].cost_usd == rows[0].cost_usd == min(row.cost_usd for row in rows)


def test_a_score_or_a_cost_that_differs_is_found(benchmark: ModuleType, made_up: Path, tmp_path: Path) -> None:
    pool = benchmark.Pool.load(made_up, "made", folder=tmp_path)
    sql = by_the_engine(benchmark, pool, tmp_path)(tk.Fixed("m1"))
    score, cost_usd = pool.outcomes["q8"]["m1"]
    for other in ((score + 1e-9, cost_usd), (score, cost_usd * 1.0001)):
        outcomes = {**pool.outcomes, "q8": {**pool.outcomes["q8"], "m1": other}}
        assert not benchmark.measure(replace(pool, outcomes=outcomes), tk.Fixed("m1"), sql).equal


def test_answers_of_another_model_than_the_router_says_are_found(
    benchmark: ModuleType, made_up: Path, tmp_path: Path
) -> None:
    pool = benchmark.Pool.load(made_up, "made", folder=tmp_path)
    sql = by_the_engine(benchmark, pool, tmp_path)(tk.Fixed("m1"))
    assert "90 queries went elsewhere" in benchmark.measure(pool, tk.Fixed("m2"), sql).fault
    assert "drawn 90 times, not about 30" in benchmark.measure(pool, tk.Uniform(), sql).fault


def test_a_pool_that_is_not_there_is_named(benchmark: ModuleType, made_up: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="has no dataset 'gone'"):
        benchmark.Pool.load(made_up, "gone", folder=tmp_path)


def test_without_outcomes_it_says_what_to_set(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TOOLKIT_OUTCOMES", raising=False)
    assert benchmark.main() == 2
    assert "TOOLKIT_OUTCOMES must name a folder" in capsys.readouterr().err


@pytest.mark.skipif(not OUTCOMES.exists(), reason="TOOLKIT_OUTCOMES names no folder with outcomes.parquet")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["bfcl"])
def test_real_outcomes_come_back_as_they_are(benchmark: ModuleType, tmp_path: Path, name: str) -> None:
    pool = benchmark.Pool.load(OUTCOMES, name, limit=120, folder=tmp_path)
    rows = list(benchmark.measured(pool, by_the_engine(benchmark, pool, tmp_path)))
    assert len(rows) == len(pool.models) + 2
    assert [row.router for row in rows if not row.equal] == []
