"""A suite run every night, and a gate: the flow run fails, with its reason, where it got worse than it was.

python flows/evaluate.py       # once, now, on the shipped suite
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import prefect
from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from toolkit.asking.settings import Settings
from toolkit.fleet import Fleet
from toolkit.orchestration import local_server
from toolkit.orchestration.form import begun_by
from toolkit.orchestration.lookout import follow
from toolkit.orchestration.plainly import page, plainly
from toolkit.orchestration.reporting import Summary, publish
from toolkit.routing.parsing import parse_routers
from toolkit.runs.running import start

if TYPE_CHECKING:
    from toolkit.evaluation.suites import Suite

SUITES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "evals" / "suites").glob("*.toml"))}
Known: Any = Literal[tuple(SUITES) or ("",)]
FIRST = "support" if "support" in SUITES else next(iter(SUITES), "")


def _named() -> str:
    """What a flow run judges: the file of one's own, where there is one."""
    given = prefect.runtime.flow_run.parameters
    return f"evaluate {Path(given.get('suite_file') or given.get('suite') or FIRST).name}"


@prefect.flow(name="evaluate", flow_run_name=_named, retries=0, persist_result=False)
@plainly
def flow(
    suite: Known = FIRST,
    suite_file: str = "",
    baseline: str = "",
    routing: str = "",
    rows: str = "",
    limit: Annotated[int, Field(ge=0)] = 0,
    budget: str = "",
    home: str = ".toolkit",
) -> State[Any]:
    """Run a suite, everything asked anew, and hold it against its targets and a baseline.

    Args:
        suite: Which suite of evals/suites: cases, graders, targets and margins.
        suite_file: Another suite, a TOML file; where it is given, the choice above does not count.
        baseline: The run that it must not fall behind; empty means the last one that passed, none the targets alone.
        routing: Who answers, instead of the workflow's own routers, such as triage=Fixed('large').
        rows: Another batch than the suite's: a file or a SELECT. Its truth is in its columns, as in the suite's.
        limit: Only the first so many rows; 0 means all.
        budget: What may be spent at most, such as 5 USD.
        home: The folder of journal and history.
    """
    from toolkit.evaluation.gate import gate
    from toolkit.evaluation.suites import load_suite
    from toolkit.orchestration.gating import baseline_of, report, settled

    wanted = load_suite(suite_file.strip() or SUITES[suite])
    against = baseline_of(wanted.name, baseline.strip(), home=home)
    prefect.get_run_logger().info("%s", against.sentence)
    run_id = _run(wanted, home, routing=routing.strip(), rows=rows.strip(), limit=limit, budget=budget.strip())
    publish(Summary.of(run_id, Path(home)))
    found = gate(wanted, baseline=against.run_id, run=run_id, home=home)
    settled(wanted, found, home=home)
    page(f"{wanted.name}-gate", report(wanted, found, against, home=home), description=found.sentence)
    prefect.get_run_logger().info("%s", found.sentence)
    if found.passes:
        return Completed(name="Gate passed", message=found.sentence, data=found)
    return Failed(name="Gate failed", message=found.sentence)


def _run(suite: Suite, home: str, *, routing: str, rows: str, limit: int, budget: str) -> str:
    """The suite's run, from its beginning, or from where this flow run stopped when it was started before."""
    fleet = Fleet.load(suite.fleet)
    workflow = suite.workflow.with_routes(parse_routers(routing, tuple(fleet))) if routing else suite.workflow
    suite = replace(suite, workflow=workflow, rows=rows or suite.rows)
    known = begun_by(runtime.flow_run.id, home=home)
    settings = Settings(
        home=Path(home), fresh=True, seed=suite.seed, limit=limit or None, origin="prefect", budget=budget,
        flow_run_id=runtime.flow_run.id, run_id=known.id if known else None,
    )  # fmt: skip
    running = start(suite.workflow, suite.rows, fleet, settings=settings)
    return follow(running, home=Path(home)).id


if __name__ == "__main__":
    with local_server():
        print(flow())
