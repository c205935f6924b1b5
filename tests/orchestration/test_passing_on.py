"""What happens in a run reaches Prefect: events with labels that automations can match, and lines of the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import toolkit as tk
from tests.orchestration.desk import ROWS, Asked, desk
from toolkit.ledger import Journal
from toolkit.ledger.entries import event_entry
from toolkit.orchestration.passing_on import Happened, PassingOn, shortened
from toolkit.records import Event

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Heard:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, _level: int, form: str, *told: object) -> None:
        self.lines.append(form % told)

    def warning(self, form: str, *told: object) -> None:
        self.log(30, form, *told)

    debug = warning


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[Happened]:
    """What would go to Prefect; how it arrives there is shown where a server runs."""
    found: list[Happened] = []
    monkeypatch.setattr("toolkit.orchestration.passing_on.emit", found.append)
    return found


@pytest.mark.parametrize(
    ("name", "about", "resource", "line"),
    [
        (
            "toolkit.model.open", {"model": "large", "failures": 5, "seconds": 30.0}, "toolkit.model.large",
            "model large model.open: failures 5, seconds 30.0",
        ),
        (
            "toolkit.row.parked", {"row_id": "t7", "reason": "waits for person"}, "toolkit.run.desk-1",
            "row t7 row.parked: waits for person",
        ),
        (
            "toolkit.budget.reached", {"reason": "5 USD are spent", "step": "reply", "row_id": "t1"},
            "toolkit.run.desk-1", "row t1 step reply budget.reached: 5 USD are spent",
        ),
    ],
)  # fmt: skip
def test_an_event_is_about_a_model_or_a_run_and_has_labels(
    name: str, about: dict[str, Any], resource: str, line: str
) -> None:
    happened = Happened(Event(name, "desk-1", AT, about), "desk")
    assert happened.resource["prefect.resource.id"] == resource
    assert happened.resource["toolkit.workflow"] == "desk" and happened.resource["toolkit.run_id"] == "desk-1"
    assert happened.payload == {"run_id": "desk-1", "workflow": "desk", **about}
    assert happened.line == line
    assert happened.id == Happened(Event(name, "desk-1", AT, dict(about)), "desk").id


@pytest.mark.slow
def test_what_is_new_on_record_is_passed_on_once(tmp_path: Path, emitted: list[Happened]) -> None:
    run = desk.run(ROWS, Asked().fleet, home=tmp_path)
    heard, since = Heard(), datetime.now(UTC)
    passing_on = PassingOn(run.history, run.id, "desk", log=heard, since=since)
    passing_on.look()
    assert (emitted, heard.lines) == ([], [])
    told = [Event("toolkit.row.parked", run.id, since + timedelta(seconds=n), {"row_id": f"t{n}"}) for n in (3, 1, 2)]
    for event in told:
        with Journal.open(tmp_path) as journal:
            journal.write(event_entry(event))
        passing_on.look()
        passing_on.look()
    assert [happened.event.about["row_id"] for happened in emitted] == ["t3", "t1", "t2"]
    assert len(heard.lines) == 3


def test_rows_that_failed_are_told_in_the_log(tmp_path: Path, emitted: list[Happened]) -> None:
    since = datetime.now(UTC)
    run = desk.run(ROWS, Asked().fleet, home=tmp_path)
    heard = Heard()
    PassingOn(run.history, run.id, "desk", log=heard, since=since).look()
    assert [line for line in heard.lines if line.startswith("row t7 failed: ")] == heard.lines != []


def test_a_run_of_another_record_is_no_fault_of_the_log(tmp_path: Path) -> None:
    heard = Heard()
    PassingOn(tk.History(tmp_path), "gone", "desk", log=heard, since=AT).look()
    assert len(heard.lines) == 1 and "cannot be read now" in heard.lines[0]


def test_many_lines_are_shortened() -> None:
    assert shortened(["a"] * 6, "more") == ["a"] * 6
    assert shortened(["a"] * 1000, "rows more") == ["a"] * 5 + ["… and 995 rows more"]
