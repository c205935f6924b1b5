"""What judging asks of the history: which answers a grader has judged, and judge and people on the same answers."""

from __future__ import annotations

from toolkit.ledger.views.evaluations import OF_STEP

BY_PERSON = "(graded_by = 'person' or starts_with(grader, 'Person('))"

_PAIR = r"regexp_extract({}, ' of \S+ and \S+$')"
"""The two runs whose answers were held against each other, the end of a grader's name; empty for single answers."""

JUDGED_BY = """
    select distinct row_id, step, turn, repeat from grades g
    where grader = $grader and (value is not null or label is not null)
        and (attempt_id is null or exists (select 1 from answers a where a.attempt_id = g.attempt_id))"""
"""Places whose answer this grader has judged: not where it could not say, nor where an earlier attempt was judged."""

SIDE_BY_SIDE = f"""
    with judged as (
        select run_id, row_id, step, turn, repeat, any_value(attempt_id) as attempt_id, any_value(model) as model,
            avg(value) as judged
        from grades g where grader = $judge and not {BY_PERSON} and {OF_STEP}
            and (len($runs) = 0 or list_contains($runs, run_id))
            and (attempt_id is null or exists (select 1 from answers a where a.attempt_id = g.attempt_id))
        group by run_id, row_id, step, turn, repeat
    ), people as (
        select run_id, row_id, step, turn, repeat, attempt_id, avg(value) as label
        from grades where value is not null and case when $truth is null
            then {BY_PERSON} and ($people is null or grader = $people)
                and {_PAIR.format("grader")} = {_PAIR.format("$judge")}
            else grader = $truth end
        group by run_id, row_id, step, turn, repeat, attempt_id
    )
    select j.run_id, j.row_id, any_value(j.model) as model, any_value(j.judged) as judged, avg(p.label) as label,
        any_value(r.fields ->> $segment::VARCHAR) as segment
    from judged j
        left join people p on p.run_id = j.run_id and p.row_id = j.row_id and p.step = j.step and p.turn = j.turn
            and p.repeat = j.repeat and (p.attempt_id is null or p.attempt_id = j.attempt_id)
        left join rows r on r.run_id = j.run_id and r.row_id = j.row_id
    group by j.run_id, j.row_id, j.step, j.turn, j.repeat order by j.run_id, j.row_id, j.step, j.turn, j.repeat"""
"""A row per answer that the judge has judged: its grade, and people's label of the same answer, NULL without one."""

EVERY_GRADER = f"""
    select run_id, row_id, turn, repeat, grader, avg(value) as value
    from grades
    where value is not null and run_id = $run and {OF_STEP} and {_PAIR.format("grader")} = $pair
    group by run_id, row_id, turn, repeat, grader order by grader"""
"""What each grader, a person or not, said of the answers of a run; of pairs where `$pair` names one."""
