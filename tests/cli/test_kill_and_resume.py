"""A run that is killed goes on where it stopped: everything is answered, and nothing on record is paid for twice."""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cli.conftest import Desk

ROWS = 400
IN_FLIGHT = 8


@pytest.fixture
def batch(desk: Desk) -> Desk:
    """A desk whose rows nobody has asked the server about."""
    mark = f"{random.randrange(10**9)}"
    lines = [f"{i},question {mark} of row {i}." for i in range(ROWS)]
    desk.write("rows.csv", "\n".join(["id,text", *lines]))
    return desk


def asked(desk: Desk) -> dict[tuple[str, str], int]:
    """(step, row) → how often the server was asked for it."""
    mark = (desk.folder / "rows.csv").read_text().splitlines()[1].split("question ")[1].split()[0]
    found = {}
    for prompt, count in desk.server.counts().items():
        if (about := re.search(rf"(FIRST|SECOND).*question {mark} of row (\d+)\.", prompt, re.DOTALL)) is not None:
            found[about[1].lower(), about[2]] = count
    return found


def committed(home: Path) -> set[tuple[str, str]]:
    """(step, row) of the answers that the journal holds."""
    with closing(sqlite3.connect(home / "journal.db")) as journal:
        found = journal.execute("select step, row_id from answers where status = 'answered'").fetchall()
    return {(step.split("/")[-1], row_id) for step, row_id in found}


def wait_for(desk: Desk, process: subprocess.Popen[str], *, calls: int) -> None:
    """Until the server has been asked that often."""
    while sum(asked(desk).values()) < calls:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_run_asks_for_nothing_that_was_committed(batch: Desk, seed: int) -> None:
    chance = random.Random(seed)
    process = batch.started(
        "run", "flow.py", "--rows", "rows.csv", "--fleet", "models.toml", "--in-flight", str(IN_FLIGHT)
    )
    wait_for(batch, process, calls=chance.randrange(20, 2 * ROWS - 100))
    time.sleep(chance.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    on_record = committed(batch.folder / ".toolkit")
    assert on_record
    assert len(on_record) < 2 * ROWS

    ended = batch.process("resume", "latest", "--json")

    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["status"] == "finished"
    assert told["rows"] == {"answered": ROWS, "parked": 0, "failed": 0, "set_aside": 0}
    counts = asked(batch)
    assert len(counts) == 2 * ROWS
    assert [place for place in on_record if counts[place] != 1] == []
    asked_again = sum(counts.values()) - 2 * ROWS  # what was under way, or waited for its commit
    assert asked_again < 2 * ROWS - len(on_record)
    assert batch.toolkit("resume", "latest").code == 2


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(batch: Desk) -> None:
    process = batch.started(
        "run", "flow.py", "--rows", "rows.csv", "--fleet", "models.toml", "--in-flight", str(IN_FLIGHT), "--json"
    )
    wait_for(batch, process, calls=60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    told = json.loads(out)
    assert process.returncode == 130
    assert told["status"] == "cancelled"
    assert 0 < told["rows"]["answered"] < ROWS
    assert f"go on with: toolkit resume {told['run_id']} --home .toolkit" in err
    assert "Traceback" not in err

    ended = batch.process("resume", told["run_id"], "--json")

    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["rows"]["answered"] == ROWS
    assert set(asked(batch).values()) == {1}


@pytest.mark.slow
def test_ctrl_c_twice_leaves_at_once_and_nothing_on_record_is_lost(batch: Desk) -> None:
    batch.write("rows.csv", "\n".join((batch.folder / "rows.csv").read_text().splitlines()[:41]))
    batch.fleet(endpoint=batch.server.url("/slow"))
    process = batch.started("run", "flow.py", "--rows", "rows.csv", "--fleet", "models.toml", "--in-flight", "8")
    wait_for(batch, process, calls=8)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping after the calls under way" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)  # the server answers after a minute
    assert process.returncode == 130
    assert batch.toolkit("sql", "select status from runs", "--format", "csv").out == "status\ninterrupted\n"
    batch.fleet()
    assert batch.process("resume", "latest").code == 0
    assert batch.rows() == {str(i): ("answered", "") for i in range(40)}


@pytest.mark.slow
def test_two_that_resume_the_same_run_share_its_rows_and_end_alike(batch: Desk) -> None:
    process = batch.started("run", "flow.py", "--rows", "rows.csv", "--fleet", "models.toml", "--in-flight", "2")
    wait_for(batch, process, calls=20)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert "interrupt" in batch.toolkit("runs").out  # a narrow column cuts the word
    open_calls = sum(asked(batch).values()) - len(committed(batch.folder / ".toolkit"))
    both = [batch.started("resume", "latest", "--in-flight", "4", "--json") for _ in range(2)]
    ended = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0], ended
    for out, _ in ended:
        assert json.loads(out)["status"] == "finished"
        assert json.loads(out)["rows"] == {"answered": ROWS, "parked": 0, "failed": 0, "set_aside": 0}
    assert min(json.loads(out)["calls"] for out, _ in ended) > 0
    counts = asked(batch)
    assert len(counts) == 2 * ROWS
    assert sum(counts.values()) <= 2 * ROWS + open_calls


@pytest.mark.slow
def test_rows_in_trouble_are_listed_written_mended_and_driven_again(desk: Desk) -> None:
    desk.write("rows.csv", "id,text\n1,ticket 1\n2,\n2,ticket 3\n")
    assert desk.run("rows.csv").code == 1
    listed = desk.toolkit("retry", "latest", "--list")
    assert [line.split()[:2] for line in listed.out.splitlines()[:2]] == [["2", "failed"], ["2#2", "set"]]
    assert desk.toolkit("retry", "latest").sentence.endswith("their ids, or mended ones")
    assert json.loads(desk.toolkit("retry", "latest", "--set-aside", "--list", "--json").out)["rows"][0] == {
        "row_id": "2#2",
        "status": "set_aside",
        "reason": "a row before it has the id '2' too",
        "fields": {"id": 2, "text": "ticket 3"},
    }
    assert desk.toolkit("retry", "latest", "--write", "mended.jsonl").code == 0
    assert (desk.folder / "mended.jsonl").read_text() == ('{"id":"2","text":null}\n{"id":"2#2","text":"ticket 3"}\n')
    desk.write("mended.jsonl", '{"id":"2","text":"ticket 2"}\n{"id":"2#2","text":"ticket 3"}\n')
    ended = desk.toolkit("retry", "latest", "--failed", "--set-aside", "--with", "mended.jsonl", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["rows"] == {"answered": 3, "parked": 0, "failed": 0, "set_aside": 0}
    assert desk.toolkit("retry", "latest", "--failed").code == 2


@pytest.mark.slow
def test_a_run_is_resumed_from_another_folder(desk: Desk, tmp_path: Path) -> None:
    desk.write("rows.csv", "id,text\n1,ticket 1\n2,\n")
    assert desk.run("rows.csv").code == 1
    desk.write("rows.csv", "id,text\n1,ticket 1\n2,ticket 2\n")
    (tmp_path / "elsewhere").mkdir()
    ended = type(desk)(tmp_path / "elsewhere", desk.server).toolkit(
        "resume", "latest", "--home", "../.toolkit", "--json"
    )
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["rows"] == {"answered": 2, "parked": 0, "failed": 0, "set_aside": 0}
