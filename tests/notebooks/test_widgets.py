"""A run that is watched: where it stands by its record, what is said of it, and its widget in a real kernel."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.lib.pretty import pretty
from nbclient import NotebookClient

import toolkit as tk
from tests.core.core_samples import run_over, tickets
from tests.ledger.ledger_samples import START, attempt, place, row_record, run_record
from toolkit.errors import RateLimited, RunError
from toolkit.ledger import History, Journal, attempt_entries, row_entry, run_entry
from toolkit.records import Request, RowStatus
from toolkit.runs.progress import _Bar
from toolkit.runs.running import Running
from toolkit.widgets import Standing, standing_of, telling, watch
from toolkit.widgets.live import _Shown
from toolkit.widgets.standing import Fault, Worker

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 9, 1, tzinfo=UTC)


def recorded(home: Path, *entries: Any) -> History:
    with Journal.open(home) as journal:
        journal.write(*entries)
    return History(home)


def eventually(found: Any) -> Any:
    """The first value that is true; fails after half a minute."""
    by = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < by, "it never came"
        time.sleep(0.05)
    return value


# ------------------------------------------------------------------------------------------------ the standing of runs
def test_a_finished_run_stands_as_its_record_says(tmp_path: Path) -> None:
    ended: tuple[RowStatus, ...] = ("answered", "answered", "parked", "failed")
    rows = [row_entry(row_record(n, status)) for n, status in enumerate(ended)]
    run = run_record(status="finished", finished_at=START + timedelta(seconds=100), rows_total=4)
    standing = standing_of(recorded(tmp_path, run_entry(run), *rows), "run-1")
    assert (standing.answered, standing.parked, standing.failed, standing.set_aside, standing.done) == (2, 1, 1, 0, 4)
    assert (standing.total, standing.in_flight, standing.seconds) == (4, 0, 100.0)
    assert standing.rows_per_second == pytest.approx(0.04)
    assert standing.is_over
    assert standing.seconds_left is None


def test_rows_of_a_nested_workflow_are_not_counted_twice(tmp_path: Path) -> None:
    child = replace(row_record(1), parent_row_id="row-00000", parent_step="support/each")
    run = run_record(status="finished", finished_at=START + timedelta(seconds=60))
    assert (
        standing_of(recorded(tmp_path, run_entry(run), row_entry(row_record(0)), row_entry(child)), "run-1").done == 1
    )


def test_costs_calls_and_the_slowest_model_come_from_attempts(tmp_path: Path) -> None:
    tried = [
        attempt(model="small", service_seconds=0.2),
        attempt(model="large", service_seconds=3.0, wait_seconds=0.5, cost_usd=0.02),
        attempt(model="own", service_seconds=0.1, cost_usd=None),
        attempt(model="small", error=RateLimited("HTTP 429: slow down"), service_seconds=9.0),
    ]
    entries = [entry for each in tried for entry in attempt_entries(place(), "d", each, "request")]
    standing = standing_of(recorded(tmp_path, run_entry(run_record()), *entries), "run-1")
    assert (standing.calls, standing.errors, standing.unpriced) == (4, 1, 1)
    assert standing.cost_usd == pytest.approx(0.021)
    assert standing.slowest is not None
    assert (standing.slowest.model, standing.slowest.p95_seconds, standing.slowest.calls) == ("large", 3.0, 1)


def test_the_last_errors_are_the_newest_ones_of_attempts_and_of_rows(tmp_path: Path) -> None:
    tried = [
        attempt(error=RateLimited(f"HTTP 429: number {n}"), started_at=START + timedelta(seconds=n)) for n in range(9)
    ]
    entries = [entry for each in tried for entry in attempt_entries(place(), "d", each, "request")]
    failed = row_entry(
        row_record(1, "failed", reason="triage: nobody was left", finished_at=START + timedelta(hours=1))
    )
    standing = standing_of(recorded(tmp_path, run_entry(run_record()), failed, *entries), "run-1")
    assert [fault.message for fault in standing.faults] == [
        "triage: nobody was left", "HTTP 429: number 8", "HTTP 429: number 7",
    ]  # fmt: skip
    assert [fault.kind for fault in standing.faults] == ["failed", "rate_limited", "rate_limited"]


def test_a_run_that_nobody_is_known_to_work_on_is_silent_after_a_while(tmp_path: Path) -> None:
    standing = standing_of(recorded(tmp_path, run_entry(run_record()), row_entry(row_record())), "run-1")
    assert standing.is_silent
    assert not standing.workers
    assert "silent for" in telling.text(standing)


def test_a_run_that_is_not_on_record_is_an_error(tmp_path: Path) -> None:
    history = recorded(tmp_path, run_entry(run_record()))
    with pytest.raises(RunError, match="there is no run 'run-2'"):
        standing_of(history, "run-2")
    with pytest.raises(RunError, match="there is no run 'other'"):
        watch("other", home=tmp_path)


def test_the_name_of_a_run_may_be_cut_short(tmp_path: Path) -> None:
    recorded(tmp_path, run_entry(run_record("run-1")))
    assert watch("run", home=tmp_path).run_id == watch("latest", home=tmp_path).run_id == "run-1"


# --------------------------------------------------------------------------------------------------- runs under way
@tk.step
async def looked_up(ticket: str) -> str:
    if ticket == "slow":
        await asyncio.sleep(60)
    if ticket == "bad":
        raise ValueError("there is no such order")
    return ticket


@tk.step(route=tk.Fixed("small"))
def reply(looked_up: str) -> Request:
    return tk.prompt("Answer.", ticket=looked_up)


def started(home: Path, *tickets: str, **options: Any) -> Running:
    fleet = tk.Fleet({}).with_function("small", lambda request: "fine")
    rows = [{"id": str(n), "ticket": ticket} for n, ticket in enumerate(tickets)]
    return tk.Workflow("desk", [looked_up, reply]).start(rows, fleet, home=home, **options)


def test_a_run_under_way_tells_what_is_in_flight_and_that_it_is_here(tmp_path: Path) -> None:
    run = started(tmp_path, "fine", "bad", "slow", "slow", budget="1 USD; ceiling: 0.01 USD")
    try:
        seen = watch(run)
        standing = eventually(lambda: found if (found := seen.look()).done == 2 else None)
        assert (standing.answered, standing.failed, standing.in_flight) == (1, 1, 2)
        assert standing.is_here
        assert not standing.is_over
        assert standing.rows_per_second
        assert standing.seconds_left
        assert standing.budget is not None
        assert standing.budget.cap.most == 1
        assert "in this kernel" in telling.text(standing)
    finally:
        run.cancel()


ELSEWHERE = """
import sys, time
from tests.notebooks.test_widgets import started
from pathlib import Path
run = started(Path(sys.argv[1]), "fine", "slow")
print(run.id, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_run_of_another_process_is_seen_and_is_interrupted_once_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        seen = watch(run_id, home=tmp_path)
        standing = eventually(lambda: found if (found := seen.look()).done == 1 else None)
        assert [worker.pid for worker in standing.workers] == [process.pid]
        assert not standing.is_here
        assert standing.in_flight == 1
    finally:
        process.kill()
        process.communicate()
    standing = seen.look()
    assert (standing.status, standing.in_flight, standing.workers) == ("interrupted", 0, ())
    assert f"to go on: call .run(…, run_id='{run_id}') where it was started" in telling.text(standing)


def test_what_is_no_run_is_refused_in_a_sentence() -> None:
    with pytest.raises(RunError, match="give a run or its name, not NoneType"):
        watch(None)  # type: ignore[arg-type]


def test_the_bar_of_a_batch_tells_failed_rows_from_answered_ones(tmp_path: Path) -> None:
    async def fails(request: Request) -> str:
        if "number 1" in request.text:
            raise ValueError("no")
        return "yes"

    @tk.step(route=tk.Fixed("small"))
    def ask(ticket: str) -> Request:
        return tk.prompt("Answer.", ticket=ticket)

    run = run_over(tk.Workflow("w", [ask]), tickets(4), tk.Fleet({}).with_function("small", fails), tmp_path)
    told = _Bar(run)._repr_html_()
    assert 'title="3 answered" style="width:75.0%' in told and 'title="1 failed" style="width:25.0%' in told


def test_a_step_of_which_nobody_could_be_asked_is_no_work_of_a_tool(tmp_path: Path) -> None:
    async def says(request: Request) -> str:
        return "yes"

    @tk.step(route=tk.Fixed("small"))
    def ask(ticket: str) -> Request:
        return tk.prompt("Answer.", ticket=ticket)

    workflow, fleet = tk.Workflow("w", [ask]), tk.Fleet({}).with_function("small", says, window=1000)
    run = run_over(workflow, [{"id": "long", "ticket": "word " * 20_000}], fleet, tmp_path)
    told = repr(tk.show(run, row="long"))
    assert "nobody could be asked, x failed" in told and "work of a tool" not in told
    assert pretty(workflow) == "workflow 'w':\n  ask ← ticket · Fixed('small')"  # type: ignore[no-untyped-call]


# ------------------------------------------------------------------------------------------------------------- telling
def standing(**changes: Any) -> Standing:
    known: dict[str, Any] = {"run_id": "desk-1", "workflow": "desk", "origin": "cli", "status": "running"}
    return Standing(**{**known, "as_of": NOW, "started_at": START, "seconds": 60.0, "total": 100} | changes)


SAID = [
    (standing(answered=40, parked=5), "45 of 100 rows (45 %)"),
    (standing(answered=999, total=1000), "999 of 1,000 rows (99 %)"),
    (standing(answered=7, total=None), "7 rows"),
    (standing(), "no row has ended yet"),
    (standing(answered=40, rows_per_second=2.0), "2.0 rows/s · 30 s left"),
    (standing(answered=40, rows_per_second=0.1), "6.0 rows/min · 10 min 0 s left"),
    (standing(calls=9, errors=2, cost_usd=0.0123, unpriced=3), "9 calls, 2 failed · 0.012 USD + 3 unpriced"),
    (standing(workers=(Worker("box boot", 12),), origin="prefect"), "in process 12 on box, by Prefect"),
    (standing(workers=(Worker("box", 12), Worker("box", 3, is_here=True))), "in this kernel, process 12 on box"),
    (standing(status="cancelled", further="toolkit resume x"), "cancelled after 1 min 0 s; to go on: toolkit resume x"),
    (standing(status="interrupted"), "interrupted, last heard of after 1 min 0 s"),
    (standing(faults=(Fault(START, "r1", "reply", "large", "timeout", "60 s"),)), "1 min 0 s ago  row r1, reply"),
    (standing(faults=(Fault(START, "r1", "", "", "set_aside", "no id"),)), "row r1: set aside: no id"),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "said"), SAID, ids=[said for _, said in SAID])
