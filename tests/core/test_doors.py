"""Doors: who is let in, in which order, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from tests.core.core_samples import member
from toolkit.asking.doors import BROKEN_OFF, Door, Doors, Outcome, Refused, door
from toolkit.errors import Overloaded, RateLimited, Stopped, Unavailable
from toolkit.gates import THRESHOLD, Gate, OwnKeeper, breaker
from toolkit.models.spec import ModelSpec

T = TypeVar("T")
FINE = Outcome(None, 10, 10)
DOWN = Outcome(Unavailable("refused"))


def during(work: Callable[[], Awaitable[T]]) -> T:
    async def go() -> T:
        return await asyncio.wait_for(work(), 20)

    return asyncio.run(go())


def clock() -> float:
    return asyncio.get_running_loop().time()


def door_of(keeper: OwnKeeper | None = None, **fields: object) -> Door:
    spec = ModelSpec("small", "function", "small", **fields)  # type: ignore[arg-type]
    return Door(spec, keeper or OwnKeeper(clock), clock=clock)


async def enter(at: Door, *, tokens: int = 0, elsewhere: bool = False) -> door.Pass:
    passed = at.pass_at_once()
    return passed or await at.enter(tokens, run_id="run", elsewhere=lambda: elsewhere)


async def shut(at: Door) -> None:
    for _ in range(THRESHOLD):
        at.leave(await enter(at), DOWN, run_id="run")


# --------------------------------------------------------------------------------------------------------------- queue
def test_an_open_door_without_limits_lets_in_at_once_and_has_room_for_so_many() -> None:
    async def work() -> None:
        at = door_of(concurrency=2)
        first, second = at.pass_at_once(), at.pass_at_once()
        assert first is not None and second is not None
        assert at.pass_at_once() is None
        at.leave(first, FINE, run_id="run")
        assert at.pass_at_once() is not None

    during(work)


def test_first_come_is_first_served() -> None:
    async def work() -> None:
        at, order = door_of(concurrency=1), list[int]()

        async def call(number: int) -> None:
            passed = await enter(at)
            order.append(number)
            await asyncio.sleep(0)
            at.leave(passed, FINE, run_id="run")

        await asyncio.gather(*map(call, range(20)))
        assert order == list(range(20))
        assert (at.in_flight, at.waiting) == (0, 0)

    during(work)


def test_who_is_cancelled_while_waiting_takes_nobodys_place() -> None:
    async def work() -> None:
        at = door_of(concurrency=1)
        inside = await enter(at)
        waiting = [asyncio.create_task(enter(at)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        at.leave(inside, FINE, run_id="run")
        waiting[1].cancel()  # it has been let in already, and does not know it yet
        passed = await waiting[2]
        assert at.in_flight == 1
        at.leave(passed, FINE, run_id="run")
        assert (at.in_flight, at.waiting) == (0, 0)

    during(work)


def test_who_waits_hears_that_the_run_was_stopped() -> None:
    async def work() -> None:
        stop, keeper = asyncio.Event(), OwnKeeper(clock)
        doors = Doors(own=keeper, shared=keeper, stop=stop, clock=clock)
        at = doors.of(ModelSpec("small", "function", "small", concurrency=1))
        await enter(at)
        doors.watch()
        waiting = asyncio.create_task(enter(at))
        await asyncio.sleep(0)
        stop.set()
        with pytest.raises(Stopped):
            await waiting
        await doors.close()

    during(work)


# ------------------------------------------------------------------------------------------------------------- breaker
def test_a_shut_door_refuses_who_can_go_elsewhere_and_keeps_the_others_waiting() -> None:
    async def work() -> None:
        at = door_of()
        await shut(at)
        waiting = asyncio.create_task(enter(at))
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="the circuit breaker of small is open, for 30 s or more"):
            await enter(at, elsewhere=True)
        assert (at.waiting, waiting.done()) == (1, False)
        waiting.cancel()

    during(work)


def test_once_the_time_has_come_one_goes_in_as_a_probe_and_its_success_lets_in_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        at = door_of()
        await shut(at)
        waiting = [asyncio.create_task(enter(at)) for _ in range(5)]
        done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.05)
        (probe,) = (task.result() for task in done)
        assert probe.probe
        assert not any(task.done() for task in others)
        at.leave(probe, FINE, run_id="run")
        assert [passed.probe for passed in await asyncio.gather(*others)] == [False] * 4

    monkeypatch.setattr(breaker, "SHUT_SECONDS", 0.1)
    during(work)


def test_a_probe_that_is_broken_off_leaves_the_next_one_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        at = door_of()
        await shut(at)
        first = await enter(at)
        at.leave(first, BROKEN_OFF, run_id="run")
        second = await enter(at)
        assert first.probe and second.probe

    monkeypatch.setattr(breaker, "SHUT_SECONDS", 0.05)
    during(work)


def test_a_door_that_stays_shut_sends_everybody_away_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        at = door_of()
        await shut(at)
        with pytest.raises(Refused):
            await enter(at)

    monkeypatch.setattr(door, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(door, "LOOK_SECONDS", 0.05)
    during(work)


def test_a_probe_is_always_made_even_by_who_could_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        at = door_of()
        await shut(at)
        await asyncio.sleep(0.06)
        assert at.admits(clock())
        assert (await enter(at, elsewhere=True)).probe

    monkeypatch.setattr(breaker, "SHUT_SECONDS", 0.05)
    during(work)


def test_what_another_process_found_out_holds_here() -> None:
    async def work() -> None:
        at = door_of()
        at.known.meet(Gate(breaker=breaker.Breaker(5, shut_until=clock() + 30)))
        assert not at.admits(clock())
        at.known.meet(Gate())
        assert at.admits(clock())

    during(work)


# ---------------------------------------------------------------------------------------------------------------- pace
def test_requests_go_out_no_faster_than_the_limit_and_no_slower() -> None:
    async def work() -> None:
        at, passed = door_of(requests_per_minute=6_000), list[float]()

        async def call() -> None:
            inside = await enter(at)
            passed.append(clock())
            at.leave(inside, FINE, run_id="run")

        await asyncio.gather(*(call() for _ in range(100)))
        assert passed == sorted(passed)
        for first in range(0, 100, 10):
            for last in range(first, 100):
                assert last - first + 1 <= 100 * (passed[last] - passed[first] + 0.5) + 1
        assert at.in_flight == 0

    during(work)


def test_tokens_count_as_they_are_reported() -> None:
    async def work() -> None:
        at = door_of(tokens_per_minute=6_000)  # 100 a second
        first = await enter(at, tokens=10)
        at.leave(first, Outcome(None, 10, 50), run_id="run")
        began = clock()
        at.leave(await enter(at, tokens=10), Outcome(None, 10, 0), run_id="run")
        assert clock() - began > 0.25  # 60 tokens are 0.6 s, of which a quarter of a second is let be

    during(work)


def test_a_limit_and_room_for_few_hold_together() -> None:
    async def work() -> None:
        at, now, most = door_of(requests_per_minute=12_000, concurrency=2), 0, 0

        async def call() -> None:
            nonlocal now, most
            inside = await enter(at)
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.005)
            now -= 1
            at.leave(inside, FINE, run_id="run")

        await asyncio.gather(*(call() for _ in range(40)))
        assert most == 2

    during(work)


def test_what_cannot_be_kept_is_told_to_whoever_waits() -> None:
    class Broken(OwnKeeper):
        async def change(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise OSError("the disk is full")

    async def work() -> None:
        with pytest.raises(OSError, match="disk is full"):
            await enter(door_of(Broken(clock), requests_per_minute=60))

    during(work)


# ---------------------------------------------------------------------------------------------------------------- load
@pytest.mark.parametrize("error", [RateLimited("429"), Overloaded("529")])
def test_a_model_that_refuses_is_asked_less_at_once(error: RateLimited | Overloaded) -> None:
    async def work() -> None:
        at = door_of(concurrency=8)
        inside = [await enter(at) for _ in range(8)]
        for passed in inside:
            at.leave(passed, Outcome(error), run_id="run")
            at.known.breaker = breaker.OPEN
        assert at.known.room == 4

    during(work)


# -------------------------------------------------------------------------------------------------------------- routers
def test_routers_see_who_may_be_asked_when_and_how_many_wait() -> None:
    async def work() -> None:
        keeper = OwnKeeper(clock)
        doors = Doors(own=keeper, shared=keeper, stop=asyncio.Event(), clock=clock)
        members = {name: member(name) for name in ("busy", "dead", "idle")}
        await shut(doors.of(ModelSpec("dead", "function", "dead")))
        busy = doors.of(ModelSpec("busy", "function", "busy", concurrency=1))
        await enter(busy)
        waiting = asyncio.create_task(enter(busy))
        await asyncio.sleep(0)
        seen = doors.facts(members)
        assert (seen["busy"].available, seen["busy"].waiting, seen["busy"].opens_in) == (True, 1, 0.0)
        assert (seen["dead"].available, seen["dead"].waiting) == (False, 0)
        assert 25 < seen["dead"].opens_in <= breaker.SHUT_SECONDS
        assert seen["idle"] is members["idle"]
        waiting.cancel()

    during(work)
