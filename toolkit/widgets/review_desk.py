"""Somebody answers questions of the inbox, one after the other. No widget: actions in, what is to be shown out.

A page of the questions that wait, one of them open, how many were answered, rows that can go on, a run that goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from toolkit.errors import InboxError, ToolkitError, sentence
from toolkit.ledger import Review
from toolkit.people.inbox import BATCH_ROW, Asked, Inbox, top_row, user
from toolkit.widgets import telling
from toolkit.widgets.review_form import form_of, value_of
from toolkit.widgets.review_telling import Waiting, advice, headline
from toolkit.widgets.review_view import guess, listed, opened
from toolkit.widgets.standing import standing_of

if TYPE_CHECKING:
    from toolkit.fleet import Fleet
    from toolkit.graph.workflow import Workflow
    from toolkit.runs.running import Running

PER_PAGE = 20
Plain = dict[str, Any]


class ReviewDesk:
    """The inbox as one person works through it. `workflow` and `fleet` go on with runs that began as objects.

    With a `fault` there is nothing to work through, and that says why.
    """

    def __init__(
        self,
        box: Inbox,
        *,
        run: str | None = None,
        person: str | None = None,
        by: str | None = None,
        workflow: Workflow | None = None,
        fleet: Fleet | None = None,
        fault: str = "",
    ) -> None:
        self.box = box
        self.run, self.person = run, person
        self.by = by or user()
        self.answered = 0
        self._workflow, self._fleet = workflow, fleet
        self._page, self._total, self._items = 0, 0, tuple[Review, ...]()
        self._open: Asked | None = None
        self._skipped: set[str] = set()
        self._ready: dict[str, frozenset[str]] = {}
        self._going: list[Running] = []
        self._ended: Running | None = None
        self._at_once = False
        self._said = {"kind": "", "text": ""}
        self._began: float | None = None
        self._last = 0.0
        self._given = self.fault = fault
        self.look(counts=True)

    # --------------------------------------------------------------------------------------------------------- looking
    def look(self, *, counts: bool = False) -> None:
        """Read the record: what waits, and whether the open question does; with `counts` which rows can go on, too."""
        if self._given:
            return
        try:
            with self.box.at_hand():
                self._total = self.box.count(self.run, person=self.person)
                self._page = min(self._page, max(0, self._pages - 1))
                some = {"most": PER_PAGE, "skip": self._page * PER_PAGE}
                self._items = tuple(self.box.open(self.run, person=self.person, **some))
                if self._open is not None:
                    self._still_there(self._open.review)
                elif self._began is None and self._items:
                    self._show(self._items[0])
                if counts:
                    self._ready = {
                        each.run.id: each.row_ids | ({BATCH_ROW} if each.batch else set())
                        for each in self.box.ready(self.run)
                    }
            self.fault = ""
        except ToolkitError as error:
            self.fault, self._total, self._items, self._open = sentence(error), 0, (), None

    def waiting(self) -> Waiting:
        """The inbox as it is told without widgets."""
        return Waiting(
            home=self.box.home,
            as_of=datetime.now(UTC),
            total=self._total,
            first=self._items,
            ready=self._rows_ready,
            of=" ".join(filter(None, (self.person and f"as {self.person}", self.run and f"in run {self.run}"))),
            fault=self.fault,
        )

    def state(self) -> Plain:
        """All that the page shows."""
        waiting = self.waiting()
        minutes = max(self._last - (self._began or 0.0), 1.0) / 60
        return {
            "headline": headline(waiting),
            "advice": self._advice(waiting),
            "at": 1000 * waiting.as_of.timestamp(),
            "page": self._page,
            "pages": self._pages,
            "total": self._total,
            "items": [{**listed(review), "skipped": review.id in self._skipped} for review in self._items],
            "open": None if self._open is None else opened(self._open),
            "by": self.by,
            "answered": self.answered,
            "per_minute": self.answered / minutes if self.answered > 1 else None,
            "ready": self._rows_ready,
            "at_once": self._at_once,
            "moving": bool(self._going),
            "run": self._running(),
            "said": dict(self._said),
        }

    def say(self, text: str, *, kind: str = "error") -> None:
        """A sentence for the person at the desk."""
        self._said = {"kind": kind, "text": text}

    # ---------------------------------------------------------------------------------------------------------- acting
    def do(self, told: Mapping[str, Any]) -> None:
        """Carry out {do: look | page | open | answer | accept | skip | by | at once | go on, …}."""
        what = told.get("do")
        if what != "look":
            self.say("", kind="")
        with self.box.at_hand() if what in ("answer", "accept", "open", "skip") else nullcontext():
            match what:
                case "look":
                    self._settle()
                case "page":
                    self._page = max(0, min(int(told["page"]), self._pages - 1))
                case "open":
                    self._show(self._named(str(told["id"])))
                case "answer" | "accept":
                    self._answer(told, accept=what == "accept")
                case "skip":
                    self._skipped.add(str(told["id"]))
                    self._next(str(told["id"]))
                case "by":
                    self.by = str(told["name"]).strip() or user()
                case "at once":
                    self._at_once = bool(told["on"])
                case "go on":
                    self._go_on()
                case _:
                    raise InboxError(f"nobody can {what!r} at this desk")
            self.look()

    def _answer(self, told: Mapping[str, Any], *, accept: bool) -> None:
        review = self._named(str(told["id"]))
        asked = self._open if self._open is not None and self._open.review.id == review.id else self.box.show(review)
        if accept:
            best = guess(asked)
            if best is None:
                raise InboxError("no model gave an answer that fits: there is nothing to accept")
            value = best[1]
        else:
            value = value_of(form_of(review.output_schema), told.get("values") or {})
        done = self.box.answer(
            review, value, by=self.by, note=str(told.get("note") or ""), marks=_marks(told.get("marks") or {})
        )
        self.answered += len(done.reviews)
        self._last = time.monotonic()
        for each in done.reviews:  # others that asked the same may be of other runs
            run_id = each.place.run_id
            self._ready[run_id] = self._ready.get(run_id, frozenset()) | {top_row(each.place)}
        also = f", and {len(done.reviews) - 1} that asked the same" if len(done.reviews) > 1 else ""
        self.say(f"row {review.place.row_id} is answered by {done.reviews[0].answered_by}{also}", kind="done")
        self._next(review.id)
        if self._at_once:
            self._go_on()

    def _go_on(self) -> None:
        """Resume the rows that were answered, run by run; of a run that is still going on, later."""
        busy = {run.id for run in self._going if not run.is_finished}
        for run_id, rows in list(self._ready.items()):
            if run_id in busy or not rows:
                continue
            del self._ready[run_id]
            try:
                self._going.append(self.box.resume(run_id, rows, workflow=self._workflow, fleet=self._fleet))
            except ToolkitError as error:
                self._ready[run_id] = rows
                self.say(f"{sentence(error)} (or open this page with its handle: tk.review(run))")

    def _settle(self) -> None:
        """Take up what the runs that went on came to."""
        over = [run for run in self._going if run.is_finished]
        if not over:
            return
        self._going = [run for run in self._going if run not in over]
        self._ended = over[-1]
        for run in over:
            try:
                run.wait(show=False)
            except ToolkitError as error:
                self.say(f"run {run.id} went on, and stopped: {sentence(error)}")
        self.look(counts=True)
        if self._at_once and self._rows_ready:
            self._go_on()

    # --------------------------------------------------------------------------------------------------------- helpers
    @property
    def _pages(self) -> int:
        return -(-self._total // PER_PAGE)

    @property
    def _rows_ready(self) -> int:
        return sum(map(len, self._ready.values()))

    def _named(self, id: str) -> Review:
        known = [*self._items, *([] if self._open is None else [self._open.review])]
        return next((review for review in known if review.id == id), None) or self.box.find(id)

    def _show(self, review: Review | None) -> None:
        self._open = None if review is None else self.box.show(review)
        if self._began is None and review is not None:
            self._began = time.monotonic()

    def _next(self, id: str) -> None:
        """Open the question after that one which nobody skipped, on this page or the next; else one before it."""
        at = next((n for n, review in enumerate(self._items) if review.id == id), len(self._items))
        for page in (self._page, self._page + 1):
            skip = page * PER_PAGE
            found = self.box.open(self.run, person=self.person, most=PER_PAGE, skip=skip) if page < self._pages else []
            left = [review for review in found if review.id not in self._skipped and review.id != id]
            later = [review for review in found[at:] if review in left] if page == self._page else left
            if later or (left and self._page + 1 >= self._pages):
                self._page = page
                self._show((later or left)[0])
                return
        self._show(None)

    def _still_there(self, review: Review) -> None:
        """Where somebody else answered it meanwhile, or it is gone, say so."""
        try:
            found = self.box.find(review)
        except InboxError as error:
            self._open = None
            self.say(sentence(error))
            return
        if found.status != review.status:
            self._open = self.box.show(found)

    def _advice(self, waiting: Waiting) -> list[str]:
        if self._open is None and self._total and not self.fault:
            return ["none is open: choose one on the left, or press j"]
        told = advice(waiting) if not self._total else []
        if not self.fault and not self._total:
            told = ["what models leave to people appears here by itself", *told]
        return told

    def _running(self) -> str:
        """The runs that go on, as HTML."""
        parts = []
        for run in self._going or filter(None, (self._ended,)):
            try:
                parts.append(telling.html(standing_of(run.history, run.id)))
            except ToolkitError as error:
                self.say(sentence(error))
        return "".join(parts)


def _marks(given: Mapping[str, Any]) -> dict[str, bool | int]:
    """Grades of attempts as a page sends them; numbers come as floats from some."""
    return {
        id: int(mark) if isinstance(mark, float) and mark.is_integer() else mark
        for id, mark in given.items()
        if mark is not None
    }
