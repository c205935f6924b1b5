"""What whoever watches a run asks of the record: statements by name, with listed columns.

Those of the history are asked of one run (`History.laid_over(..., run_id=...)`), those of the journal of all runs.
"""

from __future__ import annotations

from toolkit.ledger.views.view import OF_MODELS

# -------------------------------------------------------------------------------------------------------- the history
RUN = """
    select s.workflow, s.origin, s.status, s.rows_total, s.answered, s.parked, s.failed, s.set_aside,
        s.attempts as calls, s.errors, s.cost_usd, s.started_at, s.finished_at, s.as_of as last_at, r.settings
    from run_summary s join runs r on r.id = s.run_id"""
UNPRICED = f"select count(*) from attempts where {OF_MODELS} and cost_usd is null and error_type is null"
ENDED_SINCE = "select count(*) from rows where parent_row_id is null and finished_at > $since"
ENDED_OF = "select count(*) from rows where list_contains($rows, row_id)"
SLOWEST = f"""
    select model, count(*) as calls, quantile_cont(service_seconds, 0.5) as p50_seconds,
        quantile_cont(service_seconds, 0.95) as p95_seconds, quantile_cont(wait_seconds, 0.95) as p95_wait_seconds
    from attempts where {OF_MODELS} and error_type is null and service_seconds is not null
    group by model order by p95_seconds desc, model limit 1"""
FAULTS = """
    select * from (
        select started_at + to_seconds(coalesce(service_seconds, 0)) as happened_at, row_id,
            split_part(step, '/', -1) as step, model, error_type as kind, error_message as message
        from attempts where error_type is not null
        union all
        select finished_at, row_id, '', '', status, reason from rows
        where status in ('failed', 'set_aside') and parent_row_id is null
    ) order by happened_at desc, row_id limit $most"""

# -------------------------------------------------------------------------------------------------------- the journal
CLAIMS = "select run_id, row_id, holder from claims"
BALANCES = "select scope, unit, spent, reserved from budgets"
