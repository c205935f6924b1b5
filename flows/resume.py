"""Runs that were interrupted go on by themselves, and rows whose questions have been answered are woken.

python flows/resume.py       # once, now
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prefect
from prefect.client.schemas.objects import State
from prefect.states import Completed

from toolkit import Inbox
from toolkit.errors import BudgetReached, Stopped, ToolkitError
from toolkit.ledger import History, Journal
from toolkit.ledger.views import following
from toolkit.orchestration import local_server
from toolkit.orchestration.lookout import follow, left_to
from toolkit.orchestration.plainly import nothing_yet, plainly
from toolkit.orchestration.reporting import Summary, publish
from toolkit.records import Run
from toolkit.runs.resuming import resume
from toolkit.runs.running import Running


@prefect.flow(name="resume", flow_run_name="go on with what stopped in {home}", retries=0, persist_result=False)
@plainly
def flow(most_runs: int = 10, wake: bool = True, budget: str = "", home: str = ".toolkit") -> State[Any]:
    """Go on with every run that stopped before its end, newest first, and with rows whose questions were answered.

    Runs that somebody cancelled stay as they are, and so do those that Prefect is about to start again.

    Args:
        most_runs: At most so many runs in one go.
        wake: Rows that waited for a person too, where the answer is there or the wait is over.
        budget: What each run may spend, such as 5 USD; empty means as it was begun.
        home: The folder of journal and history.
    """
    if (nothing := nothing_yet(home)) is not None:
        return nothing
    told = list(_resumed(Path(home), most_runs, budget))
    if wake:
        told += _woken(Path(home), {summary.run_id for summary in told})
    for summary in told:
        publish(summary)
    said = "; ".join(map(str, told)) or "nothing was left to do"
    return Completed(message=said, data=told)


def _resumed(home: Path, most_runs: int, budget: str) -> Iterator[Summary]:
    log = prefect.get_run_logger()
    names = History(home).sql(following.INTERRUPTED).column("id")
    with Journal.open(home) as journal:
        stopped = [run for name in names if (run := journal.run(name)) is not None]
    for run in stopped[:most_runs]:
        if why := left_to(run):
            log.info("run %s stays as it is: %s", run.id, why)
            continue
        try:
            options = {"budget": budget} if budget.strip() else {}
            yield _through(resume(run.id, home=home, **options), run, home)
        except BudgetReached as reached:
            log.warning("run %s stops again: %s", run.id, reached)
            yield Summary.of(run.id, home)
        except Stopped:
            raise
        except ToolkitError as error:
            log.warning("run %s cannot go on: %s", run.id, error)


def _woken(home: Path, resumed: set[str]) -> Iterator[Summary]:
    box, log = Inbox(home), prefect.get_run_logger()
    for ready in box.wake():
        if ready.run.id in resumed:
            continue
        try:
            yield _through(box.resume(ready.run.id, ready.row_ids), ready.run, home)
        except BudgetReached as reached:
            log.warning("run %s stops again: %s", ready.run.id, reached)
            yield Summary.of(ready.run.id, home)
        except Stopped:
            raise
        except ToolkitError as error:
            log.warning("the rows of run %s cannot go on: %s", ready.run.id, error)


def _through(running: Running, run: Run, home: Path) -> Summary:
    """Follow a run to its end; how it went."""
    log = prefect.get_run_logger()
    log.info("run %s of %s goes on", run.id, run.workflow)
    follow(running, home=home)
    summary = Summary.of(run.id, home)
    log.info("%s", summary)
    return summary


if __name__ == "__main__":
    with local_server():
        print(flow())
