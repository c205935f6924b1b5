"""Outcomes: what each model of a pool answered to each query, how good it was and what it cost. Frozen tables.

In: a Parquet, CSV or JSONL file with a row per query and model (the toolkit's own layout), or the published files of
RouterBench (a table with a column per model) and of RouteLLM (a column of right and wrong per model). Out: `Outcomes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import RowsError
from toolkit.routing.examples import Examples
from toolkit.routing.frontier import Floats, Ints

FOLDS = 5
CHARACTERS_PER_TOKEN = 4
ROUTERBENCH_PROMPT, ROUTERBENCH_TASK, ROUTERBENCH_COST = "prompt", "eval_name", "|total_cost"
ROUTERBENCH_RESPONSE = "|model_response"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """n queries and k models of one pool: score 0..1 and cost in US dollars, (n, k) each.

    `fold` (n,) says how to cross-validate; queries that belong together share one. `responses` (n, k) are texts, empty
    where none is on record.
    """

    name: str
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    score: Floats
    cost: Floats
    fold: Ints
    responses: NDArray[np.object_] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n, k = len(self.queries), len(self.models)
        if not n or not k:
            raise RowsError(f"the pool {self.name!r} is empty")
        if self.score.shape != (n, k) or self.cost.shape != (n, k) or self.fold.shape != (n,):
            raise RowsError(f"the pool {self.name!r} has {n} queries and {k} models, but tables of another shape")
        for name in ("score", "cost"):
            if not np.isfinite(getattr(self, name)).all():
                row, column = np.argwhere(~np.isfinite(getattr(self, name)))[0]
                raise RowsError(
                    f"the pool {self.name!r} has no {name} of {self.models[column]} at {self.query_ids[row]}: "
                    "a pool must be complete, leave out that model or that query"
                )

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, rows: NDArray[Any]) -> Outcomes:
        """The queries at these places, or where a mask is true."""
        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            query_ids=tuple(self.query_ids[n] for n in at),
            queries=tuple(self.queries[n] for n in at),
            tasks=tuple(self.tasks[n] for n in at),
            score=self.score[at],
            cost=self.cost[at],
            fold=self.fold[at],
            responses=None if self.responses is None else self.responses[at],
        )

    def of_tasks(self, *starts: str) -> Outcomes:
        """The queries whose task begins with one of these words."""
        return self.take(np.array([task.startswith(starts) for task in self.tasks], dtype=bool))

    def examples(self) -> Examples:
        """What a router learns from."""
        return Examples(self.queries, self.tasks, self.models, self.score, self.cost)


def load_outcomes(path: Path | str, name: str) -> Outcomes:
    """The pool `name` of a table with the columns dataset, query_id, query, task, model, score, cost_usd, and, where
    there are, response and fold. Raises RowsError where the file or the pool is not as it should be."""
    import duckdb

    try:
        with duckdb.connect() as connection:
            source = f"from '{str(path).replace(chr(39), chr(39) * 2)}'"
            columns = {row[0] for row in connection.execute(f"describe select * {source}").fetchall()}
            wanted = [
                "query_id", "model", "query", "task", "score", "cost_usd",
                "response" if "response" in columns else "null",
                "fold" if "fold" in columns else "null",
            ]  # fmt: skip
            rows = connection.execute(
                f"select {', '.join(wanted)} {source} where dataset = ? order by query_id, model", [name]
            ).fetchall()
    except duckdb.Error as error:
        raise RowsError(f"cannot read outcomes from {path}: {error}") from error
    if not rows:
        raise RowsError(f"{path} has no dataset {name!r}")
    return _complete(name, rows)


def from_routerbench(table: Mapping[str, Sequence[Any]], *, name: str = "routerbench") -> Outcomes:
    """RouterBench's published table (arXiv 2403.12031) as columns: `prompt`, `eval_name`, and for each model m its
    score `m`, and its cost `m|total_cost`; `m|model_response` where there is one.

    A pickle of it is opened by whoever trusts it: `pandas.read_pickle(path)` gives the columns.
    """
    models = tuple(sorted(column[: -len(ROUTERBENCH_COST)] for column in table if column.endswith(ROUTERBENCH_COST)))
    lacking = [each for each in (ROUTERBENCH_PROMPT, ROUTERBENCH_TASK, *models) if each not in table]
    if lacking or not models:
        raise RowsError(f"not RouterBench's table: it lacks {', '.join(lacking) or 'any column m' + ROUTERBENCH_COST}")
    queries = tuple(_prompt(each) for each in table[ROUTERBENCH_PROMPT])
    ids = tuple(map(str, table["sample_id"])) if "sample_id" in table else tuple(map(str, range(len(queries))))
    told = [table.get(f"{model}{ROUTERBENCH_RESPONSE}") for model in models]
    return Outcomes(
        name,
        ids,
        queries,
        tuple(map(str, table[ROUTERBENCH_TASK])),
        models,
        np.column_stack([np.asarray(table[model], dtype=np.float64) for model in models]),
        np.column_stack([np.asarray(table[f"{model}{ROUTERBENCH_COST}"], dtype=np.float64) for model in models]),
        folds_of(queries),
        None if any(each is None for each in told) else np.array([list(map(str, e or ())) for e in told], object).T,
    )


def from_routellm(
    tables: Mapping[str, Mapping[str, Sequence[Any]]], *, price_per_mtok: Mapping[str, float], name: str = "routellm"
) -> Outcomes:
    """RouteLLM's published responses (arXiv 2406.18665), by task: `prompt`, and for each model whether it was right.

    Their files tell no cost: it is estimated as characters / 4 at the models' blended prices in US dollars per million
    tokens, of the prompt and of the model's response (`m_response`) where it is told.
    """
    models = tuple(price_per_mtok)
    parts = []
    for task, table in tables.items():
        lacking = [each for each in ("prompt", *models) if each not in table]
        if lacking:
            raise RowsError(f"RouteLLM's table {task!r} lacks {', '.join(lacking)}")
        for n, prompt in enumerate(table["prompt"]):
            said = [str((table.get(f"{model}_response") or [""] * (n + 1))[n]) for model in models]
            right = [float(_true(table[model][n])) for model in models]
            cost = [(len(str(prompt)) + len(s)) / CHARACTERS_PER_TOKEN * price_per_mtok[m] / 1e6
                    for m, s in zip(models, said, strict=True)]  # fmt: skip
            parts.append((f"{task}:{n}", str(prompt), task, right, cost, said))
    if not parts:
        raise RowsError("RouteLLM's tables are empty")
    ids, queries, tasks, score, cost_usd, responses = (tuple(each) for each in zip(*parts, strict=True))
    return Outcomes(
        name, ids, queries, tasks, models, np.array(score), np.array(cost_usd), folds_of(queries),
        np.array(responses, dtype=object),
    )  # fmt: skip


def folds_of(queries: Sequence[str], folds: int = FOLDS) -> Ints:
    """(n,) a fold for each query by the hash of its text, so that equal ones are held out together."""
    digests = (blake2b(query.strip().lower().encode(errors="replace"), digest_size=4).digest() for query in queries)
    return np.array([int.from_bytes(digest, "big") % folds for digest in digests], dtype=np.int64)


# ----------------------------------------------------------------------------------------------------------- helpers
def _complete(name: str, rows: Sequence[tuple[Any, ...]]) -> Outcomes:
    models = tuple(sorted({row[1] for row in rows}))
    by_query: dict[str, dict[str, tuple[Any, ...]]] = {}
    for row in rows:
        cells = by_query.setdefault(str(row[0]), {})
        if row[1] in cells:
            raise RowsError(f"the pool {name!r} has two rows of {row[1]} at {row[0]}")
        cells[row[1]] = row
    for query_id, cells in by_query.items():
        if absent := [model for model in models if model not in cells]:
            raise RowsError(f"the pool {name!r} has no row of {absent[0]} at {query_id}: a pool must be complete")
    first = [cells[models[0]] for cells in by_query.values()]
    queries = tuple(str(row[2]) for row in first)
    table = [[cells[model] for model in models] for cells in by_query.values()]
    number = [
        [[float("nan") if cell[n] is None else float(cell[n]) for cell in line] for line in table] for n in (4, 5)
    ]
    known_folds = all(row[7] is not None for row in first)
    fold = np.array([int(row[7]) for row in first], np.int64) if known_folds else folds_of(queries)
    told = np.array([[cell[6] or "" for cell in line] for line in table], dtype=object)
    return Outcomes(
        name, tuple(by_query), queries, tuple(str(row[3] or "") for row in first), models,
        np.array(number[0]), np.array(number[1]), fold, told,
    )  # fmt: skip


def _prompt(told: Any) -> str:
    """RouterBench tells prompts as text, or as the text of a list with one text."""
    text = told[0] if isinstance(told, list | tuple) and told else told
    return str(text)


def _true(told: Any) -> bool:
    return told.strip().lower() == "true" if isinstance(told, str) else bool(told)
