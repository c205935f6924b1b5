"""Planted secrets are found in no file that a run leaves; and the search does find them where nothing is redacted."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from prefect.settings import get_current_settings

import toolkit as tk
from tests.orchestration import canaries
from tests.orchestration.canaries import CANARIES, Left
from toolkit.orchestration import Summary, as_flow
from toolkit.orchestration.server import drained

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PERSONAL = tk.Redact.personal()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server on the loopback, and the fleet's key in the environment."""
    monkeypatch.setenv(canaries.KEY_ENV, CANARIES["key of the fleet, echoed"])
    with canaries.talking() as endpoint:
        monkeypatch.setenv(canaries.ENDPOINT, endpoint)
        yield


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The query of the rows, whose file is in no folder that is searched."""
    return canaries.rows(tmp_path_factory.mktemp("outside"))


def told(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    return "\n".join((out, err, caplog.text))


def test_a_plain_run_leaves_no_canary(
    outside: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    run = canaries.run(tmp_path / "on", outside, PERSONAL)
    assert (run.progress.failed, run.progress.tally.calls) == (2, 4)  # an equal question is asked once
    print(run, run.answers().to_string(), run.sql("from answers"), run.sql("from attempts"))
    assert Left.of(tmp_path / "on", told=told(caplog, capfd)).leaks() == {}

    canaries.run(tmp_path / "off", outside, None)
    missed = set(CANARIES) - set(Left.of(tmp_path / "off").leaks())
    assert missed == set()


def test_a_run_that_has_not_ended_well_leaves_no_canary_either(
    outside: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its journal, write-ahead log and segments are left as a killed process leaves them."""
    with tk.Journal.open(tmp_path / "home") as held:
        canaries.run(tmp_path / "home", outside, PERSONAL)
        shutil.copytree(tmp_path / "home", tmp_path / "left")
        assert held.runs()
    assert Left.of(tmp_path / "left", told=told(caplog, capfd)).leaks() == {}


def test_a_run_under_prefect_leaves_no_canary_there_either(
    server: str, outside: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    prefect_home = get_current_settings().home
    flow = as_flow(canaries.workflow, fleet=canaries.fleet(), tasks="steps", chunk_size=1)
    with drained():
        summary = driven(flow, tmp_path / "on", rows=outside, redact="personal")
    wait_for_logs(prefect_home, summary)
    assert Left.of(tmp_path / "on", prefect_home, told=told(caplog, capfd)).leaks() == {}

    with drained():
        summary = driven(flow, tmp_path / "off", rows=outside, redact="none")
    wait_for_logs(prefect_home, summary)
    assert set(CANARIES) - set(Left.of(tmp_path / "off").leaks()) == set()
    in_prefect = {"row's id", "password in the query of the rows", "text of an exception", "key of the fleet, echoed"}
    assert in_prefect & set(Left.of(prefect_home).leaks()) >= {"row's id", "password in the query of the rows"}


@tk.step(route=tk.Fixed("small"))
def asked(ticket: str) -> tk.Request:
    return tk.prompt("Answer.", ticket=ticket)


def says(word: str) -> tk.Fleet:
    def refuses(_: tk.Request) -> str:
        raise ValueError(word)

    return tk.Fleet({}).with_function("small", refuses)


def test_without_content_prefect_is_told_no_reason_either(server: str, tmp_path: Path) -> None:
    prefect_home = get_current_settings().home
    for word, content in (("quetzal", "hashes"), ("axolotl", "full")):
        flow = as_flow(tk.Workflow("silent", [asked]), fleet=says(word), rows=[{"ticket": "x"}], tasks="steps")
        with drained():
            summary = driven(flow, tmp_path, content=content)
        wait_for_logs(prefect_home, summary)
        assert summary.failed == 1
    pieces = Left.of(tmp_path, prefect_home).pieces.values()
    told = {word for word in (b"quetzal", b"axolotl") if any(word in piece for piece in pieces)}
    assert told == {b"axolotl"}


def driven(flow: Any, home: Path, **answers: str) -> Summary:
    """What a flow run leaves of which no row is answered: it fails, but all of it is on record."""
    assert flow(home=str(home), return_state=True, **answers).is_failed()
    (run_id,) = tk.History(home).sql("select id from runs order by started_at desc limit 1").column("id")
    return Summary.of(run_id, home)


def wait_for_logs(prefect_home: Path, summary: Summary) -> None:
    """Until the last line of the flow run's log is in Prefect's database; what it writes is a little late."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with closing(sqlite3.connect(f"file:{prefect_home}/prefect.db?mode=ro", uri=True)) as database:
            if database.execute(
                "select 1 from log where message like ?", [f"run {summary.run_id} finished%"]
            ).fetchall():
                time.sleep(2)
                return
        time.sleep(0.5)
    raise AssertionError("the log of the flow run did not arrive")


CELLS = (
    "import os; from pathlib import Path; import toolkit as tk; from tests.orchestration import canaries",
    "home, rows = Path(os.environ['CANARY_HOME']), os.environ['CANARY_ROWS']",
    "redact = tk.Redact.parse(os.environ['CANARY_REDACT'])",
    "run = canaries.run(home, rows, redact)",
    "run",
    "run.answers()",
    "run.sql('from attempts')",
    "print(run.sql('select * from contents').rows, run.sql('from answers').rows)",
    "tk.Workflow('w', [canaries.looked_up]).run(os.environ['CANARY_TORN'], canaries.fleet(), home=home, redact=redact)",
)


@pytest.mark.parametrize("redact", ["personal", "none"])
def test_a_notebook_keeps_no_canary_in_its_output(
    outside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redact: str
) -> None:
    torn = Path(outside.split("'")[1]).with_name("torn.csv")
    torn.write_text(f"id,ticket\n1,x\n2,{CANARIES['key in a row']},and,more\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, value in (("HOME", tmp_path / "home"), ("ROWS", outside), ("REDACT", redact), ("TORN", torn)):
        monkeypatch.setenv(f"CANARY_{name}", str(value))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    nbformat.write(notebook, tmp_path / "run.ipynb")  # type: ignore[no-untyped-call]
    raised = [output.ename for cell in notebook.cells for output in cell.outputs if output.output_type == "error"]
    assert raised == ["RowsError"]
    leaks = Left.of(tmp_path).leaks()
    if redact == "personal":
        assert leaks == {}
    else:
        shown = {what for what, where in leaks.items() if any(name.endswith("run.ipynb") for name in where)}
        assert set(CANARIES) - set(leaks) == set()
        assert shown >= {"key in a row", "reply over HTTP", "column named api_key", "text of an exception"}
