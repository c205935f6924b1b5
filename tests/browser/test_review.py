"""People in a notebook: a parked request answered by keys and its row resumed; answers labelled, alone and in pairs."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.laboratory import Laboratory, Notebook
from tests.browser.walking import Visit

PARKED = """
import tempfile
import toolkit as tk
from toolkit.examples.support import FLEET, REQUESTS
from toolkit.examples.support.workflow import careful, triage
from dataclasses import replace

home = tempfile.mkdtemp()
sure = replace(triage, policy=tk.Retry(2) | tk.Escalate(below=0.6))
desk = tk.Workflow("desk", [sure])
run = desk.run(f"select * from '{REQUESTS}' where split = 'test' limit 40", tk.Fleet.load(FLEET), home=home)
"""
REVIEW = 'tk.review(run, by="analyst")'
LABEL = """
import os
from toolkit.evaluation.judging import judge_run
from toolkit.grading.judges import Pointwise

def strict(request):
    return {"reason": "short", "passed": "no" not in request.text[-40:]}

home = tempfile.mkdtemp()
def when(request):
    return "It comes on " + ("Monday." if "1" in request.text else "no day we know.")

fleet = tk.Fleet({}).with_function("one", when)
fleet = fleet.with_function("two", lambda r: "Please wait.").with_function("judge", strict)
rows = [{"id": f"t{n}", "ticket": f"Where is parcel {n}?"} for n in range(14)]

def answered(name):
    @tk.step(route=tk.Fixed(name), name="reply")
    def reply(ticket):
        return tk.prompt("Answer.", ticket=ticket)
    return tk.Workflow("shop", [reply]).run(rows, fleet, home=home)

one, two = answered("one"), answered("two")
useful = Pointwise("It answers what was asked.", shows=("ticket",), scale="pass/fail")
judged = judge_run(one, useful, fleet=fleet, by="judge", step="reply")
tk.label(one, step="reply", rubric=useful, by="analyst", sample=12)
"""
PAIRS = 'tk.label((one, two), step="reply", rubric="The more useful one.", shows=("ticket",), by="analyst", sample=4)'


def page_of(notebook: Notebook, number: int) -> Locator:
    found = notebook.cell(number).locator(".tk-people")
    found.wait_for()
    found.scroll_into_view_if_needed()
    return found


AWAITING = re.compile("tk-busy")
"""The class of a page whose kernel has not said yet that it is done with what was pressed."""
PRESS_WHEN_IT_CHANGES = """(root, [where, key]) => {
  const before = root.querySelector(where).textContent;
  const observer = new MutationObserver(() => {
    if (root.querySelector(where).textContent === before) return;
    observer.disconnect();
    root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  });
  observer.observe(root, { childList: true, subtree: true, characterData: true });
}"""
PRESS_TWICE = """(root, key) => {
  for (const _ of [1, 2]) root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}"""


def focus(page: Locator) -> None:
    """A click on an empty corner, as a person does before typing keys."""
    page.click(position={"x": 3, "y": 3})
    expect(page).to_be_focused()


@pytest.mark.slow
def test_a_person_answers_by_keys_and_the_rows_go_on(lab: Laboratory, visit: Visit) -> None:
    lab.write("review", [PARKED, REVIEW])
    notebook = lab.open(visit, "review")
    notebook.run()
    page = page_of(notebook, 1)
    keys = visit.page.keyboard
    expect(page.locator(".tk-item")).not_to_have_count(0)
    waiting = page.locator(".tk-item").count()
    assert waiting >= 3, "the test needs questions to answer"
    visit.photograph("review-light", of=".tk-review")

    focus(page)
    cells = visit.page.locator(".jp-CodeCell").count()
    first = page.locator(".tk-item.tk-open b").inner_text()
    keys.press("1")  # refund
    expect(page.locator(".tk-field").first.locator(".tk-chosen")).to_contain_text("refund")
    keys.press("2")  # not urgent
    keys.press("n")
    keys.type("a bad a1 note")
    expect(page.locator(".tk-note")).to_have_value("a bad a1 note")
    keys.press("Escape")
    keys.press("g")
    keys.press("4")
    expect(page.locator(".tk-card .tk-chosen").first).to_have_text("4")
    keys.press("Enter")
    expect(page.locator(".tk-said")).to_contain_text(f"row {first} is answered by analyst")
    expect(page.locator(".tk-progress")).to_contain_text(f"answered 1 of {waiting}")
    expect(page.locator(".tk-item")).to_have_count(waiting - 1)
    assert visit.page.locator(".jp-CodeCell").count() == cells, "JupyterLab took a key"

    page.evaluate(PRESS_WHEN_IT_CHANGES, [".tk-item.tk-open b", "a"])  # before the kernel is through with the skip
    keys.press("s")
    expect(page.locator(".tk-go")).to_contain_text("Go on with 2 rows")
    notebook.theme("dark")
    page.scroll_into_view_if_needed()
    visit.photograph("review-dark", of=".tk-review")
    focus(page)
    keys.press("r")
    expect(page.locator(".tk-moving")).to_contain_text("finished", timeout=90_000)
    expect(page.locator(".tk-moving")).to_contain_text(f"{waiting - 2} parked" if waiting > 2 else "answered")
    visit.photograph("review-moved", of=".tk-review")
    assert visit.errors == []
    assert visit.refused == []


@pytest.mark.slow
def test_what_somebody_else_answered_is_shown_and_what_does_not_fit_keeps_what_was_typed(
    lab: Laboratory, visit: Visit
) -> None:
    cells = """
