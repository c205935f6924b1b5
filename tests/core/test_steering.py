"""A run is paused, goes on, and is cancelled, by whoever has its record, in whichever process it is going on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import toolkit as tk
from tests.core.core_samples import Model, fleet_of, said, tickets
from toolkit import Journal
from toolkit.asking.steering import steer
from toolkit.cli.app import app
from toolkit.errors import Overloaded, RunError, ToolkitError
from toolkit.runs.running import Running
from toolkit.widgets import standing_of

QUIET_SECONDS = 0.6


@tk.step(route=tk.Fixed("small"), policy=tk.Retry(3, base=0.05) | tk.Within(seconds=30))
def reply(ticket: str) -> tk.Request:
    return tk.prompt("Answer.", ticket=ticket)


DESK = tk.Workflow("desk", [reply])


def eventually(found: Callable[[], Any]) -> Any:
    by = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < by, "it never came"
        time.sleep(0.02)
    return value


def started(home: Path, model: Model, *, rows: int = 3000, **options: Any) -> Running:
    return DESK.start(tickets(rows), fleet_of(small=model), home=home, in_flight=4, **options)


def slow(seconds: float, *, cost_usd: float | None = None) -> Callable[[tk.Request], Awaitable[tk.Reply]]:
    """An answer that takes that long."""

    async def answer(request: tk.Request) -> tk.Reply:
        await asyncio.sleep(seconds)
        return said("fine", cost_usd=cost_usd)

    return answer


def is_quiet(model: Model) -> bool:
    """Whether nothing is asked of it for a while, once what was under way has ended."""
    time.sleep(QUIET_SECONDS / 2)
    before = model.calls
    time.sleep(QUIET_SECONDS)
    return model.calls == before


@pytest.mark.slow
def test_while_a_run_is_paused_nothing_is_asked_and_then_everything_is_once(tmp_path: Path) -> None:
    model = Model(slow(0.05))
    run = started(tmp_path, model, rows=300)
    eventually(lambda: model.calls > 20)
    run.pause()
    assert is_quiet(model)
    assert not run.is_finished
    assert run.progress.is_paused
    run.go_on()
    run.wait(show=False)
    assert (run.run.status, model.calls) == ("finished", 300)


def test_no_further_attempt_begins_while_it_is_paused_be_it_a_retry(tmp_path: Path) -> None:
    def busy(request: tk.Request) -> str:
        raise Overloaded("HTTP 503: busy", retry_after=0.2)

    model = Model(busy)
    run = started(tmp_path, model, rows=1)
    eventually(lambda: model.calls == 1)
    run.pause()
    assert is_quiet(model)
    assert model.calls == 1
    run.go_on()
    run.wait(show=False)
    assert model.calls == 4
    assert run.sql("select list(number order by number) from attempts").rows == (([1, 2, 3, 4],),)


@pytest.mark.slow
def test_a_call_that_waits_at_the_door_when_the_run_is_paused_is_not_sent(tmp_path: Path) -> None:
    model = Model(slow(0.25))
    fleet = tk.Fleet({}).with_function("small", model, concurrency=1)
    run = DESK.start(tickets(12), fleet, home=tmp_path, in_flight=12)
    eventually(lambda: model.calls == 2)
    run.pause()
    assert is_quiet(model)
    assert model.calls < 12
    run.go_on()
    run.wait(show=False)
    assert (run.progress.answered, model.calls) == (12, 12)


def test_a_pause_is_no_part_of_a_requests_limit_of_time(tmp_path: Path) -> None:
    @tk.step(route=tk.Fixed("small"), policy=tk.Within(seconds=1.0) | tk.Retry(2, base=0.3))
    def hasty(ticket: str) -> tk.Request:
        return tk.prompt("Answer.", ticket=ticket)

    def first_busy(request: tk.Request) -> str:
        if model.calls == 1:
            raise Overloaded("HTTP 503: busy")
        return "fine"

    model = Model(first_busy)
    run = tk.Workflow("desk", [hasty]).start(tickets(1), fleet_of(small=model), home=tmp_path)
    eventually(lambda: model.calls == 1)
    run.pause()
    time.sleep(1.3)
    run.go_on()
    run.wait(show=False)
    assert run.progress.answered == 1


def test_tools_begin_no_work_while_the_run_is_paused(tmp_path: Path) -> None:
    worked: list[str] = []

    @tk.step
    def filed(reply: str) -> str:
        worked.append(reply)
        return reply

    model = Model(slow(0.3))
    run = tk.Workflow("desk", [reply, filed]).start(tickets(1), fleet_of(small=model), home=tmp_path)
    eventually(lambda: model.calls == 1)
    run.pause()
    time.sleep(0.8)
    assert worked == []
    run.go_on()
    run.wait(show=False)
    assert worked == ["fine"]


def test_a_paused_budget_holds_nothing_back_for_what_was_not_sent(tmp_path: Path) -> None:
    model = Model(slow(0.1, cost_usd=0.001))
    price = tk.ModelSpec("x", "function", "x").price
    fleet = tk.Fleet({}).with_function("small", model, concurrency=1, price=price)
    run = DESK.start(tickets(6), fleet, home=tmp_path, in_flight=6, budget="1 USD; ceiling: 0.01 USD")
    eventually(lambda: model.calls == 2)
    run.pause()
    assert is_quiet(model)
    run.go_on()
    run.wait(show=False)
    with Journal.open(tmp_path) as journal:
        balances = journal.decided(lambda t: t.rows("select spent, reserved from budgets where unit = 'usd'"))
    assert balances == [(pytest.approx(0.006), pytest.approx(0.0))]


@pytest.mark.slow
def test_a_paused_run_can_be_cancelled_and_resumed(tmp_path: Path) -> None:
    model = Model(slow(0.05))
    run = started(tmp_path, model, rows=400)
    eventually(lambda: model.calls > 20)
    run.pause()
    assert is_quiet(model)
    steer(tmp_path, run.id, "cancel")
    run.wait(show=False)
    assert run.run.status == "cancelled"
    again = started(tmp_path, model, rows=400, run_id=run.id).wait(show=False)
    assert (again.run.status, model.calls) == ("finished", 400)


def test_what_was_wished_is_on_record(tmp_path: Path) -> None:
    run = started(tmp_path, Model())
    run.pause()
    assert not steer(tmp_path, run.id, "pause")
    run.go_on()
    steer(tmp_path, run.id, "cancel")
    run.wait(show=False)
    names = [name for (name,) in run.sql("select name from events order by happened_at")]
    assert names == ["toolkit.run.paused", "toolkit.run.resumed", "toolkit.run.cancelled"]


def test_a_run_that_nobody_works_on_cannot_be_paused(tmp_path: Path) -> None:
    run = started(tmp_path, Model(), rows=3).wait(show=False)
    with pytest.raises(RunError, match=f"nobody works on run {run.id} now: it is finished"):
        run.pause()
    with pytest.raises(RunError, match="there is no run 'other'"):
        steer(tmp_path, "other", "pause")
    with pytest.raises(RunError, match="there is no journal"):
        steer(tmp_path / "elsewhere", run.id, "pause")


@pytest.mark.slow
def test_who_comes_to_a_paused_run_waits_with_the_others(tmp_path: Path) -> None:
    first, second = Model(slow(0.02)), Model(slow(0.02))
    run = started(tmp_path, first, rows=600)
    run.pause()
    assert is_quiet(first)
    other = started(tmp_path, second, rows=600, run_id=run.id)
    assert is_quiet(second)
    assert second.calls == 0
    run.go_on()
    for each in (run, other):
        each.wait(show=False)
    assert first.calls + second.calls == 600


@pytest.mark.slow
def test_a_run_that_is_being_cancelled_is_not_begun_again_beside_those_who_still_stop(tmp_path: Path) -> None:
    model = Model(slow(4.0))
    run = started(tmp_path, model, rows=4)
    eventually(lambda: model.calls > 0)
    steer(tmp_path, run.id, "cancel")
    with pytest.raises(RunError, match="is being cancelled"):
        started(tmp_path, model, rows=4, run_id=run.id)
    with pytest.raises(RunError, match="is being cancelled"):
        run.pause()
    run.wait(show=False)


# --------------------------------------------------------------------------------------------------- other processes
ELSEWHERE = """
import sys, time
from pathlib import Path
import toolkit as tk
from tests.core.core_samples import fleet_of, tickets
from tests.core.test_steering import DESK

