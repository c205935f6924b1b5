"""Whatever is wrong with what a person gives ends as one sentence, the right exit code, and the other rows' records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

STEP = """
import toolkit as tk

@tk.step(route=tk.Fixed("small"))
def first(text):
    return tk.prompt("FIRST", ticket=text)
"""
CIRCLE = """
import toolkit as tk

@tk.step
def a(b):
    return b

@tk.step
def b(a):
    return a

w = tk.Workflow("w", [a, b])
"""


# --------------------------------------------------------------------------------------------------- mistyped commands
@pytest.mark.parametrize(
    "arguments",
    [
        ["--nope"], ["nosuch"], ["runs", "--nope"], ["show"], ["fork", "latest"], ["inbox", "nosuch"],
        ["run", "flow.py", "--limit", "0"], ["sql", "select 1", "--format", "xml"], ["compare", "a", "--margin", "x"],
    ],
)  # fmt: skip
def test_a_mistyped_command_is_told_how_it_is_typed_and_is_no_bug(desk: Desk, arguments: list[str]) -> None:
    ended = desk.toolkit(*arguments)
    assert ended.code == 2, ended.err
    assert "Usage: toolkit" in ended.err
    assert "bug" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "flow.py", "--rows", "folder.csv", "--fleet", "models.toml"], "folder.csv is a folder"),
        (["telemetry", "--since", "99999999999d", "--dry-run"], "longer ago than there are dates"),
        (["export", "rows.csv"], "rows.csv"),
        (["retry", "latest", "--failed", "--write", "folder.csv"], "folder.csv: Is a directory; name another path"),
    ],
)
def test_a_path_of_another_kind_is_told_by_name_and_is_no_bug(desk: Desk, arguments: list[str], told: str) -> None:
    (desk.folder / "folder.csv").mkdir()
    desk.run("rows.csv")
    ended = desk.toolkit(*arguments)
    assert (ended.code, told in ended.sentence, "bug" in ended.err) == (2, True, False), ended.err


def test_a_long_query_is_no_path(desk: Desk) -> None:
    assert desk.run(f"select id, text from 'rows.csv' where text <> '{'x' * 300}'").code == 0


def test_a_query_over_files_of_a_folder_is_resumed_from_there_or_not_at_all(desk: Desk) -> None:
    assert desk.run("select * from 'rows.csv'", "--home", "home").code == 0
    (desk.folder / "sub").mkdir()
    desk.write("sub/rows.csv", "id,text\nz1,other\n")
    again = ["fork", "latest", "--at", "first", "--home"]
    elsewhere = replace(desk, folder=desk.folder / "sub").toolkit(*again, "../home")
    assert elsewhere.code == 2
    assert f"a query over 'rows.csv' as it is in {desk.folder}, and not in {desk.folder / 'sub'}" in elsewhere.sentence
    assert desk.toolkit(*again, "home").code == 0


# ------------------------------------------------------------------------------------------------- nothing could run
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.csv", "id,body\n1,hello\n", ["column 'text'", "they have id, body"]),
        ("rows.csv", "id,text\n", ["rows.csv has no rows"]),
        ("rows.csv", "", ["rows.csv is empty"]),
        ("rows.csv", "id,text\n1,caf\xe9\n".encode("latin1"), ["rows.csv is not UTF-8", "iconv -f latin1 -t utf-8"]),
        ("rows.txt", "1,hello\n", ["do not know how to read .txt"]),
        ("rows.jsonl", '{"id": 1, "text": "a"}\n{"id": 2, "te\n', ["rows.jsonl", "Malformed JSON"]),
    ],
)
def test_unusable_tables_end_in_one_sentence_before_anything_is_asked(
    desk: Desk, name: str, content: str | bytes, told: list[str]
) -> None:
    desk.write(name, content)
    ended = desk.run(name)
    assert ended.code == 2
    assert all(word in ended.sentence for word in told), ended.sentence
    assert not (desk.folder / ".toolkit").exists()


def test_a_missing_table_is_told_by_name(desk: Desk) -> None:
    ended = desk.run("gone.csv")
    assert ended.code == 2
    assert "there is no file" in ended.sentence
    assert "gone.csv" in ended.sentence


@pytest.mark.parametrize(
    ("router", "told"),
    [
        ("Fixed('smal')", ["no model 'smal'", "it has small", "did you mean 'small'"]),
        ("Cheepest()", ["no router or model 'Cheepest'", "did you mean 'Cheapest'"]),
        ("Ladder('small'", ["cannot read the router"]),
        ("third=small", ["no step 'third'", "it has first, second"]),
        ("Fixed(1, 2, 3)", ["cannot build the router"]),
    ],
)
def test_unusable_routers_say_what_there_is(desk: Desk, router: str, told: list[str]) -> None:
    ended = desk.run("rows.csv", "--router", router)
    assert ended.code == 2
    assert all(word in ended.sentence for word in told), ended.sentence


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[models.small\n", ["models.toml is no valid TOML"]),
        ("", ["names no models"]),
        ('[models.small]\nprovider = "opnai"\n', ["there is no provider 'opnai'", "known are openai"]),
        ('[models.small]\nprovider = "openai"\n', ["needs an endpoint"]),
        ('[models.small]\nprovider = "embedded"\nmodel = "linnear"\n', ["no embedded model 'linnear'"]),
        (
            '[models.small]\nprovider = "openai"\nendpiont = "http://x"\n',
            ["unknown field 'endpiont'", "did you mean 'endpoint'"],
        ),
        (
            '[models.small]\nprovider = "openai"\nendpoint = "http://x"\nkey_env = "NO_SUCH_KEY"\n',
            ["NO_SUCH_KEY", "not set"],
        ),
        ('[models.other]\nprovider = "openai"\nendpoint = "http://x"\n', ["no model 'small'", "it has other"]),
    ],
)
def test_unusable_fleets_name_file_model_and_field(desk: Desk, content: str, told: list[str]) -> None:
    desk.write("models.toml", content)
    ended = desk.run("rows.csv")
    assert ended.code == 2
    assert all(word in ended.sentence for word in told), ended.sentence


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (CIRCLE, ["goes in a circle", "a → b"]),
        (STEP + "w = tk.Workflow('w', [first, first])\n", ["two steps named 'first'"]),
        (STEP + "from pydantic import BaseModel\nclass Row(BaseModel):\n    text: str\n    first: str\n"
         "w = tk.Workflow('w', [first], rows=Row)\n", ["'first' clashes with the column"]),
        ("x = 1\nraise ValueError('no')\n", ["flow.py raised ValueError on import at line 2: no"]),
        ("def f(:\n", ["flow.py raised SyntaxError on import at line 1"]),
        ("import nosuchpackage\n", ["nosuchpackage"]),
        ("x = 1\n", ["defines no Workflow"]),
        (STEP + "v = tk.Workflow('v', [first])\nw = tk.Workflow('w', [first])\n", ["name the workflow", "has v, w"]),
    ],
)  # fmt: skip
def test_unusable_workflow_files_say_what_and_where(desk: Desk, content: str, told: list[str]) -> None:
    desk.write("flow.py", content)
    ended = desk.run("rows.csv")
    assert ended.code == 2
    assert all(word in ended.sentence for word in told), ended.sentence


def test_rows_and_fleet_are_asked_for_unless_the_workflow_is_shipped(desk: Desk) -> None:
    assert "--rows" in desk.toolkit("run", "flow.py").sentence
    assert "--fleet" in desk.toolkit("run", "flow.py", "--rows", "rows.csv").sentence
    assert "'suport'" in desk.toolkit("run", "suport", "--rows", "rows.csv", "--fleet", "models.toml").sentence


def test_a_home_that_cannot_be_made_is_told(desk: Desk) -> None:
    desk.write("taken", "a file")
    ended = desk.run("rows.csv", "--home", "taken/home")
    assert ended.code == 2
    assert "taken/home cannot be made" in ended.sentence


def test_a_journal_that_is_another_file_is_told(desk: Desk) -> None:
    (desk.folder / ".toolkit").mkdir()
    desk.write(".toolkit/journal.db", "not a database, but long enough to be looked at" * 100)
    ended = desk.run("rows.csv")
    assert ended.code == 2
    assert "journal.db cannot be opened" in ended.sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("show", "nope"), ("resume", "nope"), ("sql", "select 1 from runs", "--run", "nope")]
)
def test_a_run_that_is_not_there_is_told_with_those_that_are(desk: Desk, command: tuple[str, ...]) -> None:
    ended = desk.toolkit(*command)
    assert ended.code == 2
    assert "no record in .toolkit" in ended.sentence
    assert desk.run("rows.csv").code == 0
    ended = desk.toolkit(*command)
    assert ended.code == 2
    assert "no run 'nope'" in ended.sentence
    assert "plain-" in ended.sentence


def test_a_query_that_is_wrong_ends_in_duckdbs_own_words(desk: Desk) -> None:
    assert desk.run("rows.csv").code == 0
    ended = desk.toolkit("sql", "select foo from runs")
    assert ended.code == 2
    assert 'column "foo" not found' in ended.sentence


def test_debug_shows_the_traceback_and_the_sentence(desk: Desk) -> None:
    ended = desk.run("gone.csv", "--debug")
    assert ended.code == 2
    assert "Traceback" in ended.err
    assert ended.err.strip().splitlines()[-1].startswith("toolkit: there is no file")


# --------------------------------------------------------------------------------------------- one row's own trouble
@pytest.mark.slow
def test_an_empty_cell_fails_its_row_alone(desk: Desk) -> None:
    desk.write("rows.csv", "id,text\n1,ticket 1\n2,\n3,ticket 3\n")
    ended = desk.run("rows.csv")
    assert ended.code == 1
    assert "row 2, first failed: the prompt's section 'ticket' is empty" in ended.out
    rows = desk.rows()
    assert {row: status for row, (status, _) in rows.items()} == {"1": "answered", "2": "failed", "3": "answered"}


@pytest.mark.slow
def test_a_second_row_of_the_same_id_is_set_aside_and_the_run_is_fine(desk: Desk) -> None:
    desk.write("rows.csv", "id,text\n1,ticket 1\n1,ticket 2\n3,ticket 3\n")
    assert desk.run("rows.csv").code == 0
    rows = desk.rows()
    assert rows["1"] == ("answered", "")
    assert rows["1#1"] == ("set_aside", "a row before it has the id '1' too")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_text_of_ten_megabytes_stops_nobody_else(desk: Desk, name: str) -> None:
    desk.fleet(window=8000)
    text = "word " * 2_000_000
    if name == "rows.csv":
        desk.write(name, f'id,text\n1,ticket 1\n2,"{text}"\n3,ticket 3\n')
    else:
        desk.write(
            name, f'{{"id": 1, "text": "ticket 1"}}\n{{"id": 2, "text": "{text}"}}\n{{"id": 3, "text": "ticket 3"}}\n'
        )
    assert desk.run(name).code == 1
    rows = desk.rows()
    assert rows["1"][0] == rows["3"][0] == "answered"
    assert rows["2"][0] == "failed"
    assert "tokens > 8,000" in rows["2"][1]


@pytest.mark.slow
def test_an_output_that_never_fits_fails_its_rows_after_one_repair_each(desk: Desk) -> None:
    typed = STEP.replace('tk.Fixed("small")', 'tk.Fixed("small"), policy=tk.Repair(1), output=Label')
    label = "from pydantic import BaseModel\nclass Label(BaseModel):\n    label: str\n"
    desk.write("flow.py", f"{label}{typed}w = tk.Workflow('w', [first])\n")
    assert desk.run("rows.csv").code == 0
    desk.fleet(endpoint=desk.server.url("/nonsense"))
    ended = desk.run("rows.csv", "--fresh")
    assert ended.code == 1
    assert "the answer is no JSON" in ended.out
    assert {status for status, _ in desk.rows().values()} == {"failed"}
    counted = desk.toolkit("sql", "select count(*) as n from attempts", "--run", "latest", "--format", "csv")
    assert counted.out == "n\n6\n"
