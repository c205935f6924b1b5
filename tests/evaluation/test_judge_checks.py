"""A judge held to account by a suite: agreement and bias against the truth or people; and suites that are misspelt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import toolkit as tk
from tests.evaluation.samples import EXACT, ran
from tests.evaluation.test_judging import PASSED, is_right, with_judge
from toolkit.errors import RunError
from toolkit.evaluation.calibrating import calibrated
from toolkit.evaluation.judge_checks import JudgeCheck, held_against
from toolkit.evaluation.suites import load_suite
from toolkit.records import Request

TRUE = {"truth": EXACT, "agreed": 0.9, "kappa": 0.8, "bias": 0.05}


def honest(request: Request) -> dict[str, Any]:
    return {"reason": "held against the truth", "passed": is_right(request)}


def lenient(request: Request) -> dict[str, Any]:
    return {"reason": "all is well", "passed": True}


def told(home: Path, judge: Any, **demands: Any) -> dict[str, tuple[bool, str]]:
    run = ran(home, tk.Fixed("small"), n=80)
    check = JudgeCheck("mine", "label", PASSED, "judge", **demands)
    return {name: (met, why) for name, met, why in held_against(check, run.history, run.id, with_judge(judge))}


@pytest.mark.slow
def test_a_judge_that_says_what_is_true_meets_its_demands(tmp_path: Path) -> None:
    found = told(tmp_path, honest, **{**TRUE, "sure": False})
    assert {name: met for name, (met, _) in found.items()} == {
        "mine: agreed": True,
        "mine: kappa": True,
        "mine: bias": True,
    }
    assert "1.000" in found["mine: agreed"][1]
    assert "over 80 answers, at least 0.9 is wanted" in found["mine: agreed"][1]


@pytest.mark.slow
def test_a_judge_that_passes_everything_is_caught_by_kappa_and_bias_and_gets_no_number_where_there_is_none(
    tmp_path: Path,
) -> None:
    found = told(tmp_path, lenient, **TRUE)
    assert not any(met for met, _ in found.values())
    assert found["mine: bias"][1].startswith("0.")


@pytest.mark.slow
def test_a_judge_without_labels_is_not_judged(tmp_path: Path) -> None:
    found = told(tmp_path, honest, people="Person('nobody')", agreed=0.5)
    assert found["mine: agreed"][0] is False
    assert found["mine: agreed"][1].startswith("it cannot be judged: ")


@pytest.mark.slow
def test_a_grader_that_knows_the_truth_stands_in_for_people(tmp_path: Path) -> None:
    run = ran(tmp_path, tk.Fixed("small"), n=80)
    tuple(
        held_against(JudgeCheck("mine", "label", PASSED, "judge", truth=EXACT), run.history, run.id, with_judge(honest))
    )
    found = calibrated(run.history, PASSED, step="label", truth=repr(EXACT))
    assert found.agreement.n == found.labelled["small"] == 80
    with pytest.raises(RunError, match="no grades by"):
        calibrated(run.history, "Pointwise('other')", step="label", truth=repr(EXACT))


SUITE = """
workflow = "support"
fleet = "models.toml"
rows = "rows.jsonl"
[[judges]]
step = "triage"
judge = "Pointwise('Right.', scale='pass/fail')"
by = "critic"
truth = "Exact('intent')"
agreed = 0.5
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("agreed = 0.5", ""), "demands nothing: give 'agreed', 'kappa' or 'bias'"),
        (("agreed = 0.5", "agreed = 'much'"), "agreed is a number from 0 up"),
        (("agreed = 0.5", "agree = 0.5"), "unknown entry 'agree'"),
        (('by = "critic"', ""), "needs 'by'"),
        (("truth = ", "people = 'x'\ntruth = "), "needs either 'truth'"),
        (("Pointwise('Right.', scale='pass/fail')", "Exact('x')"), "is no judge"),
        (("Pointwise('Right.', scale='pass/fail')", "Pointwise('')"), "a judge needs a rubric"),
        (("scale='pass/fail'", "scale='10'"), "a judge's scale"),
        (("[[judges]]", "[judges]"), "judges are tables, each headed"),
        (('rows = "rows.jsonl"', 'rows = "rows.jsonl"\nchecks = "all"'), "checks are tables, each headed"),
        (('rows = "rows.jsonl"', 'rows = "rows.jsonl"\nlimits = 3'), "limits is a table"),
        (('rows = "rows.jsonl"', 'rows = "rows.jsonl"\nseed = "x"'), "seed is a whole number"),
        (('fleet = "models.toml"', "fleet = 3"), "needs 'fleet', a text"),
        (("truth = \"Exact('intent')\"", "truth = \"JudgedBy('x', 'y')\""), "asks a model; write it as a judge"),
    ],
)
def test_a_suite_that_is_misspelt_is_told_in_a_sentence(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    assert change[0] in SUITE
    (tmp_path / "suite.toml").write_text(SUITE.replace(*change), encoding="utf-8")
    with pytest.raises(RunError, match=words) as told:
        load_suite(tmp_path / "suite.toml")
    assert "\n" not in str(told.value)


@pytest.mark.slow
def test_the_critic_of_the_embedded_fleet_passes_the_suite_that_ships(tmp_path: Path) -> None:
    found = tk.gate(Path(__file__).parents[2] / "evals" / "suites" / "judge.toml", home=tmp_path)
    assert found.passes, found.sentence
    assert {each.name for each in found.judged} == {"critic: agreed", "critic: kappa", "critic: bias"}
