"""How good the embedded models are at the example's tickets, with Wilson intervals of 95 %.

    python -m evals.support.quality [--json] [--write]      # --write keeps the table in results.md

Three columns. `test`: the part that nothing was fitted or written on. `train`: cross-validation in five folds for what
is trained (linear, embedder, extractive); the pattern models (keywords, reader, sql) were written with the training
part in view, so there their figure is optimistic. `second`: tickets and questions written apart, without sight of the
models (second.jsonl, second_questions.jsonl), where those files are there.

Two figures for SQL. `rows equal`: the same rows as the reference query gives, whatever the order of rows and columns
and the names. `answered`: as many rows as the reference, each with all its cells; further columns are allowed.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from toolkit.errors import CallError
from toolkit.messages import Data, Message, Text
from toolkit.models.embedded import build
from toolkit.models.spec import ModelSpec, Provider
from toolkit.records import Reply, Request

SUPPORT = Path(__file__).parents[2] / "toolkit" / "examples" / "support"
INTENTS = ["refund", "delivery", "account", "billing", "product", "order", "other"]
TRIAGE = {
    "type": "object",
    "properties": {"intent": {"type": "string", "enum": INTENTS}, "urgent": {"type": "boolean"}},
    "required": ["intent", "urgent"],
}
ENTITIES = {
    "type": "object",
    "properties": {
        "order_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "amount": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "date": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    },
    "required": ["order_id", "amount", "date"],
}
TABLE = (
    "create table orders (order_id varchar, customer_id varchar, placed_on date, product varchar, category varchar, "
    "quantity bigint, unit_price double, total double, status varchar, shipped_on date, delivered_on date, "
    "carrier varchar, country varchar, payment varchar)"
)
FOLDS = 5
RESULTS = Path(__file__).with_name("results.md")
RESULTS_INTRO = """# How good the embedded models are

`test` is the part of the tickets that nothing was fitted on; `train` is cross-validation, or optimistic where a model
was written with that part in view; `second` was written apart, without sight of the models or of the other tickets,
while the models were being finished without sight of it; nothing is tuned on it. The totals of `test` were printed a
few times while the models were written; its errors were not looked at, but `second` is the cleaner figure. Shares with
Wilson intervals of 95 %. `make quality` measures again.
"""
Row = Mapping[str, Any]
Outcomes = dict[str, list[bool]]


def main() -> None:
    rows = read(SUPPORT / "requests.jsonl")
    parts = {"test": evaluate([row for row in rows if row["split"] == "test"], SUPPORT), "train": cross_validated(rows)}
    second = [*read(SUPPORT / "second.jsonl"), *read(SUPPORT / "second_questions.jsonl")]
    if second:
        parts["second"] = evaluate(second, SUPPORT)
    else:
        print("There is no second.jsonl yet: that column is left out.")
    if "--json" in sys.argv:
        print(
            json.dumps(
                {part: {name: [sum(hits), len(hits)] for name, hits in found.items()} for part, found in parts.items()}
            )
        )
        return
    lines = ["| measure | " + " | ".join(parts) + " |", "|---" * (len(parts) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(told(found.get(name, [])) for found in parts.values()) + " |"
        for name in parts["test"]
    ]
    print("\n".join(lines))
    if "--write" in sys.argv:
        RESULTS.write_text(f"{RESULTS_INTRO}\n" + "\n".join(lines) + f"\n\n{_machine()}\n", encoding="utf-8")


def _machine() -> str:
    from importlib.metadata import version

    names = ("scikit-learn", "numpy", "duckdb")
    return f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {version(name)}" for name in names) + "."


def evaluate(rows: Sequence[Row], folder: Path) -> Outcomes:
    """What the fleet in `folder` gets right of the rows: measure → one bool for each row that it applies to."""
    fleet = Fleet(folder)
    outcomes: Outcomes = {}
    for measure in (triage, entities, retrieval_and_quotes, queries):
        for name, hit in measure(rows, fleet):
            outcomes.setdefault(name, []).append(hit)
    return outcomes


def cross_validated(rows: Sequence[Row]) -> Outcomes:
    """The same on the training part, each fifth of it by models trained on the other four."""
    train = [row for row in rows if row["split"] == "train"]
    outcomes: Outcomes = {}
    for fold in range(FOLDS):
        unseen = train[fold::FOLDS]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for file in SUPPORT.iterdir():
                if file.is_file():
                    shutil.copy(file, folder)
            seen = [row for row in train if row not in unseen]
            (folder / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in seen), encoding="utf-8")
            for name, hits in evaluate(unseen, folder).items():
                outcomes.setdefault(name, []).extend(hits)
    return outcomes


class Fleet:
    """The models of a folder's models.toml, asked one request at a time."""

    def __init__(self, folder: Path) -> None:
        tables = tomllib.loads((folder / "models.toml").read_text(encoding="utf-8"))["models"]
        self.models: dict[str, Provider] = {
            name: build(ModelSpec(name, "embedded", table["model"], settings=table.get("settings", {}), folder=folder))
            for name, table in tables.items()
            if table["provider"] == "embedded"
        }
        self.passages = read(folder / "handbook.jsonl")

    def ask(self, name: str, request: Request) -> Reply | None:
        """The reply, or None where the model refused."""
        try:
            return asyncio.run(self.models[name].send(request))
        except CallError:
            return None

    def answer(self, name: str, schema: Mapping[str, Any] | None = None, **data: str | None) -> Any:
        """The answer to named sections as JSON (as text without a schema), or None where the model refused."""
        parts = tuple(Data(key, value) for key, value in data.items() if value is not None)
        reply = self.ask(name, Request((Message("user", (Text("Answer."), *parts)),), output_schema=schema))
        if reply is None:
            return None
        return json.loads(reply.text) if schema else reply.text


