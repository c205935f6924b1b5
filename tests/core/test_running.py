"""A batch: streamed, bounded, stopped, continued, shared between runs and processes; nothing is paid for twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.core_samples import SMALL, Cancels, Model, column, fleet_of, run_over, said, tickets
from toolkit import Fleet, Request, Workflow, prompt, step
from toolkit.asking.thread import submit
from toolkit.errors import AccessDenied, RowsError, RunError, WorkflowError
from toolkit.rows import Rows
from toolkit.runs.progress import duration, line
from toolkit.runs.running import Progress


@step(route=SMALL)
def reply(ticket: str) -> Request:
    return prompt("Answer.", ticket=ticket)


@step(route=SMALL)
def checked(reply: str, ticket: str) -> Request:
    return prompt("Check.", answer=reply, ticket=ticket)


FLOW = Workflow("w", [reply, checked])


# ------------------------------------------------------------------------------------------------------------- bounds
@pytest.mark.slow
def test_rows_are_read_no_further_ahead_than_are_in_flight_or_claimed_next(tmp_path: Path) -> None:
    read = finished = most_ahead = 0
    cancel = Cancels()

    def stream() -> Iterator[dict[str, Any]]:
        nonlocal read, most_ahead
        for number in range(50_000):
            read += 1
            most_ahead = max(most_ahead, read - finished)
            yield {"id": str(number), "ticket": "same"}

    @step
    async def counted(ticket: str) -> int:
        nonlocal finished
        finished += 1
        if finished == 2_000:
            await cancel()
        return 1

    rows = Rows(("id", "ticket"), 50_000, stream)
    cancel.hold(Workflow("w", [counted]).start(rows, fleet_of(), home=tmp_path, in_flight=16)).wait(show=False)
    assert most_ahead <= 16 + 2 * 16 + 8  # two slabs of 16 beside what is in flight
    assert read < 4_000


def test_no_more_rows_are_under_way_than_asked_for(tmp_path: Path) -> None:
    now = most = 0

    @step
    async def counted(ticket: str) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return 1

    run_over(Workflow("w", [counted]), tickets(60), fleet_of(), tmp_path, in_flight=7)
    assert most == 7


def test_many_plain_tools_wait_for_the_world_at_the_same_time(tmp_path: Path) -> None:
    here = threading.Barrier(20)

    @step
    def waits(ticket: str) -> int:
        return here.wait(timeout=10) >= 0

    assert run_over(Workflow("w", [waits]), tickets(20), fleet_of(), tmp_path).progress.answered == 20


# -------------------------------------------------------------------------------------------- cancelled and continued
@pytest.mark.slow
def test_a_cancelled_run_goes_on_where_it_stopped_and_asks_only_what_is_missing(tmp_path: Path) -> None:
    asked: list[str] = []
    cancel = Cancels()

    async def answer(request: Request) -> str:
        asked.append(request.text)
        number = len(asked)
        await asyncio.sleep(0.01)
        if number == 15:
            await cancel()
        return f"answer {number}"

    fleet = Fleet({}).with_function("small", answer, concurrency=4)
    running = cancel.hold(FLOW.start(tickets(30), fleet, home=tmp_path)).wait(show=False)
    assert running.run.status == "cancelled"
    assert 15 <= len(asked) <= 15 + 4
    assert column(running, "select status from runs") == ["cancelled"]
    assert column(running, "select count(*) from attempts") == [len(asked)]

    resumed = run_over(FLOW, tickets(30), fleet, tmp_path, run_id=running.id)
    assert resumed.run.status == "finished"
    assert len(asked) == len(set(asked)) == 60
    assert (resumed.progress.done, resumed.progress.failed) == (30, 0)
    assert column(resumed, "select count(*) from \"rows\" where status = 'answered'") == [30]
    assert column(resumed, "select count(*) from answers") == [60]


def test_what_waits_at_a_models_door_is_not_asked_after_a_cancel(tmp_path: Path) -> None:
    calls, cancel = 0, Cancels()

    async def slow(_: Request) -> str:
        nonlocal calls
        calls += 1
        await cancel()
        await asyncio.sleep(0.02)
        return "fine"

    fleet = Fleet({}).with_function("small", slow, concurrency=1)
    running = cancel.hold(FLOW.start(tickets(30), fleet, home=tmp_path)).wait(show=False)
    assert calls == 1
    assert running.run.status == "cancelled"


def test_a_cancel_reaches_those_who_wait_for_the_same_answer(tmp_path: Path) -> None:
    cancel = Cancels()

    async def slow(_: Request) -> str:
        await cancel()
        await asyncio.sleep(0.02)
        raise AccessDenied("401")

    rows = [{"id": str(i), "ticket": "same"} for i in range(5)]
    running = cancel.hold(FLOW.start(rows, fleet_of(small=slow), home=tmp_path)).wait(show=False)
    assert running.run.status == "cancelled"


def test_a_cancel_lets_requests_under_way_end_and_keeps_what_they_gave(tmp_path: Path) -> None:
    cancel = Cancels()

    async def answer(request: Request) -> str:
        await cancel()
        await asyncio.sleep(0.001 if "first" in request.text else 0.05)
        return "paid for"

    @step(route=SMALL)
    def parts(ticket: str) -> list[Request]:
        return [prompt("Shorten.", part=name) for name in ("first", "second", "third")]

    @step(route=SMALL)
    def beside(ticket: str) -> Any:
        yield prompt("Shorten.", part="first of another")
        yield prompt("Shorten.", part="never asked")

    flow = Workflow("w", [parts, beside])
    running = cancel.hold(flow.start(tickets(1), fleet_of(small=answer), home=tmp_path)).wait(show=False)
    assert column(running, "select count(*) from attempts") == [4]
    assert column(running, "select count(*) from answers where turn > 0 and status = 'answered'") == [4]


def test_failed_rows_run_again_when_a_run_is_continued_and_answered_ones_do_not(tmp_path: Path) -> None:
    failing = True

    def flaky(request: Request) -> str:
        if failing and "number 1" in request.text:
            raise AccessDenied("401")
        return "fine"

    model = Model(flaky)
    first = run_over(FLOW, tickets(3), fleet_of(small=model), tmp_path)
    assert (first.progress.answered, first.progress.failed) == (2, 1)
    failing = False
    again = run_over(FLOW, tickets(3), fleet_of(small=model), tmp_path, run_id=first.id)
    assert (again.progress.before, again.progress.answered, again.progress.failed) == (2, 1, 0)
    assert again.progress.done == 3
    assert column(again, 'select status from "rows"') == ["answered"] * 3


def test_tools_and_turns_on_record_do_not_run_again_when_a_run_is_continued(tmp_path: Path) -> None:
    ran: list[str] = []
    failing = True

    @step
    def looked_up(ticket: str) -> str:
        ran.append("tool")
        return ticket

    @step(route=SMALL)
    def turns(looked_up: str) -> Any:
        ran.append("turns")
        reply = yield prompt("Think.", ticket=looked_up)
        return reply.text

    @step
    def last(turns: str) -> str:
        if failing:
            raise OSError("not yet")
        return turns

    model, flow = Model(), Workflow("w", [looked_up, turns, last])
    first = run_over(flow, tickets(1), fleet_of(small=model), tmp_path)
    failing = False
    again = run_over(flow, tickets(1), fleet_of(small=model), tmp_path, run_id=first.id)
    assert again.progress.answered == 1
    assert ran == ["tool", "turns"]
    assert model.calls == 1


def test_once_and_reducing_steps_run_again_only_where_the_batch_has_changed(tmp_path: Path) -> None:
    ran: list[str] = []
    failing = True

    @step
    def handbook() -> str:
        ran.append("handbook")
        return "30 days"

    @step
    def used(ticket: str, handbook: str) -> str:
        if failing and ticket.endswith("1"):
            raise OSError("not yet")
        return handbook

    @step(reduces=True)
    def report(used: list[str]) -> int:
        ran.append(f"report of {len(used)}")
        return len(used)

    flow = Workflow("w", [handbook, used, report])
    first = run_over(flow, tickets(2), fleet_of(), tmp_path)
    failing = False
    for _ in range(2):
        run_over(flow, tickets(2), fleet_of(), tmp_path, run_id=first.id)
    assert ran == ["handbook", "report of 1", "report of 2"]


def test_a_continued_row_keeps_what_its_own_answer_cost(tmp_path: Path) -> None:
    failing = True

    @step
    def last(reply: str, id: str) -> str:
        if failing and id == "a":
            raise OSError("not yet")
        return reply

    flow, rows = Workflow("w", [reply, last]), [{"id": name, "ticket": "same"} for name in "ab"]
    fleet = fleet_of(small=Model(said("fine", cost_usd=0.5)))
    first = run_over(flow, rows, fleet, tmp_path, in_flight=1)
    failing = False
    again = run_over(flow, rows, fleet, tmp_path, run_id=first.id)
    assert again.sql('select row_id, cost_usd from "rows" order by 1').rows == (("a", 0.5), ("b", 0.0))


def test_a_run_is_not_continued_as_another_workflow(tmp_path: Path) -> None:
    first = run_over(FLOW, tickets(1), fleet_of(small=Model()), tmp_path)
    with pytest.raises(RunError, match="is one of workflow 'w', not of 'v'"):
        run_over(Workflow("v", [reply]), tickets(1), fleet_of(small=Model()), tmp_path, run_id=first.id)


def test_what_no_row_can_help_ends_the_run_with_its_error_and_it_can_be_continued(tmp_path: Path) -> None:
    def torn() -> Iterator[dict[str, Any]]:
        yield from tickets(10)
        raise RowsError("the file ends here")

    model = Model()
    running = FLOW.start(Rows(("id", "ticket"), None, torn), fleet_of(small=model), home=tmp_path)
    with pytest.raises(RowsError, match="the file ends here"):
        running.wait(show=False)
    assert running.run.status == "interrupted"
    assert column(running, "select count(*) from \"rows\" where status = 'answered'") == [10]
    again = run_over(FLOW, tickets(12), fleet_of(small=model), tmp_path, run_id=running.id)
    assert (again.progress.before, again.progress.answered) == (10, 2)
    assert model.calls == 24


# -------------------------------------------------------------------------------------------------------- many at once
@pytest.mark.slow
def test_twenty_runs_at_the_same_time_share_one_home(tmp_path: Path) -> None:
    async def answer(request: Request) -> str:
        await asyncio.sleep(0.005)
        return "fine"

    runs = [
        Workflow("w", [reply]).start(
            [{"id": str(row), "ticket": f"ticket {number}/{row}"} for row in range(10)],
            fleet_of(small=answer),
            home=tmp_path,
        )
        for number in range(20)
    ]
    for running in runs:
        running.wait(show=False)
    counted = runs[0].history.sql(
        "select count(distinct run_id), count(*), count(distinct (run_id, row_id)) from answers where value is not null"
    )
    assert counted.rows == ((20, 200, 200),)
    assert runs[0].history.sql("select distinct status from runs").rows == (("finished",),)


CHILD = """
import sys
from pathlib import Path
import toolkit as tk

