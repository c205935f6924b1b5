"""The form of a flow: choices that an operator picks from, fields beside them that take anything, flow runs by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.desk import ROWS, Asked, desk
from toolkit.errors import FleetError, RowsError, RunError, ToolkitError
from toolkit.orchestration import as_flow
from toolkit.orchestration.form import OWN, Form, Given, made_good, named
from toolkit.runs.resuming import Job

ROUTERS = {"small alone": "Fixed('small')", "triage by large": "triage=Fixed('large')"}


@pytest.fixture
def fleets(tmp_path: Path) -> dict[str, str]:
    text = '[models.small]\nprovider = "person"\n[models.large]\nprovider = "person"\n'
    for name in ("ours", "theirs"):
        (tmp_path / f"{name}.toml").write_text(text)
    return {name: str(tmp_path / f"{name}.toml") for name in ("ours", "theirs")}


def test_fleets_and_routers_are_choices_with_a_field_for_any_other(fleets: dict[str, str]) -> None:
    schema = as_flow(desk, fleets=fleets, routers=ROUTERS, rows="rows.csv").parameters.model_dump()["properties"]
    assert (schema["fleet"]["enum"], schema["fleet"]["default"]) == (["ours", "theirs"], "ours")
    assert (schema["router"]["enum"], schema["router"]["default"]) == ([OWN, "small alone", "triage by large"], OWN)
    assert schema["fleet_file"]["type"] == schema["routing"]["type"] == schema["budget"]["type"] == "string"
    assert [name for name, field in schema.items() if "anyOf" in field] == []


def test_without_choices_there_is_one_field_for_each() -> None:
    schema = as_flow(desk, rows="rows.csv").parameters.model_dump()["properties"]
    assert "enum" not in schema["router"] and {"fleet_file", "routing"} & set(schema) == set()


@pytest.mark.parametrize(
    ("answers", "fleet", "router"),
    [
        ({"fleet": "ours"}, "ours.toml", ""),
        ({"fleet": "theirs", "router": OWN}, "theirs.toml", ""),
        ({"fleet": "ours", "router": "small alone"}, "ours.toml", "Fixed('small')"),
        ({"fleet": "ours", "router": "small alone", "routing": " cheapest "}, "ours.toml", "cheapest"),
        ({"fleet": "ours", "fleet_file": "elsewhere/models.toml"}, "elsewhere/models.toml", ""),
    ],
)
def test_a_choice_stands_for_its_path_or_router_and_what_is_written_out_goes_before(
    fleets: dict[str, str], answers: dict[str, Any], fleet: str, router: str
) -> None:
    given = Given(desk, None, "rows.csv", 10, None, fleets=fleets, routers=ROUTERS)
    form = Form(rows="rows.csv", **answers)
    assert given.fleet_of(form).endswith(fleet)
    assert given.router_of(form) == router


@pytest.mark.parametrize(
    ("answers", "error", "sentence"),
    [
        ({"rows": "nowhere.csv"}, RowsError, "there is no file nowhere.csv"),
        ({"rows": "select 1 as ticket limit 0"}, ToolkitError, "no rows"),
        ({"fleet_file": "nowhere.toml"}, FleetError, "nowhere.toml"),
        ({"routing": "Fixd('small')"}, FleetError, "did you mean 'Fixed'"),
        ({"routing": "trage=Fixed('small')"}, ToolkitError, "trage"),
        ({"budget": "five dollars"}, ToolkitError, "five dollars"),
        ({"run_id": "latest"}, RunError, "there is no record in"),
        ({"content": "none"}, RunError, "content is 'full' or 'hashes'"),
        ({"redact": "everything"}, RunError, "everything"),
    ],
)
def test_what_cannot_be_made_good_is_one_sentence(
    fleets: dict[str, str], tmp_path: Path, answers: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    given = Given(desk, None, ROWS, 10, None, fleets=fleets, routers=ROUTERS)
    form = Form(**{"rows": "", "fleet": "ours", "home": str(tmp_path / "none"), **answers})
    with pytest.raises(error, match=sentence) as raised:
        made_good(given, form)
    assert "\n" not in str(raised.value)


def test_a_flow_run_started_again_goes_on_with_the_run_it_had_begun(tmp_path: Path) -> None:
    run = desk.run(ROWS[:3], Asked().fleet, home=tmp_path, flow_run_id="f1")
    given = Given(desk, Asked().fleet, ROWS[:3], 10, None)
    form = Form(rows="", fleet="", home=str(tmp_path))
    assert made_good(given, form, flow_run_id="f1").run_id == run.id
    assert made_good(given, form, flow_run_id="f2").run_id is None


def test_a_run_that_is_continued_keeps_its_rows_its_fleet_and_its_part_of_them(
    fleets: dict[str, str], tmp_path: Path
) -> None:
    for name in ("own", "default"):
        (tmp_path / f"{name}.csv").write_text("id,ticket\n" + "".join(f"{name}{i},help\n" for i in range(5)))
    job = Job("desk", fleets["theirs"], str(tmp_path / "own.csv"))
    run = desk.run(tmp_path / "own.csv", Asked().fleet, home=tmp_path, limit=3, told=job.told)
    given = Given(desk, None, str(tmp_path / "default.csv"), 10, "desk", fleets=fleets)
    form = Form(rows=str(tmp_path / "default.csv"), fleet="ours", limit=100, run_id="latest", home=str(tmp_path))
    order = made_good(given, form)
    assert (order.run_id, order.limit) == (run.id, 3)
    assert [row["id"] for row in order.rows.stream()] == ["own0", "own1", "own2"]
    assert order.told["job"]["fleet"] == fleets["theirs"]


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        ({"rows": "day/tickets.csv", "limit": 100, "router": OWN}, "desk: tickets.csv, first 100 rows"),
        ({"rows": "day/tickets.csv", "limit": 0, "router": "small alone"}, "desk: tickets.csv, small alone"),
        ({"rows": "t.csv", "router": "small alone", "routing": "cheapest"}, "desk: t.csv, cheapest"),
        ({"rows": "t.csv", "limit": 100, "run_id": "latest"}, "desk: continues latest"),
        ({"rows": "t.csv", "run_id": "desk-1", "routing": "cheapest"}, "desk: continues desk-1, cheapest"),
    ],
)
def test_a_flow_run_is_named_after_what_it_does(answers: dict[str, Any], name: str) -> None:
    assert named("desk", answers) == name
