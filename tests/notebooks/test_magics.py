"""`%%sql` in a notebook: what a cell asks, what is bound, what is shown; in a real kernel too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.ledger.ledger_samples import run_and_rows
from toolkit.ledger import Journal
from toolkit.magics import parsed, with_parameters

WRITTEN = [
    ("select $a, {b}, { c }", "select $a, $b, $c", {"a", "b", "c"}),
    ("select {'a': 1}, {a: 2}", "select {'a': 1}, {a: 2}", set()),
    ("select '$a {b}', '''{c}', \"{d}\"", "select '$a {b}', '''{c}', \"{d}\"", set()),
    ("select 1 -- $a {b}\n, {c}", "select 1 -- $a {b}\n, $c", {"c"}),
    ("select /* {a}\n $b */ $c", "select /* {a}\n $b */ $c", {"c"}),
    ("select $$ {a} $b $$, $t$ {c} $t$, $d", "select $$ {a} $b $$, $t$ {c} $t$, $d", {"d"}),
    (r"select e'\'{a}', {b}", r"select e'\'{a}', $b", {"b"}),
    ("select $1", "select $1", set()),
]


@pytest.mark.parametrize(("query", "written", "names"), WRITTEN)
def test_variables_become_parameters_but_not_in_strings_and_comments(query: str, written: str, names: set[str]) -> None:
    assert with_parameters(query) == (written, frozenset(names))


CELLS: list[tuple[str, str | None, dict[str, str], str]] = [
    ("", "select 1", {}, "select 1"),
    ("select 1", None, {}, "select 1"),
    ("--run latest --into x", "select 1", {"run": "latest", "into": "x"}, "select 1"),
    ("--home='a folder' --into=x select 1", None, {"home": "a folder", "into": "x"}, "select 1"),
    ("-- no option", "select 1", {}, "-- no option\nselect 1"),
]


@pytest.mark.parametrize(("line", "cell", "options", "query"), CELLS)
def test_options_come_first_and_the_rest_is_the_query(
    line: str, cell: str | None, options: dict[str, str], query: str
) -> None:
    assert parsed(line, cell) == (options, query)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `.toolkit` has a run of three rows."""
    folder = tmp_path_factory.mktemp("notebook")
    with Journal.open(folder / ".toolkit") as journal:
        journal.write(*run_and_rows(3))
    return folder


@pytest.fixture(scope="module")
def shared_shell() -> InteractiveShell:
    made = InteractiveShell()  # type: ignore[no-untyped-call]
    made.run_line_magic("load_ext", "toolkit")
    return made


@pytest.fixture
def shell(shared_shell: InteractiveShell, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell with the extension, without a kernel, in that folder."""
    monkeypatch.chdir(home)
    before = set(shared_shell.user_ns)
    yield shared_shell
    for name in set(shared_shell.user_ns) - before:
        del shared_shell.user_ns[name]


def ask(shell: InteractiveShell, line: str, cell: str | None) -> Any:
    """A cell, or a line where there is no cell."""
    if cell is None:
        return shell.run_line_magic("sql", line)
    return shell.run_cell_magic("sql", line, cell)  # type: ignore[no-untyped-call]


MISTAKES = [
    ("--hoem x", "select 1", "there is no option --hoem; known are --home, --run, --into"),
    ("--home", None, "--home needs a value"),
    ("--into 1x", "select 1", "--into needs the name of a variable, not '1x'"),
    ("", None, "there is no query"),
    ("", "select * from nowhere", "Table with name nowhere does not exist"),
    ("", "select $unknown", r"the query names \$unknown, and there is no such variable"),
    ("", "select $odd", "the query failed"),
    ("--home elsewhere", "select 1", "there is neither journal nor history in elsewhere"),
    ("--run nope", "select 1", "no run 'nope'"),
    ("--run latest --home elsewhere", "select 1", "there is no record in elsewhere"),
]


@pytest.mark.parametrize(("line", "cell", "why"), MISTAKES)
def test_a_mistake_is_one_sentence(shell: InteractiveShell, line: str, cell: str | None, why: str) -> None:
    shell.user_ns["odd"] = object()
    with pytest.raises(UsageError, match=why) as refused:
        ask(shell, line, cell)
    assert "\n" not in str(refused.value)


BOUND: list[Any] = [
    "row-00001",
    "'; drop table attempts; --",
    3,
    2.5,
    None,
    ["a", "b"],
    numpy.int64(7),
    numpy.array([1, 2]),
    {"x"},
]


@pytest.mark.parametrize("value", BOUND, ids=repr)
def test_a_variable_is_bound_as_it_is(shell: InteractiveShell, value: Any) -> None:
    shell.user_ns["given"] = value
    plain = value.tolist() if hasattr(value, "tolist") else value
    found = ask(shell, "", "select {given} as value, count(*) as n from attempts")
    assert found.rows == ((sorted(plain) if isinstance(plain, set) else plain, 3),)


def test_a_line_gives_the_table_and_into_puts_a_data_frame_beside_it(shell: InteractiveShell) -> None:
    shell.user_ns["wanted"] = "row-00001"
    table = shell.run_line_magic("sql", "--run latest --into frame select row_id from rows where row_id = {wanted}")
    assert table.rows == (("row-00001",),)
    assert shell.user_ns["frame"]["row_id"].tolist() == ["row-00001"]


CODE = [
    "%load_ext toolkit\nrows = ['row-00000', 'row-00002']",
    "%%sql --into found\nselect row_id, model from attempts\nwhere row_id in $rows order by row_id",
    "print(found.row_id.tolist())",
]


def kernel(home: Path, *cells: str) -> NotebookClient:
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]  # type: ignore[no-untyped-call]
    )
    return NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(home)}})


@pytest.mark.slow
def test_a_real_kernel_shows_the_table_and_has_the_data_frame(home: Path) -> None:
    client = kernel(home, *CODE[:3])
    client.execute()
    shown, printed = client.nb.cells[1].outputs, client.nb.cells[2].outputs
    assert "<table>" in shown[0].data["text/html"]
    assert "row-00002" in shown[0].data["text/plain"]
    assert "2 rows, as of" in shown[0].data["text/plain"]
    assert printed[0].text == "['row-00000', 'row-00002']\n"


@pytest.mark.slow
def test_a_mistake_in_a_real_kernel_stops_the_notebook_with_one_sentence_and_no_traceback(home: Path) -> None:
    client = kernel(home, CODE[0], "%%sql\nselect nothing from rows", "print('never')")
    with pytest.raises(CellExecutionError):
        client.execute()
    told = "".join(output.get("text", "") for output in client.nb.cells[1].outputs if output.output_type == "stream")
    assert told.startswith("UsageError: the query failed: ")
    assert "Traceback" not in told
    assert len(told.splitlines()) == 1
    assert client.nb.cells[2].outputs == []