def triage(rows: Sequence[Row], fleet: Fleet) -> Iterable[tuple[str, bool]]:
    for row in (row for row in rows if row.get("intent")):
        for name in ("small", "large"):
            told = fleet.answer(name, TRIAGE, ticket=row["ticket"]) or {}
            label = {"small": "keywords", "large": "linear"}[name]
            yield f"{label}: intent", told.get("intent") == row["intent"]
            yield f"{label}: intent or second intent", told.get("intent") in (row["intent"], row.get("also"))
            yield f"{label}: urgent", told.get("urgent") == row["urgent"]


def entities(rows: Sequence[Row], fleet: Fleet) -> Iterable[tuple[str, bool]]:
    for row in (row for row in rows if set(ENTITIES["properties"]) <= set(row)):
        told = fleet.answer("reader", ENTITIES, ticket=row["ticket"], received=row.get("received")) or {}
        for field in ENTITIES["properties"]:
            yield f"reader: {field}", told.get(field) == row[field]
            if row[field] is not None:
                yield f"reader: {field}, where there is one", told.get(field) == row[field]


def retrieval_and_quotes(rows: Sequence[Row], fleet: Fleet) -> Iterable[tuple[str, bool]]:
    texts = [f"{passage['title']}\n{passage['text']}" for passage in fleet.passages]
    placed = vectors(fleet, texts)
    for row in rows:
        if row.get("passages"):
            asked = vectors(fleet, [row["ticket"]])[0]
            near = sorted(range(len(texts)), key=lambda n: -sum(a * b for a, b in zip(placed[n], asked, strict=True)))[
                :3
            ]
            ids = [fleet.passages[n]["id"] for n in near]
            yield "embedder: right passage first", ids[0] in row["passages"]
            yield "embedder: right passage in 3", any(name in row["passages"] for name in ids)
            if row.get("answer"):
                given = json.dumps([fleet.passages[n] for n in near])
                quoted = fleet.answer("quoter", None, ticket=row["ticket"], passages=given) or ""
                yield "extractive: holds the answer", any(words.lower() in quoted.lower() for words in row["answer"])


def vectors(fleet: Fleet, texts: Sequence[str]) -> Sequence[Sequence[float]]:
    reply = fleet.ask("embedder", Request(operation="embeddings", inputs=tuple(texts)))
    return reply.vectors if reply else [()] * len(texts)


def queries(rows: Sequence[Row], fleet: Fleet) -> Iterable[tuple[str, bool]]:
    with duckdb.connect() as connection:
        connection.execute(TABLE)
        connection.execute("insert into orders from read_csv(?)", [str(SUPPORT / "orders.csv")])
        for row in rows:
            if row.get("sql"):
                told = fleet.answer(
                    "coder",
                    None,
                    ticket=row["ticket"],
                    table=TABLE,
                    customer_id=row.get("customer_id"),
                    today=row.get("received", "2026-06-30"),
                )
                found = connection.sql(told).fetchall() if told else None
                right = connection.sql(row["sql"]).fetchall()
                yield "sql: rows equal", found is not None and Counter(map(bag, found)) == Counter(map(bag, right))
                yield "sql: answered", found is not None and holds(found, right)


def holds(found: Sequence[Sequence[Any]], right: Sequence[Sequence[Any]]) -> bool:
    """Whether there are as many rows, and each right one is within a found one of its own."""
    left = [Counter(bag(row)) for row in found]
    for row in right:
        cells = Counter(bag(row))
        match = next((place for place, given in enumerate(left) if not cells - given), None)
        if match is None:
            return False
        left.pop(match)
    return not left


def bag(row: Sequence[Any]) -> tuple[str, ...]:
    """The cells of a row, whatever their order; numbers to two digits, so that 14 and 14.0 are one."""
    return tuple(sorted(f"{float(cell):.2f}" if isinstance(cell, int | float) else str(cell) for cell in row))


def told(hits: Sequence[bool]) -> str:
    """A share with its interval and count, e.g. "0.82 (0.76-0.87) n=184"."""
    if not hits:
        return "-"
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits) / len(hits):.3f} ({low:.2f}-{high:.2f}) n={len(hits)}"


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927)."""
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5 / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; none where the file is not there. A `question` counts as the ticket."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [{**row, "ticket": row["question"]} if "question" in row and "ticket" not in row else row for row in rows]


if __name__ == "__main__":
    main()
