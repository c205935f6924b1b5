"""The history's views of routing: who was chosen, and how that changes from run to run."""

from __future__ import annotations

from toolkit.ledger.views.view import FINISHED, View

ROUTING_VIEWS = (
    View(
        "routing_mix",
        "Which share of decisions, and of answers, goes to which model, by step?",
        ("decisions", "answers", "runs"),
        f"""
        with decided as (
            select step, choice as model, count(*) as decisions, {FINISHED} from decisions group by step, choice
        ), answered as (
            select step, model, count(*) as answers, {FINISHED} from answers
            where status = 'answered' and model is not null and reused_from is null group by step, model
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
        "routing_drift",
        "How does each step's routing mix change from one run to the next?",
        ("decisions", "runs"),
        """
        with taken as (
            select step, run_id, choice as model, count(*) as decisions from decisions
            where choice is not null group by step, run_id, choice
        ), went as (
            select t.step, t.run_id, sum(t.decisions) as decisions, any_value(r.started_at) as started_at,
                any_value(r.status <> 'running') as is_finished
            from taken t join runs r on r.id = t.run_id group by t.step, t.run_id
        ), in_turn as (
            select *, lag(run_id) over (partition by step order by started_at, run_id) as run_before from went
        ), shares as (
            select t.step, t.run_id, t.model, t.decisions, t.decisions / w.decisions as part
            from taken t join went w on w.step = t.step and w.run_id = t.run_id
        ), models as (
            select step, run_id, model from shares
            union
            select n.step, n.run_id, s.model
            from in_turn n join shares s on s.step = n.step and s.run_id = n.run_before
        )
        select m.step, m.run_id, n.started_at, m.model, coalesce(s.decisions, 0) as decisions,
            coalesce(s.part, 0) as share, n.run_before,
            case when n.run_before is not null then coalesce(b.part, 0) end as share_before,
            share - share_before as change,
            sum(abs(change)) over (partition by m.step, m.run_id) / 2 as share_moved, n.is_finished
        from models m join in_turn n on n.step = m.step and n.run_id = m.run_id
            left join shares s on s.step = m.step and s.run_id = m.run_id and s.model = m.model
            left join shares b on b.step = m.step and b.run_id = n.run_before and b.model = m.model
        order by m.step, n.started_at, m.run_id, m.model
        """,
    ),
)
