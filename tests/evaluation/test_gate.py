"""Suites and gates: what got worse beyond its margin ends with exit code 1 and its reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import toolkit as tk
from toolkit.cli.app import app
from toolkit.errors import RunError
from toolkit.evaluation.suites import load_suite, parse_grader
from toolkit.examples.support.quality import Recall
from toolkit.grading import Exact

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "evals" / "suites" / "support.toml"
MINE = """
name = "mine"
workflow = "flow.py"
fleet = "models.toml"
rows = "rows.jsonl"

[[checks]]
name = "right"
step = "label"
grader = "Exact('truth')"
margin = 0.05

[limits]
failed = 0.1
"""
FLOW = """
import toolkit as tk

@tk.step(route=tk.Fixed("known"))
def label(id):
    return tk.prompt("Yes or no?", id=id)

desk = tk.Workflow("desk", [label])
"""
FLEET = """[models.known]
provider = "recorded"
model = "{model}"
settings = {{ table = "answers.csv", key = "id" }}
"""


def write_rows(folder: Path, truth: Callable[[int], str]) -> None:
    lines = [json.dumps({"id": str(i), "truth": truth(i)}) for i in range(60)]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A suite over recorded answers: `good` is right 55 times of 60, `bad` 30 times."""
    lines = ["id,model,response,score,cost_usd,input_tokens,output_tokens,latency_s"]
    for i in range(60):
        truth = "yes" if i % 2 else "no"
        lines.append(f"{i},good,{truth if i % 12 else 'what'},1,0.001,1,1,0.1")
        lines.append(f"{i},bad,{truth if i % 4 < 2 else 'what'},1,0.001,1,1,0.1")
    (tmp_path / "answers.csv").write_text("\n".join(lines) + "\n")
    write_rows(tmp_path, lambda i: "yes" if i % 2 else "no")
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "mine.toml").write_text(MINE)
    (tmp_path / "models.toml").write_text(FLEET.format(model="good"))
    return tmp_path


def toolkit(*arguments: Any) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.slow
def test_a_run_that_is_no_worse_passes(folder: Path) -> None:
    first = tk.gate(folder / "mine.toml", home=folder / "home")
    ended = toolkit("gate", folder / "mine.toml", "--home", folder / "home", "--baseline", first.run)
    assert ended.exit_code == 0, ended.output
    assert "passes all 2 checks" in ended.output


@pytest.mark.slow
def test_a_regression_beyond_its_margin_ends_with_exit_code_1_and_its_reason(folder: Path) -> None:
    first = tk.gate(folder / "mine.toml", home=folder / "home")
    (folder / "models.toml").write_text(FLEET.format(model="bad"))
    ended = toolkit("gate", folder / "mine.toml", "--home", folder / "home", "--baseline", first.run, "--json")
    told = json.loads(ended.output)
    assert ended.exit_code == 1
    assert not told["passes"]
    (failed,) = [check for check in told["checks"] if check["ended"] == "failed"]
    assert failed["name"] == "right against the baseline"
    assert failed["why"].startswith("worse by more than 0.05: -0.417 [")


@pytest.mark.slow
def test_a_run_on_record_is_judged_without_running_anything(folder: Path) -> None:
    first = tk.gate(folder / "mine.toml", home=folder / "home")
    again = tk.gate(folder / "mine.toml", home=folder / "home", run=first.run)
    assert again.run == first.run
    assert tk.History(folder / "home").sql("select count(*) from runs").rows == ((1,),)


def test_a_target_that_is_missed_fails(folder: Path) -> None:
    suite = folder / "mine.toml"
    suite.write_text(MINE.replace("margin = 0.05", "least = 0.95"))
    found = tk.gate(suite, home=folder / "home")
    assert not found.passes
    assert "right: 0.917 over 60 rows, at least 0.95 is wanted" in found.sentence


@pytest.mark.slow
def test_a_check_that_wants_proof_of_no_loss_fails_where_there_are_too_few_rows_for_it(folder: Path) -> None:
    suite = folder / "mine.toml"
    first = tk.gate(suite, home=folder / "home")
    suite.write_text(MINE.replace("margin = 0.05", "margin = 0.001\nproof = 'no worse'"))
    found = tk.gate(suite, home=folder / "home", baseline=first.run)
    assert "not shown to be no worse by more than 0.001" in found.sentence


@pytest.mark.slow
def test_a_check_that_cannot_be_judged_has_not_passed(folder: Path) -> None:
    suite = folder / "mine.toml"
    first = tk.gate(suite, home=folder / "home")
    write_rows(folder, lambda i: "maybe")
    found = tk.gate(suite, home=folder / "home", baseline=first.run)
    assert "it cannot be judged" in found.sentence


def test_cases_may_stand_in_the_suite_itself(folder: Path) -> None:
    suite = folder / "mine.toml"
    cases = "".join(f'[[cases]]\nid = "{i}"\ntruth = "{"yes" if i % 2 else "no"}"\n' for i in range(12))
    suite.write_text(MINE.replace('rows = "rows.jsonl"\n', "").replace("margin = 0.05", "least = 0.9") + cases)
    assert tk.gate(suite, home=folder / "home").passes


@pytest.mark.slow
def test_the_support_desk_reaches_its_targets_on_the_embedded_fleet(tmp_path: Path) -> None:
    first = tk.gate(SUITE, home=tmp_path)
    assert first.passes, first.sentence


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Exact('intent', of='intent')", Exact("intent", of="intent")),
        ("toolkit.examples.support.quality:Recall('passages')", Recall("passages")),
    ],
)
def test_a_grader_is_the_call_that_builds_it(text: str, made: Any) -> None:
    assert parse_grader(text) == made


@pytest.mark.parametrize("text", ["Exact", "Nope('x')", "os:system('true')", "Exact(open('x'))", "nowhere:Exact('x')"])
def test_what_builds_no_grader_is_told(text: str) -> None:
    with pytest.raises(RunError, match="grader"):
        parse_grader(text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("margin = 0.05", ""), "demands nothing"),
        (("margin = 0.05", "margin = -1"), "from 0 up"),
        (("margin = 0.05", "marign = 0.05"), "unknown entry 'marign'"),
        (('rows = "rows.jsonl"', ""), "needs 'rows'"),
        (("failed = 0.1", "failures = 0.1"), "unknown entry 'failures'"),
        (('name = "mine"', "name = "), "cannot read the suite"),
    ],
)
def test_a_suite_that_cannot_be_is_told(folder: Path, change: tuple[str, str], words: str) -> None:
    (folder / "mine.toml").write_text(MINE.replace(*change))
    with pytest.raises(RunError, match=words):
        load_suite(folder / "mine.toml")


def test_a_suite_that_is_not_there_ends_with_exit_code_2(tmp_path: Path) -> None:
    ended = toolkit("gate", tmp_path / "nope.toml")
    assert ended.exit_code == 2


@pytest.mark.slow
def test_the_command_compares_runs(folder: Path) -> None:
    home = folder / "home"
    first = tk.gate(folder / "mine.toml", home=home)
    shutil.copy(folder / "models.toml", folder / "kept.toml")
    (folder / "models.toml").write_text(FLEET.format(model="bad"))
    second = tk.gate(folder / "mine.toml", home=home)
    ended = toolkit("compare", first.run, second.run, "--step", "label", "--home", home, "--json")
    assert ended.exit_code == 0
    assert f"{second.run} is worse than {first.run}" in json.loads(ended.output)["sentence"]
    shown = toolkit("compare", first.run, second.run, "--step", "label", "--home", home, "--changed")
    assert "rows changed with" in shown.output
