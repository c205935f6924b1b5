"""The table that is asked about: its name, what each column holds, and the values that text columns take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import FleetError, InvalidRequest

ROLES = {
    "order": ("order_id", "order_no", "order_number", "order_nr", "orderid", "id"),
    "customer": ("customer_id", "customer", "customer_no", "client_id", "buyer_id", "user_id", "customer_number"),
    "placed": (
        "placed_on",
        "ordered_on",
        "order_date",
        "placed_at",
        "ordered_at",
        "created_at",
        "purchased_on",
        "date",
    ),
    "shipped": ("shipped_on", "shipped_at", "ship_date", "dispatched_on", "sent_on", "shipping_date"),
    "delivered": ("delivered_on", "delivered_at", "delivery_date", "arrived_on", "received_on"),
    "product": ("product", "article", "item", "product_name", "title"),
    "category": ("category", "department", "product_category", "product_group"),
    "quantity": ("quantity", "qty", "pieces", "units", "amount_ordered"),
    "price": ("unit_price", "price", "price_each", "item_price"),
    "total": ("total", "amount", "order_total", "total_eur", "revenue", "value", "total_price"),
    "status": ("status", "state", "order_status"),
    "carrier": ("carrier", "courier", "shipper", "delivery_company", "carrier_name"),
    "country": ("country", "country_code", "ship_country", "destination"),
    "payment": ("payment", "payment_method", "paid_by", "pay_method"),
}
"""What a column may hold, and the names by which such columns go."""

VALUED = ("product", "category", "status", "carrier", "country", "payment")
_CREATE = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?table\s+(?:if\s+not\s+exists\s+)?(?P<name>[\w.\"]+)\s*\((?P<body>.*)\)",
    re.I | re.S,
)
_PLAIN = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Table:
    """A table: its name as SQL, the column of each role as SQL, and the known values of each role."""

    name: str
    columns: Mapping[str, str]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, role: str) -> bool:
        return role in self.columns

    def __getitem__(self, role: str) -> str:
        if role not in self.columns:
            raise InvalidRequest(f"the question needs a column for {role}, which the table {self.name} does not have")
        return self.columns[role]

    def get(self, role: str) -> str | None:
        """The column of a role as SQL, or None where the table has none."""
        return self.columns.get(role)


def parse_table(statement: str, known: Mapping[str, Sequence[str]]) -> Table:
    """The table of a CREATE TABLE statement. Values come from `known`, by column, and from comments `-- a | b`."""
    match = _CREATE.search(statement)
    if match is None:
        raise InvalidRequest("the section `table` is no CREATE TABLE statement with columns")
    remarks = {
        line.split()[0].strip('"').lower(): line.split("--", 1)[1]
        for line in match["body"].splitlines()
        if "--" in line and line.split()[0] != "--"
    }
    body = re.sub(r"--[^\n]*", "", match["body"])
    names = [part.split()[0].strip('"') for part in _parts(body) if part.split()]
    names = [name for name in names if name.lower() not in ("primary", "foreign", "unique", "check", "constraint")]
    listed = {
        name: tuple(
            v.strip(" '\"") for v in re.split(r"[|,]", re.sub(r"^.*?:", "", remarks[name.lower()])) if v.strip(" '\"")
        )
        for name in names
        if re.search(r"[|,]", remarks.get(name.lower(), ""))
    }
    return table_of(match["name"].strip('"'), names, {**listed, **known})


def table_of(name: str, names: Iterable[str], known: Mapping[str, Sequence[str]]) -> Table:
    """A table with these columns, each given its role by its name."""
    available = {column.lower(): column for column in names}
    columns: dict[str, str] = {}
    values: dict[str, tuple[str, ...]] = {}
    for role, candidates in ROLES.items():
        found = next((available[candidate] for candidate in candidates if candidate in available), None)
        if found is not None and found not in columns.values():
            columns[role] = quoted(found)
            if role in VALUED:
                values[role] = tuple(known.get(found, ()))
    return Table(quoted(name), columns, values)


def read_values(path: Path) -> dict[str, tuple[str, ...]]:
    """The columns of a CSV, JSON or Parquet file; for text columns with at most 500 different values, these."""
    import duckdb

    try:
        with duckdb.connect() as connection:
            rows = connection.from_query("select * from " + _source(path))
            kinds = zip(rows.columns, rows.types, strict=True)
            return {column: _distinct(rows, column) if str(kind) == "VARCHAR" else () for column, kind in kinds}
    except duckdb.Error as error:
        raise FleetError(f"{path} is no table that DuckDB reads: {error}") from error


def quoted(name: str) -> str:
    """A name as SQL, in quotes only where it needs them."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("\x00", "").replace("'", "''") + "'"


def _source(path: Path) -> str:
    reader = {".csv": "read_csv", ".parquet": "read_parquet"}.get(path.suffix, "read_json_auto")
    return f"{reader}({literal(str(path))})"


def _distinct(rows: object, column: str) -> tuple[str, ...]:
    relation = rows.filter(f"{quoted(column)} is not null").project(quoted(column)).distinct().limit(501)  # type: ignore[attr-defined]
    found = sorted(str(row[0]) for row in relation.fetchall())
    return tuple(found) if len(found) <= 500 else ()


def _parts(body: str) -> list[str]:
    """The comma-separated parts at the top level of brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(body):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(body[start:index])
            start = index + 1
    return [part.strip() for part in [*parts, body[start:]]]
