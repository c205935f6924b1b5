"""`python -m evals.record.generate FILE`: a history of millions of attempts, the same for the same seed.

Straight into a file with our schema, by DuckDB itself; the journal has no part in it. A run has a fleet of four models
and four steps; rows go through the steps in time, some attempts fail and are tried again, some answers are reused.
Rows lie on the disk as a merge would have put them there: in the order of their time.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import duckdb
import numpy
import pandas

from evals.record.calls import vocabulary
from toolkit.ledger.history.file import open_to_write
from toolkit.records import content_hash

ATTEMPTS, ATTEMPTS_OF_RUN, ATTEMPTS_OF_OUTPUT, OUTPUTS_OF_REQUEST = 5_000_000, 10_000, 5, 4
_FRAMES = {
    "output": "Output {number}: {text}",
    "request": '{{"messages":[{{"parts":[{{"text":"Request {number}: {text}","type":"text"}}],"role":"user"}}]}}',
}
_PHRASES, _PHRASES_OF_TEXT, _TEXTS_AT_ONCE = 20_000, 62, 20_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.record.generate", description="A large history.")
    parser.add_argument("file", type=Path, help="the history.duckdb to make")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    generate(given.file, attempts=given.attempts, seed=given.seed)
    print(f"{given.attempts:,} attempts, {given.file.stat().st_size / 1e9:.2f} GB, {time.monotonic() - began:.0f} s")


def generate(path: Path, *, attempts: int = ATTEMPTS, of_run: int = ATTEMPTS_OF_RUN, seed: int = 1) -> None:
    """Make that history; there must be none."""
    outputs = max(1, attempts // ATTEMPTS_OF_OUTPUT)
    connection = duckdb.connect(":memory:", config={"temp_directory": str(path.parent / ".duckdb-spill")})
    with open_to_write(connection, path):
        connection.execute("use history")
        _texts(connection, "output", outputs, seed=seed)
        _texts(connection, "request", max(1, outputs // OUTPUTS_OF_REQUEST), seed=seed + 1)
        for statement in TRIED, RUNS, ROWS, DECISIONS, ATTEMPTED, ANSWERS:
            connection.execute(statement.format(attempts=attempts, run=of_run, seed=seed))
        connection.execute("use memory")
    connection.close()


def _texts(connection: duckdb.DuckDBPyConnection, kind: str, count: int, *, seed: int) -> None:
    """Texts of about 1.5 kB in `contents`, and their hashes by number in a table `<kind>s` in memory."""
    chance = random.Random(seed)
    words = vocabulary(chance)
    phrases = [" ".join(chance.choices(words, k=chance.randint(2, 5))) for _ in range(_PHRASES)]
    picks = numpy.random.default_rng(seed)
    connection.execute(f"create table memory.{kind}s (number BIGINT, hash VARCHAR)")
    for first in range(0, count, _TEXTS_AT_ONCE):
        size = (min(_TEXTS_AT_ONCE, count - first), _PHRASES_OF_TEXT)
        bodies = [
            _FRAMES[kind].format(number=number, text=" ".join([phrases[place] for place in picked]))
            for number, picked in enumerate(picks.integers(0, _PHRASES, size).tolist(), first)
        ]
        hashes = [content_hash(body.encode()) for body in bodies]
        numbers = range(first, first + len(bodies))
        frame = pandas.DataFrame({"number": numbers, "hash": hashes, "body": bodies})
        connection.register("frame", frame)
        connection.execute("insert into contents by name select hash, body from frame")
        connection.execute(f"insert into memory.{kind}s select number, hash from frame")
        connection.unregister("frame")


# Every tenth request fails at first and is tried again; `asked` counts requests, `number` attempts.
TRIED = """
    create table memory.tried as
    select n as number, n - (n + 1) // 11 as asked, n % 11 = 10 as again, n % 11 = 9 as failed,
        (hash(n, {seed}) % 1000000) / 1e6 as a, (hash(n, {seed} + 1) % 1000000) / 1e6 as b,
        (hash(n, {seed} + 2) % 1000000 + 1) / 1e6 as c,
        timestamptz '2026-01-01 00:00:00+00' + to_milliseconds(n * 400) as at_time,
        printf('run-%06d', n // {run}) as run_id, printf('row-%07d', asked // 4) as row_id,
        'support/' || ['triage', 'vector', 'reply', 'check'][asked % 4 + 1] as step,
        if(a < 0.7, 'small', if(a < 0.9, 'large', if(a < 0.97, 'code', 'person'))) as model,
        asked % (select count(*) from memory.requests) as request,
        asked % (select count(*) from memory.outputs) as output
    from range({attempts}) t(n)"""
RUNS = """
    insert into runs by name
    select run_id as id, 'support' as workflow, if(hash(run_id) % 5 = 0, 'notebook', 'prefect') as origin,
        min(at_time) as started_at, 'finished' as status, max(at_time) + interval 5 second as finished_at,
        count(*) // 5 as rows_total, 1 as seed, '{{"limit": null}}' as settings
    from memory.tried group by run_id order by run_id"""
DECISIONS = """
    insert into decisions by name
    select printf('%016x%016x', epoch_ns(at_time) - 1000, asked) as id, run_id, row_id, step, 0 as turn, 0 as repeat,
        r.hash as request_hash, model as choice, if(a < 0.7, 0.9, 0.1) as probability, 'the first that fits' as reason,
        'Explore(Ladder("small", "large", "person"), rate=0.1)' as router, 'exact' as probabilities,
        0.1 as exploration_rate, asked as seed, ['small', 'large', 'person'] as candidate_order,
        '[{{"model":"small","probability":0.9,"score":' || round(b, 4) || ',"verdicts":[]}},'
            || '{{"model":"large","probability":0.1,"score":' || round(a, 4) || ',"verdicts":[]}}]' as candidates
    from memory.tried t join memory.requests r on r.number = t.request where not again order by t.number"""
ATTEMPTED = """
    insert into attempts by name
    select printf('%016x%016x', epoch_ns(at_time), t.number) as id, run_id, row_id, step, 0 as turn, 0 as repeat,
        printf('%016x%016x', epoch_ns(at_time) - 1000, asked) as decision_id, if(again, 2, 1) as number,
        if(again, 'retry', 'first') as why, model, 'openai' as provider_name, 'chat' as operation_name,
        if(a < 0.7, 'qwen3:4b', 'gpt-4o') as request_model, r.hash as request_hash,
        if(failed, null, o.hash) as output_hash, at_time as started_at, 0.02 * b as wait_seconds,
        if(model = 'small', 0.8, 2.5) * exp(0.6 * sqrt(-2 * ln(c)) * cos(2 * pi() * b)) as service_seconds,
        300 + (2000 * b)::BIGINT as input_tokens, 20 + (700 * a)::BIGINT as output_tokens,
        100 as cache_read_input_tokens, if(failed or a > 0.97, null, 0.00002 + 0.01 * a * b) as cost_usd,
        cost_usd as computed_cost_usd, 'models.toml' as price_version, if(failed, null, ['stop']) as finish_reasons,
        a as confidence,
        if(failed, ['rate_limited', 'timeout', 'invalid_output'][(a * 3)::INT % 3 + 1], null) as error_type,
        if(failed, 'it failed after ' || round(b, 3) || ' s', null) as error_message
    from memory.tried t join memory.requests r on r.number = t.request join memory.outputs o on o.number = t.output
    order by t.number"""
ANSWERS = """
    insert into answers by name
    select run_id, row_id, step, turn, repeat, md5(id) as key, 'answered' as status,
        '{{"intent":"refund","n":' || input_tokens || '}}' as value, '' as reason, model, id as attempt_id,
        number as attempts, cost_usd, service_seconds as seconds,
        started_at + to_seconds(service_seconds) as answered_at
    from attempts where error_type is null order by id"""
ROWS = """
    insert into rows by name
    select min(run_id) as run_id, row_id, asked // 4 as index,
        if(hash(row_id) % 50 = 0, 'failed', 'answered') as status, '{{"ticket":"number ' || row_id || '"}}' as fields,
        '' as reason, 5.0 as seconds, 0.004 as cost_usd, max(at_time) as finished_at
    from memory.tried group by asked // 4, row_id order by asked // 4"""


if __name__ == "__main__":
    main()
