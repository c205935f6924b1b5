"""The inbox: questions that models left to people. Who is asked, since when, what models said before; and answering.

    inbox = Inbox(".toolkit")
    for review in inbox.open():
        print(review.id[:8], review.person, review.asked_at, review.why)
    ended = inbox.answer("3f2a", "refund", by="Priya")
    inbox.resume(ended.run_id, ended.row_ids).wait()

An answer is durable, under its key and at its place, before `answer` returns; whoever resumes the run finds it there.
"""

from __future__ import annotations

import getpass
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.discretion import Discretion
from toolkit.errors import InboxError, InvalidOutput, RunError
from toolkit.labels import Tried, labels
from toolkit.ledger import History, Journal, Review
from toolkit.ledger.views.people import TRIED, TRIED_GRADES
from toolkit.ledger.writing.reviewing import Ending, ended
from toolkit.outputs import Output
from toolkit.parking import is_due, lapsed
from toolkit.records import Grade, Json, Place, RowRecord, Run, now
from toolkit.redaction import Redact, Redactor
from toolkit.settings import DEFAULT_HOME, Settings

if TYPE_CHECKING:
    from toolkit.running import Running

BATCH_ROW = "*"
LEAST_CHARACTERS = 4
SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """A question as whoever answers it wants to see it: the row, and what was tried before a person was asked.

    `others` are further questions that wait for the very same answer; they are answered with it.
    """

    review: Review
    fields: Mapping[str, Json]
    tried: tuple[Tried, ...]
    others: tuple[Review, ...] = ()


@dataclass(frozen=True)
class Ended:
    """Questions that one answer ended: the one that was meant first, then those that asked the same."""

    reviews: tuple[Review, ...]
    row_ids: frozenset[str]

    @property
    def run_id(self) -> str:
        """The run of the question that was meant; `row_ids` are that run's rows which can go on."""
        return self.reviews[0].place.run_id


@dataclass(frozen=True)
class Ready:
    """A run with rows that waited for people and can go on now; `batch` where steps of the whole batch can, too."""

    run: Run
    row_ids: frozenset[str]
    batch: bool = False


