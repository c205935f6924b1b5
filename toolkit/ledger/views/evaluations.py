"""What evaluation asks of the history: how each row of each run was answered, and what was decided with which chance.

A reused answer counts with the cost and time of the answer that it was taken from. A step is named with its workflow or
without. An answer's quality is the lowest of its grades (`$grader` given: of that grader alone), `graders` stand for
those who gave them.
"""

from __future__ import annotations

from toolkit.ledger.documents import PIECES

OF_STEP = "($step is null or step = $step or ends_with(step, '/' || $step))"
OWN_WORD = "Confidence()"
"""The grader that repeats what a model says of itself: no judgement, unless it is asked for by name."""

GRADERS = f"""
    select grader, count(*) as grades, count(*) filter (not isfinite(value)) as no_numbers
    from grades where value is not null and {OF_STEP} group by grader order by grader"""

_COUNTED = f"""value is not null and {OF_STEP}
            and case when $grader is null then grader <> '{OWN_WORD}' else grader = $grader end"""

_OF_THE_ANSWER_ALONE = "(graded_by <> 'code' or grader in ('Confidence()', 'Recorded()'))"
"""Grades by models and people, and those that a reply carries: what code says of an answer depends on the row too."""

_JUDGED = f"""
    judgements as (
        select g.run_id, g.row_id, g.step, g.turn, g.repeat, g.attempt_id, g.grader, g.value,
            {_OF_THE_ANSWER_ALONE} as of_answer, hash(r.fields) as given, r.fields is not null as is_given
        from grades g left join rows r on r.run_id = g.run_id and r.row_id = g.row_id
        where {_COUNTED}
    ), said as (
        select s.run_id, s.row_id, s.step, s.turn, s.repeat, j.grader, j.value,
            j.run_id = s.run_id and j.row_id = s.row_id and j.step = s.step and j.turn = s.turn
                and j.repeat = s.repeat as is_here,
            j.of_answer or (j.is_given and j.given = hash(r.fields)) as holds_here
        from settled s join judgements j on j.attempt_id = s.attempt_id
            left join rows r on r.run_id = s.run_id and r.row_id = s.row_id
        union all
        select s.run_id, s.row_id, s.step, s.turn, s.repeat, j.grader, j.value, true, true
        from settled s join judgements j on j.attempt_id is null and j.run_id = s.run_id and j.row_id = s.row_id
            and j.step = s.step and j.turn = s.turn and j.repeat = s.repeat
    ), by_grader as (
        select run_id, row_id, step, turn, repeat, grader,
            coalesce(avg(value) filter (is_here), avg(value)) as mean
        from said where is_here or holds_here group by all
    ), judged as (
        select run_id, row_id, step, turn, repeat, min(mean) as quality, bit_xor(hash(grader)) as graders,
            bool_or(not isfinite(mean)) as no_number
        from by_grader group by all
    )"""
"""How good each of the `settled` answers is: by its own grades; where it is reused and has none of a grader, by those
of the same attempt elsewhere, as far as they hold for this row too."""

