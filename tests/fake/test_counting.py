"""Counts: every call is counted once, under its fault and its status, and nothing is lost when a client dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import orjson
import pytest

from tests.fake.asking import ask, chat, during
from toolkit import fake
from toolkit.models import openai
from toolkit.money.prices import Price
from toolkit.records import Reply

MODELS = {"m": {"faults": {"429": 0.2, "empty_content": 0.2}, "price": {"input": 2.0, "output": 10.0}}, "other": {}}


def test_counts_add_up_to_what_clients_saw() -> None:
    price = Price(input=2.0, output=10.0)

    async def talk(served: fake.Served) -> None:
        statuses, cost, tokens = Counter[str](), 0.0, 0
        async with httpx.AsyncClient() as client:
            for number in range(60):
                response = await client.post(f"{served.url}/chat/completions", json=chat(f"text {number % 40}"))
                statuses[str(response.status_code)] += 1
                if response.status_code == 200:
                    usage = response.json()["usage"]
                    tokens += usage["total_tokens"]
                    cost += (usage["prompt_tokens"] * price.input + usage["completion_tokens"] * price.output) / 1e6
            await client.post(f"{served.url}/chat/completions", json=chat(model="other"))
            counts = (await client.get(served.url.removesuffix("/v1") + "/fake/counts")).json()
        mine = counts["models"]["m"]
        assert counts["requests"] == 61
        assert (mine["requests"], mine["distinct"], mine["repeated"]["count"]) == (60, 40, 2)
        assert mine["statuses"] == dict(statuses)
        assert mine["faults"]["429"] == statuses["429"]
        assert mine["answered"] == 60 - sum(mine["faults"].values())
        assert mine["input_tokens"] + mine["output_tokens"] == tokens
        assert mine["cost_usd"] == pytest.approx(cost)
        assert counts["models"]["other"]["cost_usd"] is None

    during(talk, MODELS)


def test_a_price_is_told_where_the_profile_says_so() -> None:
    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient() as client:
            costs = [
                (await client.post(f"{served.url}/chat/completions", json=chat(model=name))).json()["usage"].get("cost")
                for name in ("tells", "keeps")
            ]
        assert (
            costs[0] == served.counts()["models"]["tells"]["cost_usd"] == served.counts()["models"]["keeps"]["cost_usd"]
        )
        assert costs[1] is None

    priced = {"price": {"request": 0.25}}
    during(talk, {"tells": {**priced, "tells_cost": True}, "keeps": priced})


def test_calls_are_listed_one_by_one_and_from_where_one_left_off() -> None:
    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient(base_url=served.url.removesuffix("/v1")) as client:
            for number in (1, 2, 1):
                await client.post("/v1/chat/completions", json=chat(f"text {number}"))
            told = (await client.get("/fake/requests?since=0")).json()
            assert [call["number"] for call in told["requests"]] == [0, 0, 1]
            assert told["requests"][0]["hash"] == told["requests"][2]["hash"] != told["requests"][1]["hash"]
            assert {call["model"] for call in told["requests"]} == {"m"}
            assert all(call["status"] == 200 or call["fault"] for call in told["requests"])
            rest = (await client.get(f"/fake/requests?since={told['next'] - 1}")).json()
            assert [call["sequence"] for call in rest["requests"]] == [2]
            await client.post("/fake/reset")
            assert (await client.get("/fake/requests")).json() == {"next": 0, "requests": []}

    during(talk, MODELS)


def test_only_the_latest_calls_are_kept_but_all_are_counted() -> None:
    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient(base_url=served.url.removesuffix("/v1")) as client:
            for number in range(9):
                await client.post("/v1/chat/completions", json=chat(f"text {number}", model="other"))
            told = (await client.get("/fake/requests?since=2")).json()
            assert [call["sequence"] for call in told["requests"]] == [5, 6, 7, 8]
            assert (await client.get("/fake/counts")).json()["requests"] == 9

    during(talk, MODELS, keep=4)


def test_every_call_is_appended_to_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def talk(served: fake.Served) -> None:
        async with httpx.AsyncClient() as client:
            for number in range(5):
                await client.post(f"{served.url}/chat/completions", json=chat(f"text {number}"))
        for _ in range(200):
            if path.read_bytes().count(b"\n") == 5:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the log stayed behind")

    for times in (1, 2):
        if times == 2:
            path.rename(tmp_path / "first.jsonl")
        during(talk, MODELS, log=str(path))
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["sequence"] for line in lines] == list(range(5))
    assert {"at", "model", "hash", "number", "status", "fault"} < set(lines[0])


def test_a_server_in_another_process_tells_its_counts_and_ends_with_its_context() -> None:
    with fake.running(fake.settings({"models": MODELS, "seed": 5})) as server:
        outcome = asyncio.run(ask(server, "other", openai))
        assert isinstance(outcome, Reply)
        assert server.counts()["models"]["other"]["requests"] == 1
        assert [call["model"] for call in server.requests()["requests"]] == ["other"]
        server.reset()
        assert server.counts()["requests"] == 0
        assert server.counts()["seed"] == 5
    assert server.process.poll() == 0
