"""Gates as tables and laws: what happened, and whether, when and how often a model may be asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import (
    AccessDenied,
    CallError,
    ContextOverflow,
    InvalidOutput,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.gates import (
    BURST_SECONDS,
    FREE,
    OPEN,
    PROBE_SECONDS,
    SHUT_SECONDS,
    THRESHOLD,
    Breaker,
    Gate,
    Load,
    Pace,
    Timetable,
    Window,
)

DOWN = Unavailable("refused")


# ------------------------------------------------------------------------------------------------------------- breaker
def breaker_after(*errors: CallError | None, now: float = 0.0, breaker: Breaker = OPEN) -> Breaker:
    for error in errors:
        breaker = breaker.after(error, now)
    return breaker


SHUT = breaker_after(*[DOWN] * THRESHOLD)


@pytest.mark.parametrize("error", [Unavailable("x"), Overloaded("x"), TimedOut("x")])
def test_failures_of_the_service_in_a_row_shut_the_breaker(error: CallError) -> None:
    assert breaker_after(*[error] * (THRESHOLD - 1)).admits(0.0)
    assert not breaker_after(*[error] * THRESHOLD).admits(0.0)


@pytest.mark.parametrize("error", [AccessDenied("x"), ContextOverflow("x"), InvalidOutput("x"), RateLimited("x")])
def test_errors_of_the_request_do_not(error: CallError) -> None:
    assert breaker_after(*[error] * 20) == OPEN


def test_a_success_between_them_starts_the_count_again() -> None:
    assert breaker_after(*[DOWN] * (THRESHOLD - 1), None, *[DOWN] * (THRESHOLD - 1)).admits(0.0)


def test_when_the_time_has_come_one_probe_passes_and_no_second() -> None:
    assert not SHUT.admits(SHUT_SECONDS - 0.1)
    assert SHUT.admits(SHUT_SECONDS)
    assert not SHUT.probed(until=SHUT_SECONDS + 60).admits(SHUT_SECONDS + 59)


def test_a_probe_that_was_never_heard_of_again_keeps_nobody_out_for_ever() -> None:
    assert SHUT.probed(until=SHUT_SECONDS + 60).admits(SHUT_SECONDS + 60)


def test_a_probe_that_succeeds_opens_and_one_that_fails_shuts_again() -> None:
    probing = SHUT.probed(until=100.0)
    assert probing.after(None, SHUT_SECONDS, probe=True) == OPEN
    again = probing.after(DOWN, SHUT_SECONDS, probe=True)
    assert not again.admits(2 * SHUT_SECONDS - 0.1)
    assert again.admits(2 * SHUT_SECONDS)


def test_a_failure_of_before_leaves_a_probe_under_way_alone() -> None:
    late = SHUT.probed(until=100.0).after(DOWN, SHUT_SECONDS, probe=False)
    assert late.probe_until == 100.0
    assert not late.admits(99.0)


def test_of_two_deadlines_the_later_one_holds() -> None:
    long = breaker_after(*[DOWN] * (THRESHOLD - 1), Overloaded("529", retry_after=300.0))
    assert not breaker_after(DOWN, now=10.0, breaker=long).admits(299.0)
    assert breaker_after(DOWN, now=10.0, breaker=long).admits(300.0)
    assert long.told(SHUT, probe=False) == SHUT.told(long, probe=False)


def test_a_breaker_says_when_it_is_worth_asking_again() -> None:
    assert OPEN.opens_in(0.0) == 0.0
    assert SHUT.opens_in(10.0) == SHUT_SECONDS - 10.0
    assert SHUT.opens_in(SHUT_SECONDS) == 0.0
    assert SHUT.probed(until=100.0).opens_in(SHUT_SECONDS) == PROBE_SECONDS


_errors = st.sampled_from([None, DOWN, Overloaded("x", retry_after=100.0), RateLimited("x"), TimedOut("x")])


@given(st.lists(st.tuples(st.floats(0, 20), _errors, st.booleans()), max_size=60))
def test_a_deadline_is_never_moved_forward(story: list[tuple[float, CallError | None, bool]]) -> None:
    breaker, at = OPEN, 0.0
    for seconds, error, probe in story:
        at += seconds
        after = breaker.after(error, at, probe=probe)
        if after.shut_until is not None:
            assert after.shut_until >= max(breaker.shut_until or 0.0, at + SHUT_SECONDS)
        breaker = after


@pytest.mark.slow
@given(st.data())
def test_of_many_who_would_probe_at_most_one_does_at_a_time(data: st.DataObject) -> None:
    breaker, at, under_way = SHUT, SHUT_SECONDS, dict[int, float]()
    for who in range(40):
        at += data.draw(st.floats(0, 15))
        ends = data.draw(st.booleans())
        if under_way and ends:
            under_way.popitem()
            breaker = breaker.after(DOWN, at, probe=True)
        elif breaker.admits(at):
            under_way = {other: until for other, until in under_way.items() if until > at}
            assert under_way == {}
            breaker = breaker.probed(until=at + 65.0)
            under_way[who] = at + 65.0


# ---------------------------------------------------------------------------------------------------------------- pace
_paces = st.builds(
    Pace.per_minute,
    requests=st.none() | st.floats(1, 6_000),
    tokens=st.none() | st.floats(60, 1e6),
).filter(lambda pace: pace.is_limited)
_bookings = st.lists(
    st.tuples(st.floats(0, 3), st.lists(st.integers(1, 500), min_size=1, max_size=12), st.floats(0, 1)),
    min_size=1,
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(pace=_paces, bookings=_bookings)
def test_no_stretch_of_time_sees_more_than_the_limit_whoever_books(
    pace: Pace, bookings: list[tuple[float, list[int], float]]
) -> None:
    timetable, now, used = Timetable(), 1_000.0, list[tuple[float, int]]()
    for pause, sizes, late in bookings:
        now += pause
        sizes = sizes[: pace.slab(sizes)]
        timetable, times = timetable.booked(sizes, pace, now=now)
        used += [(max(at, min(now, at + BURST_SECONDS)) + late * _room(at, now), size)
                 for at, size in zip(times, sizes, strict=True)]  # fmt: skip
    used.sort()
    for first in range(len(used)):
        for last in range(first, len(used)):
            seconds = used[last][0] - used[first][0] + BURST_SECONDS
            count, tokens = last - first + 1, sum(size for _, size in used[first : last + 1])
            largest = max(size for _, size in used[first : last + 1])
            assert pace.requests is None or count <= pace.requests * seconds + 1 + 1e-6
            assert pace.tokens is None or tokens <= pace.tokens * seconds + largest + 1e-6


def _room(at: float, now: float) -> float:
    """How much later than at once a booking may still be used."""
    return max(0.0, at + BURST_SECONDS - max(at, now))


@given(rpm=st.floats(30, 6_000), processes=st.integers(1, 6))
def test_who_always_waits_gets_the_whole_limit_however_many_there_are(rpm: float, processes: int) -> None:
    pace, timetable, now, times = Pace.per_minute(rpm), Timetable(), 0.0, list[float]()
    for turn in range(20 * processes):
        sizes = [1.0] * pace.slab([1.0] * 64)
        timetable, booked = timetable.booked(sizes, pace, now=now)
        times += booked
        now = max(now, booked[-1]) if turn % processes == processes - 1 else now
    assert len(times) / (times[-1] - times[0]) >= rpm / 60 * 0.999


def test_tokens_that_were_used_beyond_what_was_booked_make_the_next_wait() -> None:
    pace = Pace.per_minute(tokens=600)
    booked, (at,) = Timetable().booked([10], pace, now=100.0)
    assert booked.booked([10], pace, now=100.0)[1] == (at + 1.0,)
    assert booked.booked([10], pace, now=100.0, debt=20.0)[1] == (at + 3.0,)


@pytest.mark.parametrize(
    ("pace", "sizes", "together"),
    [
        (Pace.per_minute(600), [1] * 64, 10),
        (Pace.per_minute(6), [1] * 64, 1),
        (Pace.per_minute(tokens=6_000), [40] * 64, 2),
        (Pace.per_minute(tokens=6_000), [4_000, 10], 1),
        (Pace.per_minute(600, 6_000), [1] * 5, 5),
    ],
)
def test_about_a_second_is_booked_at_once(pace: Pace, sizes: list[float], together: int) -> None:
    assert pace.slab(sizes) == together


# ---------------------------------------------------------------------------------------------------------------- load
def window_of(answers: int, refused: int, peak: int) -> Window:
    return Window(answers, refused, peak)


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(1, 200), st.floats(0, 1), st.integers(1, 200)), max_size=60),
)
def test_a_load_stays_within_one_and_what_the_model_allows(most: int, rounds: list[tuple[int, float, int]]) -> None:
    load = FREE
    for at, (answers, share, peak) in enumerate(rounds):
        peak = min(peak, load.calls(most))
        load = load.after(window_of(answers, int(answers * share), peak), most=most, now=float(at))
        assert 1 <= load.calls(most) <= most


def test_refusals_alone_halve_the_load_and_a_few_shrink_it_a_little() -> None:
    assert FREE.after(window_of(64, 64, 64), most=64, now=0.0).limit == 32
    assert FREE.after(window_of(64, 16, 64), most=64, now=0.0).limit == 64 * (1 - 1 / 8) + 1


def test_it_grows_by_one_a_round_while_it_is_used_and_is_free_at_the_top() -> None:
    assert Load(10.0).after(window_of(10, 0, 10), most=64, now=1.0).limit == 11
    assert Load(10.0).after(window_of(10, 0, 4), most=64, now=1.0).limit == 10
    assert Load(63.0).after(window_of(63, 0, 63), most=64, now=1.0).limit is None


def test_a_model_that_takes_a_dozen_at_once_is_asked_about_a_dozen_at_once() -> None:
    load, takes = FREE, 12
    for turn in range(200):
        calls = load.calls(64)
        load = load.after(window_of(calls, max(0, calls - takes), calls), most=64, now=float(turn))
        if turn > 50:
            assert takes - 2 <= load.calls(64) <= takes + 2


def test_one_refusal_in_ten_by_chance_leaves_dozens_of_calls() -> None:
    import random

    load, chance, calls = FREE, random.Random(7), list[int]()
    for turn in range(400):
        now = load.calls(64)
        load = load.after(window_of(now, sum(chance.random() < 0.1 for _ in range(now)), now), most=64, now=turn)
        calls.append(load.calls(64))
    assert sum(calls[100:]) / len(calls[100:]) > 12


def test_who_knows_nothing_takes_the_word_of_others_and_who_has_a_limit_meets_it_half_way() -> None:
    theirs = Load(10.0, changed_at=5.0)
    assert FREE.met(theirs, now=6.0).limit == 10
    assert Load(30.0, changed_at=4.0).met(theirs, now=6.0).limit == 20
    assert Load(30.0, changed_at=5.5).met(theirs, now=6.0).limit == 30


def test_a_limit_that_nothing_confirmed_for_a_minute_is_none() -> None:
    assert FREE.met(Load(10.0, changed_at=0.0), now=61.0) == FREE
    assert Load(3.0, changed_at=0.0).held(61.0) == FREE


# ---------------------------------------------------------------------------------------------------------------- gate
@given(st.floats(-1e9, 1e9), st.floats(0, 1e6))
def test_a_gate_on_another_clock_is_the_same_gate(ahead: float, now: float) -> None:
    gate = Gate(SHUT.probed(until=now + 3.0), Timetable(now, now + 1.0), Load(4.0, now))
    moved = gate.moved(ahead)
    assert moved.breaker.opens_in(now + ahead) == pytest.approx(gate.breaker.opens_in(now), abs=1e-5)
    assert moved.moved(-ahead).timetable.tokens_at == pytest.approx(now + 1.0, abs=1e-5)
