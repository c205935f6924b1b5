"""What the commands print, where, and with which exit code."""

from __future__ import annotations

import csv
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from toolkit.ledger.history import schema

if TYPE_CHECKING:
    from tests.cli.conftest import Desk


@pytest.fixture
def ran(desk: Desk) -> Desk:
    """A desk with one run of three rows, one of which failed."""
    desk.write("rows.csv", "id,text\n1,ticket 1\n2,\n3,ticket 3\n")
    assert desk.run("rows.csv").code == 1
    return desk


# ---------------------------------------------------------------------------------------------------------------- run
@pytest.mark.slow
def test_json_is_one_object_and_nothing_else_even_where_the_workflow_prints(desk: Desk) -> None:
    noisy = (desk.folder / "flow.py").read_text().replace("    return", "    print('noise')\n    return")
    desk.write("flow.py", f"print('noise')\n{noisy}")
    ended = desk.run("rows.csv", "--json", "--home", "kept")
    told = json.loads(ended.out)
    assert ended.code == 0
    assert told["rows"] == {"answered": 3, "parked": 0, "failed": 0, "set_aside": 0}
    assert (told["status"], told["calls"], told["errors"]) == ("finished", 6, 0)
    assert told["cost_usd"] > 0
    assert told["home"] == str(desk.folder / "kept")
    assert told["run_id"].startswith("plain-")
    assert "noise" in ended.err


def test_unknown_prices_are_counted_and_never_taken_for_nothing(desk: Desk) -> None:
    fleet = (desk.folder / "models.toml").read_text().replace("price = { input = 1.0, output = 2.0 }", "")
    desk.write("models.toml", fleet)
    told = json.loads(desk.run("rows.csv", "--json").out)
    assert told["cost_usd"] is None
    assert told["calls_of_unknown_cost"] == told["calls"] == 6


@pytest.mark.slow
def test_a_second_run_reuses_what_is_on_record_and_fresh_asks_anew(desk: Desk) -> None:
    desk.run("rows.csv")
    again = json.loads(desk.run("rows.csv", "--json").out)
    assert (again["calls"], again["reused"], again["cost_usd"]) == (0, 6, 0.0)
    fresh = json.loads(desk.run("rows.csv", "--json", "--fresh").out)
    assert (fresh["calls"], fresh["reused"]) == (6, 0)


@pytest.mark.slow
def test_limit_router_query_and_environment_are_obeyed(desk: Desk) -> None:
    desk.environment["TOOLKIT_HOME"] = "by-environment"
    ended = desk.run("select * from 'rows.csv' order by id desc", "--limit", "2", "--router", "cheapest", "--json")
    told = json.loads(ended.out)
    assert ended.code == 0, ended.err
    assert told["rows"]["answered"] == 2
    assert told["home"].endswith("by-environment")
    assert set(desk.rows()) == {"3", "2"}
    router = desk.toolkit("sql", "select distinct router from decisions", "--format", "csv")
    assert router.out == "router\nCheapest()\n"


@pytest.mark.slow
def test_a_run_whose_rows_failed_says_which_and_ends_with_1(ran: Desk) -> None:
    ended = ran.run("rows.csv")
    assert ended.code == 1
    assert "2 answered, 1 failed" in ended.out
    assert "row 2, first failed: the prompt's section 'ticket' is empty" in ended.out
    assert "more: toolkit show plain-" in ended.out


