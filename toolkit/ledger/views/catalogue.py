"""The history's views: each answers one question of an analyst and has that question's name.

They read tables by their bare names, so that the same text serves in the history's file and in the reader, where the
tables include what is not merged yet. Views over runs that may still be going tell so in `is_finished`, and `as_of`
when the last of what they show happened.
"""

from __future__ import annotations

from toolkit.ledger.documents import REBUILT, SAME_ATTEMPT
from toolkit.ledger.views.costs import COST_VIEWS
from toolkit.ledger.views.drift import DRIFT_VIEWS
from toolkit.ledger.views.people import PEOPLE_VIEWS
from toolkit.ledger.views.routing import ROUTING_VIEWS
from toolkit.ledger.views.runs import RUN_VIEWS
from toolkit.ledger.views.view import FINISHED, View

WORK_VIEWS = (
    View(
        "step_timings",
        "How long does each step take, and how long does it wait?",
        ("attempts", "runs"),
        f"""
        select step, model, calls, service[1] as p50_service_seconds, service[2] as p95_service_seconds,
            wait[1] as p50_wait_seconds, wait[2] as p95_wait_seconds, is_finished, as_of
        from (
            select step, model, count(*) as calls, quantile_cont(service_seconds, [0.5, 0.95]) as service,
                quantile_cont(wait_seconds, [0.5, 0.95]) as wait, {FINISHED}, max(started_at) as as_of
            from attempts group by step, model
        ) order by step, model
        """,
    ),
    View(
        "slowest_steps",
        "Which steps take longest from first to last attempt, tools included, and in which row was it worst?",
        ("answers", "runs"),
        f"""
        select step, answers, seconds[1] as p50_seconds, seconds[2] as p95_seconds, max_seconds, total_seconds,
            total_seconds / sum(total_seconds) over () as share_of_seconds, attempts / answers as attempts_per_answer,
            slowest.run_id as slowest_run_id, slowest.row_id as slowest_row_id, is_finished, as_of
        from (
            select step, count(*) as answers, quantile_cont(seconds, [0.5, 0.95]) as seconds,
                max(seconds) as max_seconds, sum(seconds) as total_seconds, sum(attempts) as attempts,
                arg_max({{'run_id': run_id, 'row_id': row_id}}, answers.seconds) as slowest, {FINISHED},
                max(answered_at) as as_of
            from answers where status in ('answered', 'failed') and reused_from is null group by step
        ) order by p95_seconds desc nulls last, step
        """,
    ),
    View(
        "failures",
        "Which attempts fail, by class of error: where, how often, and since when?",
        ("attempts", "runs"),
        f"""
        select error_type, model, step, attempts, rows_affected,
            sum(attempts) over (partition by error_type)::BIGINT as attempts_of_class, first_at, last_at, last_message,
            is_finished
        from (
            select error_type, model, step, count(*) as attempts, count(distinct (run_id, row_id)) as rows_affected,
                min(started_at) as first_at, max(started_at) as last_at, arg_max(error_message, id) as last_message,
                {FINISHED}
            from attempts where error_type is not null group by error_type, model, step
        ) order by attempts_of_class desc, error_type, attempts desc, model, step
        """,
    ),
    View(
        "quality",
        "How good is the work of each model, by step and grader?",
        ("grades", "runs"),
        f"""
        select step, model, grader, kind, count(*) as n, avg(value) as mean, stddev_samp(value) as standard_deviation,
            {FINISHED}
        from grades group by step, model, grader, kind order by step, model, grader, kind
        """,
    ),
)
TEXT_VIEWS = (
    View(
        "attempts_text",
        "What went into each attempt, and what came out?",
        ("attempts", "contents"),
        f"""
        select a.*, coalesce(w.body, q.body) as request, o.body as output
        from attempts a left join contents q on q.hash = a.request_hash left join contents o on o.hash = a.output_hash
            left join {REBUILT} w on {SAME_ATTEMPT.format("w", "a")}
        """,
    ),
    View(
        "lineage",
        "Which outputs went into the request of each attempt, and which answer came of it?",
        ("attempts", "decisions", "contents", "answers"),
        """
        with given as (
            select id as decision_id, run_id, row_id, unnest(map_entries(inputs::MAP(VARCHAR, VARCHAR))) as input
            from decisions where inputs is not null
        ), answered as (
            select run_id, row_id, key, arg_max({
                'row_id': row_id, 'step': step, 'model': model, 'attempt_id': attempt_id, 'value': value,
                'run_id': coalesce(reused_from, run_id)}, answered_at) as found
            from answers where status = 'answered' group by run_id, row_id, key
        ), answered_anywhere as ( -- in the batch's own row, else in the first row of all
            select run_id, key, arg_min(found, case when row_id = '*' then '' else row_id end) as found
            from answered group by run_id, key
        ), traced as (
            select g.run_id, g.row_id, g.decision_id, g.input.key as input, g.input.value as input_key,
                coalesce(w.found, n.found) as source
            from given g
                left join answered w on w.run_id = g.run_id and w.row_id = g.row_id and w.key = g.input.value
                left join answered_anywhere n on n.run_id = g.run_id and n.key = g.input.value
        )
        select t.run_id, t.row_id, t.step, t.turn, t.repeat, t.id as attempt_id, t.number, t.model,
            i.input, i.input_key, i.source.run_id as from_run_id, i.source.row_id as from_row_id,
            i.source.step as from_step, i.source.model as from_model, i.source.attempt_id as from_attempt_id,
            i.source.value as from_value, t.request_hash, coalesce(w.body, q.body) as request,
            a.key is not null as gave_the_answer, a.key, a.value
        from attempts t
            left join traced i on i.decision_id = t.decision_id and i.run_id = t.run_id and i.row_id = t.row_id
            left join contents q on q.hash = t.request_hash
            left join """
        + f"{REBUILT} w on {SAME_ATTEMPT.format('w', 't')}"
        + """
            left join answers a on a.attempt_id = t.id and a.run_id = t.run_id and a.row_id = t.row_id
                and a.step = t.step and a.status = 'answered'
        """,
    ),
)
VIEWS = (*COST_VIEWS, *WORK_VIEWS, *PEOPLE_VIEWS, *ROUTING_VIEWS, *DRIFT_VIEWS, *RUN_VIEWS, *TEXT_VIEWS)
