"""Drift out of the history: a drop in quality is dated, told once as an event, and drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import toolkit as tk
from toolkit.errors import RunError
from toolkit.ledger import Journal, answer_entry, grade_entry, row_entry, run_entry
from toolkit.records import Answer, Grade, Place, RowRecord, Run

START = datetime(2025, 1, 6, 9, tzinfo=UTC)
DAYS, CHANGED, A_DAY = 60, 40, 30


def written(home: Path, *, quality: tuple[float, float] = (0.8, 0.8), german_after: bool = False) -> tk.History:
    """Sixty days of a run each; from the fortieth on quality, and the language, may be others."""
    rng = np.random.default_rng(3)
    with Journal.open(home) as journal:
        for day in range(DAYS):
            run, at = f"run-{day:03}", START + timedelta(days=day)
            journal.write(run_entry(Run(run, "desk", "cli", at, "finished", at, A_DAY)))
            for n in range(A_DAY):
                place, attempt = Place(run, f"{day}-{n}", "desk/label"), f"{day}-{n}"
                text = "wo ist die Sendung und das Geld" if german_after and day >= CHANGED else "where is the parcel"
                fields = {"text": text, "order": None if n % 7 else "A1"}
                journal.write(
                    row_entry(RowRecord(run, place.row_id, n, "answered", fields, cost_usd=0.1, finished_at=at)),
                    answer_entry(
                        Answer(place, attempt, "answered", "x", model=("small", "large")[int(rng.random() < 0.3)],
                               attempt_id=attempt, cost_usd=rng.lognormal(-5, 0.3), seconds=rng.lognormal(0, 0.3),
                               answered_at=at)
                    ),
                    grade_entry(attempt, Grade("good", "assertion", float(rng.random() < quality[day >= CHANGED])),
                                place,
                                attempt_id=attempt, model="small"),
                )  # fmt: skip
        journal.flush()
    return tk.History(home)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tk.History:
    return written(tmp_path_factory.mktemp("calm"))


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> tk.History:
    return written(tmp_path_factory.mktemp("dropped"), quality=(0.85, 0.4), german_after=True)


@pytest.mark.slow
def test_nothing_is_told_where_nothing_changed(calm: tk.History) -> None:
    found = tk.drift(calm, step="label")
    assert all(each.changes == () for each in found.signals)
    assert found.sentence == (
        "Nothing at label surely changed (9 signals watched, at most 5 % of years with a false alarm)."
    )


@pytest.mark.slow
def test_a_drop_in_quality_is_told_with_its_day(dropped: tk.History) -> None:
    frame = tk.drift(dropped, step="label").frame().set_index("signal")
    row = frame.loc["quality"]
    assert abs((row.changed_on - (START + timedelta(days=CHANGED)).date()).days) <= 1
    assert row.direction == "down"
    assert row.before == pytest.approx(0.85, abs=0.05)


def test_the_inputs_are_watched_too(dropped: tk.History) -> None:
    frame = tk.drift(dropped, step="label").frame().set_index("signal")
    assert frame.loc["language"].direction == "moved"
    assert frame.loc["unseen terms"].direction == "up"
    assert frame.alarm_on.isna().loc[["cost", "seconds", "failures", "routing mix", "missing fields"]].all()


@pytest.mark.slow
def test_a_drop_is_on_record_once(dropped: tk.History) -> None:
    events = "select name, run_id, about ->> '$.step' as step, (about ->> '$.after')::double < 0.5 as low from events"
    for _ in range(2):
        tk.drift(dropped, step="label", record=True)
        (event,) = dropped.sql(events).rows
        assert event[0] == "toolkit.quality.dropped"
        assert (event[2], event[3]) == ("label", True)


def test_weeks_can_be_watched_and_too_few_of_them_are_said_to_be(dropped: tk.History) -> None:
    found = tk.drift(dropped, step="label", every="week")
    assert found.sentence == "Nothing at label could be watched: 9 weeks are too few; 10 are needed."
    assert {each.why_not for each in found.signals} == {
        "9 weeks are too few; 10 are needed",
        "7 weeks are too few; 10 are needed",
    }


@pytest.mark.slow
def test_what_cannot_be_watched_is_said_so(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        for day in range(12):
            run, at = f"run-{day:03}", START + timedelta(days=day)
            journal.write(run_entry(Run(run, "desk", "cli", at, "finished", at, 1)))
            place = Place(run, "a", "desk/label")
            journal.write(
                row_entry(RowRecord(run, "a", 0, "answered", {"n": 1}, finished_at=at)),
                answer_entry(
                    Answer(place, f"k{day}", "answered", "x", model="small", cost_usd=None, seconds=1.0, answered_at=at)
                ),
                grade_entry(f"g{day}", Grade("good", "score", float("nan")), place, model="small"),
            )
        journal.flush()
    found = tk.drift(tk.History(tmp_path), step="label")
    said = "Not watched: quality (no day has any; 10 are needed), cost (no day has any; 10 are needed)"
    assert found.sentence.startswith("Nothing at label surely changed (6 signals watched") and said in found.sentence
    assert len(repr(found.signals)) < 2_000


def test_a_grader_can_be_named_and_a_step_that_is_not_there_is_told(dropped: tk.History) -> None:
    assert (
        tk.drift(dropped, step="label", quality="good").frame().set_index("signal").loc["quality"].direction == "down"
    )
    with pytest.raises(RunError, match="cannot watch step 'nope': there is no answer of it"):
        tk.drift(dropped, step="nope")


def test_the_view_tells_each_day_of_a_step(calm: tk.History) -> None:
    rows = calm.sql("select step, answers, graded, answers_of_unknown_cost, failed_share from daily_steps").rows
    assert set(rows) == {("desk/label", A_DAY, A_DAY, 0, 0.0)}
    assert len(rows) == DAYS


@pytest.mark.slow
def test_the_chart_has_a_panel_per_signal_and_rules_where_something_changed(dropped: tk.History) -> None:
    spec = tk.drift(dropped, step="label").plot().to_dict()
    assert any("quality" in str(panel.get("title")) for panel in spec["vconcat"])


@pytest.mark.slow
def test_the_chart_of_a_change_is_a_picture_too(dropped: tk.History, tmp_path: Path) -> None:
    tk.drift(dropped, step="label").plot().save(str(tmp_path / "drift.png"))
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")
