"""The rows that changed: listed in pages, ordered and found, opened in both runs, and told where there is no widget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toolkit as tk
from tests.evaluation.samples import is_right, ran, rows
from toolkit.errors import RunError
from toolkit.evaluation.comparison import compared
from toolkit.evaluation.scored import Scored
from toolkit.widgets.compare import PAGE_ROWS, Changes


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    return {name: ran(home, tk.Fixed(model), n=80) for name, model in (("cheap", "small"), ("dear", "large"))}


@pytest.fixture
def changes(runs: dict[str, Any]) -> Changes:
    return tk.changes(tk.compare(runs, step="label"))


def listed(changes: Changes) -> list[str]:
    """The rows that are on the page."""
    shown = changes.parts()["list"]
    return [row["id"] for row in rows(80) if f'data-row="{row["id"]}"' in shown]


def test_all_rows_that_changed_are_on_the_pages_and_each_once(changes: Changes) -> None:
    expected = {row["id"] for row in rows(80) if is_right("large", row) != is_right("small", row)}
    seen: list[str] = []
    for page in range(changes.pages):
        changes.asked({"page": page})
        assert len(listed(changes)) <= PAGE_ROWS
        seen += listed(changes)
    assert sorted(seen) == sorted(expected)
    assert f"{len(expected)} of 80 rows changed from cheap to dear" in changes.text


def test_losses_come_first_and_gains_where_that_is_wished() -> None:
    quality = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.75]] * 10)
    found = tk.changes(compared(Scored(("a", "b"), quality, row_ids=[str(n) for n in range(30)]), replicates=2))
    assert ">-1<" in found.parts()["list"]
    found.asked({"order": "gains", "page": 0})
    assert ">-1<" not in found.parts()["list"]
    assert ">+1<" in found.parts()["list"]


def test_a_row_is_found_by_a_part_of_its_id_and_what_is_not_there_is_told(changes: Changes) -> None:
    one = listed(changes)[0]
    changes.asked({"find": one[1:], "page": 7})
    assert listed(changes) == [one]
    changes.asked({"find": "no such <row>", "page": 0})
    assert "no such row changed" in changes.parts()["list"]
    assert "<row>" not in "".join(changes.parts().values())


def test_a_row_is_opened_in_both_runs_beside_each_other(changes: Changes, runs: dict[str, Any]) -> None:
    box, row_id = changes.widget, listed(changes)[0]
    changes.asked({"row": row_id})
    beside = box.children[1]
    shown = [each.row for each in beside.children]
    assert [run.id in markup for run, markup in zip(runs.values(), shown, strict=True)] == [True, True]
    assert all(row_id in markup for markup in shown)
    changes.asked({"row": listed(changes)[1]})
    assert len(box.children) == 2
    assert all(listed(changes)[1] in each.row for each in box.children[1].children)


def test_a_wish_that_cannot_be_had_is_a_sentence_on_the_page(changes: Changes) -> None:
    box = changes.widget
    box.children[0].wish = {"row": "r99999", "number": 1}
    assert "r99999" in box.children[0].fault


def test_routers_have_no_rows_to_open(runs: dict[str, Any]) -> None:
    routers = {"a": tk.Fixed("small"), "b": tk.Fixed("large")}
    found = tk.changes(tk.compare(list(runs.values()), step="label", routers=routers))
    assert "no runs whose rows could be opened" in found.parts()["head"]
    assert "data-row" not in found.parts()["list"]
    with pytest.raises(RunError, match=r"tk\.replay"):
        found.open("r00001")


def test_thousands_of_changed_rows_are_a_page_at_a_time() -> None:
    n = 50_000
    quality = np.column_stack([np.zeros(n), np.ones(n)])
    scored = Scored(("a", "b"), quality, row_ids=[f"<r{i}>" for i in range(n)])
    found = tk.changes(compared(scored, replicates=2))
    assert len("".join(found.parts().values())) < 20_000
    assert "50,000 of 50,000 rows changed" in found.text
    assert "<r0>" not in found.html
    found.asked({"page": 10**9})
    assert found.page == found.pages - 1


def test_a_terminal_gets_the_comparison_in_words(runs: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    found = tk.compare(runs, step="label")
    found._ipython_display_()
    told = capsys.readouterr().out
    assert found.sentence in told
    assert "dear, cost, USD a row: +0.009" in told


def test_the_table_tells_what_each_difference_rests_on_and_escapes_names(tmp_path: Path) -> None:
    named = {"<b>": ran(tmp_path, tk.Fixed("small"), n=30), "dear": ran(tmp_path, tk.Fixed("large"), n=30)}
    shown = tk.compare(named, step="label")._repr_html_()
    for told in ("McNemar, exact", "corrected for all 3 comparisons", "&lt;b&gt;", "USD a row"):
        assert told in shown
    assert "against <b>" not in shown
