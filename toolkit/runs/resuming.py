"""Continue a run where it stopped: the same workflow, rows, fleet and routers, by what its record tells of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.asking.settings import DEFAULT_HOME
from toolkit.errors import RunError
from toolkit.fleet import Fleet
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Journal
from toolkit.records import Run
from toolkit.redaction import TOKEN
from toolkit.routing.parsing import parse_routers
from toolkit.rows import is_query, relative_files
from toolkit.runs.loading import load_workflow
from toolkit.runs.run_names import check_journal, chosen
from toolkit.runs.running import Running, start


@dataclass(frozen=True)
class Job:
    """What a run can be started from again, as text: references to workflow, fleet and rows, and the routers.

    `folder` is where a query finds files that it names without one.
    """

    workflow: str
    fleet: str
    rows: str
    router: str | None = None
    folder: str = field(default_factory=lambda: str(Path.cwd()))

    @property
    def told(self) -> dict[str, Any]:
        """What a run's settings keep of it."""
        return {"job": asdict(self)}

    @classmethod
    def of(cls, run: Run, *, rows: str | None = None) -> Job:
        """The job of a recorded run, over those rows where given.

        Raises RunError where it was started from objects that lived in memory, where its rows were redacted, or where
        its query would find other files from here.
        """
        job = run.settings.get("job")
        if not isinstance(job, dict):
            raise RunError(
                f"run {run.id} was started from objects in a {run.origin}, not from files; call .run() there again "
                f"with run_id={run.id!r}: what is on record is not asked again"
            )
        here = str(Path.cwd())
        found = cls(**{"folder": here, **job})
        if rows is not None:
            found = replace(found, rows=rows, folder=here)
        if TOKEN.search(found.rows):
            raise RunError(
                f"the rows of run {run.id} were named by a text that holds a secret, which the record does not keep; "
                f"name them again: toolkit resume {run.id} --rows …"
            )
        if is_query(found.rows) and found.folder != here and (files := relative_files(found.rows)):
            raise RunError(
                f"the rows of run {run.id} are a query over {files[0]!r} as it is in {found.folder}, and not in "
                f"{here}: go on there, or name the rows again (--rows), with whole paths"
            )
        return found

    def open(self) -> tuple[Workflow, Fleet]:
        """The workflow, with its routers, and the fleet."""
        fleet = Fleet.load(self.fleet)
        workflow = load_workflow(self.workflow)
        return (workflow.with_routes(parse_routers(self.router, tuple(fleet))) if self.router else workflow), fleet

    def start(self, **options: Any) -> Running:
        """Begin a run of this job."""
        workflow, fleet = self.open()
        return start(workflow, self.rows, fleet, told=self.told, **options)


def resume(run_id: str, *, home: Path | str = DEFAULT_HOME, rows: str | None = None, **options: Any) -> Running:
    """Go on with a run: rows that are answered stay, the others run again, and no step on record is asked again.

    `run_id` may be cut short while it stays unique; `rows` names the same rows again, where the record cannot. What is
    redacted and how much content is kept stay as they were. Raises RunError where there is no such run.
    """
    run = find_run(run_id, home=home)
    if run.status == "finished":
        with Journal.open(home) as journal:
            statuses = journal.row_statuses(run.id)
        if not any(status in ("failed", "parked") for status in statuses.values()):
            raise RunError(f"run {run.id} is finished: nothing is left to do")
    chosen_rows = {"limit": run.settings.get("limit"), "skip": run.settings.get("skip", 0)}
    return Job.of(run, rows=rows).start(
        **{"run_id": run.id, "home": home, "origin": run.origin, **chosen_rows, **options}
    )


def find_run(run_id: str, *, home: Path | str = DEFAULT_HOME) -> Run:
    """The run with that id, or the only one whose id starts so; `latest` is the newest."""
    check_journal(home)
    with Journal.open(home) as journal:
        runs = journal.runs()
    name = chosen(run_id, [run.id for run in runs], home=home)
    return next(run for run in runs if run.id == name)
