"""A question about orders → a `Query`: what it asks to see, of which rows, in which groups and order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.query import cues
from toolkit.models.embedded.query.filters import Finder, Named, stands
from toolkit.models.embedded.query.periods import Span, period
from toolkit.models.embedded.query.table import Table, literal
from toolkit.models.embedded.words import folded

_LINE = ("order", "product", "quantity", "total", "placed", "status")
"""What is shown of every order in a list, beside what was asked."""
_FAMILIES = (("status", "shipped", "delivered", "carrier"), ("product", "quantity", "total"), ("payment", "total"))
"""Columns that are shown together: who asks for one of them is told the others as well."""


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT in parts, and how sure its reader is of having understood (`kind` says as what)."""

    kind: str
    select: tuple[str, ...]
    where: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    order: str = ""
    limit: int | None = None

    def sql(self, table: Table) -> str:
        """The query as one line of SQL."""
        parts = [f"select {', '.join(self.select)} from {table.name}"]
        if self.where:
            parts.append("where " + " and ".join(self.where))
        if self.group:
            parts.append("group by " + ", ".join(self.group))
        if self.order:
            parts.append("order by " + self.order)
        if self.limit is not None:
            parts.append(f"limit {self.limit}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as read: its text folded, what it names, and whose orders it is about."""

    text: str
    table: Table
    named: tuple[Named, ...]
    orders: tuple[str, ...]
    customer: str | None
    customers: tuple[str, ...]
    span: Span | None
    about: str

    def of(self, role: str, *, out: bool | None = None) -> list[str]:
        """The values named of a role."""
        return list(dict.fromkeys(n.value for n in self.named if n.role == role and (out is None or n.out == out)))

    def has(self, cue: str) -> bool:
        return cues.has(cue, self.text)


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
        asked = Asked(text, self._table, tuple(self._finder.named(question)), orders, customer, customers, span, question)
        return _query(asked)


def _query(asked: Asked) -> Query:
    if asked.orders:
        return _looked_up(asked)
    for kind in (_share, _picked, _grouped, _days, _counted, _summed, _listed):
        found = kind(asked)
        if found is not None:
            return found if found.kind == "share" else replace(found, where=(*_conditions(asked), *found.where))
    raise InvalidRequest("this is no question about the table that could be understood")


# ------------------------------------------------------------------------------------------------------- kinds of query
def _looked_up(asked: Asked) -> Query:
    """One order, or some, by number: the columns asked for, else how it stands."""
    table = asked.table
    where = [_among(table["order"], asked.orders)]
    if asked.customer is not None and "customer" in table:
        where.append(f"{table['customer']} = {literal(asked.customer)}")
    if asked.has("details"):
        return Query("order details", ("*",), tuple(where))
    if asked.has("days") and "delivered" in table and not asked.has("wants status"):
        return Query("order days", (f"{_days_between(asked)} as days",), tuple(where))
    wanted = [role for role in cues.wants(asked.text) if role != "order"] or ["status"]
    shown = [role for role in _with_neighbours(wanted) if role in table]
    if len(asked.orders) > 1:
        shown.insert(0, "order")
    return Query("order", tuple(table[role] for role in shown), tuple(where))


def _share(asked: Asked) -> Query | None:
    """A part of the whole, in percent: the value named is the part, everything else the whole."""
    if not asked.has("share"):
        return None
    part = next((n for role in ("status", "payment", "carrier", "country", "category", "product") for n in asked.named if n.role == role and not n.out), None)
    if part is None:
        return None
    condition = f"{asked.table[part.role]} = {literal(part.value)}"
    rest = replace(asked, named=tuple(name for name in asked.named if (name.role, name.value) != (part.role, part.value)))
    by_value = asked.has("money") and not asked.has("count") and "total" in asked.table
    measure = f"sum({asked.table['total']})" if by_value else "count(*)"
    chosen = f"{measure} filter (where {condition})"
    percent = f"round(100.0 * {chosen} / {measure}, 1) as percent"
    return Query("share", (percent, f"{chosen} as part", f"{measure} as whole"), tuple(_conditions(rest)))


def _picked(asked: Asked) -> Query | None:
    """The last, first, dearest or cheapest orders."""
    table = asked.table
    if _ranked_group(asked) is not None:
        return None
    for cue, column, down in (("last", "placed", True), ("first", "placed", False), ("dearest", "total", True), ("cheapest", "total", False)):
        if asked.has(cue) and column in table:
            wanted = [role for role in cues.wants(asked.text) if role in table]
            shown = dict.fromkeys([*_LINE, *_with_neighbours(wanted), *(["customer"] if asked.customer is None else [])])
            direction = " desc" if down else ""
            return Query(cue, tuple(table[role] for role in shown if role in table), (), (), f"{table[column]}{direction}, {table['order']}{direction}", cues.number(cue, asked.text) or 1)
    return None


def _grouped(asked: Asked) -> Query | None:
    """One row per month, country, product ...; of a ranking only the top."""
    table = asked.table
    ranked = _ranked_group(asked)
    groups = [g for g in cues.groups_after(asked.text) if _group_key(g, table)]
    versus = next((role for role in ("category", "carrier", "country", "payment", "product") if len(asked.of(role, out=False)) > 1 and asked.has("each")), None)
    group = ranked or next(iter(groups), None) or versus
    if group is None:
        return None
    key = _group_key(group, table) or table[group]
    measure, name = _measure(asked, group)
    if group == "weekday":
        return Query("groups", (f"dayname({table['placed']}) as weekday", f"{measure} as {name}"), (), (f"1, dayofweek({table['placed']})",), f"dayofweek({table['placed']})")
    label = f"{key} as {group}" if key != table[group if group in table else "order"] else key
    timed = group in ("month", "quarter", "year", "week")
    limit = None
    down = not (asked.has("worst") or asked.has("fastest")) if ranked else True
    if name == "days" and not asked.has("slowest"):
        down = False
    if ranked:
        limit = cues.number("top", asked.text) or _number_before(asked.text, group) or 1
        if name == "days" and asked.has("fastest") and asked.has("slowest") or "each" in asked.text and name == "days":
            limit = None
    order = "1" if timed and not ranked else f"2{' desc' if down else ''}, 1"
    extra = (f"{key} is not null",) if group in ("carrier",) else ()
    return Query("ranking" if ranked else "groups", (label, f"{measure} as {name}"), extra, ("1",), order, limit)


def _days(asked: Asked) -> Query | None:
    """Days between two stages: an average over all orders, else one by one."""
    table = asked.table
    if not asked.has("days") or "delivered" not in table or "shipped" not in table:
        return None
    between = _days_between(asked)
    if asked.has("slowest") and not asked.has("average"):
        return Query("slowest", (table["order"], f"{between} as days"), (f"{table['delivered']} is not null",), (), "2 desc, 1", 1)
    if asked.has("average") or asked.customer is None:
        return Query("average days", (f"round(avg({between}), 2) as days",), (f"{table['delivered']} is not null",))
    return None


def _counted(asked: Asked) -> Query | None:
    """How many orders, pieces or customers; with their sum where that is asked too."""
    table = asked.table
    if asked.has("customers") and "customer" in table:
        return Query("customers", (f"count(distinct {table['customer']}) as customers",))
    if not asked.has("count"):
        return None
    if asked.customer is not None and (asked.has("wants quantity") or asked.has("wants product") and not asked.of("product")):
        return None
    select = ["count(*) as orders"]
    if _counts_pieces(asked):
        select.append(f"coalesce(sum({table['quantity']}), 0) as pieces")
    if asked.has("money") and "total" in table:
        select.append(_money(table))
    return Query("count", tuple(select))


def _summed(asked: Asked) -> Query | None:
    """A sum or an average of money, or pieces sold."""
    table = asked.table
    if asked.has("average") and "total" in table:
        column = table["quantity"] if asked.has("pieces") else table["total"]
        return Query("average", (f"round(avg({column}), 2) as average",))
    if asked.has("money") and "total" in table:
        return Query("sum", (_money(table),))
    if asked.has("pieces") and "quantity" in table and not asked.has("wants order"):
        if asked.customer is None:
            return Query("pieces", (f"coalesce(sum({table['quantity']}), 0) as pieces",))
    return None


def _listed(asked: Asked) -> Query | None:
    """The orders themselves, with what was asked about them."""
    table = asked.table
    narrow = bool(asked.named or asked.span or asked.customers)
    wanted = [role for role in cues.wants(asked.text) if role in table]
    if not narrow and not (asked.customer and (wanted or asked.has("ever"))):
        return None
    shown = dict.fromkeys([*_LINE, *_with_neighbours(wanted)])
    if asked.customer is None:
        shown["customer"] = None
    elif "shipped" in asked.of("status"):
        shown.update(dict.fromkeys(("shipped", "carrier")))
    return Query("list", tuple(table[role] for role in shown if role in table), (), (), table["placed"] if "placed" in table else "1")


# ------------------------------------------------------------------------------------------------------- parts of a query
def _conditions(asked: Asked) -> list[str]:
    """The conditions on rows: whose, when, and which values."""
    table = asked.table
    found: list[str] = []
    if "customer" in table:
        if asked.customer is not None:
            found.append(f"{table['customer']} = {literal(asked.customer)}")
        elif asked.customers:
            found.append(_among(table["customer"], asked.customers))
    dated = "placed"
    for role in ("product", "category", "carrier", "country", "payment"):
        if role == _lesser(asked):
            continue
        wanted, unwanted = asked.of(role, out=False), asked.of(role, out=True)
        if wanted:
            found.append(_among(table[role], wanted))
        elif unwanted:
            found.append(_among(table[role], unwanted, negated=True))
    statuses, dated = _statuses(asked)
    found += statuses
    if asked.span is not None and dated in table:
        found += _within(table[dated], asked.span)
    return found


def _with_neighbours(wanted: Sequence[str]) -> list[str]:
    """The columns asked for, each with those of its family."""
    families = [family for family in _FAMILIES if set(family) & set(wanted)]
    return list(dict.fromkeys([*wanted, *(role for family in families for role in family)]))


def _lesser(asked: Asked) -> str:
    """Of product and category the one that gives way: a category goes where a product is named, unless by its own name."""
    own = any(name.role == "category" and name.own_name for name in asked.named)
    if own and re.search(r"\b(?:categor|kategori)", asked.text):
        return "product" if asked.of("product") else ""
    return "category" if asked.of("product") else ""


def _statuses(asked: Asked) -> tuple[list[str], str]:
    """The conditions on status, and the column that a period is about."""
    table = asked.table
    wanted: list[str] = []
    dated = "placed"
    for name in asked.named:
        if name.role != "status" or name.out:
            continue
        verb = name.own_name and name.value in ("shipped", "delivered")
        if asked.has("days") and name.value in ("shipped", "delivered", "returned"):
            continue
        if not verb or stands(name, asked.text):
            wanted.append(name.value)
        elif asked.span is not None and name.value in table:
            dated = name.value
        elif asked.has("count") or asked.customer is None and not asked.has("days"):
            wanted.append(name.value)
    if asked.span is not None and re.search(r"\b(?:left|sent|dispatched|shipped|went out)\b[^.?!]{0,25}$", asked.text[: asked.span.at]) and "shipped" in table:
        dated = "shipped"
    if re.search(r"\bnot (?:yet )?(?:been )?(?:recorded as )?delivered\b|\bnever delivered\b", asked.text):
        wanted = [value for value in wanted if value != "delivered"] or ["shipped"]
    unwanted = asked.of("status", out=True)
    found = [_among(table["status"], list(dict.fromkeys(wanted)))] if wanted else []
    if unwanted and not wanted:
        found.append(_among(table["status"], unwanted, negated=True))
    return found, dated


def _ranked_group(asked: Asked) -> str | None:
    """What a question wants the best of: "which carrier ... most"."""
    if not (asked.has("best") or asked.has("worst") or asked.has("slowest") or asked.has("fastest") or asked.has("top")):
        return None
    named = {n.role for n in asked.named if not n.out}
    return next((g for g in cues.groups_asked(asked.text) if _group_key(g, asked.table) and g not in named - {"status"}), None)


def _group_key(group: str, table: Table) -> str | None:
    """What to group by, as SQL; None where the table lacks it."""
    if group in ("month", "quarter", "year", "week", "weekday"):
        if "placed" not in table:
            return None
        day = table["placed"]
        return {
            "month": f"strftime({day}, '%Y-%m')",
            "quarter": f"year({day}) || '-Q' || quarter({day})",
            "year": f"year({day})",
            "week": f"strftime({day}, '%G-W%V')",
            "weekday": f"dayname({day})",
        }[group]
    return table[group] if group in table else None


def _measure(asked: Asked, group: str) -> tuple[str, str]:
    """What to tell of each group: SQL and name."""
    table = asked.table
    if asked.has("days") and "delivered" in table:
        return f"round(avg({_days_between(asked)}), 2)", "days"
    if asked.has("customers") and group != "customer":
        return f"count(distinct {table['customer']})", "customers"
    if asked.has("average") and "total" in table:
        return f"round(avg({table['total']}), 2)", "average"
    if asked.has("money") and "total" in table:
        return f"round(sum({table['total']}), 2)", "total"
    if asked.has("pieces") and "quantity" in table:
        return f"sum({table['quantity']})", "pieces"
    return "count(*)", "orders"


def _days_between(asked: Asked) -> str:
    """Days from sending to arrival, or from the order where the question starts there."""
    table = asked.table
    start = "shipped"
    if re.search(r"\b(?:from|between|after|since) (?:the |my |your |placing |an? )?(?:order\w*|placed|placing|purchase|click\w*|buying)\b|\bbestell\w* bis\b|\border to (?:door|delivery|arrival)\b", asked.text):
        start = "placed"
    end = "delivered"
    if start == "placed" and re.search(r"\b(?:and|to|until|till) (?:the |its |your )?(?:shipping|shipment|dispatch|shipped|sent|leaving|warehouse)\b", asked.text):
        end = "shipped"
    return f"date_diff('day', {table[start]}, {table[end]})"


def _counts_pieces(asked: Asked) -> bool:
    """Whether "how many" counts goods rather than orders."""
    if "quantity" not in asked.table or re.search(r"\b(?:orders|bestellungen|commandes|pedidos|bestellingen|ordini|parcels|returns|times|how often)\b", asked.text):
        return False
    if asked.has("pieces"):
        return True
    goods = [n for n in asked.named if n.role in ("product", "category")]
    return any(re.search(r"\b(?:how many|wie ?viele|combien de|cuant[oa]s|hoeveel|quant[ie])\s+(?:\w+\s+){0,2}$", asked.text[: n.start]) for n in goods)


def _money(table: Table) -> str:
    return f"round(sum({table['total']}), 2) as total"


def _number_before(text: str, group: str) -> int | None:
    match = re.search(r"\b(" + "|".join(cues.NUMBERS) + r"|[2-9]|1\d)\s+(?:\w+[- ]){0,2}(?:" + cues.group(group) + r")\b", text)
    if match is None:
        return None
    return cues.NUMBERS.get(match[1]) or int(match[1])


def _within(column: str, span: Span) -> list[str]:
    found = [f"{column} >= {literal(span.start.isoformat())}"] if span.start else []
    return found + ([f"{column} < {literal(span.end.isoformat())}"] if span.end else [])


def _among(column: str, values: Sequence[str], *, negated: bool = False) -> str:
    if len(values) == 1:
        return f"{column} {'<>' if negated else '='} {literal(values[0])}"
    return f"{column} {'not ' if negated else ''}in ({', '.join(literal(value) for value in values)})"


def _written(number: str) -> str:
    """An order number as the table writes it: "l20123" is L-20123."""
    match = re.match(r"([A-Za-z]+)\W*(\d[\d\s]*)", number)
    return f"{match[1].upper()}-{re.sub(r'[^0-9]', '', match[2])}" if match else number
