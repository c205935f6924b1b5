"""Recorded answers of real models, played back through the engine, and the history checked against the table.

    TOOLKIT_OUTCOMES=folder python flows/benchmark.py [pool]       # a dataset of outcomes.parquet, e.g. routerbench

In: `outcomes.parquet`, one row per query and model with score and cost. Each model alone, one drawn at random and the
cheapest answer all queries of the pool, each router in a flow run of its own. Out: a table of mean quality and total
cost, once as history.duckdb has them and once straight from the file. Exit code 1 where they differ, 2 where there is
no such file.

How they are compared: both sides are summed by `math.fsum`, whose result is the exact sum, correctly rounded, and does
not depend on the order; so the two must agree to the last digit. A relative difference of up to 1e-12 is let pass.
What the file's side rests on: for one model alone, on the file and nothing else; for the cheapest, on the cheapest
model by the file's own mean costs; for the random one, on the choices in the decision records, whose frequencies must
be those of a fair draw.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

import toolkit as tk
from toolkit.errors import SetupError
from toolkit.ledger import Table
from toolkit.money.prices import Price
from toolkit.routing import Router
from toolkit.rows import open_rows

POOL = "routerbench"
SEED = 20_260_630
TOLERANCE = 1e-12
SIGMAS = 5.0
NO_TEXT = "(no text on record)"


@tk.step(route=tk.Cheapest(), grade=tk.grading.Recorded())
def answer(query_id: str, query: str) -> tk.Request:
    return tk.prompt("Answer.", query_id=query_id, query=query)


answering = tk.Workflow("benchmark", [answer], row_id="query_id")

Asked = Callable[[Router], Callable[[str], Table]]
"""Lets a router answer all queries; gives SQL over the run that it was."""


@dataclass(frozen=True)
class Pool:
    """The outcomes of one dataset: (score, cost in US dollars) by query and model."""

    name: str
    outcomes: Mapping[str, Mapping[str, tuple[float, float]]]
    table: Path

    @classmethod
    def load(cls, path: Path, name: str, *, limit: int | None = None, folder: Path) -> Pool:
        """Read a dataset. Its rows are copied to `folder` for the engine, with a word where an answer has no text."""
        table = folder / f"{name}.parquet"
        source = f"from '{path}' where dataset = $name"
        with duckdb.connect() as connection:
            rows = connection.execute(f"select query_id, model, score, cost_usd {source} order by all", {"name": name})
            outcomes: dict[str, dict[str, tuple[float, float]]] = {}
            for query_id, model, score, cost_usd in rows.fetchall():
                outcomes.setdefault(query_id, {})[model] = (score, cost_usd)
            if not outcomes:
                raise SetupError(f"{path} has no dataset {name!r}")
            text = f"coalesce(nullif(trim(response), ''), '{NO_TEXT}') as response"
            connection.execute(
                f"copy (select * replace ({text}) {source}) to '{table}.tmp' (format parquet)", {"name": name}
            )
        Path(f"{table}.tmp").rename(table)
        return cls(name, dict(list(outcomes.items())[:limit]), table)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(next(iter(self.outcomes.values())))

    @property
    def queries(self) -> str:
        """The rows of the run, as a query."""
        last = max(self.outcomes)
        return (
            f"select query_id, any_value(query) as query from '{self.table}' where query_id <= '{last}' "
            "group by query_id order by query_id"
        )

    def mean_cost(self, model: str) -> float:
        return math.fsum(outcome[model][1] for outcome in self.outcomes.values()) / len(self.outcomes)

    def fleet(self) -> tk.Fleet:
        """Every model of the pool, played back; what it asks per request is the mean of what it took."""
        settings = {"table": str(self.table), "key": "query_id", "dataset": self.name}
        return tk.Fleet.of(
            *(
                tk.ModelSpec(m, "recorded", m, price=Price(request=self.mean_cost(m)), settings=settings)
                for m in self.models
            )
        )


@dataclass(frozen=True)
class Measured:
    """Quality and cost of a router, by the history and by the table; `fault` says what else is wrong."""

    router: str
    queries: int
    quality: float
    quality_of_table: float
    cost_usd: float
    cost_usd_of_table: float
    fault: str = ""

    @property
    def equal(self) -> bool:
        return (
            not self.fault
            and math.isclose(self.quality, self.quality_of_table, rel_tol=TOLERANCE)
            and math.isclose(self.cost_usd, self.cost_usd_of_table, rel_tol=TOLERANCE)
        )


def routers(models: Sequence[str]) -> tuple[Router, ...]:
    """What is measured: each model alone, any at random, the cheapest."""
    return (*map(tk.Fixed, models), tk.Uniform(), tk.Cheapest())


def measure(pool: Pool, router: Router, sql: Callable[[str], Table]) -> Measured:
    """What the history says of a run, and what the table says of the same choices."""
    graded = sql("select value from grades where grader = 'Recorded()'").column("value")
    costs = sql("select cost_usd from attempts where error_type is null").column("cost_usd")
    served: dict[str, str] = dict(sql("select row_id, choice from decisions").rows)
    expected = _expected(pool, router, served)
    outcomes = [pool.outcomes[query_id][model] for query_id, model in expected.items()]
    counted = (len(graded), len(costs), len(served))
    fault = _unlike(expected, served) or _unfair(pool, router, served)
    if counted != (len(outcomes),) * 3:
        fault = f"grades, attempts, decisions: {counted}, queries: {len(outcomes)}"
    return Measured(
        repr(router),
        len(outcomes),
        math.fsum(graded) / max(len(graded), 1),
        math.fsum(score for score, _ in outcomes) / len(outcomes),
        math.fsum(costs),
        math.fsum(cost for _, cost in outcomes),
        fault,
    )


def _expected(pool: Pool, router: Router, served: Mapping[str, str]) -> Mapping[str, str]:
    """Who must have answered each query, by the table alone where that can be known."""
    if isinstance(router, tk.Fixed):
        return dict.fromkeys(pool.outcomes, router.model)
    if isinstance(router, tk.Cheapest):
        return dict.fromkeys(pool.outcomes, min(pool.models, key=pool.mean_cost))
    return {query_id: served[query_id] for query_id in pool.outcomes if query_id in served}


def _unlike(expected: Mapping[str, str], served: Mapping[str, str]) -> str:
    wrong = [query_id for query_id, model in expected.items() if served.get(query_id) != model]
    return f"{len(wrong)} queries went elsewhere, first {wrong[0]}" if wrong else ""


def _unfair(pool: Pool, router: Router, served: Mapping[str, str]) -> str:
    """Where a fair draw would give a model a count so far off less than once in a million."""
    if not isinstance(router, tk.Uniform):
        return ""
    chance, counts = 1 / len(pool.models), Counter(served.values())
    expected, spread = len(served) * chance, math.sqrt(len(served) * chance * (1 - chance))
    off = [m for m in pool.models if abs(counts[m] - expected) > SIGMAS * spread]
    return f"drawn {counts[off[0]]} times, not about {expected:.0f}: {off[0]}" if off else ""


# ------------------------------------------------------------------------------------------------------------ running
def under_prefect(pool: Pool, home: Path) -> Asked:
    """Each router in a flow run of its own."""
    from toolkit.orchestration import as_flow

    name = f"benchmark {pool.name}"
    flow = as_flow(answering, fleet=pool.fleet(), rows=open_rows(pool.queries), chunk_size=1000, name=name)

    def asked(router: Router) -> Callable[[str], Table]:
        return flow(router=repr(router), home=str(home), fresh=True, seed=SEED).sql

    return asked


def measured(pool: Pool, asked: Asked) -> Iterator[Measured]:
    """All routers, one after the other."""
    for router in routers(pool.models):
        yield measure(pool, router, asked(router))


def shown(rows: Sequence[Measured]) -> str:
    """The results as a table of text."""
    head = ("router", "queries", "quality: history", "table", "cost USD: history", "table", "equal")
    cells = [
        (
            row.router,
            f"{row.queries:,}",
            *(f"{value:.15g}" for value in (row.quality, row.quality_of_table, row.cost_usd, row.cost_usd_of_table)),
            "yes" if row.equal else f"NO {row.fault}",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
    lines = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (head, *cells))
    return "\n".join("  ".join(line).rstrip() for line in lines)


def main(pool: str = POOL) -> int:
    """Measure all routers; 0 where history and table agree, 1 where not, 2 where there is nothing to measure."""
    from toolkit.orchestration import local_server

    outcomes = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"
    if not outcomes.exists():
        print(
            "TOOLKIT_OUTCOMES must name a folder with outcomes.parquet, recorded answers of models "
            f"(looked for {outcomes})",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="toolkit-benchmark-") as folder:
        try:
            loaded = Pool.load(outcomes, pool, folder=Path(folder))
        except SetupError as error:
            print(error, file=sys.stderr)
            return 2
        with local_server():
            rows = list(measured(loaded, under_prefect(loaded, Path(folder))))
    print(shown(rows))
    return 0 if all(row.equal for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
