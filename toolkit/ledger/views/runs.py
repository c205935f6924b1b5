"""The history's views of whole runs: how each went, and one beside the other."""

from __future__ import annotations

from toolkit.ledger.views.costs import PRUNED
from toolkit.ledger.views.view import OF_MODELS, View

RUN_VIEWS = (
    View(
        "run_summary",
        "How did each run go?",
        ("runs", "rows", "attempts", "pruned"),
        f"""
        with ended as (
            select run_id, count(*) as rows_ended, count(*) filter (status = 'answered') as answered,
                count(*) filter (status = 'parked') as parked, count(*) filter (status = 'failed') as failed,
                count(*) filter (status = 'set_aside') as set_aside, max(finished_at) as last_at
            from rows where parent_row_id is null group by run_id
        ), tried as (
            select run_id, sum(calls) as attempts, sum(errors) as errors, sum(cost_usd) as cost_usd,
                sum(calls_of_unknown_cost) as attempts_of_unknown_cost, sum(service_seconds) as service_seconds,
                max(last_at) as last_at
            from (
                select run_id, count(*) as calls, count(error_type) as errors, sum(cost_usd) as cost_usd,
                    count(*) - count(cost_usd) as calls_of_unknown_cost, sum(service_seconds) as service_seconds,
                    max(started_at) as last_at
                from attempts where {OF_MODELS} group by run_id
                union all
                select run_id, {PRUNED}, sum(service_seconds), null from pruned group by run_id
            ) group by run_id
        )
        select r.id as run_id, r.workflow, r.origin, r.status, r.status <> 'running' as is_finished, r.rows_total,
            coalesce(e.rows_ended, 0) as rows_ended, coalesce(e.answered, 0) as answered,
            coalesce(e.parked, 0) as parked, coalesce(e.failed, 0) as failed, coalesce(e.set_aside, 0) as set_aside,
            coalesce(t.attempts, 0)::BIGINT as attempts, coalesce(t.errors, 0)::BIGINT as errors, t.cost_usd,
            coalesce(t.attempts_of_unknown_cost, 0)::BIGINT as attempts_of_unknown_cost, t.service_seconds,
            r.started_at, r.finished_at,
            epoch(coalesce(r.finished_at, e.last_at, t.last_at) - r.started_at) as seconds,
            greatest(r.started_at, r.finished_at, e.last_at, t.last_at) as as_of
        from runs r left join ended e on e.run_id = r.id left join tried t on t.run_id = r.id
        order by r.started_at desc, r.id desc
        """,
    ),
    View(
        "runs_side_by_side",
        "How do the runs of a workflow compare, step by step?",
        ("runs", "answers", "attempts", "grades", "pruned"),
        f"""
        with tried as (
            select run_id, step, count(*) as calls, count(error_type) as errors, sum(cost_usd) as cost_usd,
                count(*) - count(cost_usd) as calls_of_unknown_cost,
                quantile_cont(service_seconds, [0.5, 0.95]) as seconds,
                list(distinct model order by model) as models, max(started_at) as last_at
            from attempts where {OF_MODELS} group by run_id, step
            union all
            select run_id, step, {PRUNED}, null, list(distinct model order by model), null
            from pruned group by run_id, step
        ), asked as (
            select run_id, step, sum(calls)::BIGINT as attempts, sum(errors)::BIGINT as errors,
                sum(cost_usd) as cost_usd, sum(calls_of_unknown_cost)::BIGINT as attempts_of_unknown_cost,
                any_value(seconds) as seconds, list_sort(list_distinct(flatten(list(models)))) as models,
                max(last_at) as last_at
            from tried group by run_id, step
        ), answered as (
            select run_id, step, count(*) as answers, count(reused_from) as reused,
                list(distinct model order by model) filter (model is not null) as models, max(answered_at) as last_at
            from answers where status = 'answered' group by run_id, step
        ), graded as (
            select run_id, step, avg(value) as mean_quality, count(*) as grades
            from grades where value is not null group by run_id, step
        )
        select r.workflow, step, run_id, r.started_at, r.status, r.status <> 'running' as is_finished,
            coalesce(n.answers, 0) as answers, coalesce(n.reused, 0) as reused, coalesce(t.attempts, 0) as attempts,
            coalesce(t.errors, 0) as errors, t.cost_usd,
            coalesce(t.attempts_of_unknown_cost, 0) as attempts_of_unknown_cost,
            t.cost_usd / nullif(n.answers, 0) as cost_usd_per_answer, t.seconds[1] as p50_service_seconds,
            t.seconds[2] as p95_service_seconds, g.mean_quality, coalesce(g.grades, 0) as grades,
            coalesce(t.models, n.models) as models, greatest(t.last_at, n.last_at) as as_of
        from asked t full join answered n using (run_id, step) join runs r on r.id = run_id
            left join graded g using (run_id, step)
        order by r.workflow, step, r.started_at, run_id
        """,
    ),
)
