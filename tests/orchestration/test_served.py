"""Deployments as `toolkit up` serves them: cancelled, killed, started again, resumed; nothing is paid for twice; and
the record is the same as from a notebook or the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
import pytest
from nbclient import NotebookClient

import toolkit as tk
from tests.browser.standing import ROOT, Up
from tests.evaluation.test_gate import FLEET
from tests.evaluation.test_gate import folder as folder
from tests.orchestration.served import (
    FINAL,
    Desk,
    awaited,
    ended,
    logs,
    process_of,
    serving,
    set_state,
    slowly,
    started,
)
from tests.orchestration.test_flow import SAME
from toolkit.runs.resuming import resume

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKFLOW = ROOT / "tests" / "orchestration" / "desk.py"
CELL = """
import toolkit as tk
from tests.orchestration.desk import desk

desk.start({rows!r}, tk.Fleet.load({fleet!r}), home={home!r}).wait()
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def slow_desk(tmp_path: Path) -> Iterator[Desk]:
    with slowly(tmp_path) as desk:
        yield desk


def test_cancelling_in_the_ui_stops_between_attempts_and_leaves_the_run_resumable(served: Up, slow_desk: Desk) -> None:
    with served.client() as api:
        id = started(api, "slow/slow", slow_desk.form)
        awaited(lambda: slow_desk.answers >= 5)
        set_state(api, id, type="CANCELLING")
        assert ended(api, id)["state"]["type"] == "CANCELLED"
        said = logs(api, id)
    ((run_id, status),) = slow_desk.runs
    assert status == "cancelled" and run_id in said
    before = slow_desk.answers
    assert 0 < before < 47
    resumed = resume(run_id, home=slow_desk.home).wait(show=False)
    assert (resumed.id, resumed.progress.done, resumed.run.status) == (run_id, 23, "finished")
    assert slow_desk.asked_twice() == 0


@pytest.mark.long
def test_a_killed_flow_run_is_crashed_and_the_resume_flow_goes_on_with_it(served: Up, slow_desk: Desk) -> None:
    with served.client() as api:
        id = started(api, "slow/slow", slow_desk.form)
        awaited(lambda: slow_desk.answers >= 5)
        done = slow_desk.answers
        process_of(id).send_signal(signal.SIGKILL)
        assert ended(api, id)["state"]["type"] == "CRASHED"
        ((run_id, status),) = slow_desk.runs
        assert status == "interrupted"
        went_on = ended(api, started(api, "resume/resume", {"home": str(slow_desk.home)}))
        assert went_on["state"]["type"] == "COMPLETED" and run_id in went_on["state"]["message"]
    assert slow_desk.runs == [(run_id, "finished")]
    assert done >= 5 and slow_desk.asked_twice() <= 6  # what was under way when it was killed


@pytest.mark.long
def test_a_flow_run_that_is_retried_goes_on_with_the_run_that_it_had_begun(served: Up, tmp_path: Path) -> None:
    with slowly(tmp_path, seconds=0.1) as desk, served.client() as api:
        # A call may cost 0.0043 USD by its output limit, and costs a hundredth of that.
        id = started(api, "slow/slow", {**desk.form, "fresh": True, "budget": "0.0047 USD"})
        first = ended(api, id)
        assert first["state"]["name"] == "Budget reached" and "budget" in first["state"]["message"]
        ((run_id, status),) = desk.runs
        assert status == "cancelled" and 0 < desk.answers < 47
        (event,) = told_events(api, "toolkit.budget.reached")
        assert event["resource"]["prefect.resource.id"] == f"toolkit.run.{run_id}"
        set_state(api, id, type="SCHEDULED", name="AwaitingRetry")
        again = ended_anew(api, id, first["state"]["id"])
        assert again["run_count"] == 2 and run_id in again["state"]["message"]
        assert [each for each, _ in desk.runs] == [run_id]
        assert desk.asked_twice() == 0


def ended_anew(api: httpx.Client, flow_run_id: str, before: str) -> dict[str, Any]:
    def final() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get(f"/flow_runs/{flow_run_id}").raise_for_status().json()
        return found if found["state"]["type"] in FINAL and found["state"]["id"] != before else None

    return awaited(final, seconds=240)


