"""Labelling finished answers: asked by chance, blinded, taken back, recorded as the grades that judges are held to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import toolkit as tk
from tests.evaluation.samples import ran
from tests.evaluation.test_judging import BETTER, PASSED, lenient, prefers, with_judge
from toolkit.errors import InboxError
from toolkit.evaluation.calibrating import calibrated
from toolkit.evaluation.judging import is_swapped, judge_pairs, judge_run
from toolkit.grading.judges import Pointwise, preferred_once
from toolkit.runs.running import Running
from toolkit.widgets.labelling_desk import LabelDesk


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Running:
    """A finished run whose answers a model has judged; tests label it as different people."""
    run = ran(tmp_path_factory.mktemp("home"), tk.Fixed("small"), n=24)
    judge_run(run, PASSED, fleet=with_judge(lenient), by="judge", step="label")
    return run


def desk_of(run: Any, by: str, *, sample: int | None = 12, **about: Any) -> LabelDesk:
    about = {"step": "label", "rubric": PASSED, **about}
    page = tk.label(run, by=by, sample=sample, **about)
    assert page.desk is not None, page.fault
    return page.desk


def give(desk: LabelDesk, mark: Any, **more: Any) -> str:
    name = desk.state()["item"]["name"]
    desk.do({"do": "label", "name": name, "mark": mark, **more})
    return str(name)


@pytest.mark.slow
def test_a_label_is_an_answer_of_the_inbox_and_becomes_a_grade_when_it_is_recorded(judged: Running) -> None:
    desk = desk_of(judged, "lena")
    for number in range(11):
        give(desk, number % 3 > 0, note="read twice" if number == 0 else "")
    state = desk.state()
    assert (state["done"], state["total"], state["unrecorded"]) == (11, 12, 11)
    asked = "select count(*) from grades where grader = 'Person(''lena'')'"
    assert judged.sql(asked).rows == ((0,),)
    desk.do({"do": "record"})
    assert judged.sql(asked).rows == ((11,),)
    assert desk.state()["unrecorded"] == 0
    assert "read twice" in judged.sql("select reason from grades where grader = 'Person(''lena'')'").column("reason")
    found = calibrated(judged.history, PASSED, step="label", runs=[judged.id], people="Person('lena')")
    assert found.agreement.n == 11
    assert found.labelled["small"] == 11


@pytest.mark.slow
def test_agreement_with_every_other_grader_comes_along_the_way(judged: Running) -> None:
    desk = desk_of(judged, "agnes", sample=10)
    for number in range(10):
        give(desk, number % 3 > 0)
        known = {found["name"]: found for found in desk.state()["agreements"]}
        judge = next(found for name, found in known.items() if name.startswith("Pointwise("))
        assert judge["n"] == number + 1
        assert bool(judge["agreed"]) == (number + 1 >= 10)
        assert ("at least 10 are needed" in judge["why"]) == (number + 1 < 10)
    desk.do({"do": "record"})
    other = desk_of(judged, "tom", sample=10)
    for number in range(10):
        give(other, number % 3 > 0)
    people = next(found for found in other.state()["agreements"] if found["name"] == "agnes")
    assert people["agreed"].startswith("100 %")
    assert people["n"] == 10


@pytest.mark.slow
def test_a_label_can_be_taken_back_until_it_is_recorded(judged: Running) -> None:
    desk = desk_of(judged, "ursula", sample=3)
    first, second = give(desk, True), give(desk, True)
    desk.do({"do": "undo"})
    assert (desk.state()["done"], desk.state()["item"]["name"]) == (1, second)
    desk.do({"do": "undo"})
    assert (desk.state()["done"], desk.state()["undo"]) == (0, False)
    with pytest.raises(InboxError, match="no label to take back"):
        desk.do({"do": "undo"})
    assert {give(desk, False), give(desk, False)} == {first, second}
    desk.do({"do": "record"})
    grades = judged.sql("select value from grades where grader = 'Person(''ursula'')'").column("value")
    assert grades == [0.0, 0.0]
    with pytest.raises(InboxError, match="what is recorded stays"):
        desk.do({"do": "undo"})
    item = next(item for item in desk.labelling.items if item.name == first)
    with pytest.raises(InboxError, match="the row has gone on with the answer"):
        desk.labelling.take_back(item)


@pytest.mark.slow
def test_labelling_goes_on_where_it_was_in_another_process(judged: Running) -> None:
    first = desk_of(judged, "vera", sample=4)
    give(first, True)
    again = desk_of(judged.id, "vera", sample=4, home=judged.history.home)
    assert again.labelling.run_id == first.labelling.run_id
    assert again.state()["done"] == 1
    assert [item.name for item in again.labelling.items] == [item.name for item in first.labelling.items]


@pytest.mark.slow
def test_people_are_given_the_same_sample_and_the_model_is_not_shown(judged: Running) -> None:
    one, other = desk_of(judged, "wim", sample=5), desk_of(judged, "xenia", sample=5)
    assert {item.name for item in one.labelling.items} == {item.name for item in other.labelling.items}
    assert "small" not in str(one.state()["item"])


@pytest.mark.slow
def test_a_skipped_answer_comes_again_at_the_end(judged: Running) -> None:
    desk = desk_of(judged, "yann", sample=2)
    first = desk.state()["item"]["name"]
    desk.do({"do": "skip", "name": first})
    give(desk, True)
    assert desk.state()["item"]["name"] == first
    give(desk, True)
    assert desk.state()["item"] is None
    assert "r records them" in desk.state()["advice"][0]


@pytest.mark.parametrize("mark", [1, "yes", None, 0.5])
def test_a_mark_off_the_scale_is_refused(judged: Running, mark: Any) -> None:
    desk = desk_of(judged, "zoe", sample=2)
    with pytest.raises(InboxError, match="a label here is one of True, False"):
        give(desk, mark)
    with pytest.raises(InboxError, match="no such answer"):
        desk.do({"do": "label", "name": "another", "mark": True})


@pytest.mark.slow
def test_marks_of_one_to_five_are_kept_with_their_mark(judged: Running) -> None:
    desk = desk_of(judged, "one to five", sample=2, rubric="It is right.", scale="1-5", shows=("text",))
    give(desk, 4)
    give(desk, 1.0)
    desk.do({"do": "record"})
    found = judged.sql("select value, label from grades where grader = 'Person(''one to five'')' order by 1").rows
    assert found == ((0.0, "1"), (0.75, "4"))


# --------------------------------------------------------------------------------------------------------------- pairs
@pytest.mark.slow
def test_pairs_are_blinded_in_an_order_by_chance_and_held_against_a_judge_of_the_same_pairs(tmp_path: Path) -> None:
    weak, strong = ran(tmp_path, tk.Fixed("small"), n=40), ran(tmp_path, tk.Fixed("large"), n=40)
    judge_pairs(weak, BETTER, against=strong, fleet=with_judge(prefers), by="judge", step="label")
    desk = desk_of((weak, strong), "lena", rubric=BETTER, sample=None)
    told = dict(strong.sql("select row_id, value from answers where step = 'desk/label'").rows)
    total = desk.state()["total"]
    assert 0 < total < 40
    assert f"0 of {total}; {40 - total} more have the same answer twice and count as ties" in desk.state()["headline"]
    orders = set()
    while (item := desk.state()["item"]) is not None:
        assert "small" not in str(item) and "large" not in str(item)
        right = told[item["name"].rsplit("/", 1)[-1]].strip('"')
        place = item["answers"].index(right)
        orders.add(place)
        give(desk, "first" if place == 0 else "second")
    assert orders == {0, 1}
    (judge,) = desk.state()["agreements"]
    assert judge["name"].startswith("Pairwise(")
    desk.do({"do": "record"})
    found = tk.compare([weak, strong], step="label", quality="Person('lena') of")
    difference = found.of(found.scored.contenders[1])
    assert difference.value > 0  # type: ignore[union-attr]
    pair = judged_by(weak, "Pairwise(")
    assert calibrated(weak.history, pair, step="label", runs=[weak.id]).agreement.n == desk.state()["total"]
    single = judge_run(weak, PASSED, fleet=with_judge(lenient), by="judge", step="label").grader
    assert calibrated(weak.history, single, step="label", runs=[weak.id]).agreement.n == 0


def judged_by(run: Running, beginning: str) -> str:
    names = run.sql("select distinct grader from grades where starts_with(grader, $1)", [beginning]).column("grader")
    return str(names[0])


@pytest.mark.parametrize("better", ["first", "second", "tie"])
@pytest.mark.parametrize("swapped", [True, False])
def test_a_verdict_on_a_swapped_pair_is_turned_back(better: str, swapped: bool) -> None:
    found = preferred_once({"better": better, "reason": "x"}, swapped=swapped)
    plain = {"first": 1.0, "second": 0.0, "tie": 0.5}[better]
    assert found.value == (1 - plain if swapped else plain)
    assert found.to_first_place == {"first": 1, "second": -1, "tie": 0}[better]


def test_the_order_of_pairs_is_even_and_determined() -> None:
    names = [f"run/r{n}" for n in range(2000)]
    swapped = [is_swapped(name, seed=1) for name in names]
    assert 900 < sum(swapped) < 1100
    assert swapped == [is_swapped(name, seed=1) for name in names]
    assert swapped != [is_swapped(name, seed=2) for name in names]


# ---------------------------------------------------------------------------------------------- told, and bad input
@pytest.mark.slow
def test_it_is_told_as_text_and_html_with_what_to_type(judged: Running) -> None:
    page = tk.label(judged, step="label", rubric=PASSED, by="quentin", sample=3)
    for told in (repr(page), re.sub(r"<[^>]*>", " ", page._repr_html_())):
        assert f"quentin labels step label of {judged.id}: 0 of 3" in told
        assert "toolkit inbox answer --interactive --run judging-" in told


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"step": "lable"}, "no answers of step 'lable'"),
        ({"rubric": " "}, "a judge needs a rubric"),
        ({"rubric": Pointwise("Right.", shows=("nothing",))}, "is to be shown 'nothing'"),
        ({"rubric": BETTER}, "pairs are answers of two runs, and 1 are given"),
        ({"home": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_labelled_is_said_in_a_sentence(judged: Running, about: dict[str, Any], told: str) -> None:
    page = tk.label(judged, **{"step": "label", "rubric": PASSED, "by": "rosa", **about})
    assert page.desk is None
    assert told in repr(page)
    assert told in re.sub(r"&#x27;", "'", page._repr_html_())
