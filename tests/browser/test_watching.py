"""A run is started in a notebook and watched, paused, found again after a reload, asked in SQL meanwhile, cancelled;
then its rows are looked through and one is opened."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.laboratory import Laboratory, Notebook
from tests.browser.walking import PATIENCE_SECONDS, Visit

RUN = """
import asyncio, os
import toolkit as tk
from toolkit.errors import Unavailable

home = os.environ["TOOLKIT_HOME"] = "record"

@tk.step
async def order(ticket: str) -> str:
    await asyncio.sleep(0.6)
    if ticket.endswith("5"):
        raise ValueError(f"there is no such order: {ticket}")
    return ticket

@tk.step(route=tk.Ladder("small", "person"), policy=tk.Retry(1, base=0.1) | tk.Fallback())
def reply(ticket: str, order: str):
    return tk.prompt("Answer the ticket.", ticket=ticket, order=order)

def small(request):
    if "13" in request.text:
        raise Unavailable("HTTP 503: the fake is tired")
    return "It is on its way."

rows = [{"id": f"t{n:03}", "ticket": f"Where is parcel number {n}?"} for n in range(2000)]
rows[3]["ticket"] = "Where is parcel 13?"
rows[5]["ticket"] = "parcel 5"
person = tk.ModelSpec(name="person", provider="person", model="person")
fleet = tk.Fleet({"person": person}).with_function("small", small)
run = tk.Workflow("desk", [order, reply]).start(rows, fleet, home=home, in_flight=8, budget="5 USD; ceiling: 0.001 USD")
run
""".strip()
ASK = """
%load_ext toolkit
import time
while not run.sql("select 1 from rows limit 1").rows:
    time.sleep(0.2)
%sql select r.status as run_now, count(*) as rows_so_far from runs r join rows on run_id = r.id group by all
"""
expect.set_options(timeout=1000 * PATIENCE_SECONDS)
STANDING = '[role="img"][aria-label*="rows"]'


def told(notebook: Notebook) -> Locator:
    return notebook.output(0).locator(STANDING).first


def moves(notebook: Notebook) -> None:
    before = told(notebook).get_attribute("aria-label") or ""
    expect(told(notebook)).not_to_have_attribute("aria-label", before)


@pytest.mark.slow
def test_a_run_is_watched_paused_reloaded_asked_and_cancelled_and_a_row_of_it_opened(
    lab: Laboratory, visit: Visit
) -> None:
    lab.write("watched", [RUN, ASK])
    notebook = lab.open(visit, "watched")
    notebook.run(wait=False)
    told(notebook).wait_for()
    moves(notebook)
    expect(notebook.output(1)).to_contain_text("running")
    visit.photograph("run-light")
    shown = notebook.output(0)

    shown.get_by_role("button", name="Pause").click()
    expect(shown).to_contain_text("paused in this kernel")
    visit.page.wait_for_timeout(2500)
    held = told(notebook).get_attribute("aria-label") or ""
    visit.page.wait_for_timeout(2500)
    expect(told(notebook)).to_have_attribute("aria-label", held)
    visit.photograph("run-paused")

    notebook.reload()
    expect(shown).to_contain_text("paused in this kernel")
    notebook.theme("dark")
    shown.get_by_role("button", name="Resume").click()
    moves(notebook)
    visit.photograph("run-dark")
    notebook.theme("light")
    shown.get_by_role("button", name="Cancel").click()
    expect(shown).to_contain_text("cancelled after")

    lab.write("looked", ["import toolkit as tk; tk.show('latest', home='record')"])
    looked = lab.open(visit, "looked")
    looked.run()
    page = looked.output(0)
    page.locator("tr[data-row]").first.wait_for()
    visit.photograph("rows-light")
    page.get_by_role("searchbox").fill("parcel 13")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    page.locator('tr[data-row="t003"]').click()
    page.locator(".tk-row .tk-bar").filter(has_text="unavailable").first.click(force=True)
    opened = page.locator(".tk-row details[open] details[open]").first
    expect(opened).to_contain_text("HTTP 503: the fake is tired")
    expect(opened).to_contain_text("Answer the ticket.")
    page.locator(".tk-row").first.scroll_into_view_if_needed()
    visit.photograph("row-light")
    looked.theme("dark")
    visit.photograph("row-dark")
    assert visit.refused == []
    assert [error for error in visit.errors if not re.search("ResizeObserver", error)] == []
