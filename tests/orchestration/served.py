"""What tests of served deployments share: `toolkit up` with a slow desk among its deployments, and Prefect's API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import yaml

import toolkit as tk
from tests.browser.standing import ROOT, Up, up
from tests.orchestration.desk import ROWS
from toolkit import fake
from toolkit.errors import LedgerError
from toolkit.fake.fleet_file import fleet_toml

T = TypeVar("T")
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Desk:
    """A desk whose models take their time, behind a server that counts what it is asked."""

    server: fake.Running
    home: Path
    rows: Path
    fleet: Path

    @property
    def form(self) -> dict[str, Any]:
        return {"home": str(self.home), "rows": str(self.rows), "fleet": str(self.fleet), "chunk_size": 3}

    @property
    def runs(self) -> list[tuple[str, str]]:
        try:
            return [(str(id), str(status)) for id, status in tk.History(self.home).sql("select id, status from runs")]
        except LedgerError:  # nothing is there yet, or not wholly
            return []

    @property
    def answers(self) -> int:
        return len(tk.History(self.home).sql("select key from answers where model is not null")) if self.runs else 0

    def asked_twice(self) -> int:
        """Calls whose very prompt had been sent before."""
        return sum(call["number"] > 0 for call in self.server.requests()["requests"])


@contextmanager
def serving(folder: Path) -> Iterator[Up]:
    """`toolkit up` with the project's deployments, and the slow desk."""
    with up(folder, "--file", str(deployments_file(folder))) as running:
        yield running


def deployments_file(folder: Path) -> Path:
    """The project's prefect.yaml with the slow desk among its deployments."""
    told = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    slow = {"name": "slow", "entrypoint": "tests/orchestration/slow.py:flow", "tags": ["toolkit"]}
    told["deployments"].append({**slow, "work_pool": {"name": "toolkit"}})
    (file := folder / "prefect.yaml").write_text(yaml.safe_dump(told))
    return file


@contextmanager
def slowly(folder: Path, *, seconds: float = 2.0) -> Iterator[Desk]:
    """A desk in that folder, whose models take so long."""
    models = {name: {"latency_seconds": seconds, "price": {"input": 1.0, "output": 1.0}} for name in ("small", "large")}
    settings = fake.settings({"models": models})
    rows, fleet = folder / "rows.jsonl", folder / "models.toml"
    rows.write_text("\n".join(map(json.dumps, ROWS)))
    with fake.running(settings) as server:
        fleet.write_text(fleet_toml(settings, dict.fromkeys(models, server.url)))
        yield Desk(server, folder / "record", rows, fleet)


# ----------------------------------------------------------------------------------------------------- Prefect's API
def started(api: httpx.Client, deployment: str, parameters: dict[str, Any]) -> str:
    """The id of a flow run that is begun now, as the UI begins it."""
    id = api.get(f"/deployments/name/{deployment}").raise_for_status().json()["id"]
    asked = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    return str(api.post(f"/deployments/{id}/create_flow_run", json=asked).raise_for_status().json()["id"])


def ended(api: httpx.Client, flow_run_id: str, *, seconds: float = 240) -> dict[str, Any]:
    def final() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get(f"/flow_runs/{flow_run_id}").raise_for_status().json()
        return found if found["state"]["type"] in FINAL else None

    return awaited(final, seconds=seconds)


def set_state(api: httpx.Client, flow_run_id: str, **state: Any) -> None:
    asked = {"state": state, "force": False}
    told = api.post(f"/flow_runs/{flow_run_id}/set_state", json=asked).raise_for_status().json()
    assert told["status"] == "ACCEPT", told


def logs(api: httpx.Client, flow_run_id: str) -> str:
    wanted = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "limit": 200}
    return "\n".join(log["message"] for log in api.post("/logs/filter", json=wanted).raise_for_status().json())


def awaited(look: Callable[[], T | None], *, seconds: float = 120) -> T:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.25)
    return found


def process_of(flow_run_id: str) -> psutil.Process:
    """The process in which a flow run works."""

    def found() -> psutil.Process | None:
        for process in psutil.process_iter():
            try:
                if process.environ().get("PREFECT__FLOW_RUN_ID", "").replace("-", "") == flow_run_id.replace("-", ""):
                    return process
            except psutil.Error:
                continue
        return None

    return awaited(found)
