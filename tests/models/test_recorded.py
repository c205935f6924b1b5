"""Recorded answers are words, whatever they look like in a table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from toolkit.fleet import Fleet
from toolkit.messages import Data, Message
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request

COLUMNS = "query_id,model,response,score,cost_usd,input_tokens,output_tokens,latency_s"


def asked(folder: Path, item: str) -> Reply:
    spec = ModelSpec("r", "recorded", "1", settings={"table": "outcomes.csv"}, folder=folder)
    request = Request(messages=(Message("user", (Data("query_id", item),)),))
    return asyncio.run(Fleet.of(spec).open("r").send(request))


@pytest.mark.parametrize("response", ["yes", "true", "1", "0.50", "2024-01-01", "null"])
def test_an_answer_that_looks_like_something_else_stays_as_it_was(response: str, tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text(f"{COLUMNS}\n007,1,{response},0.5,0.001,3,1,0.2\n", encoding="utf-8")
    said = asked(tmp_path, "007")
    assert said.text == response
    assert (said.score, said.cost_usd, said.usage.input_tokens, said.service_seconds) == (0.5, 0.001, 3, 0.2)
