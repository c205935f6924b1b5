"""The history's views of money: what was spent, what it would have been under another book, and who says so."""

from __future__ import annotations

from toolkit.ledger.views.view import FINISHED, OF_MODELS, View

UTC_DAY = "(date '1970-01-01' + (epoch_us(started_at) // 86400000000)::INTEGER) as day"
PRUNED = """
    sum(calls)::BIGINT as calls, sum(errors)::BIGINT as errors,
    sum(cost_usd) filter (calls > calls_of_unknown_cost) as cost_usd,
    sum(calls_of_unknown_cost)::BIGINT as calls_of_unknown_cost"""
"""Sums of deleted attempts; those of which no cost is known add nothing, and not 0."""


def _spent(keys: str, *, of_attempts: str) -> str:
    """Sums over attempts, those deleted included; a deleted attempt's run is over."""
    return f"""
        select {keys}, sum(calls)::BIGINT as calls, sum(errors)::BIGINT as errors, sum(cost_usd) as cost_usd,
            sum(calls_of_unknown_cost)::BIGINT as calls_of_unknown_cost,
            sum(cost_usd) / nullif(sum(calls) - sum(calls_of_unknown_cost), 0) as cost_usd_per_call,
            sum(input_tokens)::BIGINT as input_tokens, sum(output_tokens)::BIGINT as output_tokens,
            sum(cache_read_input_tokens)::BIGINT as cache_read_input_tokens,
            sum(reasoning_output_tokens)::BIGINT as reasoning_output_tokens,
            bool_and(is_finished) as is_finished, max(as_of) as as_of
        from (
            select {of_attempts}, count(*) as calls, count(error_type) as errors, sum(cost_usd) as cost_usd,
                count(*) - count(cost_usd) as calls_of_unknown_cost, sum(input_tokens) as input_tokens,
                sum(output_tokens) as output_tokens, sum(cache_read_input_tokens) as cache_read_input_tokens,
                sum(reasoning_output_tokens) as reasoning_output_tokens, {FINISHED}, max(started_at) as as_of
            from attempts where {OF_MODELS} group by {keys}
            union all
            select {keys}, {PRUNED}, sum(input_tokens), sum(output_tokens), sum(cache_read_input_tokens),
                sum(reasoning_output_tokens), true, null
            from pruned group by {keys}
        ) group by {keys}"""


COST_VIEWS = (
    View(
        "model_costs",
        "What did each model cost, by step? Calls that were pruned are counted.",
        ("attempts", "runs", "pruned"),
        _spent("step, model", of_attempts="step, model") + " order by step, cost_usd desc nulls last, model",
    ),
    View(
        "daily_costs",
        "What did each model cost, by day (UTC)? Calls that were pruned are counted.",
        ("attempts", "runs", "pruned"),
        _spent("day, model", of_attempts=f"{UTC_DAY}, model") + " order by day, cost_usd desc nulls last, model",
    ),
    View(
        "repriced",
        "What would each attempt have cost under each price book on record?",
        ("attempts", "prices"),
        """
        with levels as (
            select *, split_part(version, ' over ', 1) as book,
                coalesce(try_cast(nullif(split_part(version, ' over ', 2), '') as BIGINT), -1) as above
            from prices
        ), books as (
            select book, model, above, lead(above) over (partition by book, model order by above) as up_to,
                input_usd_per_million as entered, output_usd_per_million as put_out, request_usd,
                coalesce(cache_read_usd_per_million, input_usd_per_million) as read,
                coalesce(cache_write_usd_per_million, input_usd_per_million) as written
            from levels
        )
        select a.run_id, a.row_id, a.step, a.turn, a.repeat, a.id as attempt_id, a.model, a.started_at,
            b.book as version,
            case
                when a.finish_reasons is null then null -- there was no reply
                when a.input_tokens is null and b.entered <> 0 then null
                when a.output_tokens is null and b.put_out <> 0 then null
                else b.request_usd + (
                    greatest(coalesce(a.input_tokens, 0) - coalesce(a.cache_read_input_tokens, 0)
                        - coalesce(a.cache_write_input_tokens, 0), 0) * b.entered
                    + coalesce(a.cache_read_input_tokens, 0) * b.read
                    + coalesce(a.cache_write_input_tokens, 0) * b.written
                    + coalesce(a.output_tokens, 0) * b.put_out) / 1000000
            end as repriced_cost_usd,
            a.price_version, a.computed_cost_usd, a.reported_cost_usd, a.cost_usd
        from attempts a join books b on b.model = a.model and coalesce(a.input_tokens, 0) > b.above
            and (b.up_to is null or coalesce(a.input_tokens, 0) <= b.up_to)
        """,
    ),
    View(
        "price_drift",
        "How far is what providers report from what the price book computes, by model?",
        ("attempts", "runs"),
        f"""
        select model, count(*) as calls, sum(reported_cost_usd) as reported_cost_usd,
            sum(computed_cost_usd) as computed_cost_usd,
            sum(reported_cost_usd) / nullif(sum(computed_cost_usd), 0) as ratio,
            quantile_cont(deviation, 0.5) as median_deviation, arg_max(deviation, abs(deviation)) as worst_deviation,
            arg_max(id, abs(deviation)) as worst_attempt_id,
            list(distinct price_version order by price_version) as price_versions,
            {FINISHED}, max(started_at) as as_of
        from (
            select *, reported_cost_usd / nullif(computed_cost_usd, 0) - 1 as deviation from attempts
            where reported_cost_usd is not null and computed_cost_usd is not null
        ) group by model order by abs(ln(nullif(ratio, 0))) desc nulls last, model
        """,
    ),
)
