"""Retention: what runs said is deleted when they are old enough; what they did, cost and were worth stays.

By default the *content* of the chosen runs goes: contents that no other run refers to, rows' fields, answers' values,
messages, questions to people and their answers, and words that quote them (error messages, reasons of grades, answers
and rows). Attempts, decisions, grades, statuses and costs stay. In the journal their answers, rows and questions go, so
their answers are not reused any more, and such a run that is resumed starts over.

With `whole` their rows go out of all tables but `runs`, once their attempts are added up in the table `pruned`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from duckdb import DuckDBPyConnection

from toolkit.errors import LedgerError
from toolkit.ledger.documents import PIECES
from toolkit.ledger.history.schema import BY_NAME
from toolkit.ledger.reading.history import History
from toolkit.ledger.retention.clearing import Doomed, emptied_message, emptied_session
from toolkit.ledger.retention.removal import Kind, Removal, Told, silent
from toolkit.ledger.retention.rewriting import Change, Plan, rewrite

YOUNG = timedelta(hours=24)
"""A run that says it is running, and that left a trace since then, is under way."""

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_OF_A_RUN = ("rows", "decisions", "attempts", "answers", "grades", "messages", "reviews", "events")
_DOOMED = "run_id in (select run_id from doomed_runs)"

# --------------------------------------------------------------------------------------------------------- statements
CHOOSE_RUNS = """
    create or replace temp table chosen_runs as
    with placed as (
        select run_id, coalesce(finished_at, as_of) as ended_at,
            (status = 'running' and as_of > $young)
                or run_id in (select run_id from rows where status = 'parked') as is_under_way,
            row_number() over (order by started_at desc, run_id desc) as place
        from run_summary where $workflow::VARCHAR is null or workflow = $workflow
    )
    select run_id, is_under_way from placed
    where ($before::TIMESTAMPTZ is null or ended_at < $before) and ($keep::BIGINT is null or place > $keep)"""
SPARED_RUNS = "select run_id from chosen_runs where is_under_way order by run_id"
DOOM_RUNS = """
    create or replace temp table doomed_runs as select run_id from chosen_runs where $force or not is_under_way"""
# A run whose rows have no fields and whose answers have no values was pruned before: it keeps no content alive.
EMPTIED_RUNS = """
    create or replace temp table emptied_runs as
    select run_id from rows group by run_id having count(fields) = 0
    except select run_id from answers where value is not null"""
REFER = f"""
    create or replace temp view referred as
    with named as (
        select run_id, request_hash as hash from decisions where request_hash is not null
        union all select run_id, request_hash from attempts where request_hash is not null
        union all select run_id, output_hash from attempts where output_hash is not null
    )
    from named union all select n.run_id, p.piece from named n join {PIECES} p on p.hash = n.hash"""
DOOM_CONTENTS = f"""
    create or replace temp table doomed_contents as
    select hash, strlen(body) as bytes from contents
    where hash in (select hash from referred where {_DOOMED})
        and hash not in (
            select hash from referred where ({_DOOMED}) is not true
                and run_id not in (select run_id from emptied_runs)
        )
        and hash not in (select unnest($recent::VARCHAR[]))"""
TOUCHED = {
    "contents": f"""
        create or replace temp table touched_runs as
        select run_id from rows where {_DOOMED} and fields is not null
        union select run_id from answers where {_DOOMED} and value is not null
        union select run_id from reviews where {_DOOMED} and (question is not null or value is not null)
        union select run_id from messages where {_DOOMED} and parts is not null
        union select run_id from referred where {_DOOMED} and hash in (select hash from doomed_contents)""",
    "runs": "create or replace temp table touched_runs as "
    + " union ".join(f"select run_id from {table} where {_DOOMED}" for table in _OF_A_RUN),
}
COUNTS = f"""
    select (select count(*) from touched_runs),
        (select count(*) from rows where run_id in (select run_id from touched_runs)),
        (select count(*) from attempts where run_id in (select run_id from touched_runs)),
        (select count(*) from doomed_contents),
        (select coalesce(sum(bytes), 0) from doomed_contents)
            + (select coalesce(sum(strlen(fields::VARCHAR)), 0) from rows where {_DOOMED})
            + (select coalesce(sum(strlen(value::VARCHAR)), 0) from answers where {_DOOMED})
            + (select coalesce(sum(strlen(concat(question, value::VARCHAR))), 0) from reviews where {_DOOMED})
            + (select coalesce(sum(strlen(parts::VARCHAR)), 0) from messages where {_DOOMED})"""
ADD_UP = f"""
    select a.run_id, r.workflow, a.step, a.model, (a.started_at at time zone 'UTC')::DATE as day,
        count(*) as calls, count(a.error_type) as errors, sum(a.cost_usd) as cost_usd,
        count(*) - count(a.cost_usd) as calls_of_unknown_cost,
        sum(a.input_tokens)::BIGINT as input_tokens, sum(a.output_tokens)::BIGINT as output_tokens,
        sum(a.cache_read_input_tokens)::BIGINT as cache_read_input_tokens,
        sum(a.reasoning_output_tokens)::BIGINT as reasoning_output_tokens,
        sum(a.wait_seconds) as wait_seconds, sum(a.service_seconds) as service_seconds
    from history.main.attempts a left join history.main.runs r on r.id = a.run_id
    where a.{_DOOMED} and a.operation_name is distinct from 'execute_tool' group by all"""
SESSIONS_LEFT_EMPTY = f"""
    id in (select session_id from messages where {_DOOMED})
    and id not in (select session_id from messages where ({_DOOMED}) is not true)"""


# ---------------------------------------------------------------------------------------------------------- the rule
@dataclass(frozen=True)
class Rule:
    """Which runs: those that ended before `before` and are not among the newest `keep_runs`, of one workflow or of all.

    `whole` deletes their rows, not their content alone; `force` also takes runs that are under way or wait for people.
    """

    before: datetime | None = None
    keep_runs: int | None = None
    workflow: str | None = None
    whole: bool = False
    force: bool = False

    def __str__(self) -> str:
        parts = [f"ended before {self.before.astimezone(UTC):%Y-%m-%d %H:%M} UTC"] if self.before is not None else []
        parts += [f"not among the newest {self.keep_runs}"] if self.keep_runs is not None else []
        parts += [f"of workflow {self.workflow}"] if self.workflow is not None else []
        parts += ["also under way"] if self.force else []
        return f"{'all rows' if self.whole else 'content'} of runs {', '.join(parts)}"


def moment(age: str, *, now: datetime) -> datetime:
    """The moment that `90d`, `12h`, `2w` or a date means. Raises LedgerError where it means none, or the future."""
    if (found := re.fullmatch(r"(\d{1,6})\s*([hdw])", age.strip())) is not None:
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        given = datetime.fromisoformat(age.strip())
    except ValueError:
        raise LedgerError(f"{age!r} is no age; say 90d, 12h, 2w, or a date such as 2026-01-31") from None
    given = given if given.tzinfo is not None else given.replace(tzinfo=UTC)
    if given > now:
        raise LedgerError(f"{age} lies in the future; give an age such as 90d, or a past date")
    return given


# ----------------------------------------------------------------------------------------------------------- pruning
def planned(history: History, rule: Rule) -> Removal:
    """What would go by that rule, with what is not merged yet; nothing is changed."""
    _check(rule)
    with history.laid_over(frozenset(BY_NAME)) as shown:
        if shown.note:
            raise LedgerError(f"what would go cannot be told, as the record cannot be read whole now: {shown.note}")
        return _mark(shown.connection, frozenset(), rule).removal


def prune(
    home: Path,
    rule: Rule,
    *,
    url: str | None = None,
    told: Told = silent,
    reached: Callable[[str], None] = lambda point: None,
) -> Removal:
    """Carry out that rule. Raises LedgerError, with nothing changed, where somebody holds the history open."""
    _check(rule)
    return rewrite(home, lambda shown, recent: _mark(shown, recent, rule), url=url, told=told, reached=reached)


def _check(rule: Rule) -> None:
    if rule.before is None and rule.keep_runs is None:
        raise LedgerError("say which runs: those older than an age such as 90d, or all but the newest N")
    if rule.keep_runs is not None and rule.keep_runs < 0:
        raise LedgerError(f"{rule.keep_runs} runs cannot be kept; give 0 or more")


def _mark(shown: DuckDBPyConnection, recent: frozenset[str], rule: Rule) -> Plan:
    choice = {"before": rule.before, "keep": rule.keep_runs, "workflow": rule.workflow}
    shown.execute(CHOOSE_RUNS, {**choice, "young": datetime.now(UTC) - YOUNG})
    spared = () if rule.force else tuple(run_id for (run_id,) in shown.execute(SPARED_RUNS).fetchall())
    shown.execute(DOOM_RUNS, {"force": rule.force})
    shown.execute(EMPTIED_RUNS)
    shown.execute(REFER)
    shown.execute(DOOM_CONTENTS, {"recent": sorted(recent)})
    kind: Kind = "runs" if rule.whole else "contents"
    shown.execute(TOUCHED[kind])
    runs, rows, attempts, contents, size = shown.execute(COUNTS).fetchall()[0]
    removal = Removal(
        kind=kind,
        rule=str(rule),
        runs=runs,
        rows=rows,
        attempts=attempts,
        contents=contents,
        bytes=int(size),
        spared=spared,
    )
    return Plan(removal, _without_rows() if rule.whole else _without_content(), _doomed(rule))


def _without_content() -> dict[str, Change]:
    def gone(*columns: str) -> dict[str, str]:
        return {column: f"case when {_DOOMED} then null else {column} end" for column in columns}

    unexplained = f"case when {_DOOMED} then json_merge_patch(about, '{{\"reason\": null}}') else about end"
    quoted = f"case when {_DOOMED} and grader like 'Person(%' then null else label end"  # it is the person's answer
    return {
        "rows": Change(gone("fields", "reason")),
        "answers": Change(gone("value", "reason")),
        "attempts": Change(gone("error_message")),
        "grades": Change(gone("reason") | {"label": quoted}),
        "messages": Change(gone("parts")),
        "sessions": Change(
            {name: f"case when {SESSIONS_LEFT_EMPTY} then null else {name} end" for name in ("name", "about")}
        ),
        "reviews": Change(gone("question", "value"), without=f"{_DOOMED} and status = 'open'"),
        "events": Change({"about": unexplained}),
        "contents": Change(without="hash in (select hash from doomed_contents)"),
    }


def _without_rows() -> dict[str, Change]:
    return {
        **{table: Change(without=_DOOMED) for table in _OF_A_RUN},
        "sessions": Change(without=SESSIONS_LEFT_EMPTY),
        "contents": Change(without="hash in (select hash from doomed_contents)"),
        "pruned": Change(added=ADD_UP),
    }


def _doomed(rule: Rule) -> list[Doomed]:
    """What goes out of the journal: what would be reused, asked or told again."""
    went = [Doomed(table, f"select * from {table} where {_DOOMED}") for table in ("answers", "rows", "reviews")]
    said = Doomed("messages", f"select * from messages where {_DOOMED}", None if rule.whole else emptied_message)
    talks = f"select * from sessions where {SESSIONS_LEFT_EMPTY}"
    return [*went, said, Doomed("sessions", talks, None if rule.whole else emptied_session)]
