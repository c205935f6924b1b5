"""The history's view of change: each step's work, day by day."""

from __future__ import annotations

from toolkit.ledger.views.view import View

DAY = "(date '1970-01-01' + (epoch_us({}) // 86400000000)::INTEGER)"
"""A stamp's day in UTC."""

DRIFT_VIEWS = (
    View(
        "daily_steps",
        "How do quality, cost, time and failures of each step change from day to day (UTC)?",
        ("answers", "grades"),
        f"""
        with judged as (
            select run_id, row_id, step, turn, repeat, attempt_id, min(value) as quality from grades
            where attempt_id is not null and value is not null and isfinite(value) and grader <> 'Confidence()'
            group by all
        )
        select step, {DAY.format("answered_at")} as day, count(*) as answers, avg(j.quality) as quality,
            count(j.quality) as graded, sum(cost_usd) / nullif(count(cost_usd), 0) as cost_usd_per_answer,
            count(*) - count(cost_usd) as answers_of_unknown_cost, avg(seconds) as seconds,
            quantile_cont(seconds, 0.95) as p95_seconds,
            count(*) filter (status = 'failed') / count(*) as failed_share,
            count(*) filter (status = 'parked') / count(*) as parked_share, max(answered_at) as as_of
        from answers a left join judged j using (run_id, row_id, step, turn, repeat, attempt_id)
        where reused_from is null and status <> 'skipped' group by step, day order by step, day
        """,
    ),
)

STEPS_NAMED = "select distinct step from daily_steps where step = $step or ends_with(step, '/' || $step) order by 1"
DAILY_STEPS = """
    select day, answers, quality, graded, cost_usd_per_answer, answers_of_unknown_cost, seconds, failed_share
    from daily_steps where step = $step or ends_with(step, '/' || $step) order by day"""
DAILY_GRADES = f"""
    select {DAY.format("a.answered_at")} as day, avg(g.value) as quality, count(*) as graded
    from answers a join grades g on g.attempt_id = a.attempt_id and g.run_id = a.run_id and g.row_id = a.row_id
        and g.step = a.step and g.turn = a.turn and g.repeat = a.repeat
    where (a.step = $step or ends_with(a.step, '/' || $step)) and a.reused_from is null and g.value is not null
        and isfinite(g.value) and g.grader = $grader
    group by 1 order by 1"""
DAILY_GRADERS = f"""
    select {DAY.format("a.answered_at")} as day, list(distinct g.grader order by g.grader) as graders
    from answers a join grades g on g.attempt_id = a.attempt_id and g.run_id = a.run_id and g.row_id = a.row_id
        and g.step = a.step and g.turn = a.turn and g.repeat = a.repeat
    where (a.step = $step or ends_with(a.step, '/' || $step)) and a.reused_from is null and g.value is not null
        and isfinite(g.value) and g.grader <> 'Confidence()'
    group by 1 order by 1"""
"""Who judged the answers of each day."""
DAILY_MIX = f"""
    select {DAY.format("a.answered_at")} as day, a.model, count(*) as answers from answers a
    where (a.step = $step or ends_with(a.step, '/' || $step)) and a.reused_from is null and a.status = 'answered'
        and a.model is not null group by 1, 2 order by 1, 2"""
DAILY_ROWS = f"""
    select {DAY.format("finished_at")} as day, fields from rows
    where parent_row_id is null and fields is not null and run_id in (
        select run_id from answers where step = $step or ends_with(step, '/' || $step)
    ) order by 1, row_id"""
DROPS_TOLD = "select about from events where name = $name"
RUN_OF_DAY = f"""
    select run_id from answers where {DAY.format("answered_at")} = $day
        and (step = $step or ends_with(step, '/' || $step)) order by answered_at desc limit 1"""
