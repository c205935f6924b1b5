"""A work pool instead of `toolkit up`: `prefect deploy --all`, a worker that comes late, a run that it cancels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.browser.standing import ROOT
from tests.orchestration.served import awaited, deployments_file, ended, set_state, slowly, started
from toolkit.orchestration.standing import running_server
from toolkit.runs.resuming import resume

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PREFECT = str(Path(sys.executable).with_name("prefect"))


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """That of a terminal beside a Prefect server with data of its own, which tells a run late after 2 s."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{tmp_path}/prefect.db")
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS", "2")
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS", "1")
    with running_server() as url:
        yield {**os.environ, "PREFECT_API_URL": url}


def prefect(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [PREFECT, "--no-prompt", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def working(environment: dict[str, str], log: Path) -> Iterator[None]:
    """A worker of the pool, for as long as the block runs."""
    with log.open("wb") as told:
        worker = subprocess.Popen(
            [PREFECT, "worker", "start", "--pool", "toolkit"], cwd=ROOT, env=environment, stdout=told, stderr=told
        )
    try:
        yield
    finally:
        worker.terminate()
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def test_a_late_worker_picks_up_what_is_due_and_cancels_so_that_the_run_can_go_on(
    environment: dict[str, str], tmp_path: Path
) -> None:
    prefect(environment, "work-pool", "create", "toolkit", "--type", "process")
    prefect(environment, "deploy", "--all", "--prefect-file", str(deployments_file(tmp_path)))
    with slowly(tmp_path) as desk, httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=30) as api:
        made = api.post("/deployments/filter", json={}).raise_for_status().json()
        assert {"support-desk", "nightly-evaluation", "retrain-router", "resume", "prune"} < {d["name"] for d in made}
        id = started(api, "slow/slow", desk.form)
        awaited(lambda: api.get(f"/flow_runs/{id}").json()["state"]["name"] == "Late")
        with working(environment, tmp_path / "worker.log"):
            awaited(lambda: desk.answers >= 5)
            set_state(api, id, type="CANCELLING")
            assert ended(api, id)["state"]["type"] == "CANCELLED"
        ((run_id, status),) = desk.runs
        assert status in ("cancelled", "interrupted")
        assert 0 < desk.answers < 47
        assert resume(run_id, home=desk.home).wait(show=False).run.status == "finished"
        assert desk.asked_twice() <= 6  # what was under way, where the worker did not wait for it
