"""What whoever looks at a run's rows asks of the record: statements by name, with listed columns.

All are asked of one run (`History.laid_over(..., run_id=...)`). What lists rows gives a page of them. Steps keep
their whole path, in which nested workflows stand.
"""

from __future__ import annotations

from toolkit.ledger.views.questions import SETTLED
from toolkit.ledger.views.view import OF_MODELS

# ------------------------------------------------------------------------------------------------------------ one row
RUN = "select id, workflow, origin, status, settings from runs"
ROW = """
    select row_id, "index", status, fields, reason, seconds, cost_usd, parent_row_id, parent_step, finished_at
    from rows where row_id = $row"""
DECISIONS = """
    select id, step, turn, repeat, request_hash, choice, probability, reason, router, probabilities, exploration_rate,
        seed, snapshot, candidates
    from decisions where row_id = $row order by id"""
ATTEMPTS = """
    select id, step, turn, repeat, decision_id, number, why, model, provider_name, operation_name, request_model,
        response_model, request_hash, output_hash, started_at, wait_seconds, service_seconds, input_tokens,
        output_tokens, cache_read_input_tokens, cache_write_input_tokens, reasoning_output_tokens, cost_usd,
        price_version, reserved_usd, dropped, finish_reasons, confidence, error_type, error_message
    from attempts where row_id = $row order by id"""
ANSWERS = """
    select step, turn, repeat, key, status, value, value_hash, reason, model, attempt_id, attempts, cost_usd, seconds,
        reused_from, answered_at
    from answers where row_id = $row order by answered_at"""
GRADES = """
    select step, turn, repeat, attempt_id, model, grader, kind, value, label, reason, graded_by
    from grades where row_id = $row order by id"""
REVIEWS = """
    select step, turn, repeat, person, question, asked_at, status, answered_at, answered_by, value, why
    from reviews where row_id = $row order by asked_at"""
CHILDREN = """
    select row_id, status, parent_step, seconds, cost_usd, count(*) over () as total
    from rows where parent_row_id = $row order by parent_step, "index", row_id limit $most"""
TEXTS = "select hash, body from contents where list_contains($hashes, hash)"
NEAR = """
    select row_id, count(*) over () as total from rows
    order by contains(lower(row_id), lower($row)) desc, jaro_winkler_similarity(row_id, $row) desc, "index" limit 3"""

# ------------------------------------------------------------------------------------------------------ rows of a run
SORTS = {
    "order": '"index", row_id',
    "slowest": "seconds desc nulls last, row_id",
    "dearest": "cost_usd desc nulls last, row_id",
    "latest": "finished_at desc nulls last, row_id",
    "errors": "errors desc, row_id",
}
"""How rows may be sorted, and the columns that it takes."""
_ASKED = "row_id in (select row_id from attempts where {} = ${})"
NARROWED = {
    "status": "status = $status",
    "step": "row_id in (select row_id from answers where step = $step union select row_id from attempts where step = "
    "$step)",
    "model": _ASKED.format("model", "model"),
    "text": "(contains(lower(row_id), lower($text)) or contains(lower(fields::VARCHAR), lower($text)) "
    "or contains(lower(reason), lower($text)) "
    "or row_id in (select row_id from answers where contains(lower(value::VARCHAR), lower($text))))",
}
"""How the rows may be narrowed."""
COUNT = "select count(*) from rows where parent_row_id is null{narrowed}"
PAGE = """
    with {counted} chosen as (
        select row_id, status, left(fields::VARCHAR, 4000) as fields, left(reason, 400) as reason, seconds, cost_usd,
            row_number() over (order by {sort}) as place
        from rows {joined} where parent_row_id is null{narrowed} order by {sort} limit $most offset $after
    ), tried as (
        select row_id, count(*) as calls, count(error_type) as errors, list(distinct model) as models
        from attempts where row_id in (select row_id from chosen) group by row_id
    ), taken_over as (
        select row_id, count(distinct (step, turn, repeat)) as reused from answers
        where reused_from is not null and row_id in (select row_id from chosen) group by row_id
    )
    select c.row_id, c.status, c.fields, c.reason, c.seconds, c.cost_usd, coalesce(t.calls, 0) as calls,
        coalesce(t.errors, 0) as errors, list_sort(coalesce(t.models, [])) as models, coalesce(o.reused, 0) as reused
    from chosen c left join tried t using (row_id) left join taken_over o using (row_id) order by c.place"""
COUNTED = "erring as (select row_id, count(error_type) as errors from attempts group by row_id),"
JOINED = "left join (select row_id as erring_row_id, errors from erring) on erring_row_id = row_id"
"""What a page that is sorted by errors needs beside."""
CHOICES = f"""
    select step, model from attempts where {OF_MODELS} group by step, model
    union select step, null from answers group by step order by 1, 2"""

# ---------------------------------------------------------------------------------------------- figures on the graph
FIGURES = f"""
    with tried as (
        select step, count(*) as calls, count(error_type) as errors, sum(cost_usd) as cost_usd,
            count(*) filter (cost_usd is null and error_type is null) as unpriced,
            quantile_cont(service_seconds, 0.5) filter (error_type is null) as p50_seconds
        from attempts group by step
    ), settled as ({SETTLED}), ended as (
        select step, count(*) filter (status = 'answered') as answered, count(*) filter (status = 'failed') as failed,
            count(*) filter (status = 'parked') as parked, count(*) filter (status = 'skipped') as skipped,
            count(reused_from) as reused,
            quantile_cont(seconds, 0.5) filter (status = 'answered' and reused_from is null) as p50_answer_seconds
        from settled group by step
    )
    select coalesce(t.step, e.step) as step, coalesce(t.calls, 0) as calls, coalesce(t.errors, 0) as errors,
        t.cost_usd, coalesce(t.unpriced, 0) as unpriced,
        coalesce(t.p50_seconds, e.p50_answer_seconds) as p50_seconds, coalesce(e.answered, 0) as answered,
        coalesce(e.failed, 0) as failed, coalesce(e.parked, 0) as parked, coalesce(e.skipped, 0) as skipped,
        coalesce(e.reused, 0) as reused
    from tried t full join ended e on t.step = e.step order by 1"""
SERVED = f"""
    with settled as ({SETTLED})
    select step, model, count(*) as answers from settled where status = 'answered' and model is not null
    group by step, model order by step, answers desc, model"""
FIRST_SEEN = """
    select step, min(answered_at) as first_at from answers group by step order by first_at, step"""
EDGES = """
    select distinct d.step, unnest(map_keys(d.inputs::MAP(VARCHAR, VARCHAR))) as source
    from decisions d where d.inputs is not null order by 1, 2"""
