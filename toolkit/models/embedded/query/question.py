"""A question about orders becomes a `Query`: what it asks to see, of which rows, in which groups and order."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.query import kinds
from toolkit.models.embedded.query.conditions import conditions
from toolkit.models.embedded.query.filters import Finder
from toolkit.models.embedded.query.periods import period
from toolkit.models.embedded.query.select import Asked, Query
from toolkit.models.embedded.query.table import Table
from toolkit.models.embedded.words import folded


class Parser:
    """Reads questions about one table."""

    def __init__(self, table: Table, finder: Finder, *, order_pattern: str, customer_pattern: str) -> None:
        self._table = table
        self._finder = finder
        self._orders = re.compile(order_pattern, re.IGNORECASE)
        self._customers = re.compile(customer_pattern, re.IGNORECASE)

    def read(self, question: str, *, customer: str | None, today: date) -> Query:
        """The query for a question. Raises InvalidRequest where it is none about this table."""
        orders = tuple(dict.fromkeys(_written(m[0]) for m in self._orders.finditer(question)))
        customers = tuple(dict.fromkeys(m[0].upper() for m in self._customers.finditer(question)))
        text = folded(question)
        plain = self._customers.sub(" ", self._orders.sub(" ", question))
        span = None if orders else period(folded(plain), today)
        asked = Asked(
            text, self._table, tuple(self._finder.named(question)), orders, customer, customers, span, question
        )
        return _query(asked)


def _query(asked: Asked) -> Query:
    if asked.customer is None and not asked.customers and not asked.orders and asked.has("mine"):
        raise InvalidRequest("the question is about somebody's own orders, and no section `customer_id` says whose")
    if asked.orders:
        return kinds.looked_up(asked)
    for kind in (kinds.share, kinds.picked, kinds.grouped, kinds.days, kinds.counted, kinds.summed, kinds.listed):
        found = kind(asked)
        if found is not None:
            return found if found.kind == "share" else replace(found, where=(*conditions(asked), *found.where))
    raise InvalidRequest("this is no question about the table that could be understood")


def _written(number: str) -> str:
    """An order number as the table writes it: "l20123" is L-20123."""
    match = re.match(r"([A-Za-z]+)\W*(\d[\d\s]*)", number)
    return f"{match[1].upper()}-{re.sub(r'[^0-9]', '', match[2])}" if match else number