@tk.step(route=tk.Fixed("small"))
def reply(ticket):
    return tk.prompt("Answer.", ticket=ticket)

rows = [{"id": f"r{i}", "ticket": f"ticket {sys.argv[2]}/{i}"} for i in range(60)]
fleet = tk.Fleet({}).with_function("small", lambda request: "fine")
run = tk.Workflow("w", [reply]).run(rows, fleet, home=Path(sys.argv[1]))
assert run.progress.answered == 60, run
"""


@pytest.mark.slow
def test_several_processes_share_one_home(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path), str(number)])
        for number in range(2)
    ]
    mine = run_over(Workflow("w", [reply]), tickets(60), fleet_of(small=Model()), tmp_path)
    assert [child.wait(60) for child in children] == [0, 0]
    counted = mine.history.sql("select count(distinct run_id), count(*) from attempts")
    assert counted.rows == ((3, 180),)


KILLED = CHILD.replace(
    'lambda request: "fine"', 'lambda request: (print("asked", flush=True), __import__("time").sleep(0.02), "fine")[2]'
).replace("home=Path(sys.argv[1])", 'home=Path(sys.argv[1]), run_id="killed"')


@pytest.mark.slow
def test_a_killed_run_is_continued_and_pays_again_for_no_more_than_was_under_way(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), "0"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    asked = 0
    for _ in child.stdout:
        asked += 1
        if asked == 20:
            os.kill(child.pid, 9)
            break
    asked += len(child.stdout.readlines())
    child.wait(10)
    model = Model()
    rows = [{"id": f"r{i}", "ticket": f"ticket 0/{i}"} for i in range(60)]
    run = run_over(Workflow("w", [reply]), rows, fleet_of(small=model), tmp_path, run_id="killed")
    assert run.progress.done == 60
    assert 60 - asked <= model.calls <= 60 - asked + 5


# -------------------------------------------------------------------------------------------------- choosing and asking
def test_part_of_the_rows_keeps_their_places_in_the_table(tmp_path: Path) -> None:
    rows = [{"ticket": f"ticket {i}"} for i in range(10)]
    run = run_over(FLOW, rows, fleet_of(small=Model()), tmp_path, skip=3, limit=2)
    assert run.sql('select row_id, "index" from "rows" order by 2').rows == (("row-3", 3), ("row-4", 4))
    assert run.run.rows_total == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"in_fligth": 3}, "run\\(\\) has no option 'in_fligth'; it has home, in_flight"),
        ({"in_flight": 0}, "in_flight must be a whole number of at least 1, not 0"),
        ({"in_flight": 1.5}, "in_flight must be a whole number"),
        ({"limit": -1}, "limit must be a whole number"),
        ({"skip": -1}, "skip must be a whole number of at least 0, not -1"),
    ],
)
def test_an_option_that_cannot_be_is_refused(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(RunError, match=why):
        run_over(FLOW, tickets(1), fleet_of(small=Model()), tmp_path, **options)


def test_what_cannot_run_is_refused_before_a_run_is_on_record(tmp_path: Path) -> None:
    fleet = fleet_of(small=Model())
    with pytest.raises(RowsError, match="needs the column 'ticket', which the rows do not have; they have id, text"):
        run_over(FLOW, [{"id": 1, "text": "x"}], fleet, tmp_path)
    with pytest.raises(RowsError, match="has no rows"):
        run_over(FLOW, [], fleet, tmp_path)
    typed = step(route=SMALL, output=int)(lambda ticket: prompt("x"))
    with pytest.raises(WorkflowError, match="wants typed output"):
        run_over(Workflow("w", [typed]), tickets(1), Fleet({}).with_function("small", str, capabilities=[]), tmp_path)
    assert not (tmp_path / "journal.db").exists()


def test_a_run_tells_what_it_is_and_answers_in_sql_for_itself_alone(tmp_path: Path) -> None:
    first = run_over(FLOW, tickets(2), fleet_of(small=Model()), tmp_path)
    second = run_over(FLOW, tickets(1), fleet_of(small=Model("else")), tmp_path, fresh=True)
    assert repr(first).startswith(f"<run {first.id}: finished, 2 rows: 2 answered, 0 parked, 0 failed, 0 set aside; 4 ")
    assert column(first, "select count(*) from attempts") == [4]
    assert second.sql("select count(*) from attempts where row_id = $row", {"row": "t0"}).rows == ((2,),)
    assert first.history.sql("select count(*) from attempts").rows == ((6,),)
    assert first.is_finished


def test_the_loop_thread_is_started_anew_where_it_has_died() -> None:
    async def dies() -> None:
        await asyncio.sleep(0)
        asyncio.get_running_loop().stop()

    async def lives() -> int:
        return 7

    thread = next(each for each in threading.enumerate() if each.name == "toolkit-loop")
    submit(dies())
    thread.join(5)
    assert submit(lives()).result(5) == 7


# ----------------------------------------------------------------------------------------------------------- progress
@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.44, "0.4 s"), (12.3, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (3599.7, "1 h 0 min")],
)
def test_durations_are_told_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_progress_tells_the_time_left_by_the_pace_so_far() -> None:
    progress = Progress(total=100, began=time.monotonic() - 10)
    assert progress.seconds_left is None
    progress.before = 50
    for _ in range(10):
        progress.count("answered")
    assert progress.seconds_left == pytest.approx(40, rel=0.05)
    assert line(progress).startswith("60/100 rows · 0 in flight · 0 calls · 0.0000 USD · 4")
    assert line(progress).endswith("s left")


def test_waiting_shows_a_line_now_and_then_where_asked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = FLOW.start(tickets(2), fleet_of(small=Model()), home=tmp_path)
    running.wait(show=True)
    assert f"{running.id}: 2/2 rows · 0 in flight · 4 calls" in capsys.readouterr().err
