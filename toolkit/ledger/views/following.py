"""What whoever follows a run asks again and again: what has happened since, and what became of rows. Columns are named.

Asked of one run (`History.sql(..., run_id=...)`); `$since` is the moment up to which all is known.
"""

from __future__ import annotations

EVENTS_SINCE = """
    select name, happened_at, about from events where happened_at > $since::TIMESTAMPTZ order by happened_at, name"""
ROWS_LOST_SINCE = """
    select row_id, status, reason, finished_at from rows
    where status in ('failed', 'set_aside') and parent_row_id is null and finished_at > $since::TIMESTAMPTZ
    order by finished_at, row_id"""
PAID = """
    select split_part(step, '/', -1) as step, model, sum(cost_usd) as cost_usd from model_costs
    where cost_usd is not null group by all order by step, model"""
WORTH = """
    with judged as (
        select attempt_id, min(value) as grade from grades
        where attempt_id is not null and value is not null group by attempt_id
    ), known as (
        select split_part(t.step, '/', -1) as step, t.model, t.cost_usd, j.grade,
            coalesce(j.grade, t.confidence) as quality
        from attempts t left join judged j on j.attempt_id = t.id
        where t.error_type is null and t.operation_name = 'chat'
    )
    select step, model, count(*) as answers, count(grade) as graded, avg(cost_usd) as cost_usd,
        avg(quality) as quality, coalesce(1.96 * stddev_samp(quality) / sqrt(count(quality)), 0) as either_way
    from known where quality is not null and cost_usd is not null group by step, model order by step, cost_usd, model"""
PASSED = """
    select run_id, happened_at from events
    where name = 'toolkit.gate.passed' and about ->> 'suite' = $suite
    and run_id in (select id from runs) order by happened_at desc limit 1"""
INTERRUPTED = "select id from runs where status = 'interrupted' order by started_at desc, id desc"
"""Those of killed processes among them, which the journal alone still calls running."""
