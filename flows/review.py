"""People under Prefect: a flow run that suspends for each question, shows it as a form, and goes on with its row.

A batch ends with its rows parked. This flow asks for them in Prefect's UI; rows that were answered elsewhere
(`toolkit inbox`, a notebook) are woken by `flows/resume.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, pause_flow_run, suspend_flow_run
from prefect.client.schemas.objects import State
from prefect.input import RunInput
from prefect.states import Completed

from toolkit import Inbox
from toolkit.errors import InboxError
from toolkit.ledger import Review
from toolkit.orchestration.lookout import follow
from toolkit.orchestration.plainly import nothing_yet, plainly

WAIT_SECONDS = 24 * 3600
LOOK_SECONDS = 5


class Verdict(RunInput):  # type: ignore[misc, unused-ignore]
    """The form in Prefect's UI: JSON of the type that the step declares, a word of it, or text."""

    answer: str
    by: str
    note: str = ""


@flow(name="ask-people", flow_run_name="ask people in {home}", retries=0, persist_result=False)
@plainly
def ask(run_id: str = "", leaves: bool = False, look_seconds: int = LOOK_SECONDS, home: str = ".toolkit") -> State[Any]:
    """Ask for each question that waits, and go on with its row once it is answered.

    Args:
        run_id: Only the questions of that run; empty means of all.
        leaves: End the process while it waits; Prefect starts it again with the answer, which needs a deployment. What was answered before is on record then, and not asked again.
        look_seconds: How often to look for the answer, where the process stays.
        home: The folder of journal and history.
    """  # noqa: E501 (Prefect reads one line for each parameter)
    if (nothing := nothing_yet(home)) is not None:
        return nothing
    box, log, ended = Inbox(home), get_run_logger(), dict[str, int]()
    while reviews := box.open(run_id.strip() or None):
        review = reviews[0]
        try:
            answered = _answered(box, review, leaves=leaves, look_seconds=look_seconds)
        except InboxError as error:
            log.warning("%s", error)  # it did not fit, and is asked again, or somebody was first
            continue
        log.info("%s was answered by %s", review.place, answered.reviews[0].answered_by)
        progress = follow(box.resume(answered.run_id, answered.row_ids), home=Path(home)).progress
        for status in ("answered", "parked", "failed"):
            ended[status] = ended.get(status, 0) + getattr(progress, status)
    said = ", ".join(f"{count} rows {status}" for status, count in ended.items()) or "nobody was to be asked"
    return Completed(message=said, data=ended)


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
