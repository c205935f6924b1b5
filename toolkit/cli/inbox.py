"""`toolkit inbox`: the questions that wait for people, and answering them: who asks, since when, what models said."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.ending import FAILED, complain
from toolkit.cli.options import DEFAULT_HOME, AsJson, Home
from toolkit.cli.taking import JournalUrl
from toolkit.cli.working import counted
from toolkit.errors import InboxError, RunError, sentence

if TYPE_CHECKING:
    from toolkit.ledger import Review
    from toolkit.people.inbox import Asked, Ended, Inbox, Ready

QuestionName = Annotated[str, typer.Argument(metavar="ID", help="A question's name, or its first characters.")]
Run = Annotated[str, typer.Option("--run", metavar="RUN", help="Of this run alone.")]
Person = Annotated[str, typer.Option("--person", metavar="NAME", help="For this member of the fleet alone.")]
By = Annotated[str, typer.Option("--by", envvar="TOOLKIT_USER", help="Who answers; the user's name where left out.")]
ID_LENGTH = 8
COLUMNS = ("id", "for", "waits", "left", "row", "step", ">question")
SKIP, QUIT = "", "q"

inbox = typer.Typer(
    help="Questions that wait for people: list, show, answer, expire, wake.", invoke_without_command=True
)


@inbox.callback()
def root(context: typer.Context, home: Home = DEFAULT_HOME) -> None:
    if context.invoked_subcommand is None:
        list_(home=home)


def list_(
    run: Run = "", person: Person = "", home: Home = DEFAULT_HOME, journal: JournalUrl = "", as_json: AsJson = False
) -> None:
    """List what waits, the longest waiting first: for whom, since when, how long still, and what is asked."""
    box = _box(home, journal)
    found = box.open(_named(home, run), person=person or None)
    if as_json:
        print(json.dumps({"questions": [_plain(review) for review in found]}))
        return
    from toolkit.cli.tables import console, table

    if found:
        title = f"Waiting for people: {counted(len(found), 'question')}"
        console().print(table(title, COLUMNS, [_cells(review) for review in found], words=6))
        print(f"show one: toolkit inbox show {found[0].id[:ID_LENGTH]}{_at(home)}")
        print(f"answer: toolkit inbox answer {found[0].id[:ID_LENGTH]} --value …{_at(home)}, or --interactive")
    else:
        print(f"nothing waits for a person in {home}")
    for ready in box.ready(_named(home, run)):
        print(f"answered, and not resumed yet: {_told(ready)}; toolkit inbox wake{_at(home)}")


def show(id: QuestionName, home: Home = DEFAULT_HOME, journal: JournalUrl = "", as_json: AsJson = False) -> None:
    """Show a question: the row, all that was asked, what models said before, and why a person is asked."""
    asked = _box(home, journal).show(id)
    if as_json:
        print(json.dumps(_whole(asked), default=str))
    else:
        _print(asked)


def answer(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Questions' names, cut short.")] = None,
    value: Annotated[
        str | None,
        typer.Option("--value", help="JSON of the type asked for, a word, or text; `-` or left out: read from stdin."),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="One question after the other, with what models said.")
    ] = False,
    by: By = "",
    note: Annotated[str, typer.Option("--note", help="Goes on record beside the answer.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the answered rows at once.")] = False,
    run: Run = "",
    person: Person = "",
    home: Home = DEFAULT_HOME,
    journal: JournalUrl = "",
    as_json: AsJson = False,
) -> None:
    """Answer questions. An answer is checked against the type that its step declares, and stays once it is given.

    Exit code 0: answered; 1: answered, but not all, or a row failed or could not be resumed; 2: nothing was answered.
    """
    box, faults = _box(home, journal), 0
    if interactive:
        if value is not None:
            raise InboxError("--interactive asks for the value of each answer: leave out --value")
        chosen = [box.find(id) for id in ids or ()] or box.open(_named(home, run), person=person or None)
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            ended = _one_by_one(box, chosen, by=by, note=note)
    elif ids:
        text = sys.stdin.read() if value in (None, "-") else str(value)
        reviews = [_of(box.find(id), run=_named(home, run), person=person) for id in ids]
        ended, faults = _each(box, reviews, text, by=by, note=note)
    else:
        raise InboxError("say which question: toolkit inbox answer ID --value …, or --interactive; toolkit inbox list")
    outcomes = _resumed(box, ended, quiet=as_json) if resume else []
    if as_json:
        answered = [_plain(review) for each in ended for review in each.reviews]
        print(json.dumps({"answered": answered, "resumed": outcomes}))
    else:
        for each in ended:
            print(_sentence(each, home, resumed=resume))
        for outcome in outcomes:
            print(f"{outcome['run_id']}: {_counts(outcome['rows'])}")
    left = len({each.run_id for each in ended}) - len(outcomes) if resume else 0
    if faults or left or any(outcome["rows"]["failed"] for outcome in outcomes):
        raise typer.Exit(FAILED)


def expire(run: Run = "", home: Home = DEFAULT_HOME, journal: JournalUrl = "", as_json: AsJson = False) -> None:
    """End what has waited longer than its time-out: the default is the answer then, or the row fails."""
    ended = _box(home, journal).expire(_named(home, run))
    if as_json:
        print(json.dumps({"expired": [_plain(review) for review in ended]}))
        return
    for review in ended:
        taken = "has no answer: its row fails" if review.value is None else f"is answered by default: {_short(review)}"
        print(f"{review.id[:ID_LENGTH]} ({review.place}) {taken}")
    if not ended:
        print("nothing has waited too long")


def wake(run: Run = "", home: Home = DEFAULT_HOME, journal: JournalUrl = "", as_json: AsJson = False) -> None:
    """End what has waited too long, then go on with every row whose question is answered, and with no other."""
    box = _box(home, journal)
    found = box.wake(_named(home, run))
    outcomes = _went_on(box, [(ready.run.id, _rows_of(ready)) for ready in found], quiet=as_json)
    if as_json:
        print(json.dumps({"resumed": outcomes}))
    for outcome in () if as_json else outcomes:
        print(f"{outcome['run_id']}: {_counts(outcome['rows'])}")
    if not found and not as_json:
        print("no row can go on")
    if any(outcome["rows"]["failed"] for outcome in outcomes) or len(outcomes) < len(found):
        raise typer.Exit(FAILED)


for name, command in (("list", list_), ("show", show), ("answer", answer), ("expire", expire), ("wake", wake)):
    inbox.command(name)(command)


# ---------------------------------------------------------------------------------------------------------- answering
def _one_by_one(box: Inbox, reviews: Sequence[Review], *, by: str, note: str) -> list[Ended]:
    """Ask the person at the terminal, until all is answered, they had enough, or the input ends."""
    ended: list[Ended] = []
    done: set[str] = set()
    for number, review in enumerate(reviews, start=1):
        if review.id in done:
            continue
        _print(box.show(review.id), title=f"{number} of {len(reviews)}")
        while (text := _typed()) != SKIP:
            if text == QUIT:
                return ended
            try:
                ended.append(box.answer(review.id, box.read(review, text), by=by or None, note=note))
                done |= {each.id for each in ended[-1].reviews}
                break
            except InboxError as error:
                complain(sentence(error))
                if review.id not in {each.id for each in box.open()}:
                    break  # somebody else was first
    return ended


def _each(box: Inbox, reviews: Sequence[Review], text: str, *, by: str, note: str) -> tuple[list[Ended], int]:
    """Answer all of them alike; what was answered, and how many could not be. Raises InboxError where none was."""
    ended: list[Ended] = []
    faults: list[InboxError] = []
    done: set[str] = set()
    for review in reviews:
        if review.id in done:  # it asks the very same as one before, and is answered with it
            continue
        try:
            ended.append(box.answer(review.id, box.read(review, text), by=by or None, note=note))
            done |= {each.id for each in ended[-1].reviews}
        except InboxError as error:
            faults.append(error)
    if faults and not ended:
        raise faults[0]
    for fault in faults:
        complain(sentence(fault))
    return ended, len(faults)


def _of(review: Review, *, run: str | None, person: str) -> Review:
    """The question. Raises InboxError where it is of another run, or for somebody else."""
    if run not in (None, review.place.run_id) or person not in ("", review.person):
        raise InboxError(f"question {review.id[:ID_LENGTH]} is for {review.person}, of {review.place}")
    return review


def _typed() -> str:
    try:
        return str(typer.prompt(f"answer (enter: skip, {QUIT}: stop)", default=SKIP, show_default=False))
    except typer.Abort:  # the input has ended: what was answered stays, and is told
        print()
        return QUIT


def _resumed(box: Inbox, ended: Sequence[Ended], *, quiet: bool) -> list[dict[str, Any]]:
    """Go on with the rows that were answered, run by run."""
    rows: dict[str, frozenset[str]] = {}
    for each in ended:
        rows[each.run_id] = rows.get(each.run_id, frozenset()) | each.row_ids
    return _went_on(box, rows.items(), quiet=quiet)


def _went_on(box: Inbox, rows: Any, *, quiet: bool) -> list[dict[str, Any]]:
    outcomes = []
    for run_id, row_ids in rows:
        try:
            with redirect_stdout(sys.stderr) if quiet else nullcontext():
                progress = box.resume(run_id, row_ids).wait(show=not quiet).progress
        except RunError as error:  # started from objects: its rows go on where it was started
            complain(sentence(error))
            continue
        names = ("answered", "parked", "failed", "set_aside")
        outcomes.append({"run_id": run_id, "rows": {name: getattr(progress, name) for name in names}})
    return outcomes


def _rows_of(ready: Ready) -> frozenset[str]:
    return ready.row_ids


# ------------------------------------------------------------------------------------------------------------ showing
def _print(asked: Asked, *, title: str = "") -> None:
    from toolkit.cli.tables import console, short, table, usd

    review, out = asked.review, console()
    head = f"{title}: " if title else ""
    out.print(f"{head}question {review.id[:ID_LENGTH]} for {review.person}, {_waits(review)}", markup=False)
    out.print(f"  at     {review.place}", markup=False)
    out.print(f"  why    {review.why}", markup=False)
    if review.expires_at is not None:
        default = (
            "the row fails" if review.default_value is None else f"the answer is {json.dumps(review.default_value)}"
        )
        out.print(f"  until  {review.expires_at:%Y-%m-%d %H:%M} UTC; then {default}", markup=False)
    if review.status != "open":
        out.print(f"  {review.status} by {review.answered_by or 'nobody'}: {_short(review)}", markup=False)
    for name, value in asked.fields.items():
        out.print(f"  {name:<7}{short(value, 300)}", markup=False)
    out.print()
    out.print(review.question, markup=False)
    out.print()
    if asked.tried:
        columns = ("model", "sure", "USD", ">said", ">grades")
        cells = [
            (
                tried.model,
                "–" if tried.confidence is None else f"{tried.confidence:.2f}",
                usd(tried.cost_usd),
                short(tried.output if tried.output is not None else f"{tried.error_type}: {tried.error_message}", 300),
                ", ".join(_grade(grade) for grade in tried.grades),
            )
            for tried in asked.tried
        ]
        out.print(table("What models said before", columns, cells))
    if asked.others:
        out.print(f"{counted(len(asked.others), 'other row')} ask the very same and are answered with it", markup=False)
    if review.output_schema is not None:
        out.print(f"the answer is JSON of {json.dumps(review.output_schema)}", markup=False)


def _cells(review: Review) -> Sequence[str]:
    from toolkit.cli.summary import asked
    from toolkit.cli.tables import short

    step = review.place.step.partition("/")[2]
    left = "" if review.expires_at is None else _span(review.expires_at, datetime.now(review.expires_at.tzinfo))
    question = short(asked(review.question), 120)
    return review.id[:ID_LENGTH], review.person, _since(review), left, review.place.row_id, step, question


def _since(review: Review) -> str:
    return _span(datetime.now(review.asked_at.tzinfo), review.asked_at)


def _span(later: datetime, earlier: datetime) -> str:
    from toolkit.asking.parking import span

    return span(later - earlier) if later > earlier else "over"


def _waits(review: Review) -> str:
    return f"which waits since {review.asked_at:%Y-%m-%d %H:%M} UTC ({_since(review)})"


def _grade(grade: Any) -> str:
    from toolkit.cli.tables import grader_name

    return f"{grader_name(grade.grader)} {grade.label if grade.value is None else f'{grade.value:.2f}'}"


def _short(review: Review) -> str:
    from toolkit.cli.tables import short

    return short(review.value if isinstance(review.value, str) else json.dumps(review.value), 200)


def _sentence(ended: Ended, home: Path, *, resumed: bool) -> str:
    review = ended.reviews[0]
    more = len(ended.reviews) - 1
    also = f", and {counted(more, 'other')} that asked the same" if more else ""
    rest = "" if resumed else f"; go on with: toolkit inbox wake{_at(home)}"
    return f"{review.id[:ID_LENGTH]} ({review.place}) is answered by {review.answered_by}{also}{rest}"


def _told(ready: Ready) -> str:
    rows = counted(len(ready.row_ids), "row")
    return f"{rows} of {ready.run.id}" if ready.row_ids else f"the whole batch of {ready.run.id}"


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in rows.items() if number) or "no row"


def _plain(review: Review) -> dict[str, Any]:
    """A question as JSON."""
    place = review.place
    return {
        "id": review.id,
        "run_id": place.run_id,
        "row_id": place.row_id,
        "step": place.step,
        "turn": place.turn,
        "repeat": place.repeat,
        "person": review.person,
        "status": review.status,
        "asked_at": review.asked_at.isoformat(),
        "expires_at": None if review.expires_at is None else review.expires_at.isoformat(),
        "default_value": review.default_value,
        "why": review.why,
        "question": review.question,
        "output_schema": review.output_schema,
        "answered_at": None if review.answered_at is None else review.answered_at.isoformat(),
        "answered_by": review.answered_by,
        "value": review.value,
    }


def _whole(asked: Asked) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **_plain(asked.review),
        "fields": dict(asked.fields),
        "tried": [asdict(tried) for tried in asked.tried],
        "others": [other.id for other in asked.others],
    }


# ------------------------------------------------------------------------------------------------------------- where
def _box(home: Path, journal: str) -> Inbox:
    from toolkit.people.inbox import Inbox

    return Inbox(home, url=journal or None)


def _named(home: Path, run: str) -> str | None:
    if not run:
        return None
    from toolkit.runs.resuming import find_run

    return find_run(run, home=home).id


def _at(home: Path) -> str:
    import shlex

    return "" if home == DEFAULT_HOME else f" --home {shlex.quote(str(home))}"