SCORES = f"""
    with recursive settled as (
        select run_id, row_id, step, turn, repeat, status, attempt_id, cost_usd, seconds, reused_from, key
        from answers where {OF_STEP} and list_contains($runs, run_id)
        qualify row_number() over (partition by run_id, row_id, step, turn, repeat order by answered_at desc) = 1
    ), originals as (
        select run_id, key, any_value(cost_usd) as cost_usd, any_value(seconds) as seconds from answers
        where status = 'answered' and reused_from is null and run_id in (select distinct reused_from from settled)
        group by run_id, key
    ), {_JUDGED}, parents as (
        select run_id, row_id, parent_row_id as root from rows
        where parent_row_id is not null and list_contains($runs, run_id)
    ), climbed as (
        select run_id, row_id, root from parents
        union all
        select c.run_id, c.row_id, p.root from climbed c join parents p on p.run_id = c.run_id and p.row_id = c.root
    ), roots as (
        select run_id, row_id, root from climbed c
        where not exists (select 1 from parents p where p.run_id = c.run_id and p.row_id = c.root)
    ), answered as (
        select s.run_id, coalesce(t.root, s.row_id) as row_id, s.status,
            case when s.status = 'failed' and $step is not null then $failed else j.quality end as quality,
            j.graders, not coalesce(j.no_number, false) as is_number,
            case when s.reused_from is null then s.cost_usd else o.cost_usd end as cost_usd,
            case when s.reused_from is null then s.seconds else o.seconds end as seconds
        from settled s
            left join judged j on j.run_id = s.run_id and j.row_id = s.row_id and j.step = s.step
                and j.turn = s.turn and j.repeat = s.repeat
            left join originals o on o.run_id = s.reused_from and o.key = s.key
            left join roots t on t.run_id = s.run_id and t.row_id = s.row_id
        where s.status <> 'skipped'
    ), told as (
        select run_id, row_id, avg(quality) filter (isfinite(quality)) as quality,
            case when min(graders) is distinct from max(graders) then hash(min(graders), max(graders))
                else min(graders) end as graders,
            bool_or(not is_number) as no_number, bool_or(status = 'failed') as failed,
            bool_or(status = 'parked') as parked,
            case when bool_or(cost_usd is null) then null else sum(cost_usd) end as cost_usd,
            sum(seconds) as seconds
        from answered group by run_id, row_id
    )
    select t.row_id, list_position($runs, t.run_id) - 1 as place,
        case when $step is null and r.status = 'failed' then $failed else t.quality end as quality,
        t.graders, t.no_number, case when $step is null then r.status = 'failed' else t.failed end as failed,
        t.parked, t.cost_usd, t.seconds, hash(r.fields) as given,
        r.fields ->> $cluster::VARCHAR as cluster, r.fields ->> $segment::VARCHAR as segment
    from told t join rows r on r.run_id = t.run_id and r.row_id = t.row_id
    where r.parent_row_id is null"""
"""A row per row and run: `place` is the run's in `$runs`."""


def side_by_side(runs: int) -> str:
    """A row per row of that many runs: quality, graders, cost_usd, seconds and failed of each run, numbered from 0."""
    columns = ", ".join(
        f"any_value({name}) filter (place = {n}) as {name}_{n}"
        for n in range(runs)
        for name in ("quality", "graders", "cost_usd", "seconds", "failed")
    )
    return f"""
        select row_id, count(*) as runs, min(given) as given, min(given) is distinct from max(given) as differs,
            bool_or(no_number) as no_number,
            count(*) filter (parked) as parked, any_value(cluster) as cluster, any_value(segment) as segment, {columns}
        from ({SCORES}) group by row_id order by row_id"""


DECIDED = f"""
    with settled as (
        select * from answers where {OF_STEP} and list_contains($runs, run_id)
        qualify row_number() over (partition by run_id, row_id, step, turn, repeat order by answered_at desc) = 1
    ), {_JUDGED}, decided as (
        select * from decisions where {OF_STEP} and list_contains($runs, run_id)
        qualify row_number() over (partition by run_id, row_id, step, turn, repeat order by id desc) = 1
    )
    select d.id, d.run_id, d.row_id, d.step, d.turn, d.repeat, d.choice, d.candidates, d.probabilities as kind,
        d.router, d.seed::VARCHAR as seed, d.request_hash as request, r.fields,
        case when s.status = 'failed' then $failed else j.quality end as quality, j.graders, s.status,
        case when s.reused_from is null then s.cost_usd end as cost_usd, s.seconds,
        r.fields ->> $cluster::VARCHAR as cluster
    from decided d
        left join rows r on r.run_id = d.run_id and r.row_id = d.row_id
        left join settled s on s.run_id = d.run_id and s.row_id = d.row_id and s.step = d.step and s.turn = d.turn
            and s.repeat = d.repeat
        left join judged j on j.run_id = d.run_id and j.row_id = d.row_id and j.step = d.step and j.turn = d.turn
            and j.repeat = d.repeat
    where d.choice <> ''
    order by d.id"""
