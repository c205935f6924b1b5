"""A person's right to be forgotten: all that was said by or about one subject loses its content, everywhere.

The subject's rows are those, of any run, whose field has the value; their child rows are the subject's too. Out of
them grows what was made of their answers: answers kept under the same key (reused by others), requests that hold one of
these and what came of them, tool steps beside those, what a run made of all its rows after theirs had ended, and the
conversations that an attempt of theirs is in. All of this loses fields, values, requests, outputs, messages, questions
and reasons. Where else the value itself is named, a marker takes its place. Numbers and statuses stay, so that costs
and counts are what they were.

What lies outside the home is not reached: tables that rows came from, exports, snapshots, backups, providers.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from duckdb import DuckDBPyConnection

from toolkit.errors import LedgerError
from toolkit.ledger.documents import PIECES
from toolkit.ledger.history.schema import BY_NAME
from toolkit.ledger.reading.history import History
from toolkit.ledger.retention.clearing import Clearing, Doomed, emptied_message, emptied_row, emptied_session
from toolkit.ledger.retention.removal import Removal, Told, silent
from toolkit.ledger.retention.rewriting import Change, Plan, rewrite

LEAST_NAMED = 4
"""Shorter values are not looked for in other texts: they would be found in words that have nothing to do with them."""
YOUNG_HOURS = 24

_PLACE = "(run_id, row_id, step, turn, repeat)"
_COLUMNS = "run_id, row_id, step, turn, repeat"
_OWN_ROW = "(run_id, row_id) in (select (run_id, row_id) from own_rows)"
_OWN = f"({_OWN_ROW} or {_PLACE} in (select {_PLACE} from grown_places))"
_UNSHARED = f"({_OWN_ROW} or {_PLACE} in (select {_PLACE} from derived_places))"
_OWN_CONTENT = "hash in (select hash from own_contents where not is_shared)"
_HELD = f"""
    select {_COLUMNS}, unnest(regexp_extract_all(inputs::VARCHAR, '"([^"]+)"', 1)) as held
    from decisions where inputs is not null"""

# --------------------------------------------------------------------------------------------------------- statements
COLUMNS = "select distinct unnest(json_keys(fields)) as name from rows where fields is not null order by name"
OWN_ROWS = """
    create or replace temp table own_rows as
    with recursive own as (
        select run_id, row_id from rows where fields ->> $path in (select unnest($values::VARCHAR[]))
        union
        select r.run_id, r.row_id from rows r join own o on r.run_id = o.run_id and r.parent_row_id = o.row_id
    )
    select distinct run_id, row_id from own"""
# What stands for the whole batch (row *) is made of the subject's row if it was settled after that row had ended.
BATCH_PLACES = f"""
    create or replace temp table batch_places as
    with ended as (
        select run_id, case when count(*) = count(finished_at) then min(finished_at) end as first_at
        from rows where {_OWN_ROW} group by run_id
    ), placed as (
        select {_COLUMNS} from answers union select {_COLUMNS} from decisions union select {_COLUMNS} from attempts
    ), before as (
        select {_COLUMNS} from answers a join ended e using (run_id)
        where row_id = '*' group by all having max(answered_at) < any_value(first_at)
    )
    select {_COLUMNS} from placed where row_id = '*' and run_id in (select run_id from ended)
    except select {_COLUMNS} from before"""
# A key is that of a request: who asked the same has the same answer, and what holds an answer tells so by its inputs.
GROWN_KEYS = f"""
    create or replace temp table grown_keys as
    with recursive held as ({_HELD}), grown as (
        select key from answers where key <> '' and ({_OWN_ROW} or {_PLACE} in (select {_PLACE} from batch_places))
        union
        select a.key from grown g join held h on h.held = g.key join answers a using ({_COLUMNS}) where a.key <> ''
    )
    select distinct key from grown"""
DERIVED_PLACES = f"""
    create or replace temp table derived_places as
    select {_COLUMNS} from ({_HELD}) where held in (select key from grown_keys)
    union select {_COLUMNS} from batch_places"""
# A tool step does not tell what it was given: beside an answer that is not kept, its own is not kept either.
GROWN_PLACES = f"""
    create or replace temp table grown_places as
    with grown as (
        select {_COLUMNS} from answers where key in (select key from grown_keys)
        union select {_COLUMNS} from derived_places
    )
    select {_COLUMNS} from grown
    union
    select {_COLUMNS} from answers
    where model is null and row_id <> '*' and (run_id, row_id) in (select (run_id, row_id) from grown)"""
OWN_SESSIONS = f"""
    create or replace temp table own_sessions as
    select distinct session_id from messages where attempt_id in (select id from attempts where {_OWN})"""
OWN_CONTENTS = f"""
    create or replace temp table own_contents as
    with named as (
        select run_id, row_id, step, turn, repeat, request_hash as hash from decisions
        union all select run_id, row_id, step, turn, repeat, request_hash from attempts
        union all select run_id, row_id, step, turn, repeat, output_hash from attempts
    ), referred as (
        from named
        union all select n.run_id, n.row_id, n.step, n.turn, n.repeat, p.piece
        from named n join {PIECES} p on p.hash = n.hash
    ), marked as (
        select hash, {_UNSHARED} as is_own
        from referred where hash is not null
    )
    select hash, not bool_and(is_own) as is_shared from marked group by hash having bool_or(is_own)"""
UNDER_WAY = f"""
    select run_id from run_summary where status = 'running' and as_of > now() - interval {YOUNG_HOURS} hour
        and run_id in (select run_id from own_rows) order by run_id"""
COUNTS = f"""
    select (select count(distinct run_id) from own_rows), (select count(*) from own_rows),
        (select count(*) from attempts where {_OWN}),
        (select count(*) from own_contents where not is_shared and hash in (select hash from contents)),
        (select count(*) from own_contents where is_shared and hash in (select hash from contents)),
        (select coalesce(sum(strlen(body)), 0) from contents
            where {_OWN_CONTENT})
            + (select coalesce(sum(strlen(fields::VARCHAR)), 0) from rows where {_OWN_ROW})
            + (select coalesce(sum(strlen(value::VARCHAR)), 0) from answers where {_OWN})
            + (select coalesce(sum(strlen(concat(question, value::VARCHAR))), 0) from reviews where {_OWN})
            + (select coalesce(sum(strlen(parts::VARCHAR)), 0) from messages
                where session_id in (select session_id from own_sessions))"""


@dataclass(frozen=True)
class Erased:
    """What a table loses: columns that become NULL in rows of the subject (`whose`, a condition), and rows that go.

    `unlinked` are columns that become NULL where the row is the subject's own, and not one that reused an answer.
    """

    whose: str
    columns: tuple[str, ...] = ()
    unlinked: tuple[str, ...] = ()
    whole: str = ""


# All other words of these tables lose the value alone, wherever it is named.
ERASED = {
    "runs": Erased("false"),
    "rows": Erased(_OWN_ROW, ("fields", "reason")),
    "decisions": Erased(_OWN, ("reason",), ("request_hash", "inputs")),
    "attempts": Erased(_OWN, ("error_message", "response_id"), ("request_hash", "output_hash")),
    "answers": Erased(_OWN, ("value", "value_hash", "reason")),
    "grades": Erased(_OWN, ("label", "reason")),
    "reviews": Erased(_OWN, ("question", "output_schema", "value", "why"), whole=f"{_OWN} and status = 'open'"),
    "sessions": Erased("id in (select session_id from own_sessions)", ("name", "about")),
    "messages": Erased("session_id in (select session_id from own_sessions)", ("parts",)),
    "events": Erased(
        "(run_id, coalesce(about ->> 'row_id', '*')) in (select (run_id, row_id) from own_rows "
        "union select (run_id, '*') from own_rows)",
        ("about",),
    ),
    "contents": Erased(_OWN_CONTENT, whole=_OWN_CONTENT),
}
_NO_WORDS = {"hash", "request_hash", "output_hash", "run_id", "parent_run_id", "flow_run_id", "key", "status"}


# --------------------------------------------------------------------------------------------------------- the subject
@dataclass(frozen=True)
class Subject:
    """Whose data: rows whose field `column` is `value`, or one of `spellings` (as redaction or hashing wrote it)."""

    column: str
    value: str
    spellings: tuple[str, ...] = ()
    marker: str = field(default_factory=lambda: f"[erased-{secrets.token_hex(4)}]", compare=False)

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.value, *self.spellings)))

    @property
    def path(self) -> str:
        """The column as a path in JSON."""
        return '$."' + self.column.replace('"', '\\"') + '"'

    @property
    def spelled(self) -> tuple[str, ...]:
        """The values that are looked for in texts, also as JSON spells them, and JSON within JSON."""
        found: dict[str, None] = {}
        for value in self.values:
            if len(value) >= LEAST_NAMED:
                once = json.dumps(value, ensure_ascii=False)[1:-1]
                twice = json.dumps(once, ensure_ascii=False)[1:-1]
                found |= dict.fromkeys((value, once, twice, json.dumps(value)[1:-1]))
        return tuple(sorted(found, key=len, reverse=True))

    @property
    def pattern(self) -> str:
        """What matches these in a text, as whole words, for DuckDB's regular expressions and Python's; "" for none."""
        return "|".join(_word(each) for each in self.spelled)

    @property
    def rule(self) -> str:
        """The rule without the person's data."""
        spelled = f", spelled in {len(self.values)} ways" if len(self.values) > 1 else ""
        return f"rows with one value of a column{spelled}"


