"""`toolkit fake`: it says where it is, writes a fleet that the toolkit can use, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import orjson
import pytest

import toolkit as tk
from tests.fake.asking import ASKED, chat
from toolkit.errors import Unavailable
from toolkit.fake.kinds import KINDS
from toolkit.fleet import Fleet
from toolkit.records import Reply

DOCS = Path(__file__).parents[2] / "docs" / "fake.md"
LINE = re.compile(r"fake (?P<models>.+) on (?P<url>http://127\.0\.0\.1:\d+/v1)")
ENDING_SECONDS = 30


@contextlib.contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the URL that it says."""
    command = [sys.executable, "-m", "toolkit.cli", "fake", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = LINE.match(process.stdout.readline())
            assert found is not None
            yield process, found["url"]
        finally:
            process.kill()


def failed(*options: str) -> str:
    done = subprocess.run([sys.executable, "-m", "toolkit.cli", "fake", *options], capture_output=True, text=True)
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal_and_leaves_its_counts(number: int, tmp_path: Path) -> None:
    counts = tmp_path / "out" / "counts.json"
    with started("--models", "small, large", "--seed", "7", "--counts", str(counts)) as (process, url):
        urlopen(Request(f"{url}/chat/completions", orjson.dumps(chat(model="small")))).read()
        process.send_signal(number)
        assert process.wait(ENDING_SECONDS) == 0
    told = orjson.loads(counts.read_bytes())
    assert (told["seed"], told["models"]["small"]["requests"], told["models"]["large"]["requests"]) == (7, 1, 0)


def test_it_ends_with_its_parent_where_it_is_asked_to() -> None:
    with started("--models", "small", "--parent") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(ENDING_SECONDS) == 0


@pytest.mark.slow
def test_the_fleet_that_it_writes_is_one_that_workflows_run_on(tmp_path: Path) -> None:
    fleet, config = tmp_path / "models.toml", tmp_path / "fake.toml"
    config.write_text('[models.large]\nprice = { input = 3.0, output = 6.0 }\nwindow = 9000\n[models."a.b"]\n')

    @tk.step(route=tk.Ladder("dead", "small"), policy=tk.Fallback())
    def greet(name: str) -> object:
        return tk.prompt("Greet.", name=name)

    with started("--config", str(config), "--models", "small,dead=refused", "--fleet", str(fleet)):
        members = Fleet.load(fleet)
        assert set(members) == {"small", "dead", "large", "a.b"}
        assert members["large"].window == 9000
        assert members["large"].price is not None
        run = tk.Workflow("greeting", [greet]).run([{"id": "1", "name": "Ada"}], members, home=tmp_path / "home")
        assert "Ada" in run.answers()["greet"][0]
        attempts = run.sql("select model, error_type from attempts order by number")
        assert attempts.column("model") == ["dead", "small"]
        assert attempts.column("error_type")[0] == Unavailable.error_type
    assert "[models.small-anthropic]" not in fleet.read_text()


def test_both_dialects_can_be_had_in_the_fleet(tmp_path: Path) -> None:
    fleet = tmp_path / "models.toml"
    with started("--models", "small", "--provider", "both", "--fleet", str(fleet)):
        members = Fleet.load(fleet)
        assert [spec.provider for spec in members.specs.values()] == ["openai", "anthropic"]
        assert isinstance(asyncio.run(members.open("small").send(ASKED)), Reply)


def test_options_win_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "fake.toml"
    config.write_text('seed = 3\n[models.m]\nfaults = "500"\n')
    with started("--config", str(config), "--faults", "429:0") as (_, url):
        urlopen(Request(f"{url}/chat/completions", orjson.dumps(chat()))).read()
        assert orjson.loads(urlopen(url.replace("/v1", "/fake/counts")).read())["seed"] == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "no model to serve"),
        (("--models", "m", "--faults", "42x"), "no fault '42x'"),
        (("--models", "m=hangs"), "no fault 'hangs'"),
        (("--config", "nowhere.toml"), "cannot read the settings nowhere.toml"),
        (("--models", "m", "--tools", "often"), "tools must be one of"),
        (("--models", "m", "--log", "/nowhere/at/all"), "cannot run"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(options: tuple[str, ...], says: str) -> None:
    told = failed(*options)
    assert says in told
    assert told.count("\n") == 1


def test_every_kind_of_fault_is_listed_and_in_the_docs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.cli", "fake", "--kinds"], capture_output=True, text=True, check=True
    )
    docs = DOCS.read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        assert f"{name:<18}{kind.what}\n" in done.stdout
        assert f"| `{name}` | {kind.what} |" in docs
