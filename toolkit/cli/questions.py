"""What the commands ask of the history: named statements, and the records that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.errors import RunError
from toolkit.ledger.reading import History
from toolkit.ledger.table import Table
from toolkit.run_names import chosen

SHOWN_FAILURES = 3

RUN_NAMES = "select id from runs order by started_at desc, id desc"
RUNS = """
    select s.run_id, s.workflow, s.origin, s.status, s.rows_total, s.answered, s.parked, s.failed, s.set_aside,
        s.attempts, s.errors, s.cost_usd, s.seconds, s.started_at, epoch(now() - s.as_of) as quiet_seconds
    from run_summary s order by s.started_at desc, s.run_id desc"""
CALLS = """
    select count(*) as calls, count(error_type) as errors, sum(cost_usd) as cost_usd,
        count(*) filter (cost_usd is null and error_type is null) as unpriced
    from attempts"""
ROWS_BY_STATUS = "select status, count(*) from rows where parent_row_id is null group by status"
SETTLED = """
    select * from answers
    qualify row_number() over (partition by run_id, row_id, step, turn, repeat order by answered_at desc) = 1"""
STEPS = f"""
    with tried as (
        select step, model, count(*) as calls, count(error_type) as errors,
            quantile_cont(service_seconds, 0.5) as p50_seconds, quantile_cont(service_seconds, 0.95) as p95_seconds,
            quantile_cont(wait_seconds, 0.95) as p95_wait_seconds, sum(cost_usd) as cost_usd,
            count(*) filter (cost_usd is null and error_type is null) as unpriced, min(id) as first
        from attempts group by step, model
    ), settled as ({SETTLED}), ended as (
        select step, model, count(*) filter (reused_from is null) as answers, count(reused_from) as reused,
            min(answered_at) as first_answer
        from settled where status = 'answered' group by step, model
    )
    select split_part(coalesce(t.step, e.step), '/', -1) as step, coalesce(t.model, e.model) as model,
        coalesce(t.calls, 0) as calls, coalesce(t.errors, 0) as errors, coalesce(e.answers, 0) as answers,
        coalesce(e.reused, 0) as reused, t.p50_seconds, t.p95_seconds, t.p95_wait_seconds, t.cost_usd,
        coalesce(t.unpriced, 0) as unpriced
    from tried t full join ended e on t.step = e.step and t.model is not distinct from e.model
    order by min(e.first_answer) over (partition by coalesce(t.step, e.step)) nulls last, 1, t.first nulls last, 2"""
QUALITY = """
    select split_part(g.step, '/', -1) as step, g.model, g.grader, avg(g.value) as mean, count(*) as n
    from grades g join rows r on r.run_id = g.run_id and r.row_id = g.row_id
    where g.value is not null and g.grader <> 'Confidence()' and ($split is null or r.fields ->> 'split' = $split)
    group by all order by 1, 2, 3"""
SPLITS = "select fields ->> 'split', count(*) from rows where parent_row_id is null group by 1"
MIX = f"""
    with chosen as (
        select step, choice as model, count(*) as chosen, count(*) filter (reason like 'explored%') as explored
        from decisions group by all
    ), settled as ({SETTLED}), moves as (
        select step, model, why from attempts union all select step, model, reason from settled where status = 'parked'
    ), climbed as (
        select step, model, count(*) filter (why like 'escalated%') as escalated,
            count(*) filter (why like 'fallback%') as fallback
        from moves where model is not null group by all
    )
    select split_part(step, '/', -1) as step, model, coalesce(c.chosen, 0) as chosen,
        coalesce(c.explored, 0) as explored, coalesce(e.escalated, 0) as escalated, coalesce(e.fallback, 0) as fallback
    from chosen c full join climbed e using (step, model) order by step, chosen desc, model"""
PROBLEMS = f"""
    with settled as ({SETTLED})
    select split_part(step, '/', -1) as step, status, any_value(reason) as reason, count(*) as times,
        list(row_id order by row_id)[1:3] as examples
    from settled where status in ('failed', 'parked') and reason not like 'needs %'
    group by step, status, regexp_replace(reason, '[0-9]+([.,][0-9]+)?', '#', 'g')
    union all
    select '', status, any_value(reason), count(*), list(row_id order by "index")[1:3]
    from rows where status = 'set_aside' group by status, regexp_replace(reason, '[0-9]+|''[^'']*''', '#', 'g')
    order by 2, 4 desc, 1"""
ERRORS = """
    select split_part(step, '/', -1) as step, model, error_type, attempts, rows_affected, last_message
    from failures order by attempts desc, step, model"""
WAITING = """
    select row_id, split_part(step, '/', -1) as step, why, question, waiting_since
    from waiting order by waiting_since, row_id"""
FAILED = f"""
    with settled as ({SETTLED})
    select row_id, split_part(step, '/', -1), reason from settled
    where status = 'failed' and reason not like 'needs %' order by row_id, step"""


@dataclass(frozen=True)
class Outcome:
    """How a run went by its record. `cost_usd` is the sum of what is known, `unpriced` counts calls of unknown cost."""

    status: str
    rows: Mapping[str, int]
    calls: int
    errors: int
    cost_usd: float | None
    unpriced: int
    failures: tuple[str, ...]


def outcome_of(history: History, run_id: str) -> Outcome:
    """The outcome of a run; `failures` are sentences, the first few of them."""
    status = history.sql("select status from runs", run_id=run_id).rows
    counted: dict[str, int] = dict(history.sql(ROWS_BY_STATUS, run_id=run_id).rows)
    calls, errors, cost_usd, unpriced = history.sql(CALLS, run_id=run_id).rows[0]
    failed = history.sql(FAILED, run_id=run_id).rows
    failures = [f"{_who(row_id)}{step} failed: {_short(reason)}" for row_id, step, reason in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        failures.append(f"and {len(failed) - SHOWN_FAILURES:,} more")
    return Outcome(
        status=status[0][0] if status else "unknown",
        rows={name: counted.get(name, 0) for name in ("answered", "parked", "failed", "set_aside")},
        calls=calls,
        errors=errors,
        cost_usd=cost_usd if calls else 0.0,
        unpriced=unpriced,
        failures=tuple(failures),
    )


def named(history: History, wanted: str) -> str:
    """The whole name of a run that may be cut short. Raises RunError where there is none, or no record at all."""
    if not (history.home / "journal.db").exists() and not (history.home / "history.duckdb").exists():
        raise RunError(f"there is no record in {history.home}; run something first, or name another --home")
    return chosen(wanted, history.sql(RUN_NAMES).column("id"), home=history.home)


def records(table: Table) -> list[dict[str, Any]]:
    """A table's rows by the names of their columns."""
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _who(row_id: str) -> str:
    return "" if row_id == "*" else f"row {row_id}, "


def _short(reason: str, characters: int = 200) -> str:
    reason = " ".join(reason.split())
    return reason if len(reason) <= characters else reason[: characters - 1] + "…"