import tempfile
import toolkit as tk
from pydantic import BaseModel

class Refund(BaseModel):
    amount: float
    why: str
    lines: list[str]

person = tk.ModelSpec("clerk", "person", "clerk")
@tk.step(route=tk.Fixed("clerk"), output=Refund)
def refund(ticket):
    return tk.prompt("How much is to be paid back?", ticket=ticket)

rows = [{"id": f"t{n}", "ticket": f"Parcel {n} was <b>broken</b>."} for n in range(3)]
run = tk.Workflow("refunds", [refund]).run(rows, tk.Fleet({"clerk": person}), home=tempfile.mkdtemp())
tk.review(run, by="analyst")
"""
    other = """
box = tk.Inbox(run.settings.home)
box.answer(box.open()[0], {"amount": 1, "why": "as a colleague says", "lines": []}, by="colleague")
"""
    lab.write("forms", [cells, "1"])
    notebook = lab.open(visit, "forms")
    notebook.run()
    page = page_of(notebook, 0)
    focus(page)
    page.get_by_label("amount").fill("12,50")
    page.get_by_label("why").fill("it was broken")
    page.get_by_label("lines").fill('["a", ')
    page.locator(".tk-send").click()
    expect(page.locator(".tk-said")).to_contain_text("field 'lines' cannot be read")
    expect(page.get_by_label("why")).to_have_value("it was broken")
    visit.photograph("review-form", of=".tk-review")
    visit.page.wait_for_timeout(1000)
    notebook.reload()
    page = page_of(notebook, 0)
    expect(page.get_by_label("why")).to_have_value("it was broken")
    page.get_by_label("lines").fill('["a"]')
    visit.page.evaluate(
        "code => [...jupyterapp.shell.widgets('main')].find(e => e.sessionContext)"
        ".sessionContext.session.kernel.requestExecute({code}).done",
        other,
    )
    expect(page.locator(".tk-ended")).to_contain_text("answered by colleague", timeout=30_000)
    focus(page)
    visit.page.keyboard.press("j")
    expect(page.locator(".tk-form")).to_be_visible()
    assert visit.errors == []


@pytest.mark.slow
def test_answers_are_labelled_by_keys_and_the_agreement_appears(lab: Laboratory, visit: Visit) -> None:
    lab.write("label", [PARKED.split("home =")[0], LABEL, PAIRS])
    notebook = lab.open(visit, "label")
    notebook.run()
    page = page_of(notebook, 1)
    keys = visit.page.keyboard
    focus(page)
    for number in range(12):
        expect(page.locator(".tk-head b")).to_contain_text(f"{number} of 12")
        said = page.locator(".tk-answer pre").inner_text()
        key = "p" if "Monday" in said else "f"
        if number == 1:
            page.evaluate(PRESS_TWICE, key)  # the second is none for the next answer, which nobody has seen yet
        else:
            keys.press(key)
        if number == 0:
            expect(page.locator(".tk-head b")).to_contain_text("1 of 12")
            expect(page).not_to_have_class(AWAITING)
            keys.press("u")
            expect(page.locator(".tk-answer pre")).to_have_text(said)
            expect(page.locator(".tk-head b")).to_contain_text("0 of 12")
            keys.press(key)
        if number == 10:
            expect(page.locator(".tk-head b")).to_contain_text("11 of 12")
            expect(page.locator(".tk-agreements")).to_contain_text("%")
            visit.photograph("label-light", of=".tk-label")
    expect(page).to_contain_text("all are labelled")
    expect(page).not_to_have_class(AWAITING)
    keys.press("r")
    expect(page.locator(".tk-said")).to_contain_text("12 labels are on record as grades now")

    notebook.theme("dark")
    pairs = page_of(notebook, 2)
    focus(pairs)
    visit.photograph("pairs-dark", of=".jp-CodeCell:nth-of-type(3) .tk-label, .tk-label >> nth=1")
    expect(pairs.locator(".tk-head b")).to_contain_text("0 of 4")
    pairs.evaluate(PRESS_WHEN_IT_CHANGES, [".tk-head b", "ArrowRight"])  # before the kernel is through with the first
    keys.press("1")
    for number, key in ((2, "0"), (3, "2")):
        expect(pairs.locator(".tk-head b")).to_contain_text(f"{number} of 4")
        keys.press(key)
    expect(pairs).to_contain_text("all are labelled")
    assert visit.errors == []
    assert visit.refused == []