def test_a_standing_is_said_in_words_with_units(shown: Standing, said: str) -> None:
    assert said in telling.text(shown)


@pytest.mark.parametrize(("shown", "said"), SAID, ids=[said for _, said in SAID])
def test_html_says_what_text_says(shown: Standing, said: str) -> None:
    words = " ".join(re.sub(r"<[^>]*>", " ", telling.html(shown)).split())
    assert all(part.strip() in words for part in said.replace("ago  ", "ago · ").split(" · "))


def test_what_comes_from_outside_cannot_break_out_of_the_html() -> None:
    evil = "<script>alert(1)</script>\"'"
    shown = telling.html(standing(run_id=evil, note=evil, faults=(Fault(START, evil, evil, evil, evil, evil),)))
    assert "<script" not in shown
    assert "\"'" not in shown


@given(
    counts=st.fixed_dictionaries(
        {name: st.integers(0, 10**6) for name in ("answered", "parked", "failed", "set_aside", "in_flight")}
    ),
    total=st.none() | st.integers(0, 10**6),
)
def test_the_bar_is_never_longer_than_its_room(counts: dict[str, int], total: int | None) -> None:
    shown = standing(**counts, total=total)
    bar = telling.text(shown).splitlines()[1].split("]")[0]
    assert len(bar) == 1 + telling.BAR_CHARACTERS
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", telling.html(shown))]
    assert sum(widths) <= 100.01


