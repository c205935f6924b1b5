"""What an export of telemetry reads of the record: named statements with listed columns.

Stamps come as whole microseconds since 1970 (`_us`), so that nothing is lost on the way. Rows are read in the order in
which they ended, page by page, and what belongs to them by the pairs `$runs`, `$rows` of a page.
"""

from __future__ import annotations

from collections.abc import Sequence

RUN_NAMES = "select id from runs order by started_at desc, id desc"
FIRST = "select epoch_us(min(started_at)) from runs"
LAST = """
    select epoch_us(max(moment)) from (
        select finished_at as moment from runs union all select finished_at from rows
        union all select answered_at from answers
        union all select started_at + to_microseconds((service_seconds * 1e6)::BIGINT) from attempts)"""
"""When the last that is on record happened: of a run, where the reader shows that run alone."""

_RUN_COLUMNS = """
    select id as run_id, workflow, origin, status, epoch_us(started_at) as started_us,
        epoch_us(finished_at) as finished_us, rows_total, parent_run_id, flow_run_id
    from runs"""
RUN = f"{_RUN_COLUMNS} where id = $run"
RUNS_ENDED = f"""{_RUN_COLUMNS}
    where status <> 'running' and epoch_us(finished_at) >= $since and epoch_us(finished_at) < $until
    order by finished_at, id"""

_ROW_COLUMNS = """
    w.run_id, w.row_id, r.workflow, w."index", w.status, w.reason, w.seconds, w.cost_usd, w.parent_row_id,
    w.parent_step, epoch_us(w.finished_at) as finished_us"""
ROWS_ENDED = f"""
    select {_ROW_COLUMNS}, r.status as run_status
    from rows w left join runs r on r.id = w.run_id
    where epoch_us(w.finished_at) >= $since and epoch_us(w.finished_at) < $until
        and (epoch_us(w.finished_at), w.run_id, w.row_id) > ($after_us, $after_run, $after_row)
    order by w.finished_at, w.run_id, w.row_id limit $page"""
"""The rows that ended in a window, a page after the row `$after_us, $after_run, $after_row`."""
ROWS_LEFT = """
    with seen as (
        select run_id, row_id, answered_at - to_microseconds(ceil(seconds * 1e6)::BIGINT) as began_at,
            answered_at as last_at
        from answers
        union all
        select run_id, row_id, started_at, started_at + to_microseconds((service_seconds * 1e6)::BIGINT) from attempts
    ), gathered as (
        select run_id, row_id, min(began_at) as began_at, max(last_at) as last_at from seen
        where row_id <> '*' group by all
    )
    select s.run_id, s.row_id, r.workflow, null::BIGINT as "index", 'unfinished' as status, '' as reason,
        epoch(s.last_at - s.began_at) as seconds, null::DOUBLE as cost_usd, null::VARCHAR as parent_row_id,
        null::VARCHAR as parent_step, epoch_us(s.last_at) as finished_us, r.status as run_status
    from gathered s join runs r on r.id = s.run_id
    where r.status <> 'running'
        and not exists (select 1 from rows w where w.run_id = s.run_id and w.row_id = s.row_id)
        and epoch_us(s.last_at) >= $since and epoch_us(s.last_at) < $until
        and (epoch_us(s.last_at), s.run_id, s.row_id) > ($after_us, $after_run, $after_row)
    order by s.last_at, s.run_id, s.row_id limit $page"""
"""The rows that had begun when their run stopped, in the same columns: what they spent is on record all the same."""

_OF_PAGE = "(run_id, row_id) in (select unnest($runs::VARCHAR[]), unnest($rows::VARCHAR[]))"
FIELDS = f"select run_id, row_id, fields::VARCHAR as fields from rows where {_OF_PAGE}"
ANSWERS = f"""
    with workflows as (select distinct parent_step as step from rows where list_contains($runs::VARCHAR[], run_id)),
    items as (
        select run_id, row_id, parent_row_id, parent_step,
            finished_at - to_microseconds(ceil(seconds * 1e6)::BIGINT) as began_at
        from rows where (run_id, parent_row_id) in (select unnest($runs::VARCHAR[]), unnest($rows::VARCHAR[]))
    ), begun as (
        select i.run_id, i.parent_row_id as row_id, i.parent_step as step, min(least(i.began_at,
            b.answered_at - to_microseconds(ceil(b.seconds * 1e6)::BIGINT), t.started_at)) as began_at
        from items i left join answers b on b.run_id = i.run_id and b.row_id = i.row_id
            left join attempts t on t.run_id = i.run_id and t.row_id = i.row_id
        group by all
    )
    select a.run_id, a.row_id, a.step, a.turn, a.repeat, a.key, a.status, a.reason, a.model, a.attempt_id, a.attempts,
        a.cost_usd, a.seconds, a.reused_from, epoch_us(a.answered_at) as answered_us,
        a.step in (select step from workflows where step is not null) as is_workflow,
        epoch_us(g.began_at) as items_began_us, case when $content then a.value::VARCHAR end as value
    from (select * from answers where {_OF_PAGE}) a
        left join begun g on g.run_id = a.run_id and g.row_id = a.row_id and g.step = a.step
    order by a.answered_at, a.turn, a.repeat"""
