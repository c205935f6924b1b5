"""An operator in Prefect's UI: a run is cancelled, a deployment scheduled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser.standing import Up
from tests.browser.walking import Visit
from tests.orchestration.served import awaited, serving, slowly, started

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with serving(tmp_path_factory.mktemp("operator")) as running:
        yield running


def deployment(api: httpx.Client, name: str) -> str:
    return str(api.get(f"/deployments/name/{name}").raise_for_status().json()["id"])


def test_a_run_is_cancelled_in_the_ui_and_says_how_it_goes_on(served: Up, visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    with slowly(tmp_path) as desk, served.client() as api:
        flow_run = started(api, "slow/slow", desk.form)
        page.goto(f"{served.url}/runs/flow-run/{flow_run}")
        page.get_by_text("Running", exact=True).first.wait_for(timeout=240_000)
        awaited(lambda: desk.answers >= 3)
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.get_by_role("button", name="Confirm", exact=True).click()
        page.get_by_text("Cancelled", exact=True).first.wait_for(timeout=120_000)
        visit.photograph("operator-cancelled")
        ((run_id, status),) = desk.runs
        assert status == "cancelled"
        wanted = {"flow_runs": {"id": {"any_": [flow_run]}}}
        (page_id,) = (
            each["id"] for each in api.post("/artifacts/filter", json=wanted).json() if each["key"] == "desk-summary"
        )
        page.goto(f"{served.url}/artifacts/artifact/{page_id}")
        page.get_by_text(f"toolkit resume {run_id}").first.wait_for()
    assert visit.refused == []


def test_a_deployment_is_scheduled_in_the_ui(served: Up, visit: Visit) -> None:
    page = visit.page
    with served.client() as api:
        id = deployment(api, "slow/slow")
        page.goto(f"{served.url}/deployments/deployment/{id}")
        page.get_by_role("button", name="Schedule", exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("spinbutton").first.fill("90")
        visit.photograph("operator-schedule")
        dialog.get_by_role("button", name="Save").click()
        page.get_by_text(re.compile("Every 1 hour", re.IGNORECASE)).first.wait_for()
        ((schedule,),) = (awaited(lambda: api.get(f"/deployments/{id}").json()["schedules"]),)
        assert schedule["active"] and schedule["schedule"]["interval"] == 90 * 60
    assert visit.refused == []