# ---------------------------------------------------------------------------------------------------------- the button
def pressed(run: Running) -> Any:
    """A function that presses the button of that name, as soon as it can be pressed, in another kernel's widget."""
    seen = watch(run.id, home=run.history.home)
    shown = _Shown(seen.look(), seen._steer)

    def press(name: str) -> None:
        buttons = {button.description: button for button in (shown._pause, shown._cancel)}
        assert not buttons[name].disabled, shown._told.value
        buttons[name].click()
        shown.show(seen.look())

    return press


@pytest.mark.slow
def test_the_buttons_pause_resume_and_cancel_a_run_that_goes_on_elsewhere(tmp_path: Path) -> None:
    run = started(tmp_path, *["fine"] * 4000, in_flight=2)
    press = pressed(run)
    press("Pause")
    eventually(lambda: standing_of(run.history, run.id).is_paused and run.steering.is_paused)
    time.sleep(0.5)  # what was under way ends
    before = standing_of(run.history, run.id).done
    time.sleep(1.0)
    held = standing_of(run.history, run.id)
    assert held.done == before < 4000
    assert not held.is_silent
    assert "paused in this kernel" in telling.text(held)
    press("Resume")
    eventually(lambda: standing_of(run.history, run.id).done > before)
    press("Cancel")
    run.wait(show=False)
    assert standing_of(run.history, run.id).status == "cancelled"


