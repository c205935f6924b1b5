"""What old runs said is deleted on a schedule; all numbers stay.

python flows/prune.py        # once, now
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prefect
from prefect.client.schemas.objects import State
from prefect.states import Completed

from toolkit.ledger.retention import pruning
from toolkit.orchestration import local_server
from toolkit.orchestration.plainly import nothing_yet, plainly


@prefect.flow(name="prune", flow_run_name="prune what is older than {older_than}", retries=0, persist_result=False)
@plainly
def flow(older_than: str = "90d", keep_runs: int = 0, whole: bool = False, home: str = ".toolkit") -> State[Any]:
    """Delete what old runs said: prompts, outputs, fields, values, messages, questions.

    Args:
        older_than: Runs that ended before: 90d, 12h, 2w or a date.
        keep_runs: Never the newest so many.
        whole: Delete the runs' rows in all tables too, adding up their attempts first.
        home: The folder of journal and history.
    """
    if (nothing := nothing_yet(home)) is not None:
        return nothing
    before = pruning.moment(older_than, now=datetime.now(UTC))
    removal = pruning.prune(Path(home), pruning.Rule(before=before, keep_runs=keep_runs or None, whole=whole))
    counts = f"{removal.runs:,} runs, {removal.rows:,} rows, {removal.attempts:,} attempts, {removal.contents:,} texts"
    told = f"taken off the record: {counts}"
    prefect.get_run_logger().info("%s", told)
    return Completed(message=told, data=told)


if __name__ == "__main__":
    with local_server():
        print(flow())
