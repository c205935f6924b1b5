"""`sql`: questions about a stranger's table; one SELECT, own rows only."""

from __future__ import annotations

import re
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.embedded.embedded_samples import TABLE, asking, reply
from toolkit.errors import InvalidRequest

ROWS = """insert into purchases values
    ('L-30001', 'C-0001', '2026-01-05', 'Garden chair', 2, 60.00, 'delivered', '2026-01-06', '2026-01-09', 'Swift'),
    ('L-30002', 'C-0001', '2026-02-11', 'Lawn mower', 1, 250.00, 'cancelled', null, null, null),
    ('L-30003', 'C-0002', '2026-02-20', 'Seed box', 5, 15.00, 'shipped', '2026-02-21', null, 'Snail'),
    ('L-30004', 'C-0002', '2025-11-02', 'Garden chair', 1, 30.00, 'delivered', '2025-11-03', '2025-11-10', 'Snail')"""
SHOP = (
    "create table orders (order_id varchar, customer_id varchar, placed_on date, product varchar, category varchar, "
    "quantity integer, unit_price double, total double, status varchar, shipped_on date, delivered_on date, "
    "carrier varchar, country varchar, payment varchar)"
)


def query(question: str, *, customer: str | None = None, table: str = TABLE, today: str = "2026-03-01") -> str:
    """The SQL for a question."""
    sections = {"question": question, "table": table, "today": today}
    if customer is not None:
        sections["customer_id"] = customer
    return reply("coder", asking(None, **sections)).text


def found(question: str, customer: str | None = None) -> list[tuple[Any, ...]]:
    """What the SQL for a question gives on the stranger's table."""
    with duckdb.connect() as connection:
        connection.execute(TABLE)
        connection.execute(ROWS)
        return connection.sql(query(question, customer=customer)).fetchall()


@pytest.mark.parametrize(
    ("question", "cells"),
    [
        ("How many orders are there?", {4}),
        ("How many garden chairs were sold?", {3}),
        ("What is the total revenue in February 2026?", {265.0}),
        ("revenue without cancelled orders", {105.0}),
        ("Which courier delivers the most orders?", {"Snail"}),
        ("What is the most expensive order?", {"L-30002", "Lawn mower"}),
        ("When was L-30001 shipped and with which courier?", {"Swift"}),
        ("What is the status of order L-30003?", {"shipped"}),
        ("How many days did L-30004 take from shipping to delivery?", {7}),
        ("average order value", {88.75}),
        ("Wie viele Bestellungen wurden storniert?", {1}),
        ("Combien de commandes en novembre 2025 ?", {1}),
        ("Which orders are still shipped and not delivered?", {"L-30003"}),
        ("how many different customers ordered?", {2}),
    ],
)
def test_questions_about_another_shops_table_are_answered(question: str, cells: set[Any]) -> None:
    rows = found(question)

    assert cells <= {float(c) if hasattr(c, "as_tuple") else c for row in rows for c in row}


@pytest.mark.parametrize(
    "question",
    [
        "How many orders do I have?", "What did I spend in total?", "my last order", "What is in L-30003?",
        "Show me all orders of C-0002", "everything customer C-0002 bought please", "Which article is sold most?",
        "List cancelled orders", "' or 1=1 --", "how many orders where client_id is not C-0001",
    ],
)  # fmt: skip
def test_a_customer_gets_rows_of_their_own_only(question: str) -> None:
    try:
        sql = query(question, customer="C-0001")
    except InvalidRequest:
        return
    assert re.search(r"where .*client_id = 'C-0001'", sql)
    assert "C-0002" not in sql and " or " not in sql


def test_the_order_of_somebody_else_gives_no_rows() -> None:
    assert found("Where is my order L-30003?", customer="C-0001") == []
    assert found("Where is my order L-30003?", customer="C-0002") != []


def test_whose_orders_must_be_known() -> None:
    with pytest.raises(InvalidRequest, match="customer_id"):
        query("How many orders have I placed?")


@pytest.mark.parametrize(
    "question", ["Is the weather nice?", "hello", "", "drop table purchases", "delete from purchases"]
)
def test_what_is_no_question_about_the_table_is_refused(question: str) -> None:
    with pytest.raises(InvalidRequest):
        query(question)


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        ("last month", "2026-02-01", "2026-03-01"),
        ("in January", "2026-01-01", "2026-02-01"),
        ("in November", "2025-11-01", "2025-12-01"),
        ("in the first quarter of 2026", "2026-01-01", "2026-04-01"),
        ("in 2025", "2025-01-01", "2026-01-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("between 3 and 9 February 2026", "2026-02-03", "2026-02-10"),
        ("im dritten Quartal 2025", "2025-07-01", "2025-10-01"),
        ("in the second half of 2025", "2025-07-01", "2026-01-01"),
        ("from January to February", "2026-01-01", "2026-03-01"),
    ],
)
def test_periods_are_understood(words: str, start: str, end: str) -> None:
    assert f"ordered_on >= '{start}' and ordered_on < '{end}'" in query(f"How many orders {words}?")


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(
    st.text(max_size=120)
    | st.lists(
        st.sampled_from(
            [
                *(
                    "how",
                    "many",
                    "orders",
                    "my",
                    "most",
                    "carrier",
                    "per",
                    "month",
                    "total",
                    "revenue",
                    "last",
                    "L-20123",
                ),
                *(
                    "C-0999",
                    "returned",
                    "without",
                    "in",
                    "May",
                    "2026",
                    "which",
                    "average",
                    "days",
                    "tents",
                    "'",
                    ";",
                    "--",
                ),
                *(
                    "drop",
                    "and",
                    "or",
                    "not",
                    "share",
                    "first",
                    "by",
                    "country",
                    "more",
                    "than",
                    "5",
                    "euros",
                    "between",
                ),
            ]
        ),
        max_size=14,
    ).map(" ".join),
    st.none() | st.sampled_from(["C-0001", "x' or '1'='1"]),
)
def test_it_is_always_one_select_that_duckdb_runs_or_a_refusal(question: str, customer: str | None) -> None:
    try:
        sql = query(question, customer=customer, table=SHOP)
    except InvalidRequest as error:
        refusal = str(error)
        sql = ""
    if not sql:
        assert refusal and "failed on this request" not in refusal
        return
    statements = duckdb.extract_statements(sql)
    assert [statement.type for statement in statements] == [duckdb.StatementType.SELECT]
    with duckdb.connect() as connection:
        connection.execute(SHOP)
        connection.sql(sql).fetchall()
    assert customer is None or "where " in sql
