"""The journal's SQL by dialect: every matter in which SQLite and PostgreSQL differ is here.

Statements take named parameters (`:name`). `INSERTS` take `:batch`, a JSON array of a whole batch: one statement per
table and batch, so that the interpreter's lock changes hands once and not once a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson


@dataclass(frozen=True)
class Upsert:
    """A table of the journal that keeps the latest body of each thing, and the columns found in that body."""

    table: str
    key: tuple[str, ...]
    looked_up: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.key + self.looked_up


UPSERTS = (
    Upsert("answers", ("run_id", "step", "row_id", "turn", "repeat"), ("key", "status", "answered_at", "value_hash")),
    Upsert("rows", ("run_id", "row_id"), ("index", "status")),
    Upsert("runs", ("id",), ("started_at", "status")),
    Upsert("reviews", ("run_id", "row_id", "step", "turn", "repeat", "key"), ("status", "asked_at")),
    Upsert("messages", ("session_id", "index"), ()),
    Upsert("sessions", ("id",), ("name",)),
)
_INTEGERS = {"turn", "repeat", "index"}
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True)
class Dialect:
    """How one database says it."""

    name: str
    begin: tuple[str, ...]
    snapshot: tuple[str, ...]
    writer: tuple[str, ...]
    batch: str
    index: str
    text: str
    number: str
    body: str
    hashed: str
    size: str
    lines_log: str
    lines_contents: str

    def payload(self, items: Iterable[bytes]) -> str:
        """JSON values as the `:batch` of a statement; PostgreSQL's text knows no character 0, so it becomes U+FFFD."""
        array = (b"[" + b",".join(items) + b"]").decode()
        if self.name == "postgresql" and "\\u0000" in array:
            return _NUL.sub(r"\1\\ufffd", array)
        return array

    def insert_log(self, kinds: int) -> str:
        """Insert a batch of bodies, in order: those of `:kind_0` up to place `:until_0`, then `:kind_1`, and so on."""
        parts = " ".join(f"when {self.index} < :until_{number} then :kind_{number}" for number in range(kinds))
        return f"insert into log (kind, body) select case {parts} end, {self.body} from {self.batch}"

    def insert_contents(self) -> str:
        """Insert a batch of [hash, content] pairs, but those that are there."""
        select = f"select {self.hashed} from {self.batch} where true"
        return f"insert into contents (hash, body) {select} on conflict do nothing"

    def upsert(self, table: Upsert) -> str:
        """Insert a batch of bodies, replacing what is there under the same key."""
        columns = ", ".join(f'"{column}"' for column in table.columns)
        values = ", ".join((self.number if c in _INTEGERS else self.text).format(c) for c in table.columns)
        key = ", ".join(f'"{column}"' for column in table.key)
        changes = ", ".join(f'"{column}" = excluded."{column}"' for column in (*table.looked_up, "body"))
        return (
            f"insert into {table.table} ({columns}, body) select {values}, {self.body} from {self.batch} where true "
            f"on conflict ({key}) do update set {changes}"
        )

    def sql(self, statement: str) -> str:
        """A statement with the driver's mark for named parameters."""
        if self.name == "sqlite":
            return statement
        return re.sub(r"(?<![:\w]):(\w+)", r"%(\1)s", statement.replace("%", "%%"))


SQLITE = Dialect(
    name="sqlite",
    begin=("begin immediate",),
    snapshot=("begin", "select 1 from meta"),
    # 64 MB, as keys are spread over the whole of their indexes. Checkpoints stay at SQLite's 1,000 pages: a commit
    # waits for each, so small ones make it less late.
    writer=("pragma cache_size = -65536",),
    batch="json_each(:batch)",
    index="key",
    text="value ->> '{}'",
    number="value ->> '{}'",
    body="value",
    hashed="value ->> 0, value -> 1",
    size="length(cast(body as blob))",
    lines_log="cast(group_concat('{{\"seq\":' || seq || ',' || substr(body, 2), char(10)) {filter} as blob)",
    lines_contents="cast(group_concat('{\"hash\":\"' || hash || '\",\"body\":' || body || '}', char(10)) as blob)",
)

# Numbers of a sequence are given out before commits, so commits could overtake each other and the merger miss a row.
# The lock makes writers take turns: whoever gets a number commits before the next number is given.
POSTGRESQL = Dialect(
    name="postgresql",
    snapshot=("begin isolation level repeatable read read only", "select 1 from meta"),
    begin=("begin", "select pg_advisory_xact_lock(7470315)"),
    writer=(),
    batch="json_array_elements(cast(:batch as json)) with ordinality as batch (value, place)",
    index="place - 1",
    text="value ->> '{}'",
    number="cast(value ->> '{}' as integer)",
    body="cast(value as text)",
    hashed="value ->> 0, cast(value -> 1 as text)",
    size="octet_length(body)",
    lines_log="string_agg('{{\"seq\":' || seq || ',' || substr(body, 2), chr(10)) {filter}",
    lines_contents="string_agg('{\"hash\":\"' || hash || '\",\"body\":' || body || '}', chr(10))",
)


