"""The inbox in a notebook: questions that models left to people, read, answered and graded with keys.

    tk.review()                           # all that waits in ./.toolkit, or where TOOLKIT_HOME says
    tk.review(run)                        # of one run: its handle, or its name, which may be cut short

Answers go through `toolkit.people.inbox`, which checks them and lets nobody answer twice; rows that were answered go
on from the page. Without widgets the same is told as HTML or text, with what to type on the command line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.asking.settings import DEFAULT_HOME
from toolkit.errors import ToolkitError, sentence
from toolkit.people.inbox import Inbox
from toolkit.widgets import review_telling
from toolkit.widgets.review_desk import ReviewDesk
from toolkit.widgets.review_page import Page, shown

if TYPE_CHECKING:
    from toolkit.fleet import Fleet
    from toolkit.graph.workflow import Workflow
    from toolkit.runs.running import Running


def review(
    run: Running | str | None = None,
    *,
    home: Path | str | None = None,
    person: str | None = None,
    by: str | None = None,
    workflow: Workflow | None = None,
    fleet: Fleet | None = None,
) -> Reviewing:
    """The questions that wait: all of them, those of a run, or those for one member `person` of the fleet.

    `by` is who answers (TOOLKIT_USER, or the name of this machine's user, where left out); it can be changed on the
    page. A run that was started from objects goes on by its handle, or with its `workflow` and `fleet`. Where there is
    no record, no such run or nothing to answer, the page says so and what to do.
    """
    if run is not None and not isinstance(run, str):
        home, workflow, fleet = home or run.settings.home, workflow or run.workflow, fleet or run.fleet
        run = run.id
    box = Inbox(home or os.environ.get("TOOLKIT_HOME") or DEFAULT_HOME)
    by = by or os.environ.get("TOOLKIT_USER") or None
    return Reviewing(box, run, person=person, by=by, workflow=workflow, fleet=fleet)


class Reviewing:
    """What shows the inbox. `look()` reads it anew; `print` it for a terminal."""

    def __init__(self, box: Inbox, run: str | None, **about: Any) -> None:
        self.inbox = box
        fault = ""
        try:
            run = None if run is None else _named(box, run)
        except ToolkitError as error:
            fault = sentence(error)
        self.desk = ReviewDesk(box, run=run, fault=fault, **about)
        self._page: Page | None = None

    def look(self) -> review_telling.Waiting:
        """What waits now."""
        self.desk.look(counts=True)
        return self.desk.waiting()

    def close(self) -> None:
        """Take the page off the notebook; what was answered stays."""
        if self._page is not None:
            self._page.close()

    def __repr__(self) -> str:
        return review_telling.text(self.look())

    def _repr_html_(self) -> str:
        return review_telling.html(self.look())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self._still()

    def _ipython_display_(self) -> None:
        shown(self._still(), self._made)

    def _still(self) -> dict[str, Any]:
        waiting = self.look()
        return {"text/plain": review_telling.text(waiting), "text/html": review_telling.html(waiting)}

    def _made(self) -> Page:
        self._page = self._page or Page(self.desk, "review")
        return self._page


def _named(box: Inbox, run: str) -> str:
    from toolkit.runs.resuming import find_run

    return find_run(run, home=box.home).id