def _word(text: str) -> str:
    escaped = "".join(c if c.isalnum() or c == "_" or not c.isascii() else f"\\{c}" for c in text)
    first, last = (c.isascii() and (c.isalnum() or c == "_") for c in (text[0], text[-1]))
    return ("\\b" if first else "") + escaped + ("\\b" if last else "")


# ------------------------------------------------------------------------------------------------------------- erasing
def planned(history: History, subject: Subject) -> Removal:
    """What would go, with what is not merged yet; nothing is changed."""
    _check(subject)
    with history.laid_over(frozenset(BY_NAME)) as shown:
        if shown.note:
            raise LedgerError(f"what would go cannot be told, as the record cannot be read whole now: {shown.note}")
        return _mark(shown.connection, subject).removal


def erase(
    home: Path,
    subject: Subject,
    *,
    url: str | None = None,
    told: Told = silent,
    reached: Callable[[str], None] = lambda point: None,
) -> Removal:
    """Erase the subject from the home. `notes` tell what keeps some of it there, where anything does: then it is to be
    done again. Raises LedgerError, with nothing changed, where somebody holds the history open.
    """
    _check(subject)
    done = rewrite(
        home, lambda shown, _recent: _mark(shown, subject), url=url, thoroughly=True, told=told, reached=reached
    )
    return done if done.kind == "subject" else replace(done, kind="subject", rule=subject.rule)


