"""`toolkit up`: a server and the deployments in one process tree, and one of them run as from the UI."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text
from typer.testing import CliRunner

from tests.browser.standing import ROOT, up
from toolkit.cli.app import app
from toolkit.cli.up import _say
from toolkit.errors import SetupError
from toolkit.ledger import History
from toolkit.orchestration.database import database_url
from toolkit.orchestration.deploying import deployments
from toolkit.orchestration.standing import running_server

POSTGRESQL = os.environ.get("TOOLKIT_TEST_POSTGRESQL", "")


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("in_root")
def test_every_deployment_of_the_file_can_be_made_and_keeps_its_schedule() -> None:
    made = {deployment.name: deployment for deployment in deployments(ROOT / "prefect.yaml")}
    assert set(made) == {
        "support-desk", "nightly-evaluation", "retrain-router", "resume", "ask-people", "prune"
    }  # fmt: skip
    assert all(deployment.entrypoint and deployment.tags for deployment in made.values())
    (weekly,) = made["prune"].schedules or []
    assert getattr(weekly.schedule, "cron", "") == "30 3 * * 0"


@pytest.mark.usefixtures("in_root")
def test_a_schedule_that_is_paused_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    _say("http://127.0.0.1:4200/api", deployments(ROOT / "prefect.yaml"), seconds=1)
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "(cron)" in line}
    assert told["retrain/retrain-router"].endswith("(cron), paused")
    assert told["prune/prune"].endswith("(cron)")


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


@pytest.mark.parametrize("is_prefect", [True, False])
def test_a_port_that_is_taken_is_told_with_what_holds_it(is_prefect: bool) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if is_prefect else 404)
            self.end_headers()
            self.wfile.write(b"true" if is_prefect else b"")

        def log_message(self, *_told: Any) -> None:
            return None

    told = "a Prefect server runs at port .* set PREFECT_API_URL=" if is_prefect else "is taken by another program"
    with HTTPServer(("127.0.0.1", 0), Health) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(SetupError, match=told), running_server(other.server_port):
            pass
        other.shutdown()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("prefect.db", "wants a URL such as postgresql://"),
        ("mysql://root@127.0.0.1/prefect", "wants a URL such as postgresql://"),
        ("postgresql://me:secret@127.0.0.1:9/prefect", "no PostgreSQL answers at 127.0.0.1:9"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_its_password(url: str, told: str) -> None:
    with pytest.raises(SetupError, match=told) as raised:
        database_url(url)
    assert "secret" not in str(raised.value)


def test_without_a_file_the_command_says_so_and_starts_nothing(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["up", "--file", str(tmp_path / "prefect.yaml")])
    assert ended.exit_code == 2 and "there is no" in ended.output and "--file" in ended.output


@pytest.fixture
def database() -> Iterator[str]:
    """An empty database for Prefect beside the one of the tests; it goes with the test."""
    named = make_url(POSTGRESQL)
    own = named.set(database=f"{named.database}_prefect")
    engine = create_engine(named, isolation_level="AUTOCOMMIT")
    drop = text(f'drop database if exists "{own.database}" with (force)')
    with engine.connect() as connection:
        connection.execute(drop)
        connection.execute(text(f'create database "{own.database}"'))
    yield own.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(drop)
    engine.dispose()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not POSTGRESQL, reason="TOOLKIT_TEST_POSTGRESQL names no database")
def test_with_postgresql_a_deployment_runs_as_the_ui_starts_it_and_ctrl_c_ends_all_of_it(
    database: str, tmp_path: Path
) -> None:
    with up(tmp_path, "--database", database) as running:
        with running.client() as api:
            deployment = api.get("/deployments/name/support/support-desk").raise_for_status().json()
            asked = {"parameters": {"limit": 5, "home": str(tmp_path / "record")}, "state": {"type": "SCHEDULED"}}
            begun = api.post(f"/deployments/{deployment['id']}/create_flow_run", json=asked).raise_for_status().json()
            ended = _ended(api, begun["id"])
            assert ended["state"]["type"] == "COMPLETED", ended["state"]
        runs = History(tmp_path / "record").sql("select origin, status, rows_total, flow_run_id from runs").rows
        assert runs == (("prefect", "finished", 5, begun["id"]),)
        engine = create_engine(make_url(database).set(drivername="postgresql+psycopg"))
        with engine.connect() as connection:
            assert connection.execute(text("select id::text from flow_run")).scalars().all() == [begun["id"]]
        engine.dispose()
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=90) == 0
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{running.api}/health", timeout=2)


def _ended(api: httpx.Client, id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 180
    while True:
        found: dict[str, Any] = api.get(f"/flow_runs/{id}").raise_for_status().json()
        if found["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return found
        assert time.monotonic() < deadline, found["state"]
        time.sleep(0.5)
