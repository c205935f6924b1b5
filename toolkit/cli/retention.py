"""`toolkit prune` and `toolkit erase`: taking content off the record, by age or for one person."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.ending import FAILED, complain
from toolkit.cli.options import DEFAULT_HOME, AsJson, Home
from toolkit.cli.taking import JournalUrl
from toolkit.cli.working import counted, shown, size

if TYPE_CHECKING:
    from toolkit.ledger.retention.removal import Removal

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would go.")]
SHOWN_RUNS = 5


def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Runs that ended before: 90d, 12h, 2w or a date.")
    ] = "",
    keep_runs: Annotated[
        int | None, typer.Option("--keep-runs", min=0, metavar="N", help="Never the newest N (of that workflow).")
    ] = None,
    workflow: Annotated[str, typer.Option("--workflow", metavar="W", help="Runs of this workflow alone.")] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="Delete the runs' rows in all tables, adding up their attempts first.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also runs that are under way or have rows waiting for a person.")
    ] = False,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    journal: JournalUrl = "",
    as_json: AsJson = False,
) -> None:
    """Delete what old runs said: prompts, outputs, fields, values, messages, questions. All numbers stay.

    Answers of those runs are not reused any more, and such a run that is resumed starts over. Runs that are under way,
    or have rows waiting for a person, are left alone unless --force is given. Costs by model and day stay the same,
    with --whole as sums in the table `pruned`. Runs may go on meanwhile; nobody may hold history.duckdb open.

    Exit code 0: done, or nothing to do; 1: done, but not finished, with the reason; 2: nothing was changed.
    """
    from datetime import UTC, datetime

    from toolkit.ledger.reading.history import History
    from toolkit.ledger.retention import pruning

    rule = pruning.Rule(
        before=pruning.moment(older_than, now=datetime.now(UTC)) if older_than else None,
        keep_runs=keep_runs,
        workflow=workflow or None,
        whole=whole,
        force=force,
    )
    if dry_run:
        removal = pruning.planned(History(home, url=journal or None), rule)
    else:
        with shown() as told:
            removal = pruning.prune(home, rule, url=journal or None, told=told)
    _end(removal, _pruned(removal), as_json=as_json)


def erase(
    subject: Annotated[
        str,
        typer.Option(
            "--subject", metavar="COLUMN=VALUE", help="Whose rows: a column and its value (`-`: read from stdin)."
        ),
    ],
    also: Annotated[
        list[str] | None, typer.Option("--also", metavar="VALUE", help="Another spelling of the value; repeatable.")
    ] = None,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    journal: JournalUrl = "",
    as_json: AsJson = False,
) -> None:
    """Forget a person: rows with that value, and all that came of them, lose their content in every file of the home.

    Numbers and statuses stay. The value is also found as redaction wrote it, and where other texts name it a marker
    takes its place. Not reached: the tables that rows came from, exports, snapshots, backups. Nobody may hold
    history.duckdb open.

    Exit code 0: done, or nobody found; 1: done, but something is left, with the reason; 2: nothing was changed.
    """
    from toolkit.cli.spellings import spellings
    from toolkit.errors import SetupError
    from toolkit.ledger.reading.history import History
    from toolkit.ledger.retention import erasing

    column, equals, value = subject.partition("=")
    if not equals:
        raise SetupError("say --subject COLUMN=VALUE, e.g. --subject email=ada@example.com")
    if value == "-":
        value = sys.stdin.readline().rstrip("\n")
    history = History(home, url=journal or None)
    known = spellings(history, column, [value, *(also or [])])
    whose = erasing.Subject(column, value, known)
    if dry_run:
        removal = erasing.planned(history, whose)
    else:
        with shown() as told:
            removal = erasing.erase(home, whose, url=journal or None, told=told)
    _end(removal, _erased(removal), as_json=as_json)


# ---------------------------------------------------------------------------------------------------------------- end
def _end(removal: Removal, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(removal) | {"spared": list(removal.spared), "notes": list(removal.notes)}))
    else:
        print(sentence)
    for note in removal.notes if removal.is_done else ():
        complain(note)
    if removal.is_done and removal.notes:
        raise typer.Exit(FAILED)


def _pruned(removal: Removal) -> str:
    verb = "pruned" if removal.is_done else "would prune"
    what = (
        f"{verb} {removal.rule}: {counted(removal.runs, 'run')}, {counted(removal.rows, 'row')}, "
        f"{counted(removal.attempts, 'attempt')}, {counted(removal.contents, 'content')} "
        f"({size(removal.bytes)} of text)"
    )
    if removal.is_empty:
        what = f"nothing to prune: no content is left of {removal.rule.partition(' of ')[2]}"
    return "; ".join([what, *_spared(removal), *_sizes(removal)])


def _erased(removal: Removal) -> str:
    verb = "erased" if removal.is_done else "would erase"
    if removal.is_empty:
        return "; ".join(["no row has that value, and no text names it", *_sizes(removal)])
    parts = [
        f"{verb} {counted(removal.rows, 'row')} of {counted(removal.runs, 'run')}, with what was said in "
        f"{counted(removal.attempts, 'attempt')} and {counted(removal.contents, 'content')} ({size(removal.bytes)})"
    ]
    if removal.shared:
        kept = "is kept, as attempts of others refer to it" if removal.shared == 1 else "are kept: others refer to them"
        parts.append(f"{counted(removal.shared, 'content')} {kept}")
    if removal.mentions:
        names = "names" if removal.mentions == 1 else "name"
        parts.append(f"{counted(removal.mentions, 'other record')} {names} the value, which a marker replaces")
    return "; ".join([*parts, *_sizes(removal)])


def _spared(removal: Removal) -> list[str]:
    if not removal.spared:
        return []
    named = ", ".join(removal.spared[:SHOWN_RUNS]) + (", …" if len(removal.spared) > SHOWN_RUNS else "")
    are = "is" if len(removal.spared) == 1 else "are"
    count = counted(len(removal.spared), "run")
    return [f"{count} under way or with rows waiting for a person {are} left alone ({named}); --force takes them too"]


def _sizes(removal: Removal) -> list[str]:
    if not removal.is_done:
        return ["nothing was changed"]
    return [f"the home has {size(removal.bytes_after)}, before {size(removal.bytes_before)}"]
