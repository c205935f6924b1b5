"""`python -m evals.record.size`: questions over millions of attempts, in a file made for it and deleted again."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from evals.record.generate import ATTEMPTS, generate
from evals.record.telling import Figure, figures_table, footer, where, write
from toolkit.ledger import History
from toolkit.ledger.homes import HISTORY

REPEATS = 5
COSTS = """
    select step, model, count(*), quantile_cont(service_seconds, [0.5, 0.95]), sum(cost_usd)
    from attempts group by step, model order by all"""
RUNS = """
    select r.id, r.origin, r.started_at, a.calls, a.cost_usd, a.errors
    from runs r join (
        select run_id, count(*) as calls, sum(cost_usd) as cost_usd, count(error_type) as errors
        from attempts group by run_id
    ) a on a.run_id = r.id order by r.id"""
SEARCH = "select count(*) from contents where contains(body, 'refunded the parcel')"
ATTEMPT = "select * from attempts where id = $id"
SQL = "select model, calls, cost_usd from model_costs order by cost_usd desc limit 3"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.record.size", description="Questions over a large history.")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS)
    parser.add_argument("--home", type=Path, help="a folder with a generated history.duckdb, which is kept")
    parser.add_argument("--quick", action="store_true", help="100,000 attempts, and no file is written")
    given = parser.parse_args()
    about = where()
    with tempfile.TemporaryDirectory(prefix="toolkit-size-") as folder:
        home = given.home or Path(folder)
        if given.home is None:
            generate(home / HISTORY, attempts=100_000 if given.quick else given.attempts)
        size = (home / HISTORY).stat().st_size
        counts = dict(History(home).sql(COUNTS).rows)
        figures = [*_on_a_connection(home / HISTORY), *_through_the_reader(home), *_on_the_command_line(home)]
    text = "\n\n".join(
        [
            "# Questions over a large history",
            f"{counts['attempts']:,} attempts of {counts['runs']:,} runs, {counts['contents']:,} contents of about 1.5 "
            f"kB, {counts['decisions']:,} decisions, {counts['answers']:,} answers and {counts['rows']:,} rows, in "
            f"{size / 1e9:.2f} GB (`python -m evals.record.generate`). Wall seconds, the best of {REPEATS}, with the "
            "file in the system's cache. `python -m evals.record.size` measures again.",
            figures_table(figures),
            footer(about),
        ]
    )
    print(text)
    if not given.quick:
        told = {**about, "rows": counts, "bytes": size, "figures": [figure.told for figure in figures]}
        write("size", text + "\n", told)


COUNTS = " union all ".join(
    f"select '{name}', count(*) from {name}"
    for name in ("runs", "rows", "decisions", "attempts", "answers", "contents")
)


def _on_a_connection(path: Path) -> list[Figure]:
    """Questions to the plain file, as any DuckDB client asks them."""
    with duckdb.connect(str(path), read_only=True) as connection:

        def ask(query: str, *given: Any) -> Callable[[], object]:
            return lambda: connection.execute(query, *given).fetchall()

        one = {
            "id": connection.execute(
                "select id from attempts limit 1 offset 1234567 % (select count(*) from attempts)"
            ).fetchall()[0][0]
        }
        return [
            Figure("costs", "calls, p50 and p95 seconds, cost by step and model", _best(ask(COSTS)), "s", 0.5),
            Figure("one", "one attempt by its id, on an open connection", 1000 * _best(ask(ATTEMPT, one)), "ms", 10),
            Figure("runs", "attempts by run, joined with the runs", _best(ask(RUNS)), "s", 0.2),
            Figure("search", "a substring, searched in all texts", _best(ask(SEARCH)), "s", 1.5),
            Figure("view", "the view model_costs", _best(ask("select * from model_costs")), "s"),
            Figure("timings", "the view step_timings", _best(ask("select * from step_timings")), "s"),
        ]


def _through_the_reader(home: Path) -> list[Figure]:
    """The same file through `History.sql`, which opens and closes it each time."""
    history = History(home)
    one = history.sql("select max(id) as id from attempts").rows[0][0]
    return [
        Figure(
            "reader",
            "one attempt by its id, by History.sql",
            1000 * _best(lambda: history.sql(ATTEMPT, {"id": one})),
            "ms",
            60,
        ),
        Figure("reader_costs", "the first question, by History.sql", _best(lambda: history.sql(COSTS)), "s"),
    ]


def _on_the_command_line(home: Path) -> list[Figure]:
    """`toolkit sql` as a process, from prompt to answer: user and system CPU."""
    command = [sys.executable, "-m", "toolkit.cli", "sql", "--home", str(home), "--format", "json"]
    seconds = {}
    for name, query in (("small", "select count(*) as runs from runs"), ("large", SQL)):
        spent = []
        for _ in range(REPEATS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([*command, query], capture_output=True, text=True, check=True, env=dict(os.environ))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert json.loads(done.stdout), query
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        seconds[name] = min(spent)
    return [
        Figure("cli", "`toolkit sql`, a small question: CPU of the process", seconds["small"], "s", 0.6),
        Figure("cli_costs", "`toolkit sql` over model_costs: CPU of the process", seconds["large"], "s"),
    ]


def _best(ask: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
