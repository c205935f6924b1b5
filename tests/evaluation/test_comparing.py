"""Runs and routers compared out of the history: paired right, told in words, and silent where nothing can be told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toolkit as tk
from tests.evaluation.samples import EXACT, desk, fleet, is_right, label, luck, ran, rows, text_of
from toolkit.errors import InvalidRequest, RunError
from toolkit.evaluation.comparison import Comparison
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.pairs import Difference
from toolkit.evaluation.quality import grade_run
from toolkit.grading import Case, Grader
from toolkit.ledger import Journal, grade_entry
from toolkit.records import Grade, Place, Request


def told(found: Comparison, contender: str, **which: Any) -> Difference:
    result = found.of(contender, **which)
    assert isinstance(result, Difference), str(result)
    return result


def why_not(found: Comparison, **which: Any) -> str:
    """The reason; and no number stands anywhere in the table of that measure."""
    frame = found.frame()
    mine = frame[frame.measure == which.get("measure", "quality")]
    assert mine[["difference", "low", "high", "p_value"]].isna().all(axis=None)
    result = found.of(found.scored.contenders[-1], **which)
    assert isinstance(result, Refusal)
    return result.reason


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def two(home: Path) -> list[Any]:
    return [ran(home, tk.Fixed("small"), n=80), ran(home, tk.Fixed("large"), n=80)]


@pytest.mark.slow
def test_runs_are_paired_by_row(two: list[Any]) -> None:
    found = tk.compare(two, step="label")
    true = np.mean([is_right("large", row) - is_right("small", row) for row in rows(80)])
    difference = told(found, two[1].id)
    assert difference.value == pytest.approx(true)
    assert (difference.n, difference.test) == (80, "McNemar, exact")
    assert told(found, two[1].id, measure="cost").value == pytest.approx(0.009)
    assert found.sentence.startswith(f"{two[1].id} is better than {two[0].id}: ")


def test_the_changed_rows_are_those_that_one_got_right_and_the_other_wrong(two: list[Any]) -> None:
    changed = tk.compare(two, step="label").changed()
    expected = {row["id"] for row in rows(80) if is_right("large", row) != is_right("small", row)}
    assert set(changed.row_id) == expected
    assert list(changed.change) == sorted(changed.change)


def test_a_history_and_names_of_runs_say_the_same_as_the_runs(home: Path, two: list[Any]) -> None:
    by_name = tk.compare(tk.History(home), step="label", runs=[run.id for run in two], quality="Exact")
    assert by_name.sentence == tk.compare(two, step="label").sentence


def test_rows_that_belong_together_widen_the_interval_only_as_far_as_they_are_alike(two: list[Any]) -> None:
    difference = told(tk.compare(two, step="label", cluster="customer"), two[1].id)
    assert (difference.n, difference.groups, difference.test) == (80, 20, "paired t")


@pytest.mark.slow
def test_each_segment_is_told_and_all_are_corrected_together(tmp_path: Path) -> None:
    given = rows(80, lang=lambda i: "de" if i < 30 else "en")
    runs = [ran(tmp_path, tk.Fixed(model), given=given) for model in ("small", "large")]
    found = tk.compare(runs, step="label", segment="lang")
    assert told(found, runs[1].id, segment="de").n == 30
    assert told(found, runs[1].id, segment="en").n == 50
    assert told(found, runs[1].id).comparisons == 9


@pytest.mark.slow
def test_an_answer_out_of_the_record_costs_what_it_cost(tmp_path: Path) -> None:
    first, again = (ran(tmp_path, tk.Fixed("small")) for _ in range(2))
    assert again.sql("select count(reused_from) from answers where step = 'desk/label'").rows == ((60,),)
    difference = told(tk.compare([first, again], step="label"), again.id, measure="cost")
    assert difference.value == 0


@pytest.mark.slow
def test_rows_with_one_id_and_other_words_are_not_paired(tmp_path: Path) -> None:
    other = [{**row, "text": f"question {i + 1000}"} if i < 5 else row for i, row in enumerate(rows(60))]
    runs = [ran(tmp_path, tk.Fixed("small")), ran(tmp_path, tk.Fixed("large"), given=other)]
    found = tk.compare(runs, step="label")
    assert told(found, runs[1].id).n == 55
    assert any("5 rows have one id and different fields" in note for note in found.scored.notes)


@pytest.mark.slow
def test_an_answer_that_failed_counts_as_the_worst(tmp_path: Path) -> None:
    def refuses(request: Request) -> str:
        if int(text_of(request).split()[-1]) < 6:
            raise InvalidRequest("no")
        return "yes"

    models = fleet("small").with_function("broken", refuses)
    runs = [ran(tmp_path, tk.Fixed(model), models=models) for model in ("small", "broken")]
    found = tk.compare(runs, step="label")
    yes = np.mean([(i >= 6) * (i % 2) - is_right("small", row) for i, row in enumerate(rows(60))])
    assert told(found, runs[1].id).value == pytest.approx(yes)
    assert any("6 answers failed" in note for note in found.scored.notes)


def test_a_whole_row_is_judged_by_the_grader_named(two: list[Any]) -> None:
    assert told(tk.compare(two, quality="Exact"), two[1].id).value == told(
        tk.compare(two, step="label"), two[1].id
    ).value  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ routers
def test_routers_are_compared_directly_where_all_answers_are_on_record(two: list[Any]) -> None:
    routers = {"cheap": tk.Fixed("small"), "half": tk.Uniform("small", "large"), "dear": tk.Fixed("large")}
    found = tk.compare(two, step="label", routers=routers)
    right = {model: np.mean([is_right(model, row) for row in rows(80)]) for model in ("small", "large")}
    assert told(found, "dear").value == pytest.approx(right["large"] - right["small"])
    assert told(found, "half").value == pytest.approx((right["large"] - right["small"]) / 2)
    assert told(found, "half", measure="cost").value == pytest.approx(0.0045)


@pytest.mark.slow
def test_routers_are_inferred_from_history_where_answers_are_missing(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Uniform("small", "large"), n=400)
    found = tk.compare(run, step="label", routers={"cheap": tk.Fixed("small"), "dear": tk.Fixed("large")})
    difference = told(found, "dear")
    true = np.mean([is_right("large", row) - is_right("small", row) for row in rows(400)])
    assert difference.test == "doubly robust, from history"
    assert difference.low <= true <= difference.high


def test_routers_over_a_past_without_chance_are_refused(two: list[Any]) -> None:
    found = tk.compare(two[0], step="label", routers={"cheap": tk.Fixed("small"), "dear": tk.Fixed("other")})
    assert "nothing to chance" in why_not(found)


# ---------------------------------------------------------------------------------------------------------- bad input
def test_ten_rows_and_fewer_are_refused(tmp_path: Path) -> None:
    runs = [ran(tmp_path, tk.Fixed(model), n=9) for model in ("small", "large")]
    found = tk.compare(runs, step="label")
    assert "9 rows; at least 10 are needed" in why_not(found)
    assert "9 rows" in found.sentence


def test_one_run_is_nothing_to_compare(two: list[Any]) -> None:
    with pytest.raises(RunError, match="nothing to compare: one run"):
        tk.compare(two[:1], step="label")


def test_names_without_their_record_and_an_empty_list_are_told_apart(two: list[Any]) -> None:
    with pytest.raises(RunError, match="names of runs want their record"):
        tk.compare([run.id for run in two], step="label")
    with pytest.raises(RunError, match="the list of runs is empty"):
        tk.compare([], step="label")


def test_runs_without_a_common_row_are_refused(tmp_path: Path) -> None:
    runs = [
        ran(tmp_path, tk.Fixed("small"), n=30),
        ran(tmp_path, tk.Fixed("large"), given=[{**row, "id": f"x{row['id']}"} for row in rows(30)]),
    ]
    assert "have no quality of the same row" in why_not(tk.compare(runs, step="label"))


def test_constant_scores_and_one_class_are_refused(tmp_path: Path) -> None:
    models = fleet("small").with_function("yes", lambda request: "yes").with_function("sure", lambda request: "yes")
    given = [{**row, "truth": "yes"} for row in rows(40)]
    runs = [ran(tmp_path, tk.Fixed(model), models=models, given=given) for model in ("yes", "sure")]
    assert "all 80 grades are 1: such a grade tells nothing apart" in why_not(tk.compare(runs, step="label"))


@pytest.mark.slow
def test_missing_grades_are_refused_where_they_are_missing_on_one_side(tmp_path: Path) -> None:
    graded = ran(tmp_path, tk.Fixed("small"))
    ungraded = desk(tk.Fixed("large"), step=replace(label, grade=())).run(rows(60), fleet(), home=tmp_path)
    assert "have no quality of the same row" in why_not(tk.compare([graded, ungraded], step="label"))
    grade_run(tmp_path, ungraded.id, {"label": [_HalfTheTime(repr(EXACT))]})
    assert "of one of the two alone" in why_not(tk.compare([graded, ungraded], step="label", quality="Exact"))


@pytest.mark.slow
def test_a_grade_that_one_run_lacks_leaves_the_row_out_and_that_is_noted(tmp_path: Path) -> None:
    graded = ran(tmp_path, tk.Fixed("small"))
    partly = desk(tk.Fixed("large"), step=replace(label, grade=())).run(rows(60), fleet(), home=tmp_path)
    grade_run(tmp_path, partly.id, {"label": [_AllBut(repr(EXACT), "question 7")]})
    found = tk.compare([graded, partly], step="label")
    assert told(found, partly.id).n == 59
    assert "1 rows have a grade in some of the runs alone, and are left out where it is missing" in found.scored.notes


def test_no_grades_at_all_are_refused(tmp_path: Path) -> None:
    bare = replace(label, grade=())
    runs = [desk(tk.Fixed(m), step=bare).run(rows(20), fleet(), home=tmp_path) for m in ("small", "large")]
    found = tk.compare(runs, step="label")
    assert "has no grades" in why_not(found)
    assert told(found, runs[1].id, measure="cost").value == pytest.approx(0.009)


@pytest.mark.slow
def test_a_grade_that_is_no_number_is_no_grade(tmp_path: Path) -> None:
    runs = [ran(tmp_path, tk.Fixed(model)) for model in ("small", "large")]
    before = told(tk.compare(runs, step="label"), runs[1].id)
    with Journal.open(tmp_path) as journal:
        for run in runs:
            place = Place(run.id, "r00001", "desk/label")
            journal.write(grade_entry(f"odd {run.id}", Grade("Odd()", "score", math.nan), place, attempt_id="a"))
        journal.flush()
    assert told(tk.compare(runs, step="label"), runs[1].id) == before


@pytest.mark.slow
def test_prices_that_are_unknown_leave_cost_without_a_number(tmp_path: Path) -> None:
    runs = [ran(tmp_path, tk.Fixed(model), models=fleet(priced=False)) for model in ("small", "large")]
    found = tk.compare(runs, step="label")
    assert "no cost of the same row" in why_not(found, measure="cost")
    assert told(found, runs[1].id).n == 60


@pytest.mark.slow
def test_a_price_that_one_run_lacks_leaves_cost_without_a_number(tmp_path: Path) -> None:
    models = fleet("small").with_function("large", lambda request: "yes")
    runs = [ran(tmp_path, tk.Fixed(model), models=models) for model in ("small", "large")]
    reason = why_not(tk.compare(runs, step="label"), measure="cost")
    assert "no cost of the same row" in reason or "is unknown; give the price" in reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": "reply"}, "no answers of step 'reply'; they have"),
        ({"step": "label", "quality": "Contains"}, "no graders of step 'label' go by 'Contains'; it has Exact"),
        ({"step": "label", "cluster": "firm"}, "no row has a field 'firm'"),
        ({"step": "label", "runs": ["nope"]}, "no run 'nope'"),
    ],
)
def test_a_name_that_is_not_there_is_told(two: list[Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        tk.compare(two, **options)


def test_a_notebook_shows_the_sentence_and_the_table(two: list[Any]) -> None:
    shown = tk.compare(two, step="label")._repr_html_()
    assert "is better than" in shown
    assert "<table" in shown


class _HalfTheTime(Grader):
    """Grades under another's name, and only now and then."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def grade(self, case: Case) -> Grade | None:
        return Grade(self.name, "assertion", 1.0) if luck(str(case.fields)) < 0.5 else None


class _AllBut(_HalfTheTime):
    """Grades under another's name, all rows but one."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name)
        self.text = text

    def grade(self, case: Case) -> Grade | None:
        return None if case.fields["text"] == self.text else Grade(self.name, "assertion", luck(case.fields["text"]))
