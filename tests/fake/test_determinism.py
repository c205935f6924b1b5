"""The same seed, the same fake: decisions go by seed, model, body and number of tries, and by nothing else."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fake.asking import chat, during
from toolkit import fake
from toolkit.fake import openai
from toolkit.fake.asked import Asked
from toolkit.fake.deciding import Moment, decide, drawn
from toolkit.fake.profiles import Profile
from toolkit.records import now

FAULTS = {"429": 0.1, "500": 0.1, "truncated_json": 0.1, "empty_content": 0.1}


def asked(number: int = 0, *, seed: int = 0, words: str = "hello", rates: dict[str, float] | None = None) -> Asked:
    body = chat(words)
    profile = Profile("m", faults=FAULTS if rates is None else rates)
    return Asked(profile, openai, openai.request(body, operation="chat"), body, words, number, seed)


async def outcomes(served: fake.Served, bodies: list[dict[str, Any]]) -> dict[str, list[bytes]]:
    """What is answered to each text, in the order of its tries; all texts at once."""

    async def one(body: dict[str, Any]) -> bytes:
        response = await client.post(f"{served.url}/chat/completions", json=body)
        return b"%d " % response.status_code + response.content

    found: dict[str, list[bytes]] = {}
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=8), timeout=60) as client:
        for _ in range(3):
            told = await asyncio.gather(*map(one, bodies))
            for body, answer in zip(bodies, told, strict=True):
                found.setdefault(body["messages"][0]["content"], []).append(answer)
    return found


@pytest.mark.slow
def test_two_servers_of_one_seed_answer_alike_in_whatever_order_the_calls_come() -> None:
    bodies = [chat(f"question {number}") for number in range(60)]
    shuffled = random.Random(5).sample(bodies, len(bodies))
    models = {"m": {"faults": FAULTS}}
    first = during(lambda served: outcomes(served, bodies), models, seed=3)
    second = during(lambda served: outcomes(served, shuffled), models, seed=3)
    other = during(lambda served: outcomes(served, bodies), models, seed=4)
    assert first == second
    assert first != other


def test_a_retry_draws_anew_so_that_it_can_succeed() -> None:
    tries = [drawn(asked(number)) for number in range(200)]
    assert None in tries
    assert set(FAULTS) <= set(tries)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), rate=st.floats(0.05, 0.45))
def test_faults_come_at_their_rates(seed: int, rate: float) -> None:
    count = 2_000
    rates = {"500": rate, "429": rate}
    found = Counter(drawn(asked(seed=seed, words=f"word {n}", rates=rates)) for n in range(count))
    deviation = (count * rate * (1 - rate)) ** 0.5
    for kind in rates:
        assert abs(found[kind] - count * rate) < 6 * deviation


@given(number=st.integers(0, 50), seed=st.integers(0, 50))
def test_a_decision_made_twice_is_the_same(number: int, seed: int) -> None:
    moment = Moment(now())
    first, second = decide(asked(number, seed=seed), moment), decide(asked(number, seed=seed), moment)
    assert (first.fault, list(first.act.pieces), first.act.status) == (
        second.fault,
        list(second.act.pieces),
        second.act.status,
    )


def test_after_a_reset_everything_comes_as_if_for_the_first_time() -> None:
    bodies = [chat(f"question {number}") for number in range(20)]

    async def talk(served: fake.Served) -> None:
        first = await outcomes(served, bodies)
        served.reset()
        assert served.counts()["requests"] == 0
        assert await outcomes(served, bodies) == first

    during(talk, {"m": {"faults": FAULTS}})
