"""Charts and widgets of a notebook are drawn with the network cut off."""

from __future__ import annotations

import pytest

from tests.browser.laboratory import Laboratory
from tests.browser.walking import Visit

CELLS = (
    """
import tempfile
import toolkit as tk
from toolkit.charts import costs
from toolkit.examples.support import FLEET, REQUESTS
from toolkit.examples.support.workflow import triage

desk = tk.Workflow("desk", [triage])
run = desk.start(f"select * from '{REQUESTS}' limit 60", tk.Fleet.load(FLEET), home=tempfile.mkdtemp())
run
""",
    "run.wait(show=False); costs(run.history)",
    "desk",
)


@pytest.mark.slow
def test_a_run_a_chart_and_a_graph_are_drawn_and_nothing_is_asked_of_the_network(lab: Laboratory, visit: Visit) -> None:
    lab.write("offline", CELLS)
    notebook = lab.open(visit, "offline")
    notebook.run()
    notebook.output(0).get_by_text("60 of 60 rows").first.wait_for()
    for number in (1, 2):
        notebook.output(number).locator("canvas, svg, img").first.wait_for()
    visit.photograph("offline")
    assert visit.refused == []
    assert visit.errors == []