def test_where_nobody_works_on_a_run_its_buttons_are_grey() -> None:
    shown = _Shown(standing(), lambda wish: None)
    assert shown._pause.disabled
    assert shown._cancel.disabled


def test_what_a_button_cannot_do_is_told_beside_it(tmp_path: Path) -> None:
    run = started(tmp_path, "fine").wait(show=False)
    seen = watch(run.id, home=tmp_path)
    shown = _Shown(standing(workers=(Worker("box", 12),)), seen._steer)
    shown._pause.click()
    assert "nobody works on run" in shown._told.value


# ------------------------------------------------------------------------------------------------------ in real kernels
WATCHED = """
import asyncio, toolkit as tk
@tk.step
async def slow(ticket):
    await asyncio.sleep(1.0)
    return 1
run = tk.Workflow("w", [slow]).start([{"id": str(n), "ticket": "x"} for n in range(20)], tk.Fleet({}), in_flight=4)
run
"""


@pytest.mark.slow
def test_a_notebook_keeps_the_last_state_of_a_run_as_text_and_html(tmp_path: Path) -> None:
    cells = [
        WATCHED,
        "watched = tk.watch(run)\nwatched",
        "watched",
        "run.wait(show=False)\nimport threading\n"
        "for thread in threading.enumerate():\n    if thread.name.startswith('watch '): thread.join()",
        "tk.watch()",
    ]
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]  # type: ignore[no-untyped-call]
    )
    seen: list[set[str]] = []
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
        on_cell_executed=lambda cell, **_: seen.append({kind for out in cell.outputs for kind in out.data}),
    )
    client.execute()
    assert seen[0] == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    for cell in (*notebook.cells[:3], notebook.cells[4]):
        (output,) = cell.outputs
        assert set(output.data) == {"text/plain", "text/html"}
        assert "finished after" in output.data["text/plain"]
        assert "20 of 20 rows (100 %)" in output.data["text/html"]


@pytest.mark.slow
def test_plain_ipython_prints_text(tmp_path: Path) -> None:
    code = f"exec({WATCHED!r})\nrun.wait(show=False)\ntk.watch()"
    shell = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path / "profile")}
    done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert "20 of 20 rows (100 %)" in done.stdout, done.stderr
    assert "<div" not in done.stdout
