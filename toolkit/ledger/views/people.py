"""The history's views of people: what waits for them, how they answer, and the conversations that they hold.

`TRIED` is asked of one run (`History.sql(..., run_id=...)`): what was tried before a person was, and its grades.
"""

from __future__ import annotations

from toolkit.ledger.views.view import View

PEOPLE_VIEWS = (
    View(
        "waiting",
        "Which rows wait for a person, for whom and what, since when, and how long still?",
        ("reviews", "rows", "runs"),
        """
        select v.run_id, v.row_id, w."index", v.step, v.person, v.question, v.why, v.asked_at as waiting_since,
            epoch(now() - v.asked_at) as waited_seconds, v.expires_at, epoch(v.expires_at - now()) as seconds_left,
            v.default_value, v.key, coalesce(r.status <> 'running', false) as is_finished
        from reviews v
            left join rows w on w.run_id = v.run_id and w.row_id = v.row_id
            left join runs r on r.id = v.run_id
        where v.status = 'open' order by v.asked_at, v.row_id, v.step
        """,
    ),
    View(
        "people",
        "How often is each person asked, how fast do they answer, and how often had the model before them been right?",
        ("reviews", "grades"),
        """
        with judged as (
            select grader, step, avg(value) as models_agreed, count(value) as compared
            from grades where kind = 'label' and attempt_id is not null group by grader, step
        )
        select v.person, v.step, count(*) as asked, count(*) filter (v.status = 'open') as open,
            count(*) filter (v.status = 'answered') as answered, count(*) filter (v.status = 'expired') as expired,
            quantile_cont(epoch(v.answered_at - v.asked_at), 0.5) filter (v.status = 'answered') as p50_answer_seconds,
            list(distinct v.answered_by order by v.answered_by) filter (v.answered_by is not null) as answered_by,
            any_value(j.models_agreed) as models_agreed, coalesce(any_value(j.compared), 0) as compared
        from reviews v left join judged j on j.grader = 'Person(''' || v.person || ''')' and j.step = v.step
        group by v.person, v.step order by asked desc, v.person, v.step
        """,
    ),
    View(
        "conversations",
        "Which conversations are there, how long and how dear, who answered, and which wait for a reply?",
        ("sessions", "messages", "attempts"),
        """
        with said as (
            select session_id, count(*) as messages, count(*) filter (role = 'assistant') as turns,
                arg_max(role, messages."index") = 'user' as is_waiting, max(said_at) as last_at
            from messages group by session_id
        ), tried as (
            select run_id, count(*) as calls, sum(cost_usd) as cost_usd,
                count(*) filter (cost_usd is null and error_type is null) as calls_of_unknown_cost,
                list(distinct model order by model) as models
            from attempts group by run_id
        )
        select s.id as session_id, s.name, m.turns, m.messages, m.is_waiting, t.calls, t.cost_usd,
            t.calls_of_unknown_cost, t.models, s.started_at, m.last_at
        from sessions s join said m on m.session_id = s.id left join tried t on t.run_id = s.id
        order by m.last_at desc, s.id
        """,
    ),
)
LABELLED = "select id from grades where id = $label"
TRIED = """
    with graded as (
        select attempt_id, list({
            'grader': grader, 'kind': kind, 'value': value, 'label': label, 'reason': reason, 'graded_by': graded_by
        } order by id) as grades
        from grades
        where list_contains($rows, row_id) and step = $step and turn = $turn and repeat = $repeat
            and attempt_id is not null
        group by attempt_id
    )
    select a.row_id, g.grades, a.id, a.number, a.model, a.why, o.body as output, a.confidence, a.cost_usd,
        a.error_type, a.error_message
    from attempts a left join contents o on o.hash = a.output_hash left join graded g on g.attempt_id = a.id
    where list_contains($rows, a.row_id) and a.step = $step and a.turn = $turn and a.repeat = $repeat order by a.id"""
