"""Several processes at one run: they share its rows, none is done twice, and what the dead leave behind goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.resume.together import stop
from tests.core.core_samples import SMALL, Cancels, Model, column, fleet_of, run_over, tickets
from toolkit import History, Journal, Request, Workflow, prompt, step
from toolkit.errors import AccessDenied, LedgerError
from toolkit.ledger import row_entry, run_entry
from toolkit.ledger.reading import tail
from toolkit.ledger.writing import holders
from toolkit.ledger.writing.holders import Holder
from toolkit.ledger.writing.transaction import Transaction
from toolkit.records import RowRecord, RowStatus, Run, now
from toolkit.runs.claiming import Holding
from toolkit.runs.running import Running

RUN = Run("r", "w", "script", datetime(2026, 3, 1, tzinfo=UTC))
PUT = """insert into holders (id, host, pid, process_started, beaten_at)
    values (:id, :host, :pid, :process_started, :beaten_at)"""
CLAIM = "insert into claims (run_id, row_id, holder) values ('r', :row, :holder)"


@step(route=SMALL)
def reply(ticket: str) -> Request:
    return prompt("Answer.", ticket=ticket)


FLOW = Workflow("w", [reply])


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path, merges=False) as journal:
        yield journal


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def put(journal: Journal, holder: Holder, *claimed: str) -> None:
    """That holder, with those rows."""

    def action(transaction: Transaction) -> None:
        transaction.run(PUT, **vars(holder))
        for row in claimed:
            transaction.run(CLAIM, row=row, holder=holder.id)

    journal.decided(action)


def elsewhere(*, beaten_at: float) -> Holder:
    """A process on another machine."""
    return Holder("r/elsewhere", "another machine", 4711, "1", beaten_at)


def ended(journal: Journal, row: str, status: RowStatus) -> None:
    journal.write(row_entry(RowRecord("r", row, 0, status, {})))
    journal.flush()


def taken(holding: Holding, *rows: str, were_theirs: tuple[str, ...] = ()) -> tuple[set[str], set[str], set[str]]:
    """Ours, theirs, done."""
    found = asyncio.run(holding.take(rows, were_theirs=were_theirs, left=holding.left))
    return set(found.ours), set(found.theirs), set(found.done)


def both(*runs: Running) -> None:
    for running in runs:
        running.wait(show=False)


# ------------------------------------------------------------------------------------------------------------- claims
def test_a_run_that_ends_while_it_is_read_is_not_taken_for_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = tail.load
    with Journal.open(tmp_path, merges=False) as journal:
        holding = Holding(journal, RUN).enter()

        def slowly(*read: Any, **options: Any) -> Any:
            found = load(*read, **options)
            asyncio.run(holding.leave("finished"))
            return found

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(tail, "load", slowly)
            assert History(tmp_path).sql("select status from runs").rows == (("running",),)
        assert History(tmp_path).sql("select status from runs").rows == (("finished",),)


def test_a_row_that_a_living_process_has_is_not_ours_and_a_dead_ones_is(journal: Journal, gone: int) -> None:
    put(journal, elsewhere(beaten_at=time.time()), "a")
    put(journal, replace(holders.begun("r"), id="r/gone", pid=gone, beaten_at=time.time()), "b")
    holding = Holding(journal, RUN).enter()
    assert taken(holding, "a", "b", "c") == ({"b", "c"}, {"a"}, set())
    assert (holding.others, holding.is_shared) == (1, True)


def test_a_process_that_gave_no_sign_of_life_for_long_is_dead_though_it_may_live(journal: Journal) -> None:
    put(journal, elsewhere(beaten_at=time.time() - holders.EXPIRES_SECONDS - 1), "a")
    assert taken(Holding(journal, RUN).enter(), "a") == ({"a"}, set(), set())


def test_a_process_with_the_number_of_a_dead_one_is_told_apart(journal: Journal) -> None:
    mine = holders.begun("r")
    put(journal, replace(mine, id="r/before", process_started="1", beaten_at=time.time()), "a")
    assert not replace(mine, process_started="1", beaten_at=time.time()).is_alive(time.time())
    assert taken(Holding(journal, RUN).enter(), "a") == ({"a"}, set(), set())


def test_who_has_slept_takes_nobody_for_dead_at_first(journal: Journal) -> None:
    holding = Holding(journal, RUN).enter()
    asyncio.run(holding.take(["mine"], left={}))
    long_ago = time.time() - 10 * holders.EXPIRES_SECONDS
    journal.decided(lambda t: t.run("update holders set beaten_at = :at", at=long_ago))
    put(journal, elsewhere(beaten_at=long_ago - 1), "a")
    assert taken(holding, "a") == (set(), {"a"}, set())
    journal.decided(holding._beat)
    assert taken(holding, "a") == (set(), {"a"}, set())


def test_a_row_that_failed_before_is_driven_again_but_not_once_somebody_else_has(journal: Journal) -> None:
    ended(journal, "a", "failed")
    holding = Holding(journal, RUN).enter()
    assert set(holding.left) == {"a"}
    ended(journal, "b", "failed")
    assert taken(holding, "a", "b") == ({"a"}, set(), {"b"})
    other = Holding(journal, RUN).enter()
    assert taken(other, "a") == (set(), {"a"}, set())
    holding.finished("a", "failed")
    assert taken(other, "a", were_theirs=("a",)) == (set(), {"a"}, set())
    asyncio.run(holding.leave("running"))
    assert taken(other, "a", were_theirs=("a",)) == (set(), set(), {"a"})


def test_rows_that_were_not_finished_are_anyones_when_their_process_leaves(journal: Journal) -> None:
    first, second = Holding(journal, RUN).enter(), Holding(journal, RUN).enter()
    ended(journal, "a", "failed")
    taken(replaced := Holding(journal, RUN).enter(), "a", "b")
    asyncio.run(replaced.leave("cancelled"))
    assert taken(first, "a", "b", were_theirs=("a", "b"))[0] == {"b"}
    assert taken(second, "b") == (set(), {"b"}, set())


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(plan=st.lists(st.tuples(st.integers(0, 2), st.sets(st.sampled_from("abcdef"), min_size=1)), max_size=12))
def test_no_row_is_ever_two_processes(
    plan: list[tuple[int, set[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Journal.open(tmp_path_factory.mktemp("home"), merges=False) as journal:
        crowd = [Holding(journal, RUN).enter() for _ in range(3)]
        owners: dict[str, int] = {}
        for who, rows in plan:
            ours, theirs, done = taken(crowd[who], *rows)
            assert ours | theirs == rows and not done
            assert theirs == {row for row in rows if owners.get(row, who) != who}
            owners |= dict.fromkeys(ours, who)


# -------------------------------------------------------------------------------------------------------- two at once
class Waits:
    """A model that answers, or fails, once so many questions are before it, and counts what it is asked."""

    def __init__(self, outcome: str | AccessDenied, *, until: int) -> None:
        self.asked = Counter[str]()
        self._until = until
        self._outcome = outcome
        self._may_answer = threading.Event()

    async def __call__(self, request: Request) -> str:
        self.asked[request.text] += 1
        if self.asked.total() >= self._until:
            self._may_answer.set()
        await asyncio.to_thread(self._may_answer.wait)
        await asyncio.sleep(0.005)
        if isinstance(self._outcome, AccessDenied):
            raise self._outcome
        return self._outcome


def test_two_that_go_on_with_the_same_run_share_its_rows_and_both_see_all_of_them(tmp_path: Path) -> None:
    model = Waits("fine", until=2 * 8)
    rows, fleet = tickets(300), fleet_of(small=model)
    runs = [FLOW.start(rows, fleet, home=tmp_path, run_id="r", in_flight=8) for _ in range(2)]
    both(*runs)
    asked = model.asked
    assert set(asked.values()) == {1} and len(asked) == 300
    assert sum(running.progress.answered for running in runs) == 300
    assert min(running.progress.answered for running in runs) >= 8
    for running in runs:
        assert (running.progress.done, running.run.status) == (300, "finished")
    assert column(runs[0], "select count(*) from \"rows\" where status = 'answered'") == [300]


def test_a_row_that_fails_is_tried_by_one_of_two(tmp_path: Path) -> None:
    model = Waits(AccessDenied("401"), until=2 * 4)
    runs = [FLOW.start(tickets(60), fleet_of(small=model), home=tmp_path, run_id="r", in_flight=4) for _ in range(2)]
    both(*runs)
    assert set(model.asked.values()) == {1} and len(model.asked) == 60
    assert [running.progress.done for running in runs] == [60, 60]


def test_what_all_rows_share_and_what_sees_them_all_is_done_by_one_of_two(tmp_path: Path) -> None:
    ran: list[str] = []

    @step(route=SMALL)
    def rules() -> Request:
        return prompt("The rules.")

    @step
    async def handbook() -> str:
        ran.append("handbook")
        await asyncio.sleep(0.2)
        return "30 days"

    @step
    async def used(ticket: str, handbook: str, rules: str) -> str:
        await asyncio.sleep(0.002)
        return handbook + rules

    @step(reduces=True)
    def report(used: list[str]) -> int:
        ran.append(f"report of {len(used)}")
        time.sleep(0.3)
        return len(used)

    async def slow(_: Request) -> str:
        await asyncio.sleep(0.2)
        return "fine"

    model = Model(slow)
    flow = Workflow("w", [rules, handbook, used, report])
    runs = [flow.start(tickets(80), fleet_of(small=model), home=tmp_path, run_id="r", in_flight=4) for _ in range(2)]
    both(*runs)
    assert sorted(ran) == ["handbook", "report of 80"]
    assert model.calls == 1
    assert [running.run.status for running in runs] == ["finished", "finished"]


def test_when_one_of_two_is_cancelled_the_other_does_the_rest(tmp_path: Path) -> None:
    async def answer(request: Request) -> str:
        asked[request.text] += 1
        if len(asked) == 60:
            await cancel()
        await asyncio.sleep(0.005)
        return "fine"

    asked, cancel = Counter[str](), Cancels()
    options: dict[str, Any] = {"home": tmp_path, "run_id": "r", "in_flight": 4}
    first = cancel.hold(FLOW.start(tickets(200), fleet_of(small=answer), **options))
    second = FLOW.start(tickets(200), fleet_of(small=answer), **options)
    both(first, second)
    assert set(asked.values()) == {1} and len(asked) == 200
    assert second.progress.done == 200
    assert column(second, "select status from runs") == ["finished"]
    assert column(second, "select count(*) from \"rows\" where status = 'answered'") == [200]


def test_what_a_process_answered_meanwhile_is_not_asked_by_another(tmp_path: Path) -> None:
    async def answer(request: Request) -> str:
        asked[request.text] += 1
        await asyncio.sleep(0.001)
        return "fine"

    asked = Counter[str]()
    rows = [{"id": f"t{i}", "ticket": f"ticket {i // 100}"} for i in range(400)]
    runs = [FLOW.start(rows, fleet_of(small=answer), home=tmp_path, run_id="r", in_flight=1) for _ in range(2)]
    both(*runs)
    assert len(asked) == 4
    assert max(asked.values()) <= 2


# ------------------------------------------------------------------------------------------------------ given up, dead
def test_a_process_that_was_given_up_writes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "BEAT_SECONDS", 0.01)
    journal = Journal.open(tmp_path, merges=False)
    holding = Holding(journal, RUN).enter()
    with Journal.open(tmp_path, merges=False) as other:
        other.decided(lambda t: t.run("delete from holders"))
    time.sleep(0.05)
    with pytest.raises(LedgerError, match="another one took over its rows of run r"):
        ended(journal, "a", "answered")
    with pytest.raises(LedgerError, match="another one took over"):
        asyncio.run(holding.leave("cancelled"))
    with suppress(LedgerError):
        journal.close()


CHILD = """
import os, sys, time
from pathlib import Path
import toolkit as tk
from toolkit.errors import LedgerError
from toolkit.ledger.writing import holders

