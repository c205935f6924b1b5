"""The same from a file: a history of n decisions by an exploring router with scores of its own for each, in two runs
over the same rows, each graded.

Straight into a file with our schema, by DuckDB itself, as `evals.record.generate` does.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

import toolkit as tk
from toolkit.ledger import History
from toolkit.ledger.history.file import open_to_write
from toolkit.records import content_hash

REQUESTS = 20_000
RATE = 0.3


def compare_runs(home: str) -> str:
    """Quality, cost and time of the two runs, row by row."""
    return str(tk.compare(History(home), runs=("run-0", "run-1")))


def suppose_routers(home: str) -> str:
    """What two other routers would have been worth."""
    routers = {"large": tk.Fixed("large"), "any": tk.Uniform("small", "large")}
    return str(tk.counterfactual(History(home), routers, step="reply"))


def made(folder: Path, decisions: int) -> Path:
    """That history in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(":memory:")
    with open_to_write(connection, folder / "history.duckdb"):
        connection.execute("use history")
        connection.execute("create table memory.requests (number BIGINT, hash VARCHAR)")
        bodies = [
            f'{{"messages":[{{"parts":[{{"text":"Ticket {n}: where is parcel {n * 7919 % 104729}?","type":"text"}}],'
            '"role":"user"}]}'
            for n in range(REQUESTS)
        ]
        hashes = [content_hash(body.encode()) for body in bodies]
        connection.execute(
            "insert into contents by name select unnest($1) as hash, unnest($2) as body", [hashes, bodies]
        )
        connection.execute(
            "insert into memory.requests select unnest(range(len($1))) as number, unnest($1) as hash", [hashes]
        )
        for statement in STATEMENTS:
            connection.execute(statement.format(decisions=decisions, requests=REQUESTS, rate=RATE))
        connection.execute("use memory")
    connection.close()
    return folder


STATEMENTS = (
    """
    create table memory.made as
    select n, 'run-' || (n % 2) as run_id, printf('row-%07d', n // 2) as row_id, 'desk/reply' as step,
        printf('%032x', n) as id, (n // 2) % {requests} as request,
        (hash(n, 1) % 1000000) / 1e6 as a, (hash(n, 2) % 1000000) / 1e6 as b, (hash(n, 3) % 1000000) / 1e6 as c,
        if(a < 1 - {rate} / 2, 'small', 'large') as model,
        timestamptz '2026-01-01 00:00:00+00' + to_milliseconds(n) as at_time
    from range({decisions}) t(n)""",
    """
    insert into runs by name
    select run_id as id, 'desk' as workflow, 'python' as origin, min(at_time) as started_at, 'finished' as status,
        max(at_time) as finished_at, count(*) as rows_total, 1 as seed, '{{}}' as settings
    from memory.made group by run_id order by run_id""",
    """
    insert into rows by name
    select run_id, row_id, n // 2 as index, 'answered' as status, '{{"ticket":' || (n // 2) || '}}' as fields,
        '' as reason, 1.0 as seconds, if(model = 'small', 0.001, 0.01) as cost_usd, at_time as finished_at
    from memory.made order by n""",
    """
    insert into decisions by name
    select m.id, run_id, row_id, step, 0 as turn, 0 as repeat, r.hash as request_hash, model as choice,
        if(model = 'small', 1 - {rate} / 2, {rate} / 2) as probability, 'exploring' as reason,
        'Explore(Ladder("small", "large"), rate={rate})' as router, 'exact' as probabilities,
        {rate} as exploration_rate, n as seed, ['small', 'large'] as candidate_order,
        '[{{"model":"small","score":' || round(b, 4) || ',"probability":' || (1 - {rate} / 2)
            || ',"expected_cost_usd":0.001,"verdicts":[]}},{{"model":"large","score":' || round(c, 4)
            || ',"probability":' || ({rate} / 2) || ',"expected_cost_usd":0.01,"verdicts":[]}}]' as candidates
    from memory.made m join memory.requests r on r.number = m.request order by n""",
    """
    insert into answers by name
    select run_id, row_id, step, 0 as turn, 0 as repeat, md5(id) as key, 'answered' as status, '"fine"' as value,
        '' as reason, model, id as attempt_id, 1 as attempts,
        if(model = 'small', 0.001, 0.01) * (0.5 + c) as cost_usd, 0.5 + b as seconds, at_time as answered_at
    from memory.made order by n""",
    """
    insert into grades by name
    select md5(id) as id, run_id, row_id, step, 0 as turn, 0 as repeat, id as attempt_id, model,
        'Right()' as grader, 'assertion' as kind, if(b < if(model = 'small', 0.70, 0.85), 1.0, 0.0) as value,
        '' as reason, 'code' as graded_by
    from memory.made order by n""",
)
