"""`toolkit inbox` as people call it: who waits, what was said before, answering, and the very row resumed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Desk, Ended

COURT = """
from typing import Literal
import toolkit as tk

careful = tk.Escalate(below=0.5, person_below=0.9)

@tk.step(route=tk.Ladder("small", "judge"), policy=careful, grade=tk.grading.Contains("truth"))
def verdict(text, truth):
    return tk.prompt("FIRST", ticket=text)

@tk.step(route=tk.Fixed("judge"), output=Literal["yes", "no"])
def final(verdict):
    return tk.prompt("Is that so?", verdict=verdict)

court = tk.Workflow("court", [verdict, final])
"""


@pytest.fixture
def court(desk: Desk) -> Desk:
    """A desk with a run of two rows, of which both wait for a person."""
    desk.write("flow.py", COURT)
    desk.write("rows.csv", "id,text,truth\n1,ticket 1,nothing of the kind\n2,ticket 2,nothing of the kind\n")
    person(desk)
    ended = desk.run("rows.csv", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["rows"]["parked"] == 2
    return desk


def person(desk: Desk, settings: str = "") -> None:
    desk.fleet()
    fleet = (desk.folder / "models.toml").read_text()
    desk.write("models.toml", f'{fleet}\n[models.judge]\nprovider = "person"\n{settings}\n')


def inbox(desk: Desk, *arguments: str) -> Any:
    ended = desk.toolkit("inbox", *arguments, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def ids(desk: Desk) -> list[str]:
    return [question["id"] for question in inbox(desk, "list")["questions"]]


def test_the_list_tells_who_is_waited_for_since_when_and_what_is_asked(court: Desk) -> None:
    ended = court.toolkit("inbox", "list")
    assert "Waiting for people: 2 questions" in ended.out
    for told in ("judge", "verdict", "ticket 1", "ticket 2", ids(court)[0][:8], "toolkit inbox show"):
        assert told in ended.out
    assert court.toolkit("inbox").out.splitlines()[0] == ended.out.splitlines()[0]


def test_a_question_is_shown_with_its_row_and_what_models_said(court: Desk) -> None:
    shown = court.toolkit("inbox", "show", ids(court)[0][:6])
    assert shown.code == 0, shown.err
    for told in ("for judge", "row 1", "escalated: small reached 0.00 < 0.5", "truth", "What models said before",
                 "small", "truth 0.00"):  # fmt: skip
        assert told in shown.out
    (tried,) = inbox(court, "show", ids(court)[0])["tried"]
    assert (tried["model"], tried["grades"][0]["value"]) == ("small", 0.0)


@pytest.mark.slow
def test_an_answer_goes_on_with_its_row_alone(court: Desk) -> None:
    first, _ = ids(court)
    told = inbox(court, "answer", first[:8], "--value", "so it is", "--by", "analyst", "--note", "seen", "--resume")
    assert [question["answered_by"] for question in told["answered"]] == ["analyst"]
    assert told["resumed"][0]["rows"] == {"answered": 0, "parked": 1, "failed": 0, "set_aside": 0}
    waiting = inbox(court, "list")["questions"]
    assert {(question["row_id"], question["step"]) for question in waiting} == {
        ("1", "court/final"),
        ("2", "court/verdict"),
    }
    final = next(question["id"] for question in waiting if question["row_id"] == "1")
    told = inbox(court, "answer", final, "--value", "yes", "--resume")
    assert told["resumed"][0]["rows"]["answered"] == 1
    assert {row: status for row, (status, _) in court.rows().items()} == {"1": "answered", "2": "parked"}


@pytest.mark.slow
def test_an_answer_that_does_not_fit_or_comes_too_late_is_one_sentence(court: Desk) -> None:
    first, second = ids(court)
    inbox(court, "answer", first, "--value", "so it is", "--by", "analyst", "--resume")
    (final,) = [question["id"] for question in inbox(court, "list")["questions"] if question["row_id"] == "1"]
    refused = court.toolkit("inbox", "answer", final, "--value", "perhaps")
    assert refused.code == 2
    assert "no answer to question" in refused.sentence
    late = court.toolkit("inbox", "answer", first, "--value", "no")
    assert late.code == 2
    assert "was answered by analyst at" in late.sentence
    assert "say which question" in court.toolkit("inbox", "answer").sentence
    assert second in ids(court)


def test_an_answer_is_read_from_the_input(court: Desk) -> None:
    ended = typed(court, "answer", ids(court)[0], text="two\nlines\n")
    assert ended.code == 0, ended.err
    assert inbox(court, "show", json.loads(ended.out)["answered"][0]["id"])["value"] == "two\nlines"


def test_of_several_questions_each_is_answered_that_can_be(court: Desk) -> None:
    first, second = ids(court)
    assert court.toolkit("inbox", "answer", first, "--value", "so it is", "--by", "analyst").code == 0
    ended = court.toolkit("inbox", "answer", first, second, "--value", "so it is", "--json")
    assert ended.code == 1, "one of them had been answered before"
    assert "was answered by analyst at" in ended.sentence
    assert [question["id"] for question in json.loads(ended.out)["answered"]] == [second]


def test_a_question_of_another_run_or_for_somebody_else_is_not_answered(court: Desk) -> None:
    first = ids(court)[0]
    assert "there is no run 'nosuch'" in court.toolkit("inbox", "answer", first, "--run", "nosuch").sentence
    other = court.toolkit("inbox", "answer", first, "--person", "nobody", "--value", "x")
    assert (other.code, f"question {first[:8]} is for" in other.sentence) == (2, True)
    assert first in ids(court)


@pytest.mark.slow
def test_one_after_the_other_skips_and_stops_as_told(court: Desk) -> None:
    ended = typed(court, "answer", "--interactive", "--by", "analyst", text="\nso it is\n")
    assert ended.code == 0, ended.err
    assert "1 of 2: question" in ended.out and "2 of 2: question" in ended.out
    assert [question["row_id"] for question in inbox(court, "list")["questions"]] == ["1"]
    assert typed(court, "answer", "-i", text="q\n").code == 0
    assert len(ids(court)) == 1


@pytest.mark.slow
def test_where_the_input_ends_what_was_answered_stays_with_its_note_and_its_row_goes_on(court: Desk) -> None:
    refused = typed(court, "answer", "-i", "--value", "x", text="")
    assert refused.code == 2 and "leave out --value" in refused.sentence
    ended = typed(court, "answer", "-i", "--note", "as I see it", "--resume", text="so it is\n")
    assert ended.code == 0, ended.err
    noted = court.toolkit("sql", "select reason from grades where graded_by <> 'code'", "--format", "json")
    assert [each["reason"] for each in json.loads(noted.out)] != []
    assert "not resumed yet" not in court.toolkit("inbox", "list").out


@pytest.mark.slow
def test_what_has_waited_too_long_falls_to_the_default_and_its_row_goes_on(desk: Desk) -> None:
    desk.write("flow.py", COURT)
    desk.write("rows.csv", "id,text,truth\n1,ticket 1,nothing of the kind\n")
    person(desk, 'time_out = "1 s"\ndefault = "yes"')
    desk.run("rows.csv")
    time.sleep(1.1)
    expired = inbox(desk, "expire")["expired"]
    assert [(question["status"], question["value"]) for question in expired] == [("expired", "yes")]
    assert "answered, and not resumed yet: 1 row" in desk.toolkit("inbox", "list").out
    assert inbox(desk, "wake")["resumed"][0]["rows"]["parked"] == 1, "the second step asks, too"
    time.sleep(1.1)
    assert inbox(desk, "wake")["resumed"][0]["rows"]["answered"] == 1
    assert inbox(desk, "wake")["resumed"] == []


def test_where_nothing_waits_that_is_said(desk: Desk) -> None:
    desk.run("rows.csv")
    assert "nothing waits for a person" in desk.toolkit("inbox", "list").out
    assert "no row can go on" in desk.toolkit("inbox", "wake").out
    assert "nothing has waited too long" in desk.toolkit("inbox", "expire").out
    assert "there is no record in" in desk.toolkit("inbox", "list", "--home", "nowhere").sentence


def typed(desk: Desk, *arguments: str, text: str) -> Ended:
    """The command with somebody typing."""
    import contextlib

    from typer.testing import CliRunner

    from tests.cli.conftest import Ended
    from toolkit.cli.app import app

    json_too = () if "--interactive" in arguments or "-i" in arguments else ("--json",)
    with contextlib.chdir(desk.folder):
        done = CliRunner().invoke(app, ["inbox", *arguments, *json_too], input=text, prog_name="toolkit")
    return Ended(done.exit_code, done.stdout, done.stderr)
