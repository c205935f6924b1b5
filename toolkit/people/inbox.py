"""The inbox: questions that models left to people. Who is asked, since when, what models said before; and answering.

    inbox = Inbox(".toolkit")
    for review in inbox.open():
        print(review.id[:8], review.person, review.asked_at, review.why)
    ended = inbox.answer("3f2a", "refund", by="analyst")
    inbox.resume(ended.run_id, ended.row_ids).wait()

An answer is durable, under its key and at its place, before `answer` returns; whoever resumes the run finds it there.
"""

from __future__ import annotations

import getpass
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.asking.parking import is_due, lapsed
from toolkit.asking.settings import DEFAULT_HOME, Settings
from toolkit.errors import InboxError, InvalidOutput, RunError
from toolkit.ledger import History, Journal, Review
from toolkit.ledger.reviews import review_id
from toolkit.ledger.views.people import LABELLED, TRIED
from toolkit.ledger.writing.reviewing import Ending, ended, reopened
from toolkit.people.labels import Mark, Tried, label_id, labels
from toolkit.prompts.outputs import Output
from toolkit.records import Grade, Json, Place, RowRecord, Run, now
from toolkit.redaction import Redact, Redactor
from toolkit.runs.discretion import Discretion
from toolkit.runs.run_names import check_journal, chosen

if TYPE_CHECKING:
    from toolkit.fleet import Fleet
    from toolkit.graph.workflow import Workflow
    from toolkit.runs.running import Running

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

    Where several calls follow each other at once, `with inbox.at_hand():` opens it once for all of them.

    `url` names the journal's database where it is not the home's own; `redact` is needed for answers to runs that were
    begun with a finder of your own, and is the same then.
    """

    def __init__(
        self, home: Path | str = DEFAULT_HOME, *, url: str | None = None, redact: Redact | str | None = ""
    ) -> None:
        self.home = Path(home)
        self._url = url
        self._redact = redact
        self._held: Journal | None = None

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Keep the record open for the calls within."""
        with self._journal() as journal:
            before, self._held = self._held, journal
            try:
                yield
            finally:
                self._held = before

    # -------------------------------------------------------------------------------------------------------- looking
    def open(
        self, run: str | None = None, *, person: str | None = None, most: int | None = None, skip: int = 0
    ) -> list[Review]:
        """The questions that wait, the longest waiting first; of that run, or for that member of the fleet, alone.

        Of many, `most` of them after the first `skip` are a page. A run's name may be cut short here and below, or be
        `latest`; RunError is raised where there is none such.
        """
        with self._journal() as journal:
            run = self._named(journal, run)
            return journal.parked(run, person=person, most=most, skip=skip)

    def count(self, run: str | None = None, *, person: str | None = None) -> int:
        """How many wait."""
        with self._journal() as journal:
            return journal.count_parked(self._named(journal, run), person=person)

    def find(self, id: str | Review) -> Review:
        """The question with that id, or the only one whose id begins so; one that waits before one that has ended.

        A question itself is given as it is on record now.

        Raises InboxError where there is none, or several are.
        """
        with self._journal() as journal:
            return _found(journal, id)

    def show(self, id: str | Review) -> Asked:
        """A question with its row, and what models said before, with their grades."""
        with self._journal() as journal:
            review = _found(journal, id)
            row = journal.row(review.place.run_id, review.place.row_id)
            others = [each for each in journal.waiting_for(review.key) if each.id != review.id]
        fields = row.fields if row is not None and row.fields is not None else {}
        return Asked(review, fields, self._tried([review])[review.id], tuple(others))

    # ------------------------------------------------------------------------------------------------------ answering
    def answer(
        self,
        id: str | Review,
        value: Json,
        *,
        by: str | None = None,
        note: str = "",
        marks: Mapping[str, Mark] | None = None,
        is_label: bool = True,
    ) -> Ended:
        """Answer a question: plain JSON of the type that its step declares, or text where it declares none.

        `by` is who answers (the name of the user of this machine where left out), `note` goes on record beside it.
        Other open questions that ask the very same are answered with it. What models said before is graded by it, and
        by `marks` where they say more: id of the attempt → passed or not, or 1 (worst) to 5 (best). Where it `is_label`
        the answer itself is one; not so a judge's verdict, whose grade is made when it is collected.
        Raises InboxError where the answer does not fit, or where somebody was first; it says who, and when.
        """
        with self._journal() as journal:
            review = _found(journal, id)
            redactor = self._redactor(journal, review)
            value = _checked(review, value, redactor)
            name = redactor.text(by or user())
            note = redactor.text(note)
            told = f"answered by {name}" + (f": {note}" if note else "")
            same = [review, *(each for each in journal.waiting_for(review.key) if each.id != review.id)]
            tried = self._tried(same) if is_label or marks else {review.id: ()}
            check_marks(marks or {}, tried[review.id])
            grades = {
                each.id: list(labels(each, tried[each.id], value=value, by=name, marks=marks or {}, note=note))
                for each in (same if is_label else ())
            }
            ending = Ending("answered", now(), told, value, name)
            reviews = journal.decided(ended(review, ending, labels=grades))
            run_id = review.place.run_id
            own = frozenset(top_row(each.place) for each in reviews if each.place.run_id == run_id)
            return Ended(reviews, own)

    def take_back(self, id: str | Review, *, by: str | None = None) -> tuple[Review, ...]:
        """Take an answer back that is no label, before any row has gone on with it; what waits again then.

        Raises InboxError where somebody else gave it, where it went on record as a label, or a row has gone on.
        """
        with self._journal() as journal:
            review = _found(journal, id)
            if History(self.home, url=self._url).sql(LABELLED, {"label": label_id(review)}).rows:
                raise InboxError(f"the answer to question {review.id[:8]} is a label on record, and stays")
            name = self._redactor(journal, review).text(by or user())
            return journal.decided(reopened(review, by=name, at=now()))

    def read(self, review: Review, text: str) -> Json:
        """The value that a text stands for: JSON of the type that is asked for, or a word. Raises InboxError."""
        try:
            return Output.of(review.output_schema).read(text.strip())
        except InvalidOutput as error:
            raise InboxError(_unfit(review, error)) from error

    def _named(self, journal: Journal, run: str | None) -> str | None:
        return None if run is None else chosen(run, [each.id for each in journal.runs()], home=self.home)

    # ------------------------------------------------------------------------------------------------------- going on
    def expire(self, run: str | None = None) -> list[Review]:
        """End the questions that have waited long enough: their default is the answer, or their row fails."""
        with self._journal() as journal:
            at = now()
            due = [review for review in journal.parked(self._named(journal, run)) if is_due(review, at)]
            return [each for review in due for each in journal.decided(ended(review, lapsed(review, at)))]

    def ready(self, run: str | None = None) -> list[Ready]:
        """The runs with rows that can go on, as what they waited for is answered."""
        with self._journal() as journal:
            found, run = [], self._named(journal, run)
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

    def resume(
        self,
        run_id: str,
        row_ids: Collection[str],
        *,
        workflow: Workflow | None = None,
        fleet: Fleet | None = None,
        **options: Any,
    ) -> Running:
        """Go on with these rows of a run alone, by what the record tells of its workflow, rows and fleet.

        What is on record is not asked again. Reducing steps follow where the run had ended. `options` are those of a
        run, such as `in_flight`. A run that was started from objects needs its `workflow` and `fleet`: then the rows
        are those on record. Raises RunError where it has neither.
        """
        from toolkit.runs.resuming import Job
        from toolkit.runs.retrying import go_on

        with self._journal() as journal:
            run = journal.run(run_id)
        if run is None:
            raise RunError(f"there is no run {run_id!r} in {self.home}")
        of_batch = BATCH_ROW in row_ids
        parts = {"rows", "end"} if run.status == "finished" or of_batch else {"rows"}
        options = {"home": self.home, "origin": run.origin, "parts": frozenset(parts), **options}
        only = None if of_batch else frozenset(row_ids)
        if workflow is not None and fleet is not None and workflow.name == run.workflow:
            return go_on(run, only, workflow=workflow, fleet=fleet, **options)
        chosen = {"limit": run.settings.get("limit"), "skip": run.settings.get("skip", 0)}
        return Job.of(run).start(**{"run_id": run_id, **chosen, "only": only, **options})

    # -------------------------------------------------------------------------------------------------------- helpers
    @contextmanager
    def _journal(self) -> Iterator[Journal]:
        if self._held is not None:
            yield self._held
            return
        if self._url is None:
            check_journal(self.home)
        with Journal.open(self.home, url=self._url) as journal:
            yield journal

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
            by_row: defaultdict[str, list[Tried]] = defaultdict(list)
            for row_id, grades, *attempt in history.sql(TRIED, of, run_id=run_id):
                by_row[row_id].append(replace(Tried(*attempt), grades=tuple(Grade(**each) for each in grades or ())))
            found |= {review.id: tuple(by_row[review.place.row_id]) for review in members}
        return found