holders.BEAT_SECONDS, holders.EXPIRES_SECONDS = 0.1, 0.6

@tk.step(route=tk.Fixed("small"))
def reply(ticket):
    return tk.prompt("Answer.", ticket=ticket)

def answer(request):
    print("asked", flush=True)
    time.sleep(0.03)
    return "fine"

rows = [{"id": f"t{i}", "ticket": f"ticket number {i}"} for i in range(60)]
fleet = tk.Fleet({}).with_function("small", answer, concurrency=4)
try:
    tk.Workflow("w", [reply]).start(rows, fleet, home=Path(sys.argv[1]), run_id="r", in_flight=4).wait(show=False)
except LedgerError as error:
    print(error)
    sys.exit(3)
"""


def child(home: Path, *, asked: int) -> subprocess.Popen[str]:
    """A process at run r that has asked so often."""
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(asked):
        assert process.stdout.readline() == "asked\n"
    return process


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_shown_as_interrupted_at_once(tmp_path: Path) -> None:
    process = child(tmp_path, asked=10)
    history = History(tmp_path)
    assert history.sql("select status from runs").rows == (("running",),)
    process.kill()
    process.communicate()
    assert history.sql("select status from runs").rows == (("interrupted",),)
    assert history.sql("select status, is_finished from run_summary").rows == (("interrupted", True),)
    assert history.sql("select status from runs", run_id="r").rows == (("interrupted",),)
    run_over(FLOW, tickets(1), fleet_of(small=Model()), tmp_path, run_id="other")
    with Journal.open(tmp_path) as journal:
        found = journal.run("r")
    assert found is not None and found.status == "interrupted" and found.finished_at is not None


def test_a_run_that_nobody_signed_for_is_put_on_record_as_interrupted_by_the_next_one(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(replace(RUN, started_at=now())))
    assert History(tmp_path).sql("select status from runs").rows == (("running",),)
    run_over(FLOW, tickets(1), fleet_of(small=Model()), tmp_path)
    assert History(tmp_path).sql("select status from runs where id = 'r'").rows == (("interrupted",),)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there processes cannot be stopped")
def test_a_process_that_slept_too_long_is_given_up_and_notices_when_it_wakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(holders, "EXPIRES_SECONDS", 0.6)
    process = child(tmp_path, asked=10)
    stop(process.pid, tmp_path)
    model = Model()
    run = run_over(FLOW, tickets(60), fleet_of(small=model), tmp_path, run_id="r")
    assert (run.progress.done, run.run.status) == (60, "finished")
    attempts = column(run, "select count(*) from attempts")
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "another one took over its rows of run r" in out
    assert column(run, "select count(*) from attempts") == attempts
    assert column(run, "select status from runs") == ["finished"]
    assert model.calls <= 50 + 4
