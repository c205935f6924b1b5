"""The shipped data are enough, all different, and their ground truth holds."""

from __future__ import annotations

import re
from datetime import date
from itertools import combinations
from typing import Any

import duckdb
import pytest

from tests.embedded.embedded_samples import INTENTS, SUPPORT, rows

COLUMNS = [
    "id", "split", "channel", "received", "customer_id", "ticket", "language", "intent", "also", "urgent", "order_id",
    "amount", "date", "passages", "answer", "sql", "facts",
]  # fmt: skip
REQUESTS = rows("requests.jsonl")
SECOND = rows("second.jsonl") + rows("second_questions.jsonl")
PASSAGES = rows("handbook.jsonl")


def grams(text: str) -> set[tuple[str, ...]]:
    """Runs of five words; of a shorter text the whole."""
    words = re.findall(r"\w+", text.lower()) or [text]
    return {tuple(words[n : n + 5]) for n in range(max(1, len(words) - 4))}


def test_there_are_enough_requests_and_passages() -> None:
    assert len(REQUESTS) >= 400
    assert len(PASSAGES) >= 40
    assert len({row["id"] for row in REQUESTS}) == len(REQUESTS)
    assert len({row["id"] for row in PASSAGES}) == len(PASSAGES)


def test_no_two_texts_are_nearly_the_same() -> None:
    texts = [row["ticket"] for row in (*REQUESTS, *SECOND, *rows("phrases.jsonl"))]
    seen = [grams(text) for text in texts]
    near = [
        (texts[a], texts[b])
        for a, b in combinations(range(len(texts)), 2)
        if not seen[a].isdisjoint(seen[b]) and len(seen[a] & seen[b]) > 0.5 * len(seen[a] | seen[b])
    ]
    assert near == []


def test_passages_differ_from_each_other() -> None:
    seen = [grams(row["text"]) for row in PASSAGES]
    assert all(len(a & b) <= 0.5 * len(a | b) for a, b in combinations(seen, 2))


def test_every_intent_is_split_sixty_to_forty() -> None:
    for intent in INTENTS:
        parts = [row["split"] for row in REQUESTS if row["intent"] == intent]
        assert len(parts) >= 30
        assert parts.count("train") == pytest.approx(0.6 * len(parts), abs=1)
        assert set(parts) == {"train", "test"}


@pytest.mark.parametrize("row", REQUESTS, ids=lambda row: str(row["id"]))
def test_ground_truth_is_well_formed(row: dict[str, Any]) -> None:
    known = {passage["id"] for passage in PASSAGES}
    assert list(row) == COLUMNS
    assert row["intent"] in INTENTS and row["also"] in (*INTENTS, None)
    assert row["channel"] in ("email", "chat", "form", "phone")
    assert row["language"] in ("en", "de", "fr", "es", "nl", "it")
    assert isinstance(row["urgent"], bool)
    assert row["ticket"].strip() == row["ticket"] != ""
    assert date.fromisoformat(row["received"]) <= date(2026, 6, 30)
    assert row["date"] is None or date.fromisoformat(row["date"])
    assert row["amount"] is None or row["amount"] > 0
    assert row["order_id"] is None or re.fullmatch(r"L-\d{5}", row["order_id"])
    assert row["customer_id"] is None or re.fullmatch(r"C-\d{4}", row["customer_id"])
    assert set(row["passages"]) <= known
    assert row["answer"] is None or (row["answer"] and all(isinstance(words, str) for words in row["answer"]))


def test_reference_queries_give_the_recorded_facts() -> None:
    with duckdb.connect() as connection:
        connection.execute("create table orders as from read_csv(?)", [str(SUPPORT / "orders.csv")])
        for row in REQUESTS:
            if row["sql"] is None:
                assert row["facts"] is None
                continue
            found = [[_plain(cell) for cell in line] for line in connection.sql(row["sql"]).fetchall()]
            assert sorted(found, key=str) == sorted(row["facts"], key=str), row["id"]


def _plain(cell: Any) -> Any:
    if isinstance(cell, date):
        return cell.isoformat()[:10]
    return cell if cell is None or isinstance(cell, str | int) else round(float(cell), 4)