def _check(subject: Subject) -> None:
    if not subject.column or not subject.value.strip():
        raise LedgerError("say whose data: a column of the rows and the value that it has, as in email=ada@example.com")


def _mark(shown: DuckDBPyConnection, subject: Subject) -> Plan:
    columns = [name for (name,) in shown.execute(COLUMNS).fetchall()]
    if columns and subject.column not in columns:
        raise LedgerError(f"no row on record has a column {subject.column!r}; they have {', '.join(columns)}")
    shown.execute(OWN_ROWS, {"path": subject.path, "values": list(subject.values)})
    for statement in (BATCH_PLACES, GROWN_KEYS, DERIVED_PLACES, GROWN_PLACES, OWN_SESSIONS, OWN_CONTENTS):
        shown.execute(statement)
    runs, rows, attempts, contents, shared, size = shown.execute(COUNTS).fetchall()[0]
    notes = tuple(
        f"run {run_id} is under way and may write more of the same; run this again when it has ended"
        for (run_id,) in shown.execute(UNDER_WAY).fetchall()
    )
    removal = Removal(
        kind="subject",
        rule=subject.rule,
        runs=runs,
        rows=rows,
        attempts=attempts,
        contents=contents,
        bytes=int(size),
        shared=shared,
        mentions=sum(_mentions(shown, name, subject) for name in ERASED),
        notes=notes,
    )
    changes = {name: _change(name, erased, subject) for name, erased in ERASED.items()}
    return Plan(removal, changes, _doomed(), _mender(subject))


