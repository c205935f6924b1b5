"""Recorded outcomes played back: the answers that real models once gave, through the very same engine.

In: a table (Parquet, CSV or JSONL) with one row per item and model. The request names its item in a data section
(`key`, say `query_id`). Out: the recorded response with its cost, tokens, latency and score. Nothing is called.

Settings in models.toml: `table` the file, `key` the section and column that name the item; optional `dataset` (only
rows whose column `dataset` equals it).
Columns read: the key, `model`, `response`, `score`, `cost_usd`, `input_tokens`, `output_tokens`, `latency_s`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from toolkit.errors import FleetError, InvalidRequest
from toolkit.messages import Data, Text
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request, Usage

Outcome = tuple[str | None, float | None, float | None, int | None, int | None, float | None]


class RecordedModel:
    """Plays back one model's rows of the table."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.key = str(spec.settings.get("key", "query_id"))
        dataset = spec.settings.get("dataset")
        self.outcomes = _outcomes(spec.path("table"), self.key, None if dataset is None else str(dataset)).get(
            spec.model, {}
        )
        if not self.outcomes:
            raise FleetError(f"model {spec.name!r}: the table {spec.path('table')} has no rows for {spec.model!r}")

    async def send(self, request: Request) -> Reply:
        item = _section(request, self.key)
        if item is None:
            raise InvalidRequest(
                f"{self.spec.name} plays back recorded answers: the prompt needs a section {self.key!r}"
            )
        outcome = self.outcomes.get(item)
        if outcome is None:
            raise InvalidRequest(f"{self.spec.name} has no recorded answer for {self.key} {item!r}")
        response, score, cost_usd, input_tokens, output_tokens, seconds = outcome
        return Reply(
            parts=(Text(response or ""),),
            usage=Usage(input_tokens, output_tokens),
            finish_reasons=("stop",),
            response_model=self.spec.model,
            cost_usd=cost_usd,
            service_seconds=seconds,
            score=score,
        )

    async def close(self) -> None:
        return None


def _section(request: Request, name: str) -> str | None:
    parts = (part for message in request.messages for part in message.parts)
    return next((part.text for part in parts if isinstance(part, Data) and part.name == name), None)


@lru_cache(maxsize=4)
def _outcomes(table: Path, key: str, dataset: str | None) -> Mapping[str, Mapping[str, Outcome]]:
    """model → item → outcome; read once for all the models that share the table."""
    import duckdb

    columns = f'"{key}", model, response, score, cost_usd, input_tokens, output_tokens, latency_s'
    where = "" if dataset is None else "where dataset = ?"
    source = f"'{table}'"
    if table.suffix.lower() == ".csv":  # "yes" and "007" are words, whatever they look like
        source = f"read_csv('{table}', types = {{'{key}': 'varchar', 'model': 'varchar', 'response': 'varchar'}})"
    try:
        with duckdb.connect() as connection:
            rows = connection.execute(
                f"select {columns} from {source} {where}", [] if dataset is None else [dataset]
            ).fetchall()
    except duckdb.Error as error:
        raise FleetError(f"cannot read recorded outcomes from {table}: {error}") from error
    found: dict[str, dict[str, Outcome]] = {}
    for item, model, *outcome in rows:
        found.setdefault(model, {})[str(item)] = tuple(outcome)
    return found
