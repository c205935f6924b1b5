"""People under Prefect: a flow that suspends for an answer, and one that wakes rows which people answered since."""

from __future__ import annotations

import contextvars
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.flow_runs import resume_flow_run

import toolkit as tk
from flows.resume import flow as resume_flow
from flows.review import ask

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

COURT = """
from typing import Literal
import toolkit as tk

@tk.step(route=tk.Fixed("judge"), output=Literal["yes", "no"])
def verdict(text):
    return tk.prompt("Is it so?", ticket=text)

court = tk.Workflow("court", [verdict])
"""


@pytest.fixture
def parked(tmp_path: Path) -> str:
    """The id of a run whose two rows wait for a person."""
    (tmp_path / "flow.py").write_text(COURT)
    (tmp_path / "models.toml").write_text('[models.judge]\nprovider = "person"\n')
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"id": str(i), "text": f"ticket {i}"}) for i in (1, 2)))
    from toolkit.runs.resuming import Job

    files = {name: str(tmp_path / name) for name in ("flow.py", "models.toml", "rows.jsonl")}
    job = Job(f"{files['flow.py']}:court", files["models.toml"], files["rows.jsonl"])
    return job.start(home=tmp_path).wait(show=False).id


def in_thread(work: Any, **arguments: Any) -> tuple[threading.Thread, dict[str, Any]]:
    """A flow under way, and where its result will be; with the settings of this test."""
    told: dict[str, Any] = {}
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: told.update(result=context.run(work, **arguments)))
    thread.start()
    return thread, told


def flow_runs(server: str, state: str) -> set[str]:
    """The ids of the flow runs in that state. Asked by hand: Prefect's client sends nulls that its server refuses."""
    wanted = {"flow_runs": {"state": {"name": {"any_": [state]}}}, "limit": 200}
    answer = httpx.post(f"{server}/flow_runs/filter", json=wanted)
    answer.raise_for_status()
    return {found["id"] for found in answer.json()}


def paused(server: str) -> UUID:
    """The id of the flow run that is paused, once one is."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := flow_runs(server, "Paused"):
            return UUID(found.pop())
        time.sleep(0.2)
    raise AssertionError("no flow run was paused")


def executed(server: str, flow_run_id: UUID) -> None:
    """The flow run in a process of its own, until that ends: as a worker does it."""
    command = [sys.executable, "-m", "prefect.engine", str(flow_run_id)]
    environment = {**os.environ, "PREFECT_API_URL": server, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def statuses(home: Path) -> dict[str, str]:
    return dict(tk.History(home).sql("select row_id, status from rows").rows)


def test_a_flow_suspends_for_each_answer_and_goes_on_with_the_row(server: str, tmp_path: Path, parked: str) -> None:
    thread, told = in_thread(ask, home=str(tmp_path), run_id=parked, look_seconds=1)
    for answer in ("yes", "perhaps", "no"):
        resume_flow_run(paused(server), run_input={"answer": answer, "by": "analyst"})
    thread.join(60)
    assert told["result"] == {"answered": 2, "parked": 0, "failed": 0}
    assert statuses(tmp_path) == {"1": "answered", "2": "answered"}
    answers = tk.History(tmp_path).sql("select answered_by, value ->> '$' from reviews order by row_id").rows
    assert answers == (("analyst", "yes"), ("analyst", "no"))


def woken(home: Path) -> list[str]:
    """The runs with which the flow went on."""
    return [summary.run_id for summary in cast(Any, resume_flow)(home=str(home))]


def test_a_later_flow_run_wakes_what_was_answered_since(server: str, tmp_path: Path, parked: str) -> None:
    assert woken(tmp_path) == []
    box = tk.Inbox(tmp_path)
    box.answer(box.open()[0].id, "yes", by="analyst")
    assert woken(tmp_path) == [parked]
    assert sorted(statuses(tmp_path).values()) == ["answered", "parked"]
    assert woken(tmp_path) == []


def test_a_deployed_flow_leaves_its_process_and_is_started_again_with_the_answer(
    server: str, tmp_path: Path, parked: str
) -> None:
    box = tk.Inbox(tmp_path)
    box.answer(box.open()[1].id, "no")

    deployment_id = cast(Any, ask).to_deployment("reviews").apply()
    parameters = {"home": str(tmp_path), "run_id": parked, "leaves": True}
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run_from_deployment(deployment_id, parameters=parameters)
        executed(server, flow_run.id)
        assert client.read_flow_run(flow_run.id).state_name == "Suspended"
        resume_flow_run(flow_run.id, run_input={"answer": "yes", "by": "analyst"})
        executed(server, flow_run.id)
        assert client.read_flow_run(flow_run.id).state_name == "Completed"
    answers = tk.History(tmp_path).sql("select row_id, value ->> '$' from reviews order by row_id").rows
    assert answers == (("1", "yes"), ("2", "no"))
