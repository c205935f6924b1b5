"""Rows that failed or were set aside are listed, mended and driven again in the same run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.core.core_samples import SMALL, Model, column, fleet_of, run_over
from toolkit import Fleet, Request, Workflow, prompt, step
from toolkit.errors import AccessDenied, RunError
from toolkit.ledger import Journal, run_entry
from toolkit.runs.retrying import retry, troubled
from toolkit.runs.running import Running


class Ticket(BaseModel):
    id: str
    ticket: str
    days: int


@step(route=SMALL)
def first(ticket: str) -> Request:
    return prompt("First.", ticket=ticket)


@step(route=SMALL)
def second(first: str, days: int) -> Request:
    return prompt("Second.", answer=first, days=days)


@step(reduces=True)
def report(second: list[str]) -> int:
    return len(second)


FLOW = Workflow("w", [first, second, report], rows=Ticket)
ROWS: list[dict[str, Any]] = [
    {"id": "good", "ticket": "fine", "days": 1},
    {"id": "bad", "ticket": "breaks", "days": 2},
    {"id": "odd", "ticket": "when?", "days": "soon"},
    {"id": "good", "ticket": "twice", "days": 3},
]


class Desk:
    """A run of four rows: one is answered, one fails in its second step, one is no ticket, one has another's id."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.is_down = True
        self.model = Model(self._answer)
        self.run = run_over(FLOW, ROWS, self.fleet, home)

    def _answer(self, request: Request) -> str:
        if self.is_down and "2" in request.text and "Second" in request.text:
            raise AccessDenied("401")
        return "fine"

    @property
    def fleet(self) -> Fleet:
        return fleet_of(small=self.model)

    def retry(self, **options: Any) -> Running:
        again = retry(self.run.id, workflow=FLOW, fleet=self.fleet, home=self.home, **options)
        return again.wait(show=False)

    def statuses(self) -> dict[str, str]:
        return dict(self.run.sql('select row_id, status from "rows"').rows)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_rows_in_trouble_are_listed_with_their_reasons(desk: Desk) -> None:
    found = troubled("latest", home=desk.home)
    assert [(row.row_id, row.status) for row in found] == [
        ("bad", "failed"),
        ("odd", "set_aside"),
        ("good#3", "set_aside"),
    ]
    assert "401" in found[0].reason and "does not fit Ticket" in found[1].reason
    assert [row.row_id for row in troubled("latest", statuses=("failed",), home=desk.home)] == ["bad"]


def test_failed_rows_are_driven_again_and_only_what_failed_is_asked(desk: Desk) -> None:
    asked, desk.is_down = desk.model.calls, False
    again = desk.retry(failed=True)
    assert (again.id, again.progress.answered, again.progress.done, again.progress.total) == (desk.run.id, 1, 1, 1)
    assert desk.model.calls == asked + 1
    assert desk.statuses() == {"good": "answered", "bad": "answered", "odd": "set_aside", "good#3": "set_aside"}
    assert column(again, "select status from runs") == ["finished"]
    assert column(again, "select value from answers where step = 'w/report' order by answered_at") == ["1", "2"]


def test_a_row_that_fails_again_is_asked_anew_each_time(desk: Desk) -> None:
    asked = desk.model.calls
    assert desk.retry(failed=True).progress.failed == desk.retry(row_ids=["bad"]).progress.failed == 1
    assert desk.model.calls == asked + 2


def test_mended_rows_take_the_place_of_those_that_were_set_aside(desk: Desk, tmp_path: Path) -> None:
    mended = [{"id": "odd", "ticket": "when?", "days": 9}, {"id": "good#3", "ticket": "twice", "days": 3}]
    (tmp_path / "mended.jsonl").write_text("\n".join(map(json.dumps, mended)))
    assert desk.retry(set_aside=True, mended=tmp_path / "mended.jsonl").progress.answered == 2
    assert desk.statuses() == {"good": "answered", "bad": "failed", "odd": "answered", "good#3": "answered"}
    placed = desk.run.sql('select row_id, "index", fields ->> \'days\' from "rows" order by 2').rows
    assert placed == (("good", 0, "1"), ("bad", 1, "2"), ("odd", 2, "9"), ("good#3", 3, "3"))


def test_what_is_not_mended_is_set_aside_again(desk: Desk) -> None:
    assert desk.retry(row_ids=["odd"]).progress.set_aside == 1
    assert desk.statuses()["odd"] == "set_aside"


def test_mended_rows_alone_say_which_rows_are_meant(desk: Desk) -> None:
    asked = desk.model.calls
    assert desk.retry(mended=[{"id": "bad", "ticket": "breaks", "days": 7}]).progress.answered == 1
    assert desk.model.calls == asked + 1  # its first step is asked the same as before


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "say which rows"),
        ({"row_ids": ["nobody"]}, "has no row 'nobody'"),
        ({"row_ids": ["good"]}, "row 'good' .* is answered, not failed or set aside"),
        ({"failed": True, "row_ids": ["odd"]}, "row 'odd' .* is set aside, not failed"),
        ({"failed": True, "row_ids": ["bad"], "mended": [{"id": "odd"}]}, "row 'odd' .* is set aside"),
        ({"row_ids": ["bad"], "mended": [{"id": "odd", "ticket": "", "days": 1}]}, "'odd' is mended, but not among"),
    ],
)
def test_what_cannot_be_driven_again_is_refused(desk: Desk, options: dict[str, Any], why: str) -> None:
    with pytest.raises(RunError, match=why):
        desk.retry(**options)


def test_nothing_is_left_to_drive_again(desk: Desk) -> None:
    desk.is_down = False
    desk.retry(failed=True)
    with pytest.raises(RunError, match="has no row that is failed: nothing to do again"):
        desk.retry(failed=True)


def test_without_words_on_record_rows_are_to_be_given_anew(tmp_path: Path) -> None:
    flow = Workflow("w", [first])
    run = run_over(flow, ROWS[:1], fleet_of(small=Model(_fails)), tmp_path, content="hashes")
    options: dict[str, Any] = {"workflow": flow, "fleet": fleet_of(small=Model()), "home": tmp_path}
    with pytest.raises(RunError, match="does not have the words of row 'good'"):
        retry(run.id, failed=True, **options)
    assert retry(run.id, failed=True, mended=ROWS[:1], **options).wait(show=False).progress.answered == 1


def _fails(_: Request) -> str:
    raise AccessDenied("401")


def test_a_part_of_an_interrupted_run_leaves_it_interrupted(desk: Desk) -> None:
    with Journal.open(desk.home) as journal:
        journal.write(run_entry(replace(desk.run.run, status="interrupted")))
    desk.is_down = False
    desk.retry(failed=True)
    assert column(desk.run, "select status from runs") == ["interrupted"]
