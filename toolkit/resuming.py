"""Continue a run where it stopped: the same workflow, rows, fleet and routers, by what its record tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import RunError
from toolkit.fleet import Fleet
from toolkit.ledger import Journal
from toolkit.loading import load_workflow
from toolkit.records import Run
from toolkit.routing.parsing import parse_routers
from toolkit.run_names import chosen
from toolkit.running import DEFAULT_HOME, Running, start
from toolkit.workflow import Workflow


@dataclass(frozen=True)
class Job:
    """What a run can be started from again, as text: references to workflow, fleet and rows, and the routers."""

    workflow: str
    fleet: str
    rows: str
    router: str | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What a run's settings keep of it."""
        return {"job": {"workflow": self.workflow, "fleet": self.fleet, "rows": self.rows, "router": self.router}}

    @classmethod
    def of(cls, run: Run) -> Job:
        """The job of a recorded run. Raises RunError where it was started from objects that lived in memory."""
        job = run.settings.get("job")
        if not isinstance(job, dict):
            raise RunError(
                f"run {run.id} was started from objects in a {run.origin}, not from files; call .run() there again "
                f"with run_id={run.id!r}: what is on record is not asked again"
            )
        return cls(**job)

    def open(self) -> tuple[Workflow, Fleet]:
        """The workflow, with its routers, and the fleet."""
        fleet = Fleet.load(self.fleet)
        workflow = load_workflow(self.workflow)
        return (workflow.with_routes(parse_routers(self.router, tuple(fleet))) if self.router else workflow), fleet

    def start(self, **options: Any) -> Running:
        """Begin a run of this job."""
        workflow, fleet = self.open()
        return start(workflow, self.rows, fleet, told=self.told, **options)


def resume(run_id: str, *, home: Path | str = DEFAULT_HOME, **options: Any) -> Running:
    """Go on with a run: rows that are answered stay, the others run again, and no step on record is asked again.

    `run_id` may be cut short while it stays unique. Raises RunError where there is no such run.
    """
    run = find_run(run_id, home=home)
    if run.status == "finished":
        with Journal.open(home) as journal:
            statuses = journal.row_statuses(run.id)
        if not any(status in ("failed", "parked") for status in statuses.values()):
            raise RunError(f"run {run.id} is finished: nothing is left to do")
    chosen_rows = {"limit": run.settings.get("limit"), "skip": run.settings.get("skip", 0)}
    return Job.of(run).start(**{"run_id": run.id, "home": home, "origin": run.origin, **chosen_rows, **options})


def find_run(run_id: str, *, home: Path | str = DEFAULT_HOME) -> Run:
    """The run with that id, or the only one whose id starts so; `latest` is the newest."""
    if not (Path(home) / "journal.db").exists():
        raise RunError(f"there is no record in {home}; run something first, or name another --home")
    with Journal.open(home) as journal:
        runs = journal.runs()
    name = chosen(run_id, [run.id for run in runs], home=home)
    return next(run for run in runs if run.id == name)