# ----------------------------------------------------------------------------------------------------------- helpers
def _found(journal: Journal, wanted: str | Review) -> Review:
    if isinstance(wanted, Review):
        if (now_there := journal.review(wanted.place, wanted.key)) is None:
            raise InboxError(f"question {wanted.id[:8]} ({wanted.place}) is not on record any more: it was pruned")
        return now_there
    given = wanted.strip().lower()
    if len(given) < LEAST_CHARACTERS:
        raise InboxError(f"{wanted!r} is too short for a question's name; give at least {LEAST_CHARACTERS} characters")
    places = journal.review_places()
    named = [(place, key, status) for place, key, status in places if review_id(place, key).startswith(given)]
    found = [each for each in named if each[2] == "open"] or named
    if len(found) == 1 and (review := journal.review(*found[0][:2])) is not None:
        return review
    if found:
        names = ", ".join(review_id(place, key)[: len(given) + 4] for place, key, _ in found[:SHOWN])
        raise InboxError(f"{wanted!r} fits {len(found)} questions: {names}; give more of the name")
    waiting = ", ".join(review.id[:8] for review in journal.parked(most=SHOWN))
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


def check_marks(marks: Mapping[str, Mark], tried: Iterable[Tried]) -> None:
    """Raises InboxError where a mark is none, or of what no model said."""
    known = {attempt.id for attempt in tried if attempt.output is not None}
    for id, mark in marks.items():
        if id not in known:
            raise InboxError(f"there is no answer of a model {id!r} to be graded at this question")
        if not isinstance(mark, bool) and not (isinstance(mark, int) and 1 <= mark <= 5):
            raise InboxError(f"a grade is passed (True) or not (False), or 1 to 5, not {mark!r}")


def _ready(run: Run, reviews: list[Review], parked: list[RowRecord]) -> Ready:
    """What of a run can go on: rows with nothing left to wait for, or that parked before the latest answer came.

    A step of the whole batch that was answered lets go on whatever waited for it.
    """
    asked: defaultdict[str, list[Review]] = defaultdict(list)
    for review in reviews:
        asked[top_row(review.place)].append(review)
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


def top_row(place: Place) -> str:
    """The row of the batch that a place belongs to: rows of nested workflows are named below it, a level each."""
    return place.row_id.rsplit("/", place.step.count("/") - 1)[0] if place.step.count("/") > 1 else place.row_id


def user() -> str:
    """The name under which this machine's user answers."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "somebody"
