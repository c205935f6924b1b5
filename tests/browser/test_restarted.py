"""A kernel restarted in the middle comes back to a run that goes on elsewhere, and to its own, interrupted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.laboratory import Laboratory
from tests.browser.test_watching import RUN, moves, told
from tests.browser.walking import Visit

WATCH = "import toolkit as tk; tk.watch('latest', home='elsewhere')"


@contextmanager
def going_on(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The desk's run in a process of its own."""
    script = RUN.replace('"record"', '"elsewhere"').removesuffix("run") + "run.wait(show=False)"
    with (folder / "elsewhere.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", script], cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_restarted_kernel_comes_back_to_a_run_that_goes_on_elsewhere_and_cancels_it(
    lab: Laboratory, visit: Visit
) -> None:
    lab.write("restarted", [WATCH])
    with going_on(lab.folder) as process:
        notebook = lab.open(visit, "restarted")
        notebook.run(wait=False)
        told(notebook).wait_for()
        moves(notebook)
        notebook.restart_kernel()
        assert process.poll() is None
        notebook.run(wait=False)
        moves(notebook)
        visit.photograph("restarted")
        notebook.output(0).get_by_role("button", name="Cancel").click()
        expect(notebook.output(0)).to_contain_text("cancelled after")
        process.wait(60)
    assert visit.refused == []


@pytest.mark.slow
def test_a_run_whose_kernel_was_restarted_is_interrupted_and_says_how_it_goes_on(lab: Laboratory, visit: Visit) -> None:
    lab.write("interrupted", [RUN.replace('"record"', '"lost"'), WATCH.replace("elsewhere", "lost")])
    notebook = lab.open(visit, "interrupted")
    notebook.run(wait=False)
    told(notebook).wait_for()
    moves(notebook)
    notebook.restart_kernel()
    notebook.cell(1).click()
    notebook.command("notebook:run-cell")
    shown = notebook.output(1)
    expect(shown).to_contain_text("interrupted")
    expect(shown).to_contain_text("to go on: call .run(…, run_id=")
    visit.photograph("interrupted")
    assert visit.refused == []