class Inbox:
    """The questions to people in a home. It opens the record for each call and keeps nothing open.

    `url` names the journal's database where it is not the home's own; `redact` is needed for answers to runs that were
    begun with a finder of your own, and is the same then.
    """

    def __init__(
        self, home: Path | str = DEFAULT_HOME, *, url: str | None = None, redact: Redact | str | None = ""
    ) -> None:
        self.home = Path(home)
        self._url = url
        self._redact = redact

    # -------------------------------------------------------------------------------------------------------- looking
    def open(self, run: str | None = None, *, person: str | None = None) -> list[Review]:
        """The questions that wait, the longest waiting first; of that run, or for that member of the fleet, alone."""
        with self._journal() as journal:
            return [review for review in journal.parked(run) if person in (None, review.person)]

    def find(self, id: str) -> Review:
        """The question with that id, or the only one whose id begins so; one that waits before one that has ended.

        Raises InboxError where there is none, or several are.
        """
        with self._journal() as journal:
            return _found(journal, id)

    def show(self, id: str) -> Asked:
        """A question with its row, and what models said before, with their grades."""
        with self._journal() as journal:
            review = _found(journal, id)
            row = journal.row(review.place.run_id, review.place.row_id)
            others = [each for each in journal.parked() if each.key == review.key and each.id != review.id]
        return Asked(review, row.fields if row is not None else {}, self._tried([review])[review.id], tuple(others))

    # ------------------------------------------------------------------------------------------------------ answering
    def answer(self, id: str, value: Json, *, by: str | None = None, note: str = "") -> Ended:
        """Answer a question: plain JSON of the type that its step declares, or text where it declares none.

        `by` is who answers (the name of the user of this machine where left out), `note` goes on record beside it.
        Other open questions that ask the very same are answered with it. What models said before is graded by it.
        Raises InboxError where the answer does not fit, or where somebody was first; it says who, and when.
        """
        with self._journal() as journal:
            review = _found(journal, id)
            redactor = self._redactor(journal, review)
            value = _checked(review, value, redactor)
            name = redactor.text(by or _user())
            told = redactor.text(f"answered by {name}" + (f": {note}" if note else ""))
            same = [review, *(each for each in journal.parked() if each.key == review.key and each.id != review.id)]
            tried = self._tried(same)
            grades = {each.id: list(labels(each, tried[each.id], value=value, by=name)) for each in same}
            ending = Ending("answered", now(), told, value, name)
            reviews = journal.decided(ended(review, ending, labels=grades))
            run_id = review.place.run_id
            own = frozenset(_top(each.place) for each in reviews if each.place.run_id == run_id)
            return Ended(reviews, own)

    def read(self, review: Review, text: str) -> Json:
        """The value that a text stands for: JSON of the type that is asked for, or a word. Raises InboxError."""
        try:
            return Output.of(review.output_schema).read(text.strip())
        except InvalidOutput as error:
            raise InboxError(_unfit(review, error)) from error

    # ------------------------------------------------------------------------------------------------------- going on
    def expire(self, run: str | None = None) -> list[Review]:
        """End the questions that have waited long enough: their default is the answer, or their row fails."""
        with self._journal() as journal:
            at = now()
            due = [review for review in journal.parked(run) if is_due(review, at)]
            return [each for review in due for each in journal.decided(ended(review, lapsed(review, at)))]

    def ready(self, run: str | None = None) -> list[Ready]:
        """The runs with rows that can go on, as what they waited for is answered."""
        with self._journal() as journal:
            found = []
            for run_id in journal.reviewed_runs():
                record = journal.run(run_id)
                if record is not None and run in (None, run_id):
                    one = _ready(record, journal.reviews(run_id), journal.parked_rows(run_id))
                    found += [one] if one.row_ids or one.batch else []
            return found

    def wake(self, run: str | None = None) -> list[Ready]:
        """End what has waited long enough, then tell which runs can go on: what a scheduled flow begins with."""
        self.expire(run)
        return self.ready(run)

    def resume(self, run_id: str, row_ids: Collection[str], **options: Any) -> Running:
        """Go on with these rows of a run alone, by what the record tells of its workflow, rows and fleet.

        What is on record is not asked again. Reducing steps follow where the run had ended. `options` are those of a
        run, such as `in_flight`. Raises RunError where the run was started from objects: call `.run()` there again,
        with its `run_id` and `only=` these rows.
        """
        from toolkit.resuming import Job

        with self._journal() as journal:
            run = journal.run(run_id)
        if run is None:
            raise RunError(f"there is no run {run_id!r} in {self.home}")
        parts = {"rows", "end"} if run.status == "finished" else {"rows"}
        chosen = {"limit": run.settings.get("limit"), "skip": run.settings.get("skip", 0), "origin": run.origin}
        only = None if BATCH_ROW in row_ids else frozenset(row_ids)
        if only is None:
            parts = {"rows", "end"}
        return Job.of(run).start(
            **{"run_id": run_id, "home": self.home, **chosen, "only": only, "parts": frozenset(parts), **options}
        )

    # -------------------------------------------------------------------------------------------------------- helpers
    def _journal(self) -> Journal:
        if self._url is None and not (self.home / "journal.db").exists():
            raise RunError(f"there is no record in {self.home}; run something first, or name another home")
        return Journal.open(self.home, url=self._url)

    def _redactor(self, journal: Journal, review: Review) -> Redactor:
        """The redactor of the run that asks: what people type goes through it too."""
        run = journal.run(review.place.run_id)
        discretion = Discretion.of(Settings(redact=self._redact), run)
        return Redactor(discretion.redact, key=discretion.key(self.home))

    def _tried(self, reviews: Iterable[Review]) -> dict[str, tuple[Tried, ...]]:
        """The attempts at each of these questions, by its id."""
        groups: defaultdict[tuple[Any, ...], list[Review]] = defaultdict(list)
        for review in reviews:
            place = review.place
            groups[place.run_id, place.step, place.turn, place.repeat].append(review)
        found: dict[str, tuple[Tried, ...]] = {}
        history = History(self.home, url=self._url)
        for (run_id, step, turn, repeat), members in groups.items():
            rows = [review.place.row_id for review in members]
            of = {"rows": rows, "step": step, "turn": turn, "repeat": repeat}
            grades: defaultdict[str, list[Grade]] = defaultdict(list)
            for attempt_id, *grade in history.sql(TRIED_GRADES, of, run_id=run_id):
                grades[attempt_id].append(Grade(*grade))
            by_row: defaultdict[str, list[Tried]] = defaultdict(list)
            for row_id, *rest in history.sql(TRIED, of, run_id=run_id):
                by_row[row_id].append(_tried(rest, grades))
            found |= {review.id: tuple(by_row[review.place.row_id]) for review in members}
        return found


