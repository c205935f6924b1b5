"""`sql`: turns a question about a table of orders into one SELECT. A parser of patterns, no language model.

In: a section `question` (or `ticket`), `table` (a CREATE TABLE statement), and optionally `customer_id` (then only that
customer's rows are ever selected) and `today` (or `received`; the day that "last month" counts from).
Out: {"sql": "select ..."} where a schema asks for it, else the SQL as text.

The columns' meaning comes from their names, the values that a question may name from the file of the setting `data`,
what customers call them from the setting `synonyms`. The confidence depends on the kind of query alone. What is no
question about the table, or is about somebody's own orders without saying whose, raises InvalidRequest.
"""

from __future__ import annotations

from datetime import date

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.asked import fields, only, section, subject
from toolkit.models.embedded.dates import iso
from toolkit.models.embedded.model import Embedded
from toolkit.models.embedded.query import cues
from toolkit.models.embedded.query.filters import Finder, Synonyms, read_synonyms
from toolkit.models.embedded.query.question import Parser
from toolkit.models.embedded.query.select import Query
from toolkit.models.embedded.query.table import Table, parse_table, read_values, table_of
from toolkit.models.embedded.words import folded
from toolkit.models.function import text_reply
from toolkit.records import Reply, Request

CONFIDENCE = {
    "order": 0.85,
    "order details": 0.8,
    "order days": 0.8,
    "last": 0.75,
    "dearest": 0.75,
    "count": 0.65,
    "sum": 0.65,
}
OTHERWISE = 0.55
"""How probably a query is right, by its kind: a judgement on made-up questions, well below what the training part
gives, as the patterns were written with that in view."""


class Sql(Embedded):
    """Questions to SQL. Settings: `data`, `synonyms`, `order_pattern`, `customer_pattern`."""

    files = ("data",)

    def load(self) -> None:
        self._known = read_values(self._paths["data"])
        self._synonyms: Synonyms = read_synonyms(self.spec.path("synonyms")) if "synonyms" in self.spec.settings else {}
        self._parsers: dict[str, tuple[Table, Parser]] = {}

    def answer(self, request: Request) -> Reply:
        self.chat_only(request)
        question = subject(request, ("question", "ticket"))
        if cues.has("write", folded(question)):
            raise InvalidRequest(f"{self.spec.name} only reads; the question asks to change the table")
        table, parser = self._parser(section(request, ("table",)))
        customer = (section(request, ("customer_id",)) or "").strip() or None
        today = iso(section(request, ("today", "received"))) or self._latest()
        query = parser.read(question, customer=None if customer in ("null", "None") else customer, today=today)
        sql = query.sql(table)
        confidence = self._confidence(query)
        if request.output_schema is None:
            return text_reply(request, sql, confidence=confidence, model=self.spec.name)
        wanted = fields(request.output_schema)
        answer = only(wanted, {"sql": sql, "query": sql}, self.spec.name)
        return text_reply(request, answer, confidence=confidence, model=self.spec.name)

    def _parser(self, statement: str | None) -> tuple[Table, Parser]:
        """The table asked about and the parser for it, made once per statement."""
        key = statement or ""
        if key not in self._parsers:
            path = self._paths["data"]
            table = parse_table(statement, self._known) if statement else table_of(path.stem, self._known, self._known)
            settings = self.spec.settings
            if len(self._parsers) > 64:
                self._parsers.clear()
            self._parsers[key] = (
                table,
                Parser(
                    table,
                    Finder(table, self._synonyms),
                    order_pattern=str(settings.get("order_pattern", r"\bL\s?-?\s?\d{5}\b")),
                    customer_pattern=str(settings.get("customer_pattern", r"\bC-\d{4}\b")),
                ),
            )
        return self._parsers[key]

    def _latest(self) -> date:
        raise InvalidRequest(f"{self.spec.name} needs the day: give a section `today` or `received`")

    def _confidence(self, query: Query) -> float:
        return CONFIDENCE.get(query.kind, OTHERWISE)
