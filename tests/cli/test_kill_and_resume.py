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
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
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
