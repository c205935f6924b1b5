"""Rate limits and outages: they hold, they tell the truth about when to come again, and they end."""

from __future__ import annotations

import asyncio
import math

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake.asking import ASKED, ask, chat, during
from toolkit import fake
from toolkit.errors import Overloaded, RateLimited, Unavailable
from toolkit.fake.limits import Limits, told_seconds
from toolkit.fake.ports import state_at
from toolkit.fake.profiles import Outage, Profile
from toolkit.models import openai
from toolkit.records import Reply

_limited = st.builds(
    lambda requests, tokens, seconds: Profile(
        "m", requests_per_minute=requests, tokens_per_minute=tokens, limit_seconds=seconds
    ),
    st.none() | st.floats(1, 6000),
    st.none() | st.floats(1000, 1e6),
    st.floats(0.5, 60),
)
_arrivals = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 400)), min_size=1, max_size=60)


@given(profile=_limited, arrivals=_arrivals)
def test_who_waits_as_told_is_let_in_and_who_comes_sooner_is_not(
    profile: Profile, arrivals: list[tuple[float, int]]
) -> None:
    limits, at = Limits.of(profile, at=0.0), 0.0
    for gap, tokens in arrivals:
        at += gap
        limits, wait = limits.admit(tokens, at=at)
        if wait > 0 and math.isfinite(wait):
            assert limits.admit(tokens, at=at + told_seconds(wait))[1] < 1e-6
            assert limits.admit(tokens, at=at + wait * 0.9)[1] > 0


@given(profile=_limited, arrivals=_arrivals)
def test_no_more_is_let_in_than_the_limit_and_what_may_come_at_once(
    profile: Profile, arrivals: list[tuple[float, int]]
) -> None:
    limits, at, requests, tokens = Limits.of(profile, at=0.0), 0.0, 0, 0
    for gap, size in arrivals:
        at += gap / 20
        limits, wait = limits.admit(size, at=at)
        if not wait:
            requests, tokens = requests + 1, tokens + size
    spans = (at + profile.limit_seconds) / 60
    assert profile.requests_per_minute is None or requests <= max(1, profile.requests_per_minute * spans) + at / 60 + 1
    assert profile.tokens_per_minute is None or tokens <= profile.tokens_per_minute * spans + 1


def test_what_is_larger_than_the_limit_never_fits() -> None:
    limits = Limits.of(Profile("m", tokens_per_minute=100), at=0.0)
    assert limits.admit(101, at=0.0)[1] == math.inf


@pytest.mark.parametrize(("wait", "told"), [(0.001, 0.01), (0.999, 1.0), (1.0, 1.0), (1.2, 2.0), (59.01, 60.0)])
def test_a_wait_is_told_rounded_up(wait: float, told: float) -> None:
    assert told_seconds(wait) == told


def test_a_model_over_its_limit_says_429_and_takes_the_call_after_the_wait_that_it_told() -> None:
    async def talk(served: fake.Served) -> None:
        for number in range(100):
            limited = await ask(served, "m", openai, request=ASKED.with_options(seed=number))
            if not isinstance(limited, Reply):
                break
        assert number >= 2
        assert isinstance(limited, RateLimited)
        assert limited.retry_after is not None
        assert 0 < limited.retry_after <= 1
        await asyncio.sleep(limited.retry_after + 0.01)
        assert isinstance(await ask(served, "m", openai, request=ASKED.with_options(seed=100)), Reply)
        assert served.counts()["models"]["m"]["faults"]["limit"] >= 1

    during(talk, {"m": {"requests_per_minute": 60, "limit_seconds": 2}})


def test_tokens_of_answers_use_up_the_limit_too_and_too_large_a_request_is_told_no_time() -> None:
    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient() as client:
            url = f"{served.url}/chat/completions"
            assert (await client.post(url, json=chat("short"))).status_code == 200
            after = await client.post(url, json=chat("short again"))
            assert after.status_code == 429
            assert float(after.headers["retry-after"]) > 30
            large = await client.post(url, json=chat("word " * 200))
            assert large.status_code == 429
            assert "retry-after" not in large.headers

    during(talk, {"m": {"tokens_per_minute": 100, "answer_tokens": 150}})


# -------------------------------------------------------------------------------------------------------------- outages
@pytest.mark.parametrize(
    ("outage", "dead", "alive"),
    [
        (Outage(30, 60), (30.0, 59.9), (0.0, 29.9, 60.0, 1000.0)),
        (Outage(0, 30, 90), (0.0, 29.0, 90.0, 119.0, 900.5), (30.0, 89.0, 120.0)),
        (Outage(10, 20, 60), (10.0, 70.0), (0.0, 20.0, 65.0, 80.0)),
    ],
)
def test_an_outage_holds_in_its_time(outage: Outage, dead: tuple[float, ...], alive: tuple[float, ...]) -> None:
    assert all(map(outage.holds, dead))
    assert not any(map(outage.holds, alive))


@given(starts=st.integers(0, 50), length=st.integers(1, 50), rest=st.none() | st.integers(0, 50), at=st.floats(0, 500))
def test_an_outage_changes_next_when_it_says_and_not_before(
    starts: int, length: int, rest: int | None, at: float
) -> None:
    outage = Outage(starts, starts + length, None if rest is None else starts + length + rest)
    change = outage.changes_after(at)
    if change is None:
        assert not outage.holds(at)
        assert not outage.holds(at + 10_000)
    else:
        assert change > at
        assert outage.holds(at) == outage.holds((at + change) / 2)


@pytest.mark.parametrize(
    ("profile", "seconds", "struck", "state"),
    [
        (Profile("m"), 0, None, "open"),
        (Profile("m", faults={"refused": 1.0}), 0, None, "shut"),
        (Profile("m", faults={"connect_timeout": 1.0}), 0, None, "deaf"),
        (Profile("m", faults={"refused": 0.5}), 0, None, "open"),
        (Profile("m", faults={"refused": 0.5}), 0, "refused", "shut"),
        (Profile("m", outages=(Outage(5, 10, fault="refused"),)), 4, None, "open"),
        (Profile("m", outages=(Outage(5, 10, fault="refused"),)), 5, None, "shut"),
        (Profile("m", outages=(Outage(5, 10, fault="503"),)), 5, None, "open"),
    ],
)
def test_a_port_is_open_unless_something_says_otherwise(
    profile: Profile, seconds: float, struck: str | None, state: str
) -> None:
    assert state_at(profile, seconds, struck=struck) == state


@pytest.mark.slow
def test_a_model_is_dead_while_its_outage_lasts_and_then_comes_back() -> None:
    async def talk(served: fake.Served) -> None:
        assert isinstance(await ask(served, "overloaded", openai), Overloaded)
        assert isinstance(await ask(served, "refuses", openai), Unavailable)
        assert isinstance(await ask(served, "later", openai), Reply)
        for name in ("overloaded", "refuses"):
            for _ in range(200):
                if isinstance(await ask(served, name, openai), Reply):
                    break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError(f"{name} stayed dead")
        assert served.counts()["models"]["overloaded"]["faults"]["outage"] >= 1

    during(talk, {
        "overloaded": {"outages": "0-3"}, "refuses": {"outages": "0-3=refused"}, "later": {"outages": ["600-700"]},
    })  # fmt: skip
