"""A router learned anew from the history; it takes over where it is better than the one that serves, which is kept.

python flows/retrain.py triage       # once, now, for that step
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import prefect
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from toolkit.errors import FleetError
from toolkit.ledger import History
from toolkit.orchestration import local_server
from toolkit.orchestration.plainly import nothing_yet, page, plainly


@prefect.flow(name="retrain", flow_run_name="learn who answers {step} best", retries=0, persist_result=False)
@plainly
def flow(
    step: str = "triage",
    folder: str = "",
    worth: Annotated[float, Field(ge=0)] = 0.0,
    margin: Annotated[float, Field(ge=0)] = 0.0,
    task: str = "task",
    home: str = ".toolkit",
) -> State[Any]:
    """Learn a router from the graded answers on record, and let it take over where it is better.

    Args:
        step: The step whose model is to be chosen; its answers must have been graded.
        folder: Where routers are kept; empty means routers/ and the step's name. A workflow serves it as Learned('…').
        worth: How much quality (0 to 1) a US dollar must buy, as in Learned('…', worth=…); 0 means quality alone.
        margin: How much worse (in quality net of cost) the new one might be, at most, to take over.
        task: The field of a row that names its kind of task.
        home: The folder of journal and history.
    """
    if (nothing := nothing_yet(home)) is not None:
        return nothing
    from toolkit.evaluation.succeeding import challenged
    from toolkit.orchestration.succession import champion_in, enthroned, report

    log, folder = prefect.get_run_logger(), folder.strip() or f"routers/{step}"
    try:
        champion = champion_in(folder, worth=worth or None)
    except FleetError as error:
        log.warning("%s; a new one is learned, the old one is kept beside it", error)
        champion = None
    found = challenged(History(home), step, champion=champion, worth=worth or None, task=task, margin=margin)
    kept = enthroned(found, folder) if found.replaces else None
    page(f"{step}-router", report(found, folder, kept), description=found.sentence)
    log.info("%s", found.sentence)
    name = "Replaced" if found.replaces else "Champion stays"
    return Completed(name=name, message=found.sentence, data=found.sentence)


if __name__ == "__main__":
    with local_server():
        print(flow(step=sys.argv[1] if len(sys.argv) > 1 else "triage"))
