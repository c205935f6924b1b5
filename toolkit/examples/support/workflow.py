"""The support workflow: a ticket goes in; what it is about, what it names, and a grounded reply come out.

    ticket ─▶ triage ─────────────┬─▶ query ─▶ facts ─┐
           ─▶ entities            │                   ├─▶ reply          all rows ─▶ digest
           ─▶ vector ─▶ passages ─┴───────────────────┘
    (handbook ─▶ handbook_vectors, once for the batch)

Steps are plain functions: they return requests and never call a model. Who answers is the fleet's business.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any, Literal

import orjson
from pydantic import BaseModel

import toolkit as tk
from toolkit.examples.support import HANDBOOK, ORDERS
from toolkit.rows import clean

TODAY = "2026-06-30"
ORDERS_TABLE = """create table orders (
  order_id varchar, customer_id varchar, placed_on date, product varchar, category varchar, quantity integer,
  unit_price decimal(9, 2), total decimal(9, 2), status varchar, shipped_on date, delivered_on date,
  carrier varchar, country varchar, payment varchar
)"""


class Ticket(BaseModel):
    """A row of the batch; other columns (such as ground truth) travel along unseen."""

    id: str
    ticket: str
    received: str | None = None
    customer_id: str | None = None


class Triage(BaseModel):
    """What a ticket is about, and whether somebody must act within hours."""

    intent: Literal["refund", "delivery", "account", "billing", "product", "order", "other"]
    urgent: bool


class Entities(BaseModel):
    """What a ticket names; null where it names none."""

    order_id: str | None = None
    amount: float | None = None
    date: str | None = None


class Query(BaseModel):
    """One SELECT over the orders table."""

    sql: str


class Answer(BaseModel):
    """A reply, and the ids of the passages it rests on."""

    answer: str
    sources: list[str] = []


small_first = tk.Ladder("small", "large", "person")
careful = tk.Retry(2) | tk.Repair(1) | tk.Escalate(below=0.5, person_below=0.3) | tk.Fallback()


@tk.step(route=tk.Explore(small_first, rate=0.1), policy=careful, output=Triage)
def triage(ticket: str) -> tk.Request:
    return tk.prompt("Triage this support ticket: its main intent, and whether it is urgent.", ticket=ticket)


@tk.step(route=tk.Fixed("reader"), policy=tk.Retry(2), output=Entities)
def entities(ticket: str, received: str | None) -> tk.Request:
    return tk.prompt(
        "Find the order number, the amount in euros and the calendar date that the ticket names.",
        ticket=ticket,
        received=received or TODAY,
    )


@tk.step
def handbook() -> list[dict[str, str]]:
    return [orjson.loads(line) for line in HANDBOOK.read_bytes().splitlines()]


@tk.step(route=tk.Fixed("embedder"), policy=tk.Retry(2))
def handbook_vectors(handbook: list[dict[str, str]]) -> tk.Request:
    return tk.embed(*(f"{passage['title']}. {passage['text']}" for passage in handbook))


@tk.step(route=tk.Fixed("embedder"), policy=tk.Retry(2))
def vector(ticket: str) -> tk.Request:
    return tk.embed(ticket)


@tk.step
def passages(
    vector: list[float], handbook: list[dict[str, str]], handbook_vectors: list[list[float]], k: int = 4
) -> list[dict[str, Any]]:
    """The k passages nearest to the ticket, with their cosine similarity."""
    import numpy

    similarity = numpy.asarray(handbook_vectors) @ numpy.asarray(vector)
    nearest = numpy.argsort(-similarity)[:k]
    return [{**handbook[i], "similarity": round(float(similarity[i]), 4)} for i in nearest]


@tk.step(route=tk.Ladder("coder", "person"), policy=tk.Retry(2) | tk.Escalate(below=0.3) | tk.Fallback(), output=Query)
def query(ticket: str, triage: Triage, customer_id: str | None) -> tk.Request | tk.Skip:
    if triage.intent != "order":
        return tk.Skip(f"a matter of {triage.intent}: nothing to look up")
    asked_by = {"customer_id": customer_id} if customer_id else {}
    return tk.prompt(
        "Write one DuckDB SELECT that answers the question. A customer sees only orders of their own.",
        question=ticket,
        table=ORDERS_TABLE,
        today=TODAY,
        **asked_by,
    )


@tk.step
def facts(query: Query, customer_id: str | None) -> list[dict[str, Any]]:
    """The rows that the query gives, over what this customer may see."""
    return look_up(query.sql, customer_id)


@tk.step(
    route=tk.Ladder("quoter", "person"),
    policy=tk.Retry(2) | tk.Escalate(below=0.15) | tk.Fallback(),
    output=Answer,
    grade=tk.grading.Confidence(),
)
def reply(
    ticket: str, triage: Triage, passages: list[dict[str, Any]], facts: list[dict[str, Any]] | None = None
) -> tk.Request:
    if facts:
        return tk.prompt("Answer the ticket from the facts alone.", ticket=ticket, facts=facts)
    return tk.prompt(
        "Answer the ticket by quoting the passages alone, and name those you quote.", ticket=ticket, passages=passages
    )


@tk.step(reduces=True)
def digest(triage: list[Triage]) -> dict[str, Any]:
    """What the day was about: how many of each intent, and how many urgent."""
    return {
        "tickets": len(triage),
        "urgent": sum(t.urgent for t in triage),
        "by_intent": Counter(t.intent for t in triage),
    }


support = tk.Workflow(
    "support",
    [triage, entities, handbook, handbook_vectors, vector, passages, query, facts, reply, digest],
    rows=Ticket,
)


def look_up(sql: str, customer_id: str | None) -> list[dict[str, Any]]:
    """Run one SELECT over the orders; a customer's query sees that customer's rows and no file or setting."""
    if not re.match(r"\s*(select|with)\b", sql, re.IGNORECASE):
        raise ValueError(f"only a SELECT may be run, not {sql[:60]!r}")
    cursor = _orders().cursor()
    try:
        source = "all_orders where customer_id = $customer" if customer_id else "all_orders"
        own = {"customer": customer_id} if customer_id else {}
        cursor.execute(
            f"with orders as (select * from {source}) select * from ({sql.rstrip().rstrip(';')}) limit 200", own
        )
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, map(clean, row), strict=True)) for row in cursor.fetchall()]
    finally:
        cursor.close()


@cache
def _orders() -> Any:
    import duckdb

    connection = duckdb.connect(config={"enable_external_access": "true"})
    connection.execute("create table all_orders as select * from read_csv(?, nullstr='')", [str(ORDERS)])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection
