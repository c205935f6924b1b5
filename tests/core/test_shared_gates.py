"""Gates that processes share: what one finds out holds for all, and what they book together never passes a limit."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evals.gates.measuring import measured
from tests.core.core_samples import column, fleet_of, run_over, tickets
from toolkit import Fallback, Fixed, Fleet, Ladder, Request, Workflow, embed, fake, prompt, step
from toolkit.asking.doors import Known, Outcome, known
from toolkit.errors import RateLimited, Unavailable
from toolkit.gates import OPEN, SHUT_SECONDS, THRESHOLD, Gate, Load, Pace
from toolkit.ledger import History, Journal
from toolkit.ledger.writing.shared_gates import SharedKeeper
from toolkit.models.spec import ModelSpec

URL = os.environ.get("TOOLKIT_TEST_POSTGRESQL", "")
SPEC = ModelSpec("small", "openai", "gpt", endpoint="http://127.0.0.1:1/v1", timeout_seconds=60)
DOWN = Outcome(Unavailable("refused"))
GATES = "select count(*) from gates"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    if request.param == "sqlite":
        return None
    if not URL:
        pytest.skip("TOOLKIT_TEST_POSTGRESQL names no database")
    from toolkit.ledger.writing.tables import metadata, open_engine

    engine, _ = open_engine(tmp_path, url=URL)
    metadata.drop_all(engine)
    return URL


@contextmanager
def journals(home: Path, url: str | None, count: int = 2) -> Iterator[Sequence[Journal]]:
    """The journals of so many processes."""
    opened = [Journal.open(home, url=url, merges=False) for _ in range(count)]
    try:
        yield opened
    finally:
        for journal in opened:
            journal.close()


def known_of(journal: Journal, *, ahead: float = 0.0) -> tuple[Known, Callable[[], None]]:
    """What a process knows, on a clock of its own; and how it looks what others know."""

    def clock() -> float:
        return time.perf_counter() + ahead

    keeper = SharedKeeper(journal, clock)
    here = Known(SPEC, keeper, clock=clock)
    return here, lambda: here.meet(keeper.look().get(here.name, Gate()))


async def shut(here: Known) -> None:
    for _ in range(THRESHOLD):
        here.heard(DOWN, probe=False, in_flight=1, run_id="run")
    await here.told()


# ------------------------------------------------------------------------------------------------------------- breaker
def test_a_model_that_one_process_shut_is_shut_for_all_until_a_probe_of_any_succeeds(
    tmp_path: Path, url: str | None
) -> None:
    async def work(first: Journal, second: Journal) -> None:
        (here, _), (there, look) = known_of(first), known_of(second, ahead=5_000.0)
        await shut(here)
        look()
        assert SHUT_SECONDS - 5 < there.breaker.opens_in(time.perf_counter() + 5_000.0) <= SHUT_SECONDS
        there.heard(Outcome(), probe=True, in_flight=1, run_id="run")
        await there.told()
        here.meet(SharedKeeper(first, time.perf_counter).look()[here.name])
        assert here.breaker == OPEN

    with journals(tmp_path, url) as (first, second):
        asyncio.run(work(first, second))


def test_of_the_deadlines_of_two_processes_the_later_one_holds(tmp_path: Path, url: str | None) -> None:
    async def work(first: Journal, second: Journal) -> None:
        (here, look), (there, _) = known_of(first), known_of(second)
        for _ in range(THRESHOLD):
            there.heard(Outcome(Unavailable("x", retry_after=300.0)), probe=False, in_flight=1, run_id="run")
        await there.told()
        await shut(here)
        look()
        assert here.breaker.opens_in(time.perf_counter()) > 200

    with journals(tmp_path, url) as (first, second):
        asyncio.run(work(first, second))


def test_one_probe_is_sent_however_many_processes_wait(
    tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.gates import breaker

    async def work(opened: Sequence[Journal]) -> None:
        all_known = [known_of(journal)[0] for journal in opened]
        await shut(all_known[0])
        await asyncio.sleep(0.06)
        assert sum(await asyncio.gather(*(each.claim("run") for each in all_known))) == 1

    monkeypatch.setattr(breaker, "SHUT_SECONDS", 0.05)
    with journals(tmp_path, url, 4) as opened:
        asyncio.run(work(opened))


def test_a_process_that_died_with_the_probe_keeps_it_for_as_long_as_a_call_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.gates import breaker

    async def work(first: Journal, second: Journal) -> None:
        (dying, _), (alive, _) = known_of(first), known_of(second)
        await shut(dying)
        await asyncio.sleep(0.06)
        assert await dying.claim("run")
        assert not await alive.claim("run")
        await asyncio.sleep(0.35)
        assert await alive.claim("run")

    monkeypatch.setattr(breaker, "SHUT_SECONDS", 0.05)
    monkeypatch.setattr(known, "PROBE_GRACE_SECONDS", 0.3 - SPEC.timeout_seconds)
    with journals(tmp_path, None) as (first, second):
        asyncio.run(work(first, second))


def test_an_event_is_on_record_for_each_turn_and_not_for_each_process(tmp_path: Path) -> None:
    async def work(first: Journal, second: Journal) -> None:
        (here, _), (there, _) = known_of(first), known_of(second)
        await shut(here)
        await shut(there)
        here.heard(Outcome(), probe=True, in_flight=1, run_id="run-2")
        await here.told()

    with journals(tmp_path, None) as (first, second):
        asyncio.run(work(first, second))
    found = History(tmp_path).sql("select name, run_id, about ->> 'model' from events order by happened_at").rows
    assert found == (("toolkit.model.open", "run", "small"), ("toolkit.model.closed", "run-2", "small"))


def test_where_the_clock_was_set_back_nobody_waits_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(journal: Journal) -> None:
        here, look = known_of(journal)
        await shut(here)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() - 3_600)
        look()
        assert here.breaker.opens_in(time.perf_counter()) <= SHUT_SECONDS

    with journals(tmp_path, None, 1) as (journal,):
        asyncio.run(work(journal))


# ------------------------------------------------------------------------------------------------------ pace and load
BOOKS = """
import asyncio, sys, time
from toolkit.gates import Pace
from toolkit.ledger import Journal
from tests.core.test_shared_gates import known_of

