"""People under Prefect, in two ways.

    ask      suspends for each question, shows it as a form in Prefect's UI, and goes on with its row once answered
    wake     ends what has waited too long, and goes on with all rows whose questions were answered anywhere since

A batch ends with its rows parked; either flow, run later, takes them up. `python flows/review.py [HOME]` wakes a home.
"""

from __future__ import annotations

import sys
from typing import Any

from prefect import flow, get_run_logger, pause_flow_run, suspend_flow_run
from prefect.input import RunInput

from toolkit import Inbox
from toolkit.errors import InboxError
from toolkit.ledger import Review

WAIT_SECONDS = 24 * 3600
LOOK_SECONDS = 5


class Verdict(RunInput):  # type: ignore[misc, unused-ignore]
    """The form in Prefect's UI: JSON of the type that the step declares, a word of it, or text."""

    answer: str
    by: str
    note: str = ""


@flow(name="ask-people", persist_result=False)
def ask(
    home: str = ".toolkit", run_id: str | None = None, leaves: bool = False, look_seconds: int = LOOK_SECONDS
) -> dict[str, int]:
    """Ask for each question that waits, of that run if one is given, and go on with its row; how the rows ended.

    The flow run is paused meanwhile; where it `leaves`, its process ends, and Prefect starts it again with the answer:
    that needs a deployment. It begins again then: what was answered before is on record, and not asked again.
    """
    box, log, ended = Inbox(home), get_run_logger(), dict[str, int]()
    while reviews := box.open(run_id):
        review = reviews[0]
        try:
            answered = _answered(box, review, leaves=leaves, look_seconds=look_seconds)
        except InboxError as error:
            log.warning("%s", error)  # it did not fit, and is asked again, or somebody was first
            continue
        log.info("%s was answered by %s", review.place, answered.reviews[0].answered_by)
        progress = box.resume(answered.run_id, answered.row_ids).wait(show=False).progress
        for status in ("answered", "parked", "failed"):
            ended[status] = ended.get(status, 0) + getattr(progress, status)
    return ended


@flow(name="wake-parked-rows", persist_result=False)
def wake(home: str = ".toolkit") -> dict[str, int]:
    """Go on with every row that can: run id → rows that are answered now. Put it on a schedule."""
    box, log, woken = Inbox(home), get_run_logger(), dict[str, int]()
    for ready in box.wake():
        progress = box.resume(ready.run.id, ready.row_ids).wait(show=False).progress
        log.info("run %s: %s rows went on, %s wait still", ready.run.id, progress.answered, progress.parked)
        woken[ready.run.id] = progress.answered
    return woken


def _answered(box: Inbox, review: Review, *, leaves: bool, look_seconds: int) -> Any:
    """The question in Prefect's UI until somebody answers it. Raises InboxError where the answer does not fit."""
    shown = box.show(review.id)
    said = "\n".join(f"* {tried.model} said: {tried.output}" for tried in shown.tried)
    told = f"**{review.place}**\n\n{review.why}\n\n```\n{review.question}\n```\n\n{said}"
    guess = next((tried.output for tried in reversed(shown.tried) if tried.output), None)
    form: Any = Verdict.with_initial_data(description=told, **({"answer": guess} if guess else {}))
    if leaves:
        given = suspend_flow_run(wait_for_input=form, timeout=WAIT_SECONDS, key=review.id)
    else:
        given = pause_flow_run(wait_for_input=form, timeout=WAIT_SECONDS, poll_interval=look_seconds)
    return box.answer(review.id, box.read(review, given.answer), by=given.by, note=given.note)


if __name__ == "__main__":
    print(wake(*sys.argv[1:2]))