"""A decision, what it was about, and what came of it."""
REQUESTS = f"""
    select hash, body from contents where hash in (
        select request_hash from decisions where {OF_STEP} and list_contains($runs, run_id))"""

ANSWERS_BY_MODEL = f"""
    with judged as (
        select attempt_id, min(mean) as quality, bit_xor(hash(grader)) as graders from (
            select attempt_id, grader, avg(value) as mean from grades
            where attempt_id is not null and {_COUNTED} group by attempt_id, grader
        ) group by attempt_id
    )
    select t.request_hash, t.model, avg(j.quality) as quality, avg(t.cost_usd) as cost_usd,
        count(*) filter (t.cost_usd is null) as unpriced, min(j.graders) as graders, max(j.graders) as others
    from attempts t join judged j on j.attempt_id = t.id
    where {OF_STEP} and t.error_type is null group by t.request_hash, t.model"""
"""What each model made of each request of a step, wherever it was asked."""

PERSONS = "select distinct person from reviews where person is not null"
RUNS_OF_STEP = """
    select r.id from runs r where exists (select 1 from answers a where a.run_id = r.id and a.status = 'answered'
        and ($step is null or a.step = $step or ends_with(a.step, '/' || $step)))
    order by r.started_at, r.id"""
STEPS_OF_RUNS = "select distinct run_id, step from answers where list_contains($runs, run_id) order by step, run_id"
PIECES_OF_REQUESTS = f"select distinct p.piece, c.body from {PIECES} p join contents c on c.hash = p.piece"

# ------------------------------------------------------------------------------------------------------------- replay
RUN_TOLD = "select workflow, seed from runs where id = $run"
ROWS_TOLD = """
    select row_id, fields from rows where run_id = $run and parent_row_id is null and status <> 'set_aside'
    order by rows."index", row_id"""
VALUES_TOLD = """
    select row_id, step, value from answers where run_id = $run and status = 'answered' and model is null
    qualify row_number() over (partition by row_id, step order by answered_at desc) = 1"""
PLAYED = """
    with embedded as (
        select attempt_id, any_value(value) as value from answers where attempt_id is not null and value is not null
        group by attempt_id
    ), recorded as (
        select attempt_id, any_value(value) as score from grades where grader = 'Recorded()' group by attempt_id
    )
    select a.model, a.request_hash, a.operation_name, o.body as output,
        case when a.operation_name = 'embeddings' then e.value end as vectors, a.finish_reasons, a.response_model,
        a.response_id, a.confidence, a.cost_usd, a.service_seconds, a.input_tokens, a.output_tokens,
        a.cache_read_input_tokens, a.cache_write_input_tokens, a.reasoning_output_tokens, a.error_type, a.error_message,
        g.score
    from attempts a left join contents o on o.hash = a.output_hash
        left join embedded e on e.attempt_id = a.id left join recorded g on g.attempt_id = a.id
    where a.operation_name <> 'execute_tool' and a.request_hash is not null
    order by a.run_id <> $run, a.id"""
"""Every answer that a model ever gave, those of the run itself first."""
NOT_ON_RECORD = """
    with recursive short as (
        select distinct run_id, row_id from answers where status = 'failed' and contains(reason, $mark)
    ), climbed as (
        select run_id, row_id from short
        union
        select c.run_id, r.parent_row_id from climbed c join rows r on r.run_id = c.run_id and r.row_id = c.row_id
        where r.parent_row_id is not null
    )
    select distinct row_id from climbed order by row_id"""

# --------------------------------------------------------------------------------------------------------------- gate
RUN_AS_A_WHOLE = """
    select (select count(*) from rows where run_id = $run and parent_row_id is null) as rows,
        (select count(*) from rows where run_id = $run and parent_row_id is null and status = 'failed') as failed"""
