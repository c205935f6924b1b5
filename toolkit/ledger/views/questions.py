"""What commands, charts and grading ask of the history beside its views: statements by name, with listed columns.

Those that name no run are asked of one (`History.sql(..., run_id=...)`), where every table shows that run alone.
A step is named without its workflow where people read it.
"""

from __future__ import annotations

RUN_NAMES = "select id from runs order by started_at desc, id desc"
SETTINGS = "select settings from runs"
STATUS = "select status from runs"
RUNS = """
    select s.run_id, s.workflow, s.origin, s.status, s.rows_total, s.answered, s.parked, s.failed, s.set_aside,
        s.attempts, s.errors, s.cost_usd, s.seconds, s.started_at, epoch(now() - s.as_of) as quiet_seconds
    from run_summary s order by s.started_at desc, s.run_id desc"""
CALLS = """
    select count(*) as calls, count(error_type) as errors, sum(cost_usd) as cost_usd,
        count(*) filter (cost_usd is null and error_type is null) as unpriced
    from attempts where operation_name is distinct from 'execute_tool'"""
ROWS_BY_STATUS = "select status, count(*) from rows where parent_row_id is null group by status"
WHY_ROWS_FAILED = """
    select reason, count(*) as rows from rows where parent_row_id is null and status = 'failed'
    group by reason order by rows desc, reason limit 1"""
SETTLED = """
    select run_id, row_id, step, turn, repeat, status, reason, model, attempt_id, value, value_hash, reused_from,
        answered_at, seconds
    from answers
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
PRICES = """
    select model, version, input_usd_per_million, output_usd_per_million, cache_read_usd_per_million,
        cache_write_usd_per_million, request_usd
    from prices order by model, noted_at, version"""
PRICE_DRIFT = """
    select model, calls, reported_cost_usd, computed_cost_usd, ratio, median_deviation, worst_deviation,
        worst_attempt_id
    from price_drift order by abs(ln(nullif(ratio, 0))) desc nulls last, model"""

# ------------------------------------------------------------------------------------------------------------ grading
WORKFLOWS = "select id, workflow from runs order by started_at desc, id desc"
ANSWERED = f"""
    select run_id, row_id, step, turn, repeat, attempt_id, model, value from ({SETTLED})
    where status = 'answered' and value_hash is null order by row_id, step, turn, repeat"""
ROW_FIELDS = "select row_id, fields from rows where fields is not null"
GRADE_IDS = "select id from grades"

# -------------------------------------------------------------------------------------------------- frames and charts
ENDED_ROWS = """
    select row_id, fields::VARCHAR as fields, status, reason, cost_usd from rows
    where parent_row_id is null order by rows."index", row_id"""
STEP_VALUES = "select row_id, step, value::VARCHAR as value from answers where status = 'answered' and turn = 0"
RUN_COSTS = """
    select c.step, c.model, c.calls, c.errors, c.cost_usd, c.calls_of_unknown_cost, c.input_tokens, c.output_tokens,
        t.p50_service_seconds, t.p95_service_seconds
    from model_costs c left join step_timings t on t.step = c.step and t.model = c.model order by c.step, c.model"""
STEP_COSTS = """
    select step, model, cost_usd, calls - calls_of_unknown_cost as calls from model_costs
    where cost_usd is not null order by step, model"""
ROW_ATTEMPTS = """
    select step, model, why, epoch_ms(started_at)::DOUBLE as began, wait_seconds, service_seconds, cost_usd, error_type
    from attempts where row_id = $row order by id"""
ROW_OTHER_ANSWERS = """
    select step, reused_from, epoch_ms(answered_at) - seconds * 1000 as began, seconds
    from answers where row_id = $row and ((attempt_id is null and status = 'answered') or reused_from is not null)
    order by answered_at"""

# -------------------------------------------------------------------------------------------- one row of a run in time
ROW = """select row_id, "index", status, fields, reason, seconds, cost_usd from rows where row_id = $row"""
ROW_IDS = 'select row_id from rows order by "index"'
ROW_DECISIONS = """
    select id, split_part(step, '/', -1) as step, turn, choice, reason, router, candidates
    from decisions where row_id = $row order by id"""
ROW_ATTEMPT_TEXTS = """
    select split_part(a.step, '/', -1) as step, a.turn, a.number, a.model, a.why, a.started_at, a.wait_seconds,
        a.service_seconds, a.input_tokens, a.output_tokens, a.cost_usd, a.confidence, a.error_type, a.error_message,
        o.body as output
    from attempts a left join contents o on o.hash = a.output_hash where a.row_id = $row order by a.id"""
ROW_ANSWERS = """
    select split_part(step, '/', -1) as step, turn, status, value, reason, model, reused_from, answered_at
    from answers where row_id = $row order by answered_at"""
ROW_GRADES = """
    select split_part(step, '/', -1) as step, model, grader, value, label, reason
    from grades where row_id = $row order by step, grader"""

# ------------------------------------------------------------------------------------------ what a resume would do
PLAN_RUN = "select id, workflow, status, rows_total, settings from runs"
# Of a run whose content was pruned nothing is left to be found again: a resume starts over.
PLAN_ROWS = "select row_id, case when fields is null then 'erased' else status end as status, parent_row_id from rows"
PLAN_SETTLED = f"""
    with settled as ({SETTLED})
    select s.row_id, s.step, s.turn, s.model,
        case when s.status <> 'answered' then s.status
            when s.value_hash is not null then 'withheld'
            when s.value is null and (
                (r.row_id is not null and r.fields is null) or (t.output_hash is not null and c.hash is null)
            ) then 'erased'
            else 'answered' end as state
    from settled s
        left join rows r on r.run_id = s.run_id and r.row_id = s.row_id
        left join attempts t on t.id = s.attempt_id
        left join contents c on c.hash = t.output_hash
    where t.operation_name is distinct from 'execute_tool'
    order by s.answered_at, s.step"""
PLAN_ASKED = """
    select step, count(*) as calls, count(distinct row_id) as rows, sum(cost_usd) as cost_usd,
        count(*) filter (cost_usd is null and error_type is null) as unpriced
    from attempts where operation_name is distinct from 'execute_tool' group by step"""
