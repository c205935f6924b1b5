"""The history's views: each answers one question of an analyst and has that question's name.

They read tables by their bare names, so that the same text serves in the history's file and in the reader, where the
tables include what is not merged yet. Views over runs that may still be going tell so in `is_finished`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A question, the tables and views that it reads, and its SQL."""

    name: str
    question: str
    reads: tuple[str, ...]
    sql: str


VIEWS = (
    View(
        "model_costs",
        "What did each model cost, by step?",
        ("attempts", "runs"),
        """
        select a.step, a.model, count(*) as calls, count(a.error_type) as errors,
            sum(a.cost_usd) as cost_usd, count(*) - count(a.cost_usd) as calls_of_unknown_cost,
            avg(a.cost_usd) as cost_usd_per_call,
            sum(a.input_tokens)::BIGINT as input_tokens, sum(a.output_tokens)::BIGINT as output_tokens,
            sum(a.cache_read_input_tokens)::BIGINT as cache_read_input_tokens,
            sum(a.reasoning_output_tokens)::BIGINT as reasoning_output_tokens,
            coalesce(bool_and(r.status <> 'running'), false) as is_finished
        from attempts a left join runs r on r.id = a.run_id
        group by a.step, a.model order by a.step, cost_usd desc nulls last, a.model
        """,
    ),
    View(
        "step_timings",
        "How long does each step take, and how long does it wait?",
        ("attempts", "runs"),
        """
        select a.step, a.model, count(*) as calls,
            quantile_cont(a.service_seconds, 0.5) as p50_service_seconds,
            quantile_cont(a.service_seconds, 0.95) as p95_service_seconds,
            quantile_cont(a.wait_seconds, 0.5) as p50_wait_seconds,
            quantile_cont(a.wait_seconds, 0.95) as p95_wait_seconds,
            coalesce(bool_and(r.status <> 'running'), false) as is_finished
        from attempts a left join runs r on r.id = a.run_id
        group by a.step, a.model order by a.step, a.model
        """,
    ),
    View(
        "routing_mix",
        "Which share of decisions, and of answers, goes to which model, by step?",
        ("decisions", "answers", "runs"),
        """
        with decided as (
            select d.step, d.choice as model, count(*) as decisions,
                coalesce(bool_and(r.status <> 'running'), false) as is_finished
            from decisions d left join runs r on r.id = d.run_id group by d.step, d.choice
        ), answered as (
            select a.step, a.model, count(*) as answers,
                coalesce(bool_and(r.status <> 'running'), false) as is_finished
            from answers a left join runs r on r.id = a.run_id
            where a.status = 'answered' and a.model is not null and a.reused_from is null
            group by a.step, a.model
        )
        select step, model, coalesce(d.decisions, 0) as decisions,
            d.decisions / sum(d.decisions) over (partition by step) as share_of_decisions,
            coalesce(a.answers, 0) as answers,
            a.answers / sum(a.answers) over (partition by step) as share_of_answers,
            coalesce(d.is_finished, true) and coalesce(a.is_finished, true) as is_finished
        from decided d full join answered a using (step, model) order by step, model
        """,
    ),
    View(
        "failures",
        "What fails, where, how often, and since when?",
        ("attempts",),
        """
        select error_type, model, step, count(*) as attempts, count(distinct (run_id, row_id)) as rows_affected,
            min(started_at) as first_at, max(started_at) as last_at, arg_max(error_message, id) as last_message
        from attempts where error_type is not null
        group by error_type, model, step order by attempts desc, error_type, model, step
        """,
    ),
    View(
        "waiting",
        "Which rows wait for a person, for what, and since when?",
        ("reviews", "rows", "runs"),
        """
        select v.run_id, v.row_id, w."index", v.step, v.person, v.question, v.why, v.asked_at as waiting_since, v.key,
            coalesce(r.status <> 'running', false) as is_finished
        from reviews v
            left join rows w on w.run_id = v.run_id and w.row_id = v.row_id
            left join runs r on r.id = v.run_id
        where v.status = 'open' order by v.asked_at, v.row_id, v.step
        """,
    ),
    View(
        "quality",
        "How good is the work of each model, by step and grader?",
        ("grades", "runs"),
        """
        select g.step, g.model, g.grader, g.kind, count(*) as n, avg(g.value) as mean,
            stddev_samp(g.value) as standard_deviation, coalesce(bool_and(r.status <> 'running'), false) as is_finished
        from grades g left join runs r on r.id = g.run_id
        group by g.step, g.model, g.grader, g.kind order by g.step, g.model, g.grader, g.kind
        """,
    ),
    View(
        "run_summary",
        "How did each run go?",
        ("runs", "rows", "attempts"),
        """
        with ended as (
            select run_id, count(*) as rows_ended, count(*) filter (status = 'answered') as answered,
                count(*) filter (status = 'parked') as parked, count(*) filter (status = 'failed') as failed,
                count(*) filter (status = 'set_aside') as set_aside, max(finished_at) as last_at
            from rows where parent_row_id is null group by run_id
        ), tried as (
            select run_id, count(*) as attempts, count(error_type) as errors, sum(cost_usd) as cost_usd,
                count(*) - count(cost_usd) as attempts_of_unknown_cost, sum(service_seconds) as service_seconds,
                max(started_at) as last_at
            from attempts group by run_id
        )
        select r.id as run_id, r.workflow, r.origin, r.status, r.status <> 'running' as is_finished, r.rows_total,
            coalesce(e.rows_ended, 0) as rows_ended, coalesce(e.answered, 0) as answered,
            coalesce(e.parked, 0) as parked, coalesce(e.failed, 0) as failed, coalesce(e.set_aside, 0) as set_aside,
            coalesce(t.attempts, 0) as attempts, coalesce(t.errors, 0) as errors, t.cost_usd,
            coalesce(t.attempts_of_unknown_cost, 0) as attempts_of_unknown_cost, t.service_seconds, r.started_at,
            r.finished_at, epoch(coalesce(r.finished_at, e.last_at, t.last_at) - r.started_at) as seconds,
            greatest(r.started_at, r.finished_at, e.last_at, t.last_at) as as_of
        from runs r left join ended e on e.run_id = r.id left join tried t on t.run_id = r.id
        order by r.started_at desc, r.id desc
        """,
    ),
    View(
        "attempts_text",
        "What went into each attempt, and what came out?",
        ("attempts", "contents"),
        """
        select a.*, q.body as request, o.body as output
        from attempts a left join contents q on q.hash = a.request_hash left join contents o on o.hash = a.output_hash
        """,
    ),
    View(
        "lineage",
        "Which request was sent in which attempt, and which attempt gave which answer?",
        ("attempts", "contents", "answers"),
        """
        select t.run_id, t.row_id, t.step, t.turn, t.repeat, t.id as attempt_id, t.number, t.model, t.request_hash,
            q.body as request, a.key is not null as gave_the_answer, a.key, a.value
        from attempts t left join contents q on q.hash = t.request_hash
            left join answers a on a.attempt_id = t.id and a.run_id = t.run_id and a.status = 'answered'
        """,
    ),
)
