"""Tables of outcomes: read whole or refused, and the published formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tests.routing.routing_samples import pool
from toolkit.errors import RowsError
from toolkit.evaluation.outcomes import folds_of, from_routellm, from_routerbench, load_outcomes
from toolkit.evaluation.zero import Zero, expected, singles


def written(path: Path, where: str = "true", score: str = "((q + m) % 2)::double") -> Path:
    with duckdb.connect() as connection:
        connection.execute(
            f"""copy (
                select 'made' as dataset, 'q' || q as query_id, 'question ' || q as query, 't' || q % 2 as task,
                    'm' || m as model, {score} as score, 0.001 * m as cost_usd, 'answer ' || m as response
                from range(10) a(q), range(1, 4) b(m) where {where}
            ) to '{path}' (format parquet)"""
        )
    return path


def test_a_table_is_read_by_query_and_model(tmp_path: Path) -> None:
    found = load_outcomes(written(tmp_path / "o.parquet"), "made")
    assert len(found) == 10 and found.models == ("m1", "m2", "m3")
    assert found.score[0].tolist() == [1, 0, 1] and found.cost[3].tolist() == pytest.approx([0.001, 0.002, 0.003])
    assert found.responses is not None and found.responses[0, 2] == "answer 3"


@pytest.mark.parametrize(
    ("where", "score", "told"),
    [
        ("not (q = 3 and m = 2)", "1.0", "no row of m2 at q3"),
        ("true", "case when q = 4 then null else 1.0 end", "no score of m1 at q4"),
        ("false", "1.0", "no dataset 'made'"),
    ],
)
def test_what_is_incomplete_is_refused_with_its_place(tmp_path: Path, where: str, score: str, told: str) -> None:
    with pytest.raises(RowsError, match=told):
        load_outcomes(written(tmp_path / "o.parquet", where, score), "made")


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="cannot read outcomes"):
        load_outcomes(tmp_path / "none.parquet", "made")


def test_equal_queries_share_a_fold() -> None:
    assert len(set(folds_of(["Same words ", "same words"]).tolist())) == 1


def test_taking_tasks_leaves_the_rest_out() -> None:
    found = pool(200)
    only = found.of_tasks("talk")
    assert set(only.tasks) == {"talk"} and 0 < len(only) < 200


def test_routerbench_columns_become_outcomes() -> None:
    table: dict[str, Sequence[Any]] = {
        "sample_id": ["a", "b"], "prompt": [["one"], "two"], "eval_name": ["arc", "mbpp"],
        "gpt": [1.0, 0.0], "gpt|total_cost": [0.1, 0.2], "yi": [0.5, 1.0], "yi|total_cost": [0.01, 0.02],
    }  # fmt: skip
    found = from_routerbench(table)
    assert found.models == ("gpt", "yi") and found.queries == ("one", "two") and found.tasks == ("arc", "mbpp")
    assert found.score.tolist() == [[1, 0.5], [0, 1]] and found.cost[1].tolist() == [0.2, 0.02]


def test_a_table_that_is_not_routerbench_is_refused() -> None:
    with pytest.raises(RowsError, match="lacks prompt"):
        from_routerbench({"eval_name": ["x"], "m": [1.0], "m|total_cost": [0.1]})


def test_routellm_columns_become_outcomes_with_estimated_cost() -> None:
    table: dict[str, Sequence[Any]] = {
        "prompt": ["four"], "strong": [True], "weak": ["False"], "weak_response": ["12345678"]
    }  # fmt: skip
    found = from_routellm({"mmlu/law": table}, price_per_mtok={"strong": 20.0, "weak": 1.0})
    assert found.score.tolist() == [[1, 0]] and found.tasks == ("mmlu/law",)
    assert found.cost[0].tolist() == pytest.approx([20e-6, 3e-6])


def test_the_zero_router_mixes_its_corners() -> None:
    found = pool(400)
    zero = Zero.fit(found)
    spend = float(found.cost.mean(axis=0)[[0, 1]].mean())
    cost, score = expected(zero, found, spend)
    assert zero.shares(spend) == pytest.approx({"cheap": 0.5, "dear": 0.5})
    assert cost == pytest.approx(spend) and score == pytest.approx(float(found.score[:, :2].mean()))


def test_single_models_are_settings_of_a_sweep() -> None:
    found = pool(50)
    assert np.array_equal(singles(found).quality, found.score)
