"""Comparing in a notebook, as an analyst does it: look, move the slider, open a row that changed; in light and dark."""

from __future__ import annotations

import pytest

from tests.browser.laboratory import Laboratory
from tests.browser.walking import Visit

CELLS = (
    """
import tempfile
import toolkit as tk
from toolkit.evaluation.quality import grade_run
from toolkit.examples.support import FLEET, REQUESTS
from toolkit.examples.support.workflow import triage
from toolkit.grading import Exact

home = tempfile.mkdtemp()
desk = tk.Workflow("desk", [triage], policy=tk.Once())
rows = f"select * from '{REQUESTS}' where split = 'test'"
named = {"keywords": tk.Fixed("small"), "linear": tk.Fixed("large")}
runs = {name: desk.with_routes(route).start(rows, tk.Fleet.load(FLEET), home=home) for name, route in named.items()}
for run in runs.values():
    run.wait(show=False)
    grade_run(home, run.id, {"triage": [Exact("intent", of="intent")]})
""",
    'found = tk.compare(runs, step="triage", quality="Exact")\nfound',
)
SLIDER = "input[type=range]"


def move(visit: Visit, place: float) -> str:
    """Move the slider to a place between its ends, from 0 to 1; what the chart says then."""
    visit.page.locator(SLIDER).evaluate(
        "(slider, at) => { slider.value = Math.round(at * slider.max); slider.dispatchEvent(new Event('input')) }",
        place,
    )
    visit.page.wait_for_timeout(500)
    return visit.page.locator(".vega-embed svg.marks").text_content() or ""


@pytest.mark.slow
def test_the_slider_moves_the_choice_and_a_row_that_changed_opens_in_both_runs(lab: Laboratory, visit: Visit) -> None:
    lab.write("compare", CELLS)
    notebook = lab.open(visit, "compare")
    notebook.run()
    visit.page.locator(SLIDER).wait_for()
    cheap, dear = move(visit, 0), move(visit, 1)
    assert "keywords is best" in cheap
    assert "linear is best" in dear
    notebook.theme("light")
    visit.resize(1280, 2400)
    assert "keywords" in move(visit, 0.4)
    visit.photograph("compare-chart", of=".vega-embed")
    visit.page.locator(".tk-list [data-row]").first.click()
    visit.page.locator(".tk-row svg").nth(1).wait_for()
    for theme in ("light", "dark"):
        notebook.theme(theme)
        visit.photograph(f"compare-{theme}")
    assert visit.refused == []
    assert visit.errors == []