DESK.run(tickets(5000), fleet_of(small=lambda request: time.sleep(0.02) or "fine"), home=Path(sys.argv[1]),
         run_id="elsewhere", in_flight=4)
"""


@contextmanager
def elsewhere(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", ELSEWHERE, str(home)], cwd=Path(__file__).parents[2])
    try:
        eventually(lambda: (home / "journal.db").exists() and done(home) > 8)
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def done(home: Path) -> int:
    try:
        return standing_of(tk.History(home), "elsewhere").done
    except ToolkitError:  # it has only begun to make its record
        return 0


@pytest.mark.slow
def test_a_run_of_another_process_is_paused_goes_on_and_is_cancelled_from_the_command_line(tmp_path: Path) -> None:
    def toolkit(*words: str) -> str:
        return CliRunner().invoke(app, [*words, "--home", str(tmp_path)]).output

    with elsewhere(tmp_path) as process:
        assert "elsewhere is paused" in toolkit("pause", "else")
        assert "was paused before" in toolkit("pause", "latest")
        time.sleep(2)
        before = done(tmp_path)
        time.sleep(1)
        assert done(tmp_path) == before
        standing = standing_of(tk.History(tmp_path), "elsewhere")
        assert standing.is_paused
        assert not standing.is_over
        assert f"elsewhere goes on in process {process.pid}" in toolkit("resume", "latest")
        eventually(lambda: done(tmp_path) > before)
        assert "stops once its calls have ended" in toolkit("cancel", "latest")
        assert process.wait(30) == 0
    assert standing_of(tk.History(tmp_path), "elsewhere").status == "cancelled"
    assert "nobody works on run elsewhere now: it is cancelled" in toolkit("pause", "latest")


@pytest.mark.slow
def test_a_paused_run_whose_process_is_killed_is_interrupted_and_goes_on_unpaused(tmp_path: Path) -> None:
    with elsewhere(tmp_path) as process:
        steer(tmp_path, "elsewhere", "pause")
        process.kill()
        process.wait()
        standing = standing_of(tk.History(tmp_path), "elsewhere")
        assert (standing.status, standing.is_paused) == ("interrupted", False)
    model = Model()
    again = DESK.start(tickets(300), fleet_of(small=model), home=tmp_path, run_id="elsewhere").wait(show=False)
    assert (again.run.status, again.steering.is_paused) == ("finished", False)
