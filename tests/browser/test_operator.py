"""An operator in Prefect's UI: a form filled in, a run with its log and pictures, one cancelled, one scheduled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from playwright.sync_api import Locator, Page

from tests.browser.standing import Up
from tests.browser.walking import Visit
from tests.orchestration.served import awaited, ended, serving, slowly, started

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with serving(tmp_path_factory.mktemp("operator")) as running:
        yield running


def field(page: Page, told: str, kind: str = "textarea") -> Locator:
    """The field of the form below the words that explain it."""
    return page.get_by_text(told, exact=False).first.locator(f"xpath=following::{kind}[1]")


def deployment(api: httpx.Client, name: str) -> str:
    return str(api.get(f"/deployments/name/{name}").raise_for_status().json()["id"])


def whole(visit: Visit, name: str) -> None:
    """A picture of all of a page that scrolls within itself."""
    height = visit.page.evaluate("Math.max(...[...document.querySelectorAll('*')].map(each => each.scrollHeight))")
    visit.resize(1280, min(int(height) + 40, 2600))
    visit.page.wait_for_timeout(500)
    visit.photograph(name)
    visit.resize(1280, 900)


@pytest.mark.slow
def test_a_deployment_is_started_from_its_form_and_shows_its_log_and_pictures(served: Up, visit: Visit) -> None:
    page = visit.page
    with TemporaryDirectory(prefix="desk-") as home, served.client() as api:
        page.goto(f"{served.url}/deployments/deployment/{deployment(api, 'support/support-desk')}/run")
        field(page, "Only the first so many rows", "input").fill("60")
        field(page, "The folder of journal and history.").fill(home)
        field(page, "What may be spent at most").fill("5 USD; day: 20 USD")
        field(page, "Who answers, instead of", "button").click()
        page.keyboard.press("ArrowDown")
        page.get_by_text("triage: small or large, by a coin", exact=True).click()
        whole(visit, "operator-form")
        with page.expect_response(re.compile("create_flow_run$")) as begun:
            page.get_by_role("button", name="Submit").click()
        flow_run = begun.value.json()["id"]
        page.goto(f"{served.url}/runs/flow-run/{flow_run}")
        page.get_by_text("Completed", exact=True).first.wait_for(timeout=240_000)
        page.get_by_text("support: requests.jsonl, first 60 rows, triage: small or large, by a coin").first.wait_for()
        page.get_by_text(re.compile(r"finished: \d+ answered, \d+ parked, 0 failed")).first.wait_for()
        visit.photograph("operator-run")
        wanted = {"flow_runs": {"id": {"any_": [flow_run]}}}
        found = {each["key"]: each["id"] for each in api.post("/artifacts/filter", json=wanted).json()}
        assert set(found) == {"support-progress", "support-summary", "support-costs"}
        page.get_by_text("Artifacts", exact=True).first.click()
        page.get_by_text("support-summary").last.wait_for()
        visit.photograph("operator-artifacts")
        page.goto(f"{served.url}/artifacts/artifact/{found['support-summary']}")
        page.get_by_text("Ask in SQL").wait_for()
        drawn = page.get_by_role("img", name="cost and quality by step and model")
        assert drawn.evaluate("image => image.complete && image.naturalWidth > 400")
        whole(visit, "operator-summary")
        page.goto(f"{served.url}/artifacts/artifact/{found['support-costs']}")
        page.get_by_text("support/triage").first.wait_for()
        visit.photograph("operator-costs")
    assert visit.refused == []


@pytest.mark.slow
def test_a_wrong_path_in_the_form_fails_the_run_with_a_sentence(served: Up, visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    with slowly(tmp_path) as desk, served.client() as api:
        flow_run = started(api, "slow/slow", {**desk.form, "rows": str(tmp_path / "nowhere.csv")})
        assert ended(api, flow_run)["state"]["type"] == "FAILED"
        page.goto(f"{served.url}/runs/flow-run/{flow_run}")
        page.get_by_text("Failed", exact=True).first.wait_for()
        page.get_by_text(re.compile(r"nowhere\.csv")).first.wait_for()
        visit.photograph("operator-wrong-path")


@pytest.mark.slow
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


@pytest.mark.slow
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