# ------------------------------------------------------------------------------------------------ what merging needs
def log_batch(dialect: Dialect) -> str:
    """Of the log entries after `:after`, at most `:entries` and `:bytes`: kind, how many, first, last, longest body.

    Bodies are measured here and read by `log_lines`: a window function or a sort would copy each of them.
    """
    return f"""
        select kind, count(*), min(seq), max(seq), max(size)
        from (
            select seq, kind, size, sum(size) over (order by seq) - size as before
            from (
                select seq, kind, {dialect.size} as size from log where seq > :after order by seq limit :entries
            ) as taken
        ) as measured
        where before <= :bytes
        group by kind order by kind"""


def log_lines(dialect: Dialect, kinds: Sequence[str]) -> str:
    """The log entries of those kinds after `:after` and up to `:last` as lines of JSON: one row, a column per kind."""
    columns = ", ".join(dialect.lines_log.format(filter=f"filter (where kind = '{kind}')") for kind in kinds)
    return f"""
        select {columns}
        from (select seq, kind, body from log where seq > :after and seq <= :last order by seq) as taken"""


def contents_batch(dialect: Dialect) -> str:
    """Of the contents after `:after`, at most `:entries` and `:bytes`: how many, the last, the longest."""
    return f"""
        select count(*), max(seq), max(size)
        from (
            select seq, size, sum(size) over (order by seq) - size as before
            from (
                select seq, {dialect.size} as size from contents where seq > :after order by seq limit :entries
            ) as taken
        ) as measured
        where before <= :bytes"""


def contents_lines(dialect: Dialect) -> str:
    """The contents after `:after` and up to `:last` as lines of JSON."""
    return f"""
        select {dialect.lines_contents}
        from (select hash, body from contents where seq > :after and seq <= :last order by seq) as taken"""


PENDING = "select (select count(*) from log), (select count(*) from contents)"
ANYTHING = "select exists (select 1 from log) or exists (select 1 from contents)"
MORE = "select exists (select 1 from log where seq > :log) or exists (select 1 from contents where seq > :contents)"
JOURNAL_ID = "select value from meta where name = 'journal_id'"
PRUNE_LOG = "delete from log where seq in (select seq from log where seq <= :until order by seq limit :entries)"
PRUNE_CONTENTS = (
    "delete from contents where seq in (select seq from contents where seq <= :until order by seq limit :entries)"
)

# ------------------------------------------------------------------------------------------------------- looking up
# An answer whose content was not recorded has a hash in place of its value, and cannot be given again.
KNOWN_KEYS = "select distinct key from answers where step = :step and status = 'answered' and value_hash is null"
_BEST_FIRST = """
    order by case when status = 'answered' then 0 else 1 end,
        case when run_id = :own_run and row_id = :own_row then 0 else 1 end, answered_at desc limit 1"""
FIND_ANSWER = f"select body from answers where key = :key and value_hash is null {_BEST_FIRST}"
FIND_ANSWER_OF_RUN = (
    f"select body from answers where key = :key and run_id = :run_id and value_hash is null {_BEST_FIRST}"
)
STEP_VALUES = """
    select a.row_id, a.body from answers a left join rows r on r.run_id = a.run_id and r.row_id = a.row_id
    where a.run_id = :run_id and a.step = :step and a.turn = 0 and a.repeat = 0 and a.status = 'answered'
    order by r."index" is null, r."index", a.row_id"""
ROWS = 'select body from rows where run_id = :run_id order by "index", row_id'
ROW_STATUSES = 'select row_id, status from rows where run_id = :run_id order by "index", row_id'
RUN = "select body from runs where id = :run_id"
RUNS = "select body from runs order by started_at desc, id desc"
# The person's name stands in the body alone, where it comes before the question: no text within it can look the same.
_PARKED = """
    from reviews where status = 'open' and (cast(:run_id as text) is null or run_id = :run_id)
        and (cast(:person as text) is null or body like :person escape '!')"""
PARKED = f"select body {_PARKED} order by asked_at, row_id, step limit :most offset :skip"
COUNT_PARKED = f"select count(*) {_PARKED}"
REVIEW = """
    select body from reviews where run_id = :run_id and row_id = :row_id and step = :step and turn = :turn
        and repeat = :repeat and key = :key"""
REVIEWS_OF_KEY = "select body from reviews where key = :key and status = 'open' order by asked_at, row_id, step"
REVIEW_PLACES = "select run_id, row_id, step, turn, repeat, key, status from reviews"


def asked_of(person: str | None) -> str | None:
    """A pattern that the bodies of questions to that person fit, as `review_entry` writes them."""
    if person is None:
        return None
    name = re.sub(r"([!%_])", r"!\1", orjson.dumps(person).decode())
    return f'%,"person":{name},"question":%'


ROW = "select body from rows where run_id = :run_id and row_id = :row_id"
REVIEWS = "select body from reviews order by asked_at, row_id, step"
REVIEWS_OF_RUN = "select body from reviews where run_id = :run_id order by asked_at, row_id, step"
REVIEWED_RUNS = "select distinct run_id from reviews where status <> 'open' order by run_id"
PARKED_ROWS = """select body from rows where run_id = :run_id and status = 'parked' order by "index", row_id"""
MESSAGES = 'select body from messages where session_id = :session_id order by "index"'
SESSION_NAMED = "select body from sessions where id = :name or name = :name order by id desc"
SESSION = "select body from sessions where id = :session_id"
GATES = "select name, body, changed_at from gates where changed_at > :since"
