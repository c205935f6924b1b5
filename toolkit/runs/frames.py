"""A run as a DataFrame: a line per row, a column per step. In: a run. Out: pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from toolkit.ledger.views import questions

if TYPE_CHECKING:
    from pandas import DataFrame

    from toolkit.runs.running import Running


def answers_frame(running: Running) -> DataFrame:
    """One line per row of the run, in order: row_id, the row's fields, status, reason, cost_usd, a column per step.

    A step's column holds its value as plain JSON, None where it has none; it is named after the step, with an
    underscore behind where a field has that name.
    """
    from pandas import DataFrame

    rows = running.sql(questions.ENDED_ROWS).rows
    answers = running.sql(questions.STEP_VALUES).rows
    values: dict[str, dict[str, object]] = {}
    for row_id, step, value in answers:
        values.setdefault(row_id, {})[step.rsplit("/", 1)[-1]] = None if value is None else orjson.loads(value)
    names = [step.name for step in running.workflow.per_row]
    lines = []
    for row_id, fields, status, reason, cost_usd in rows:
        given = orjson.loads(fields or "{}")
        steps = {f"{n}_" if n in given else n: values.get(row_id, {}).get(n) for n in names}
        lines.append({"row_id": row_id, **given, "status": status, "reason": reason, "cost_usd": cost_usd, **steps})
    return DataFrame(lines)
