"""What earlier runs say of a workflow's steps, for whoever plans another run. Named statements over the history."""

from __future__ import annotations

REQUESTS = """
    select d.step, d.choice as model, count(distinct d.id) as requests, count(*) as calls, sum(a.cost_usd) as cost_usd,
        count(*) filter (a.cost_usd is null and a.error_type is null) as unpriced, sum(a.service_seconds) as seconds,
        quantile_cont(a.output_tokens, 0.1) as short_output
    from decisions d join attempts a on a.decision_id = d.id
    where starts_with(d.step, $prefix) group by all order by all"""
"""Of each step, by the model that was the first choice: requests, and all that was tried for them."""
ROWS = """
    select count(*) from rows where parent_row_id is null and run_id in (
        select distinct run_id from decisions where starts_with(step, $prefix))"""
"""Rows of the runs that those are from."""