DECISIONS = f"""
    select id, run_id, row_id, step, turn, repeat, choice, probability, reason, router, probabilities,
        exploration_rate, snapshot, candidate_order, candidates::VARCHAR as candidates
    from decisions where {_OF_PAGE} order by id"""
ATTEMPTS = f"""
    with page as (select * from attempts where {_OF_PAGE}),
    said as (select attempt_id, any_value(session_id) as session_id from messages group by attempt_id)
    select a.id, a.run_id, a.row_id, a.step, a.turn, a.repeat, a.decision_id, a.number, a.why, a.model,
        a.provider_name, a.operation_name, a.request_model, a.response_model, a.response_id,
        epoch_us(a.started_at) as started_us, a.wait_seconds, a.service_seconds, a.input_tokens, a.output_tokens,
        a.cache_read_input_tokens, a.cache_write_input_tokens, a.reasoning_output_tokens, a.cost_usd,
        a.reported_cost_usd, a.price_version, a.finish_reasons, a.confidence, a.error_type, a.error_message,
        s.session_id
    from page a left join said s on s.attempt_id = a.id order by a.started_at, a.number, a.id"""
TEXTS = f"""
    select id, request, output from attempts_text where {_OF_PAGE}"""
GRADES = f"""
    select id, run_id, row_id, step, turn, repeat, attempt_id, grader, kind, value, label, reason, graded_by
    from grades where {_OF_PAGE} order by id"""

MEASURED = {
    "attempts": """
        select a.operation_name as operation, a.provider_name as provider, a.request_model, a.response_model,
            a.error_type as error, a.model, r.workflow, a.service_seconds, a.wait_seconds, a.input_tokens,
            a.output_tokens, a.cache_read_input_tokens, a.cache_write_input_tokens, a.reasoning_output_tokens,
            a.cost_usd, case when a.cost_usd is null then 1 end as unpriced, a.started_at as moment
        from attempts a left join runs r on r.id = a.run_id""",
    "tools": """
        select 'execute_tool' as operation, split_part(a.step, '/', -1) as tool,
            case when a.status = 'failed' then 'failed' end as error, r.workflow, a.seconds, a.answered_at as moment
        from answers a left join runs r on r.id = a.run_id
        where a.status in ('answered', 'failed') and a.model is null and a.attempts = 0 and a.reused_from is null
            and not exists (select 1 from rows w where w.run_id = a.run_id and w.parent_step = a.step)""",
    "rows": """
        select 'invoke_workflow' as operation, r.workflow, w.status,
            case when w.status in ('failed', 'set_aside') then w.status end as error, w.seconds, 1 as one,
            w.finished_at as moment
        from rows w left join runs r on r.id = w.run_id where w.parent_row_id is null""",
}
"""What metrics are made of: each a table of measures, of what they can be told apart by, and of when (`moment`)."""


def measurement(source: str, measure: str, *, by: Sequence[str], operations: Sequence[str], buckets: bool) -> str:
    """A statement: `by`…, bucket (NULL without `buckets`), how many, their sum, the least and the greatest.

    Its parameters are `$since` and `$until` and, with `buckets`, `$bounds`: the upper bounds of all but the last.
    """
    bucket = f"len(list_filter($bounds::DOUBLE[], lambda bound: bound < {measure}))" if buckets else "null::BIGINT"
    among = f"and operation in ({', '.join(repr(each) for each in operations)})" if operations else ""
    groups = "".join(f"{each}, " for each in by)
    return f"""
        select {groups}{bucket} as bucket, count(*) as n, sum({measure}) as total, min({measure}) as least,
            max({measure}) as greatest
        from ({MEASURED[source]}) where {measure} is not null {among}
            and epoch_us(moment) >= $since and epoch_us(moment) < $until
        group by all order by all"""