def test_a_bug_is_one_sentence_and_a_code_of_its_own(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("out of\nmagic")

    monkeypatch.setattr("toolkit.runs.resuming.load_workflow", broken)
    ended = desk.run("rows.csv")
    assert ended.code == 70
    assert ended.sentence.startswith("toolkit: RuntimeError: out of magic; this is a bug in toolkit")
    assert "--debug" in ended.sentence


# ------------------------------------------------------------------------------------------------------------ looking
@pytest.mark.slow
def test_runs_lists_the_newest_first(ran: Desk) -> None:
    ran.run("rows.csv", "--limit", "1")
    lines = [line.split() for line in ran.toolkit("runs").out.splitlines() if "plain-" in line]
    assert [line[2] for line in lines] == ["1", "3"]


@pytest.mark.slow
def test_show_tells_steps_models_and_problems_with_their_reasons(ran: Desk) -> None:
    ended = ran.toolkit("show", "latest")
    assert ended.code == 0
    first = next(line.split() for line in ended.out.splitlines() if line.strip().startswith("first"))
    assert first[:5] == ["first", "small", "2", "0", "2"]
    assert "the prompt's section 'ticket' is empty" in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.slow
def test_show_of_a_row_is_its_timeline_with_waiting_and_service_apart(ran: Desk) -> None:
    ended = ran.toolkit("show", "latest", "--row", "1")
    assert ended.code == 0
    whats = [line.split()[1:4] for line in ended.out.splitlines() if line.strip()[:2] == "0."]
    assert [step for step, *_ in whats] == ["first"] * 3 + ["second"] * 3
    assert [what for _, what, *_ in whats] == ["decided", "attempt", "answered"] * 2
    assert "waited" in ended.out
    assert "served" in ended.out
    assert "text: ticket 1" in ended.out
    missing = ran.toolkit("show", "latest", "--row", "17")
    assert missing.code == 2
    assert "has no row '17'; it has 3" in missing.sentence


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_sql_prints_in_three_formats(ran: Desk, format: str) -> None:
    ended = ran.toolkit("sql", "select row_id, reason from rows order by row_id limit 2", "--format", format)
    assert ended.code == 0
    if format == "json":
        assert json.loads(ended.out)[0] == {"row_id": "1", "reason": ""}
    elif format == "csv":
        read = list(csv.reader(ended.out.splitlines()))
        assert read[:2] == [["row_id", "reason"], ["1", ""]]
    else:
        assert ended.out.splitlines()[0].split() == ["row_id", "reason"]
        assert "2 rows, as of" in ended.out


def test_sql_without_a_query_lists_the_views(desk: Desk) -> None:
    ended = desk.toolkit("sql")
    assert ended.code == 0
    assert "model_costs" in ended.out
    assert "What did each model cost, by step?" in ended.out


@pytest.mark.slow
def test_sql_loads_neither_pandas_nor_sqlalchemy_nor_prefect(ran: Desk) -> None:
    program = (
        "import sys\nfrom toolkit.cli.app import app\n"
        "app(['sql', 'from run_summary', '--run', 'latest'], standalone_mode=False)\n"
        "print([name for name in ('pandas', 'sqlalchemy', 'prefect', 'httpx', 'sklearn') if name in sys.modules])"
    )
    command = [ran.command()[0], "-c", program]
    ended = subprocess.run(command, cwd=ran.folder, env=ran.surroundings, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error(ran: Desk) -> None:
    command = f"{' '.join(ran.command('sql'))} 'from range(200000)' --rows 200000 | head -1"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=ran.folder, env=ran.surroundings, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert ended.stdout.split() == ["range"]
    assert ended.stderr == ""


# ------------------------------------------------------------------------------------------------------------- health
@pytest.mark.slow
def test_doctor_tells_whether_keys_are_set_and_never_what_they_are(ran: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(ran.folder))
    monkeypatch.setenv("SET_KEY", "sk-very-secret")
    ran.write(
        "keyed.toml",
        '[models.a]\nprovider = "openai"\nkey_env = "SET_KEY"\n'
        '[models.b]\nprovider = "openai"\nkey_env = "UNSET_KEY"\n',
    )
    ended = ran.toolkit("doctor", "--fleet", "keyed.toml")
    assert ended.code == 1
    assert "SET_KEY (for a) is set" in ended.out
    assert "UNSET_KEY (for b) is not set" in ended.out
    assert "sk-very-secret" not in ended.out + ended.err
    assert f"schema {schema.VERSION}" in ended.out
    assert "prefect 3." in ended.out
    assert "0 entries" in ended.out


def test_doctor_finds_a_prefect_that_does_not_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    ended = desk.toolkit("doctor")
    assert ended.code == 1
    assert "!! prefect" in ended.out
    assert "nothing has run here yet" in ended.out


def test_the_version_is_that_of_the_package(desk: Desk) -> None:
    from toolkit import __version__

    assert desk.process("version").out == f"toolkit {__version__}\n"


def test_help_tells_the_exit_codes(desk: Desk) -> None:
    assert "130" in desk.toolkit("--help").out
    assert "2: nothing could run" in " ".join(desk.toolkit("run", "--help").out.replace("│", " ").split())


def test_a_number_beyond_64_bits_is_told_whole_and_two_columns_of_one_name_are_refused(desk: Desk) -> None:
    desk.run("rows.csv")
    huge = desk.toolkit(
        "sql", "select 170141183460469231731687303715884105727::hugeint as n, 1.5 as d", "--format", "json"
    )
    assert json.loads(huge.out) == [{"n": "170141183460469231731687303715884105727", "d": 1.5}]
    twice = desk.toolkit("sql", "select 1 as a, 2 as a", "--format", "json")
    assert (twice.code, "two columns are called 'a'" in twice.sentence) == (2, True)
