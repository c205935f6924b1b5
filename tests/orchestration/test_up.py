"""`toolkit up`: a server and the deployments in one process tree, and one of them run as from the UI."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from toolkit.errors import SetupError
from toolkit.ledger import History
from toolkit.orchestration.deploying import deployments

ROOT = Path(__file__).parents[2]


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("in_root")
def test_every_deployment_of_the_file_can_be_made_and_keeps_its_schedule() -> None:
    made = {deployment.name: deployment for deployment in deployments(ROOT / "prefect.yaml")}
    assert set(made) >= {"support-desk", "prune", "resume"}
    assert all(deployment.entrypoint and deployment.tags for deployment in made.values())
    (weekly,) = made["prune"].schedules or []
    assert getattr(weekly.schedule, "cron", "") == "30 3 * * 0"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no"),
        ("deployments: []", "lists no deployments"),
        ("deployments: [", "cannot be read"),
        ("deployments: [{name: lost, entrypoint: 'nowhere.py:flow'}]", "the deployment 'lost' cannot be made"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "prefect.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SetupError, match=told):
        deployments(file)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`toolkit up` on a free port, ready; and the URL of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect")}
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit.cli", "up", "--port", str(port)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("ready after"), first
        yield process, f"http://127.0.0.1:{port}/api"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_deployment_runs_as_the_ui_starts_it_and_ctrl_c_ends_all_of_it(
    up: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, url = up
    with httpx.Client(base_url=url, timeout=30) as api:
        deployment = api.get("/deployments/name/support/support-desk").raise_for_status().json()
        asked = {"parameters": {"limit": 5, "home": str(tmp_path / "record")}, "state": {"type": "SCHEDULED"}}
        flow_run = api.post(f"/deployments/{deployment['id']}/create_flow_run", json=asked).raise_for_status().json()
        ended = _ended(api, flow_run["id"])
        assert ended["state"]["type"] == "COMPLETED", ended["state"]
    runs = History(tmp_path / "record").sql("select origin, status, rows_total, flow_run_id from runs").rows
    assert runs == (("prefect", "finished", 5, flow_run["id"]),)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/health", timeout=2)


def _ended(api: httpx.Client, id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 180
    while True:
        found: dict[str, Any] = api.get(f"/flow_runs/{id}").raise_for_status().json()
        if found["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return found
        assert time.monotonic() < deadline, found["state"]
        time.sleep(0.5)
