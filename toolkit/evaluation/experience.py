"""A history as examples to learn from: requests of a step, the models that answered them, their grades and costs.

In: the history and the name of a step. Out: `Examples`, with NaN where a model never answered a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from toolkit.errors import RunError
from toolkit.ledger import History
from toolkit.messages import Data, Text, render
from toolkit.records import Json
from toolkit.routing.examples import Examples

GRADED = """
    with judged as (
        select attempt_id, min(value) as quality from grades
        where attempt_id is not null and value is not null group by attempt_id
    )
    select t.request_hash, t.model, any_value(t.request) as request, any_value(r.fields) as fields,
        avg(j.quality) as quality, avg(t.cost_usd) as cost_usd
    from attempts_text t join judged j on j.attempt_id = t.id
        join rows r on r.run_id = t.run_id and r.row_id = t.row_id
    where (t.step = $step or ends_with(t.step, '/' || $step)) and t.error_type is null and t.request is not null
    group by t.request_hash, t.model order by t.request_hash, t.model"""


def experience(history: History, step: str, *, task: str = "task") -> Examples:
    """Every graded attempt of a step: the lowest of its grades is its quality, attempts at one request are averaged.

    `task` names the field of the row that tells the task. Grades outside 0..1 are cut. Raises RunError where nothing is
    graded, ValueError where there is too little to learn from.
    """
    found = history.sql(GRADED, {"step": step}).rows
    if not found:
        raise RunError(
            f"the history has no graded attempts of step {step!r}: give the step a grader, or grade its runs"
        )
    models = tuple(sorted({row[1] for row in found}))
    requests: dict[str, int] = {}
    texts, tasks = [], []
    for request_hash, _, request, fields, *_ in found:
        if request_hash not in requests:
            requests[request_hash] = len(requests)
            texts.append(request_text(orjson.loads(request)))
            told = orjson.loads(fields or "{}").get(task)
            tasks.append(told if isinstance(told, str) else "")
    quality, cost = (np.full((len(requests), len(models)), np.nan) for _ in range(2))
    for request_hash, model, _, _, value, paid in found:
        at = requests[request_hash], models.index(model)
        quality[at] = min(max(value, 0.0), 1.0)
        cost[at] = np.nan if paid is None else paid
    return Examples(tuple(texts), tuple(tasks), models, quality, cost)


def request_text(request: Mapping[str, Json]) -> str:
    """The text of a recorded request, as `Request.text` gives it."""
    said = ["\n\n".join(_told(part) for part in message["parts"] if part["type"] in ("text", "data"))
            for message in request.get("messages", ())]  # fmt: skip
    return "\n\n".join([*said, *request.get("inputs", ())])


def _told(part: Mapping[str, Any]) -> str:
    return render(Text(part["text"]) if part["type"] == "text" else Data(part["name"], part["text"]))