async def work(journal):
    here, _ = known_of(journal)
    for _ in range(20):
        times = await here.book([1.0] * 3, Pace.per_minute(6000), debt=0.0, run_id="run")
        print(*(at - time.perf_counter() + time.time() for at in times))

with Journal.open(sys.argv[1], merges=False) as journal:
    asyncio.run(work(journal))
"""


@pytest.mark.slow
def test_times_that_processes_book_are_all_apart(tmp_path: Path) -> None:
    Journal.open(tmp_path, merges=False).close()
    command = [sys.executable, "-c", BOOKS, str(tmp_path)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    booked = sorted(float(word) for other in others for word in other.communicate(timeout=60)[0].split())
    assert len(booked) == 180
    assert min(after - before for before, after in pairwise(booked)) > 0.0095


def test_what_one_process_found_that_a_model_takes_the_others_begin_with(tmp_path: Path, url: str | None) -> None:
    async def work(first: Journal, second: Journal) -> None:
        (here, _), (there, look) = known_of(first), known_of(second)
        for _ in range(SPEC.concurrency):
            here.heard(Outcome(RateLimited("429")), probe=False, in_flight=SPEC.concurrency, run_id="run")
        await here.told()
        look()
        assert (here.room, there.room) == (SPEC.concurrency // 2, SPEC.concurrency // 2)

    with journals(tmp_path, url) as (first, second):
        asyncio.run(work(first, second))


def test_a_gate_is_read_as_it_was_written(tmp_path: Path, url: str | None) -> None:
    async def work(journal: Journal) -> None:
        keeper = SharedKeeper(journal, time.time)
        now = time.time()
        wanted = Gate(OPEN.shut(now + 3).probed(now + 9), replace(Gate().timetable, tokens_at=now + 1), Load(2.5, now))
        await keeper.change("small", lambda _gate, _now: (wanted, None), run_id="run", model="small")
        found = keeper.look()["small"]
        assert found.load.limit == 2.5
        assert found.breaker.probe_until == pytest.approx(now + 9, abs=0.01)
        assert found.timetable.tokens_at == pytest.approx(now + 1, abs=0.01)

    with journals(tmp_path, url, 1) as (journal,):
        asyncio.run(work(journal))


# ------------------------------------------------------------------------------------------------------------ in a run
@step(route=Fixed("small"))
def reply(ticket: str) -> Request:
    return prompt("Answer.", ticket=ticket)


@step(route=Fixed("small"))
def vector(ticket: str) -> Request:
    return embed(ticket)


def gates_in(home: Path) -> int:
    with Journal.open(home, merges=False) as journal:
        return int(journal.decided(lambda transaction: transaction.rows(GATES)[0][0]))


def test_a_model_of_this_process_is_nobody_elses_business_and_its_turns_are_on_record(tmp_path: Path) -> None:
    def down(_: Request) -> str:
        raise Unavailable("refused")

    run = run_over(Workflow("w", [reply]), tickets(THRESHOLD), fleet_of(small=down), tmp_path, in_flight=1)
    assert gates_in(tmp_path) == 0
    assert column(run, "select name from events") == ["toolkit.model.open"]


@pytest.mark.slow
def test_a_model_that_is_well_and_has_no_limit_costs_no_transaction(tmp_path: Path) -> None:
    with fake.running(fake.settings({"models": {"small": {}}})) as server:
        fleet = Fleet.of(ModelSpec("small", "openai", "small", endpoint=server.endpoint("small")))
        run = run_over(Workflow("w", [reply]), tickets(50), fleet, tmp_path)
    assert run.progress.answered == 50
    assert gates_in(tmp_path) == 0


def test_who_waits_when_a_model_dies_is_not_sent_to_it_but_falls_back(tmp_path: Path) -> None:
    async def dies(_: Request) -> str:
        await asyncio.sleep(0.05)
        raise Unavailable("refused")

    falling = step(route=Ladder("small", "large"), policy=Fallback())(reply.function)
    fleet = Fleet({}).with_function("small", dies, concurrency=3).with_function("large", lambda _: "fine")
    run = run_over(Workflow("w", [falling]), tickets(30), fleet, tmp_path, in_flight=30)
    assert run.progress.answered == 30
    query = "select count(*) from attempts where model = 'small' group by error_message like 'not sent: %' order by 1"
    assert column(run, query) == [THRESHOLD - 1 + 3, 30 - (THRESHOLD - 1 + 3)]
    sent = "select max(service_seconds) from attempts where error_message like 'not sent: %'"
    assert column(run, sent)[0] < 0.01


def test_a_run_that_is_cancelled_while_it_waits_for_a_limit_ends(tmp_path: Path) -> None:
    with fake.running(fake.settings({"models": {"small": {}}})) as server:
        spec = ModelSpec("small", "openai", "small", endpoint=server.endpoint("small"), requests_per_minute=1)
        running = Workflow("w", [reply]).start(tickets(5), Fleet.of(spec), home=tmp_path)
        while not server.counts()["requests"]:
            time.sleep(0.05)
        running.cancel()
        running.wait(show=False)
        assert server.counts()["requests"] == 1
    assert running.run.status == "cancelled"


@pytest.mark.slow
def test_waiting_for_a_limit_is_recorded_apart_from_service(tmp_path: Path) -> None:
    with fake.running(fake.settings({"models": {"small": {}}})) as server:
        spec = ModelSpec("small", "openai", "small", endpoint=server.endpoint("small"), requests_per_minute=600)
        run = run_over(Workflow("w", [reply]), tickets(12), Fleet.of(spec), tmp_path)
    assert column(run, "select max(wait_seconds) > 0.5 and max(service_seconds) < 0.5 from attempts") == [True]


@pytest.mark.slow
def test_requests_for_vectors_of_many_rows_are_few_calls_and_each_row_is_charged_its_share(tmp_path: Path) -> None:
    with fake.running(fake.settings({"models": {"small": {"latency_seconds": 0.05}}})) as server:
        spec = ModelSpec(
            "small", "openai", "small", endpoint=server.endpoint("small"), capabilities=frozenset({"embed"})
        )
        run = run_over(Workflow("w", [vector]), tickets(400), Fleet.of(spec), tmp_path, in_flight=200)
        counts = server.counts()["models"]["small"]
    assert run.progress.answered == 400
    assert counts["requests"] <= 10
    calls, tokens = run.sql("select count(distinct response_id), sum(input_tokens) from attempts").rows[0]
    assert (calls, tokens) == (counts["requests"], counts["input_tokens"])


@pytest.mark.slow
def test_three_processes_keep_a_limit_that_the_server_enforces_and_use_it(tmp_path: Path) -> None:
    limit = {"requests_per_minute": 900}
    models = {"m": {"latency_seconds": 0.05, "limit_seconds": 1, **limit}}
    seen = measured("limited", models, home=tmp_path, rows=60, limits=limit)
    assert seen.answered == 180
    assert seen.refused <= 4
    assert seen.per_minute > 0.8 * 900


@pytest.mark.slow
def test_three_processes_ask_a_dead_model_a_bounded_number_of_times(tmp_path: Path) -> None:
    models: dict[str, dict[str, Any]] = {"dead": {"faults": "500"}, "alive": {"latency_seconds": 0.05}}
    options = ("--in-flight", "16")
    seen = measured("dead", models, home=tmp_path, rows=200, watched="dead", options=options)
    assert seen.answered == 600
    probes = 3 + seen.seconds / SHUT_SECONDS
    assert seen.calls <= 3 * (THRESHOLD - 1 + 16) + probes


def test_the_pace_of_a_fleet_file_is_by_the_minute(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[models.a]\nprovider = "openai"\nrequests_per_minute = 30\ntokens_per_minute = 6e4\nbatch = 8\n')
    spec = Fleet.load(path)["a"]
    assert Pace.per_minute(spec.requests_per_minute, spec.tokens_per_minute) == Pace(0.5, 1000.0)
    assert spec.batch == 8
