"""The command `toolkit` as people call it, over real files, in a folder of its own, with a model on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).with_name("server.py")

WORKFLOW = """
from pydantic import BaseModel
import toolkit as tk

class Label(BaseModel):
    label: str

@tk.step(route=tk.Fixed("small"), policy=tk.Repair(1))
def first(text):
    return tk.prompt("FIRST", ticket=text)

@tk.step(route=tk.Fixed("small"))
def second(first):
    return tk.prompt("SECOND", ticket=first)

plain = tk.Workflow("plain", [first, second])
"""


@dataclass
class Server:
    """The model on the loopback."""

    port: int

    def url(self, path: str = "/v1") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def counts(self) -> dict[str, int]:
        """Prompt → how often it was asked."""
        with urllib.request.urlopen(self.url("/counts")) as response:
            return dict(json.load(response))


@dataclass
class Desk:
    """A folder with a workflow, a fleet and rows, and the command run in it."""

    folder: Path
    server: Server
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def fleet(self, **fields: Any) -> str:
        given = {"provider": "openai", "model": "served", "endpoint": self.server.url(), **fields}
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
        return self.write("models.toml", "\n".join(["[models.small]", *lines, "price = { input = 1.0, output = 2.0 }"]))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "toolkit.cli", *arguments]

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment of a process of its own."""
        return {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        """The command under way."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def toolkit(self, *arguments: str) -> Ended:
        """The command, to its end; in this process, as starting another takes a second."""
        from toolkit.cli.app import app

        with contextlib.chdir(self.folder):
            ended = CliRunner().invoke(app, list(arguments), prog_name="toolkit", env=self.environment)
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    def process(self, *arguments: str) -> Ended:
        """The command as a process of its own, to its end."""
        process = self.started(*arguments)
        out, err = process.communicate(timeout=280)
        return Ended(process.returncode, out, err)

    def run(self, rows: str, *options: str, workflow: str = "flow.py") -> Ended:
        """`toolkit run` of a workflow over rows."""
        return self.toolkit("run", workflow, "--rows", rows, "--fleet", "models.toml", *options)

    def rows(self) -> dict[str, tuple[str, str]]:
        """Row → status and reason, as `toolkit sql` tells them of the newest run."""
        ended = self.toolkit("sql", "select row_id, status, reason from rows", "--run", "latest", "--format", "json")
        assert ended.code == 0, ended.err
        return {row["row_id"]: (row["status"], row["reason"]) for row in json.loads(ended.out)}


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence of complaint on the error stream: no traceback, no second line."""
        complaints = [line for line in self.err.splitlines() if line.startswith("toolkit: ")]
        assert len(complaints) == 1, self.err
        assert "Traceback" not in self.err, self.err
        assert self.err.strip().endswith(complaints[0]), self.err
        return complaints[0]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    process = subprocess.Popen([sys.executable, str(SERVER), "0.02"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield Server(int(process.stdout.readline()))
    process.kill()
    process.communicate()


@pytest.fixture
def desk(tmp_path: Path, server: Server) -> Desk:
    made = Desk(tmp_path, server)
    made.fleet()
    made.write("flow.py", WORKFLOW)
    made.write("rows.csv", "id,text\n1,ticket 1\n2,ticket 2\n3,ticket 3\n")
    return made
