"""The kinds of query. Each reads a question and gives its query, or None where the question is of another kind."""

from __future__ import annotations

import re
from dataclasses import replace

from toolkit.models.embedded.query import cues
from toolkit.models.embedded.query.conditions import compared, conditions, left_open
from toolkit.models.embedded.query.measures import LINE, counts_pieces, measure_of, ranked_group, top, with_neighbours
from toolkit.models.embedded.query.select import Asked, Query, among, days_between, group_key, money
from toolkit.models.embedded.query.table import literal

_OFTEN = re.compile(rf"\b(?:more|oftener) than (?P<n>\d+|{'|'.join(cues.NUMBERS)}) (?:times|orders)\b")


def looked_up(asked: Asked) -> Query:
    """One order, or some, by number: the columns asked for, else how it stands."""
    table = asked.table
    where = [among(table["order"], asked.orders)]
    if asked.customer is not None and "customer" in table:
        where.append(f"{table['customer']} = {literal(asked.customer)}")
    if asked.has("details"):
        return Query("order details", ("*",), tuple(where))
    if asked.has("days") and "delivered" in table and not asked.has("wants status"):
        return Query("order days", (f"{days_between(asked)} as days",), tuple(where))
    wanted = [role for role in cues.wants(asked.text) if role != "order"] or ["status"]
    shown = [role for role in with_neighbours(wanted) if role in table]
    if len(asked.orders) > 1:
        shown = list(dict.fromkeys(["order", *(role for role in LINE if role in table), *shown]))
    return Query("order", tuple(table[role] for role in shown), tuple(where))


def share(asked: Asked) -> Query | None:
    """A part of the whole, in percent: the value named is the part, everything else the whole."""
    if not asked.has("share"):
        return None
    part = next(
        (
            n
            for role in ("status", "payment", "carrier", "country", "category", "product")
            for n in asked.named
            if n.role == role and not n.out
        ),
        None,
    )
    if part is None:
        return None
    condition = f"{asked.table[part.role]} = {literal(part.value)}"
    rest = replace(
        asked, named=tuple(name for name in asked.named if (name.role, name.value) != (part.role, part.value))
    )
    by_value = asked.has("money") and not asked.has("count") and "total" in asked.table
    measure = f"sum({asked.table['total']})" if by_value else "count(*)"
    chosen = f"{measure} filter (where {condition})"
    percent = f"round(100.0 * {chosen} / {measure}, 1) as percent"
    told = [*cues.groups_after(asked.text), *filter(None, [ranked_group(asked)])]
    group = next((g for g in told if g != part.role and group_key(g, asked.table)), None)
    if group is not None:
        key = group_key(group, asked.table)
        return Query(
            "share",
            (f"{key} as {group}", percent),
            tuple(conditions(rest)),
            ("1",),
            order="2 desc, 1",
            limit=_ends(asked),
        )
    return Query("share", (percent, f"{chosen} as part", f"{measure} as whole"), tuple(conditions(rest)))


def picked(asked: Asked) -> Query | None:
    """The last, first, dearest or cheapest orders."""
    table = asked.table
    if ranked_group(asked) is not None or (asked.customer is None and cues.groups_after(asked.text)):
        return None
    for cue, column, down in (
        ("last", "placed", True),
        ("first", "placed", False),
        ("dearest", "total", True),
        ("cheapest", "total", False),
    ):
        if asked.has(cue) and column in table:
            wanted = [role for role in cues.wants(asked.text) if role in table]
            asked_of = [name.role for name in asked.named if left_open(asked, name.role)]
            shown = dict.fromkeys(
                [*LINE, *with_neighbours(wanted), *asked_of, *(["customer"] if asked.customer is None else [])]
            )
            direction = " desc" if down else ""
            return Query(
                cue,
                tuple(table[role] for role in shown if role in table),
                order=f"{table[column]}{direction}, {table['order']}{direction}",
                limit=cues.number(cue, asked.text) or 1,
            )
    return None


def grouped(asked: Asked) -> Query | None:
    """One row per month, country, product ...; of a ranking only the top."""
    table = asked.table
    ranked = ranked_group(asked)
    groups = [g for g in cues.groups_after(asked.text) if group_key(g, table)]
    versus = next(
        (
            role
            for role in ("category", "carrier", "country", "payment", "product")
            if len(asked.of(role, out=False)) > 1 and (asked.has("versus") or _either(asked))
        ),
        None,
    )
    group = ranked or next(iter(groups), None) or versus
    if group is None:
        return None
    key = group_key(group, table) or table[group]
    measure, name = measure_of(asked, group)
    limit = top(asked, group, name) if ranked else None
    if group == "weekday":
        by = f"2{'' if asked.has('worst') else ' desc'}" if ranked else f"dayofweek({table['placed']})"
        return Query(
            "groups",
            (f"{key} as weekday", f"{measure} as {name}"),
            (),
            ("1", f"dayofweek({table['placed']})"),
            order=by,
            limit=limit,
        )
    down = not asked.has("worst") and (name != "days" or (asked.has("slowest") and not asked.has("fastest")))
    label = f"{key} as {group}" if group in cues.TIMES else key
    order = "1" if group in cues.TIMES and not ranked else f"2{' desc' if down else ''}, 1"
    extra = (f"{key} is not null",) if group == "carrier" else ()
    return Query(
        "ranking" if ranked else "groups", (label, f"{measure} as {name}"), extra, ("1",), order=order, limit=limit
    )


