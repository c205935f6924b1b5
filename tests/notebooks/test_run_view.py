"""The rows of a run, as notebooks show them: by pages, narrowed and sorted in SQL, with the graph and its figures."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

import toolkit as tk
from tests.ledger.ledger_samples import row_record, run_and_rows, run_record
from tests.notebooks.showing_samples import HOSTILE, TICKETS, desk, ran
from toolkit.errors import RunError
from toolkit.graph.drawing import Graph
from toolkit.ledger import Journal, row_entry, run_entry
from toolkit.ledger.reading.showing import PAGE_ROWS
from toolkit.runs.running import Running
from toolkit.widgets import RunView


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Running:
    return ran(tmp_path_factory.mktemp("shown"))


def view_of(run: Running) -> RunView:
    shown = tk.show(run)
    assert isinstance(shown, RunView)
    return shown


def rows(view: RunView) -> list[str]:
    return [each["row_id"] for each in view.page.rows]


def test_the_rows_are_shown_as_they_were_given_without_those_of_nested_workflows(run: Running) -> None:
    assert rows(view_of(run)) == list(TICKETS)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"status": "failed"}, ["bad"]),
        ({"status": "parked"}, ["left"]),
        ({"model": "large"}, ["fell", "climbed", "left"]),
        ({"step": "reply", "model": "large", "status": "answered"}, ["fell", "climbed"]),
        ({"text": "BUSY"}, ["retried"]),
        ({"text": "large says no"}, ["fell", "climbed"]),
        ({"text": "100% _ '"}, []),
    ],
)
def test_rows_are_narrowed_by_status_step_model_and_text(
    run: Running, wanted: dict[str, str], found: list[str]
) -> None:
    assert rows(view_of(run).look(**wanted)) == found


def test_rows_of_which_all_is_known_already_say_what_was_reused(tmp_path: Path) -> None:
    view = view_of([ran(tmp_path), ran(tmp_path)][-1])
    answered = next(each for each in view.page.rows if each["row_id"] == "retried")
    assert (answered["calls"], answered["reused"] > 0) == (0, True)
    assert f"0 · {answered['reused']} reused" in view.html
    assert f"0 calls  {answered['reused']} answers reused" in str(view)


def test_rows_are_sorted_by_errors_time_and_cost(run: Running) -> None:
    assert rows(view_of(run).look(sort="errors"))[0] == "fell"
    seconds = [each["seconds"] for each in view_of(run).look(sort="slowest").page.rows]
    assert seconds == sorted(seconds, reverse=True)
    with pytest.raises(RunError, match="sorted by order, slowest"):
        view_of(run).look(sort="row_id; drop table rows")
    with pytest.raises(RunError, match="a row is answered, parked, failed, set_aside, not 'nope'"):
        view_of(run).look(status="nope")
    with pytest.raises(RunError, match="not chosen by 'colour'"):
        view_of(run).look(colour="red")


def test_only_a_page_of_a_long_run_is_read_and_sent(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(260))
    view = tk.show("run-1", home=tmp_path)
    assert isinstance(view, RunView)
    assert (len(view.page.rows), view.page.total) == (PAGE_ROWS, 260)
    assert sum(map(len, view.parts().values())) < 40_000
    view.asked({"page": 3, "sort": "order"})
    assert rows(view)[0] == f"row-{3 * PAGE_ROWS:05d}"
    view.asked({"page": 999, "text": ""})
    assert rows(view)[-1] == "row-00259"


def test_the_graph_has_the_figures_of_the_run_on_its_steps(run: Running) -> None:
    drawn = view_of(run).parts()["head"]
    calls = run.sql("select count(*), count(error_type) from attempts where step = 'desk/reply'").rows[0]
    for words in (f"{calls[0]} calls", f"{calls[1]} failed", "small 67%", "1 parked", "median", "nested workflow"):
        assert words in drawn, words


def test_a_run_keeps_its_graph_and_an_older_one_is_drawn_by_its_decisions(run: Running, tmp_path: Path) -> None:
    from toolkit.widgets.figures import graph_of

    kept = graph_of(view_of(run).seen)
    assert kept == Graph.of(desk)
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(3))
    older = tk.show("run-1", home=tmp_path)
    assert isinstance(older, RunView)
    assert [node.name for node in graph_of(older.seen).nodes] == ["triage"]


def test_hostile_text_stays_text_in_the_list(run: Running) -> None:
    assert HOSTILE not in view_of(run).html
    assert "&lt;script&gt;" in view_of(run).html


def test_a_row_opens_below_the_list_and_one_that_is_unknown_is_told_in_the_widget(run: Running) -> None:
    view = view_of(run)
    widget = view.widget
    widget.wish = {"row": "fell", "number": "1"}
    assert "HTTP 503: away for lunch" in widget.row
    widget.wish = {"row": "other", "number": "2"}
    assert "has no row" in widget.fault
    assert "HTTP 503: away for lunch" in widget.row
    widget.wish = {"status": "failed", "page": 0, "number": "3"}
    assert ("bad" in widget.list, widget.fault) == (True, "")


def test_a_run_without_rows_yet_says_so_and_shows_them_later(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()))
        journal.flush()
        view = tk.show("run-1", home=tmp_path)
        assert isinstance(view, RunView)
        assert "no row of this run has ended yet" in view.html
        assert "no step has been answered yet" in view.html
        journal.write(row_entry(replace(row_record(), reason="late")))
        journal.flush()
        view.asked({"refresh": True})
        assert rows(view) == ["row-00000"]


def test_what_is_not_there_is_told_in_one_sentence(run: Running, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no record in"):
        tk.show(home=tmp_path)
    with Journal.open(tmp_path / "empty"):
        pass
    with pytest.raises(RunError, match="there are none yet; start one"):
        tk.show(home=tmp_path / "empty")
    with pytest.raises(RunError, match="there is no run 'other' in"):
        tk.show("other", home=run.history.home)
    with pytest.raises(RunError, match="has no row 'r99'"):
        tk.show(run, row="r99")


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_a_notebook_shows_the_sentence_of_such_an_error_and_no_traceback(
    shell: InteractiveShell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell(f"import toolkit as tk; tk.show(home={str(tmp_path)!r})")  # type: ignore[no-untyped-call]
    told = re.sub(r"\x1b\[[\d;]*m", "", "".join(capsys.readouterr()))
    assert "RunError: there is no record in" in told
    assert "Traceback" not in told
    assert "File " not in told


@pytest.mark.slow
def test_plain_ipython_and_a_terminal_get_text(run: Running) -> None:
    code = f"import toolkit as tk; print(tk.show(home={str(run.history.home)!r}, row='fell'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "attempt 2, small, retry 1 after unavailable" in done.stdout
    bundle = view_of(run)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "8 of 8 rows" in bundle["text/plain"]