def _words(name: str) -> list[tuple[str, str]]:
    """(column, type) of a table's columns that hold words."""
    columns = [c for c in BY_NAME[name].columns if c.name != BY_NAME[name].of_run and c.name not in _NO_WORDS]
    return [(c.name, c.type) for c in columns if c.type in ("VARCHAR", "JSON")]


def _mentions(shown: DuckDBPyConnection, name: str, subject: Subject) -> int:
    """How many rows that are not the subject's name the subject."""
    if not subject.pattern:
        return 0
    told = " or ".join(f'regexp_matches("{column}"::VARCHAR, $pattern)' for column, _ in _words(name))
    whose = f"({ERASED[name].whose}) is not true"
    found = shown.execute(
        f"select count(*) from {name} where {whose} and ({told})", {"pattern": subject.pattern}
    ).fetchall()
    return int(found[0][0])


def _change(name: str, erased: Erased, subject: Subject) -> Change:
    cells: dict[str, str] = {}
    for column, type_ in _words(name):
        cells[column] = _mended(column, type_, subject)
    for columns, whose in ((erased.columns, erased.whose), (erased.unlinked, _UNSHARED)):
        for column in columns:
            cells[column] = f"case when {whose} then null else {cells.get(column, column)} end"
    return Change(cells, without=erased.whole)


def _mended(column: str, type_: str, subject: Subject) -> str:
    """The column with the marker in the subject's place; JSON that would not be JSON any more becomes NULL."""
    if not subject.pattern:
        return f'"{column}"'
    pattern = "'" + subject.pattern.replace("'", "''") + "'"
    if type_ != "JSON":
        return f"regexp_replace(\"{column}\", {pattern}, '{subject.marker}', 'g')"
    mended = f"regexp_replace(\"{column}\"::VARCHAR, {pattern}, '{subject.marker}', 'g')"
    return f"""case when regexp_matches("{column}"::VARCHAR, {pattern})
        then case when json_valid({mended}) then ({mended})::JSON end else "{column}" end"""


def _doomed() -> list[Doomed]:
    """What goes out of the journal, with nothing left to reuse, to ask or to tell again."""
    return [
        Doomed("answers", f"select * from answers where {_OWN}"),
        Doomed("reviews", f"select * from reviews where {_OWN}"),
        Doomed("rows", f"select * from rows where {_OWN_ROW}", emptied_row),
        Doomed("messages", f"select * from messages where {ERASED['messages'].whose}", emptied_message),
        Doomed("sessions", f"select * from sessions where {ERASED['sessions'].whose}", emptied_session),
    ]


def _mender(subject: Subject) -> Callable[[Clearing], int]:
    """What is left to do in the journal: rows that the history does not know, and the value wherever it is named."""

    def mend(clearing: Clearing) -> int:
        found = clearing.empty_rows(subject.column, subject.values)
        if subject.spelled:
            clearing.mend(re.compile(subject.pattern, re.ASCII), subject.spelled, subject.marker)
        return found

    return mend
