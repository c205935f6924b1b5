"""Runs that were interrupted go on by themselves, and rows whose questions have been answered are woken.

python flows/resume.py       # once, now
"""

from __future__ import annotations

from pathlib import Path

import prefect

from toolkit.errors import ToolkitError
from toolkit.ledger import Journal
from toolkit.orchestration import local_server
from toolkit.resuming import resume


@prefect.flow(name="resume", flow_run_name="resume what stopped", retries=0, persist_result=False)
def flow(most_runs: int = 10, home: str = ".toolkit") -> list[str]:
    """Go on with every run that stopped before its end, newest first.

    Args:
        most_runs: At most so many runs in one go.
        home: The folder of journal and history.
    """
    log = prefect.get_run_logger()
    told = []
    for run_id in _stopped(Path(home))[:most_runs]:
        try:
            told.append(repr(resume(run_id, home=home, origin="prefect").wait(show=False)))
            log.info(told[-1])
        except ToolkitError as error:
            log.warning("run %s cannot go on: %s", run_id, error)
    return told


def _stopped(home: Path) -> list[str]:
    if not (home / "journal.db").exists():
        return []
    with Journal.open(home) as journal:
        return [run.id for run in journal.runs() if run.status == "interrupted"]


if __name__ == "__main__":
    with local_server():
        print(flow())