def days(asked: Asked) -> Query | None:
    """Days between two stages: an average over all orders, else one by one."""
    table = asked.table
    extreme = asked.has("slowest") or asked.has("fastest")
    if not (asked.has("days") or extreme) or "delivered" not in table or "shipped" not in table or asked.has("money"):
        return None
    between = days_between(asked)
    if extreme and not asked.has("average"):
        down = asked.has("slowest")
        count = cues.number("slowest" if down else "fastest", asked.text) or 1
        return Query(
            "slowest",
            (table["order"], table["product"], f"{between} as days"),
            (f"{table['delivered']} is not null",),
            order="3 desc, 1" if down else "3, 1",
            limit=count,
        )
    if not compared(asked) and (asked.has("average") or asked.customer is None):
        return Query("average days", (f"round(avg({between}), 2) as days",), (f"{table['delivered']} is not null",))
    return None


def counted(asked: Asked) -> Query | None:
    """How many orders, pieces or customers; with their sum where that is asked too."""
    table = asked.table
    if "customer" in table and asked.customer is None and (asked.has("customers") or asked.has("repeat")):
        if asked.has("repeat"):
            return Query(
                "customers",
                (f"{table['customer']}", "count(*) as orders"),
                group=("1",),
                having="count(*) > 1",
                order="2 desc, 1",
            )
        return Query("customers", (f"count(distinct {table['customer']}) as customers",))
    often = _OFTEN.search(asked.text)
    if often and "customer" in table and asked.customer is None:
        least = cues.NUMBERS.get(often["n"]) or int(often["n"])
        having = f"count(*) > {least}"
        return Query(
            "customers", (table["customer"], "count(*) as orders"), group=("1",), having=having, order="2 desc, 1"
        )
    if not asked.has("count") or asked.has("average") or not (asked.has("topic") or asked.named or asked.customer):
        return None
    if asked.has("distinct") and "product" in table:
        return Query("count", (f"count(distinct {table['product']}) as products",))
    if asked.customer is not None and wants_listing(asked):
        return None
    select = ["count(*) as orders"]
    if counts_pieces(asked):
        select.append(f"coalesce(sum({table['quantity']}), 0) as pieces")
    if asked.has("money") and "total" in table:
        select.append(money(table))
    return Query("count", tuple(select))


def wants_listing(asked: Asked) -> bool:
    """Whether "how many" is better answered by the orders themselves: "how many were in it", "which were they"."""
    if re.search(r"\b(?:which|what|welche|quels?|cuales|welke|quali)\b", asked.text) and asked.has("wants product"):
        return True
    return asked.has("wants quantity") and (
        one_day(asked) or re.search(r"\bin (?:it|that|there)\b", asked.text) is not None
    )


def _single(asked: Asked) -> bool:
    """Whether a customer who names money means some orders one by one, not their sum."""
    if asked.customer is None:
        return False
    return one_day(asked) or asked.has("listing") or (bool(asked.of("product")) and not asked.has("altogether"))


def one_day(asked: Asked) -> bool:
    """Whether the question names one day."""
    span = asked.span
    return span is not None and span.start is not None and span.end is not None and (span.end - span.start).days == 1


def _either(asked: Asked) -> bool:
    """Whether the question weighs one against the other: "more on A or on B"."""
    return (
        re.search(
            r"\b(?:more|better|mehr|plus|mas|meer|piu)\b.*\b(?:or|than|oder|als|ou|que|o|of|dan|che)\b", asked.text
        )
        is not None
    )


def _ends(asked: Asked) -> int | None:
    """One row where the best or worst is asked, else all."""
    return 1 if ranked_group(asked) is not None else None


def summed(asked: Asked) -> Query | None:
    """A sum or an average of money, or pieces sold."""
    table = asked.table
    if asked.has("average") and "total" in table:
        column = (
            table["quantity"]
            if asked.has("pieces") or re.search(r"\b(?:items|pieces|things)\b", asked.text)
            else table["total"]
        )
        return Query("average", (f"round(avg({column}), 2) as average",))
    if asked.has("money") and "total" in table and not _single(asked) and not compared(asked):
        several = (
            re.search(r"\b(?:orders|pieces|units)\b\s*(?:,|and|&)", asked.text) is not None and "quantity" in table
        )
        others = ("count(*) as orders", f"coalesce(sum({table['quantity']}), 0) as pieces") if several else ()
        return Query("sum", (*others, money(table)))
    if asked.has("pieces") and "quantity" in table and not asked.has("wants order") and asked.customer is None:
        return Query("pieces", (f"coalesce(sum({table['quantity']}), 0) as pieces",))
    return None


def listed(asked: Asked) -> Query | None:
    """The orders themselves, with what was asked about them."""
    table = asked.table
    narrow = bool(asked.named or asked.customers or (asked.has("topic") and (asked.span or compared(asked))))
    wanted = [role for role in cues.wants(asked.text) if role in table]
    if not narrow and not (asked.customer and (wanted or asked.has("ever"))):
        return None
    shown = dict.fromkeys(
        [*LINE, *with_neighbours(wanted), *(name.role for name in asked.named if left_open(asked, name.role))]
    )
    if asked.customer is None:
        shown["customer"] = None
    elif "shipped" in asked.of("status"):
        shown.update(dict.fromkeys(("shipped", "carrier")))
    return Query(
        "list",
        tuple(table[role] for role in shown if role in table),
        order=table.get("placed") or "1",
    )