# ----------------------------------------------------------------------------------------------------------- helpers
def _found(journal: Journal, wanted: str) -> Review:
    given = wanted.strip().lower()
    if len(given) < LEAST_CHARACTERS:
        raise InboxError(f"{wanted!r} is too short for a question's name; give at least {LEAST_CHARACTERS} characters")
    found = [review for review in journal.parked() if review.id.startswith(given)]
    found = found or [review for review in journal.reviews() if review.id.startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(review.id[: len(given) + 4] for review in found[:SHOWN])
        raise InboxError(f"{wanted!r} fits {len(found)} questions: {names}; give more of the name")
    waiting = ", ".join(review.id[:8] for review in journal.parked()[:SHOWN])
    told = f"those that wait begin with {waiting}" if waiting else "nothing waits for a person"
    raise InboxError(f"there is no question {wanted!r}; {told}")


def _checked(review: Review, value: Json, redactor: Redactor) -> Json:
    """The value as later steps will see it: of the declared type, and redacted."""
    output = Output.of(review.output_schema)
    if output.schema is None and (not isinstance(value, str) or not value.strip()):
        raise InboxError(_unfit(review, "it is to be a text, and not an empty one"))
    try:
        checked = output.check(value)
        told = redactor.value(checked)
        return told if told is checked else output.check(told)
    except InvalidOutput as error:
        raise InboxError(_unfit(review, error)) from error


def _unfit(review: Review, fault: object) -> str:
    return f"that is no answer to question {review.id[:8]} ({review.place}): {fault}"


def _tried(row: list[Any], grades: Mapping[str, list[Grade]]) -> Tried:
    id, number, model, why, confidence, cost_usd, error_type, error_message, output = row
    return Tried(id, number, model, why, output, confidence, cost_usd, error_type, error_message, tuple(grades[id]))


def _ready(run: Run, reviews: list[Review], parked: list[RowRecord]) -> Ready:
    """What of a run can go on: rows with nothing left to wait for, or that parked before the latest answer came.

    A step of the whole batch that was answered lets go on whatever waited for it.
    """
    asked: defaultdict[str, list[Review]] = defaultdict(list)
    for review in reviews:
        asked[_top(review.place)].append(review)
    of_batch = asked[BATCH_ROW]
    ready = set()
    for row in parked:
        if row.parent_row_id is None:
            own = [*asked[row.row_id], *of_batch]
            came = any(review.answered_at is not None and review.answered_at > row.finished_at for review in own)
            if came or all(review.status != "open" for review in own):
                ready.add(row.row_id)
    ended_at = run.finished_at
    batch = ended_at is not None and any(r.answered_at is not None and r.answered_at > ended_at for r in of_batch)
    return Ready(run, frozenset(ready), batch)


def _top(place: Place) -> str:
    """The row of the batch that a place belongs to: rows of nested workflows are named below it, a level each."""
    return place.row_id.rsplit("/", place.step.count("/") - 1)[0] if place.step.count("/") > 1 else place.row_id


def _user() -> str:
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "somebody"
