"""A run is found by its name, and goes on from what its record tells of workflow, rows, fleet and routers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.core_samples import column, run_over
from toolkit import Fixed, Fleet, Workflow, step
from toolkit.errors import FleetError, RunError, WorkflowError
from toolkit.records import Run, now
from toolkit.runs.resuming import Job, find_run, resume

FILE = """
import toolkit as tk
from pathlib import Path

@tk.step
def length(ticket):
    if ticket == "bad" and not (Path(__file__).parent / "mended").exists():
        raise ValueError("not yet")
    return len(ticket)

@tk.step(route=tk.Fixed("small"))
def maybe(ticket):
    return ticket.upper()

flow = tk.Workflow("flow", [length, maybe])
"""
FLEET = """
[models.small]
provider = "person"
[models.large]
provider = "person"
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "flow.py").write_text(FILE)
    (tmp_path / "models.toml").write_text(FLEET)
    rows = [
        {"id": name, "ticket": ticket} for name, ticket in zip("abcd", ("one", "bad", "three", "four"), strict=True)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Job(f"{tmp_path}/flow.py:flow", f"{tmp_path}/models.toml", f"{tmp_path}/rows.jsonl", "maybe=Fixed('large')")


def test_a_run_goes_on_from_its_record_alone(job: Job, tmp_path: Path) -> None:
    first = job.start(home=tmp_path).wait(show=False)
    assert (first.progress.answered, first.progress.failed) == (3, 1)
    (tmp_path / "mended").touch()
    again = resume(first.id, home=tmp_path).wait(show=False)
    assert again.id == first.id
    assert (again.progress.before, again.progress.answered) == (3, 1)
    assert again.workflow.by_name["maybe"].route == Fixed("large")
    with pytest.raises(RunError, match="is finished: nothing is left to do"):
        resume(first.id, home=tmp_path)


def test_a_part_of_the_rows_stays_the_part_that_it_was(job: Job, tmp_path: Path) -> None:
    first = job.start(home=tmp_path, skip=1, limit=2).wait(show=False)
    (tmp_path / "mended").touch()
    again = resume(first.id, home=tmp_path).wait(show=False)
    assert column(again, 'select row_id from "rows" order by "index"') == ["b", "c"]
    assert again.progress.done == 2


def test_a_record_comes_back_as_the_job_that_it_was(job: Job) -> None:
    run = Run("r", "flow", "cli", now(), settings=job.told)
    assert Job.of(run) == job


def test_a_run_of_objects_in_memory_says_how_to_continue_it(tmp_path: Path) -> None:
    @step
    def length(ticket: str) -> int:
        return 1 // (len(ticket) - 1)

    run = run_over(Workflow("w", [length]), [{"ticket": "x"}], Fleet({}), tmp_path)
    with pytest.raises(RunError, match=f"started from objects in a script.*run_id='{run.id}'"):
        resume(run.id, home=tmp_path)


def test_a_run_is_found_by_the_beginning_of_its_name_or_as_the_latest(job: Job, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no record in"):
        find_run("latest", home=tmp_path)
    names = [job.start(home=tmp_path, run_id=name).wait(show=False).id for name in ("one-1", "two-1", "two-2")]
    assert find_run("one", home=tmp_path).id == "one-1"
    assert find_run("two-2", home=tmp_path).id == "two-2"
    assert find_run("latest", home=tmp_path).id == names[-1]
    with pytest.raises(RunError, match="'two' fits 2 runs: two-2, two-1; give more of the name"):
        find_run("two", home=tmp_path)
    with pytest.raises(RunError, match="there is no run 'three'"):
        find_run("three", home=tmp_path)


def test_what_has_gone_meanwhile_is_named(job: Job, tmp_path: Path) -> None:
    first = job.start(home=tmp_path).wait(show=False)
    (tmp_path / "models.toml").rename(tmp_path / "elsewhere.toml")
    with pytest.raises(FleetError, match=r"there is no fleet file .*models\.toml"):
        resume(first.id, home=tmp_path)
    (tmp_path / "elsewhere.toml").rename(tmp_path / "models.toml")
    (tmp_path / "flow.py").unlink()
    with pytest.raises(WorkflowError, match="there is no file"):
        resume(first.id, home=tmp_path)