def test_where_quality_drops_the_gate_fails_and_an_automation_holds_the_support_desk(served: Up, folder: Path) -> None:
    environment = {**os.environ, "PREFECT_API_URL": served.api}
    made = subprocess.run(
        [sys.executable, "flows/automations.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0 and "hold the support desk when quality drops: on" in made.stdout, made.stderr
    asked = {"suite_file": str(folder / "mine.toml"), "home": str(folder / "record")}
    with served.client() as api:
        first = ended(api, started(api, "evaluate/nightly-evaluation", asked))
        assert first["state"]["name"] == "Gate passed", first["state"]
        (folder / "models.toml").write_text(FLEET.format(model="bad"))
        second = ended(api, started(api, "evaluate/nightly-evaluation", asked))
        assert (second["state"]["type"], second["state"]["name"]) == ("FAILED", "Gate failed")
        assert "right against the baseline: worse by more than 0.05" in second["state"]["message"]
        desk = "/deployments/name/support/support-desk"
        awaited(lambda: api.get(desk).json()["paused"], seconds=60)
        (event,) = told_events(api, "toolkit.quality.dropped")
        deployment = api.get("/deployments/name/evaluate/nightly-evaluation").json()["id"]
        keys = {artifact["key"] for artifact in filed(api, second["id"])}
    assert event["payload"]["checks"] == ["right against the baseline"]
    assert f"prefect.deployment.{deployment}" in [each["prefect.resource.id"] for each in event["related"]]
    told = tk.History(folder / "record").sql("select name from events where name like 'toolkit.gate%' order by all")
    assert told.column("name") == ["toolkit.gate.failed", "toolkit.gate.passed"]
    assert keys >= {"mine-gate", "desk-summary"}


def told_events(api: httpx.Client, name: str) -> list[dict[str, Any]]:
    wanted = {"filter": {"event": {"name": [name]}}, "limit": 10}
    return list(api.post("/events/filter", json=wanted).raise_for_status().json()["events"])


def filed(api: httpx.Client, flow_run_id: str) -> list[dict[str, Any]]:
    wanted = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    return list(api.post("/artifacts/filter", json=wanted).raise_for_status().json())


def test_a_model_that_answers_again_has_runs_resumed_at_once(served: Up) -> None:
    with served.client() as api:
        deployment = api.get("/deployments/name/resume/resume").raise_for_status().json()["id"]
        event = {
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "toolkit.model.closed",
            "resource": {"prefect.resource.id": "toolkit.model.small"},
        }
        api.post("/events", json=[event]).raise_for_status()

        def triggered() -> dict[str, Any] | None:
            wanted = {"deployments": {"id": {"any_": [deployment]}}}
            runs = api.post("/flow_runs/filter", json=wanted).raise_for_status().json()
            return next((run for run in runs if (run["created_by"] or {}).get("type") == "AUTOMATION"), None)

        run = awaited(triggered)
        assert ended(api, run["id"])["state"]["type"] == "COMPLETED", logs(api, run["id"])


@pytest.mark.long
@pytest.mark.parametrize("deployment", ["retrain/retrain-router", "prune/prune", "ask-people/ask-people"])
def test_a_deployment_that_finds_no_record_says_so_and_completes(served: Up, deployment: str, tmp_path: Path) -> None:
    with served.client() as api:
        state = ended(api, started(api, deployment, {"home": str(tmp_path)}))["state"]
    assert (state["type"], state["message"][:21]) == ("COMPLETED", "nothing is on record ")


# -------------------------------------------------------------------------------------------------------- origins
def in_a_notebook(desk: Desk, home: Path) -> None:
    cell = CELL.format(rows=str(desk.rows), fleet=str(desk.fleet), home=str(home))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()


def by_a_deployment(served: Up, desk: Desk, home: Path) -> None:
    with served.client() as api:
        state = ended(api, started(api, "slow/slow", {**desk.form, "home": str(home)}))["state"]
    assert state["type"] == "COMPLETED", state


def on_the_command_line(desk: Desk, home: Path) -> None:
    told = ["--rows", str(desk.rows), "--fleet", str(desk.fleet), "--home", str(home)]
    command = [sys.executable, "-m", "toolkit.cli", "run", f"{WORKFLOW}:desk", *told]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_record_is_the_same_from_all_three_and_says_which_it_was(served: Up, tmp_path: Path) -> None:
    homes = {origin: tmp_path / origin for origin in ("notebook", "prefect", "cli")}
    with slowly(tmp_path, seconds=0.02) as desk:
        in_a_notebook(desk, homes["notebook"])
        by_a_deployment(served, desk, homes["prefect"])
        on_the_command_line(desk, homes["cli"])
    records = {origin: tk.History(home) for origin, home in homes.items()}
    assert {origin: record.sql("select origin from runs").rows for origin, record in records.items()} == {
        origin: ((origin,),) for origin in homes
    }
    for name, query in SAME.items():
        found = {origin: sorted(map(str, record.sql(query))) for origin, record in records.items()}
        assert found["notebook"], name
        assert found["notebook"] == found["prefect"] == found["cli"], name


# ---------------------------------------------------------------------------------------------- last, as it ends it
def test_stopping_toolkit_up_ends_its_server_and_its_flow_runs(served: Up, slow_desk: Desk) -> None:
    with served.client() as api:
        id = started(api, "slow/slow", slow_desk.form)
        awaited(lambda: slow_desk.answers >= 3)
    worker = process_of(id)
    os.kill(served.process.pid, signal.SIGTERM)
    assert served.process.wait(timeout=90) == 0
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{served.api}/health", timeout=2)
    ((run_id, status),) = slow_desk.runs
    assert status in ("cancelled", "interrupted")
    assert resume(run_id, home=slow_desk.home).wait(show=False).run.status == "finished"
