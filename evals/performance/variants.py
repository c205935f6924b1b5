"""One variant, measured in a process of its own. In: its name, the server, the rows. Out: a line of JSON.

Every variant does the same work: 64 rows at once, and for each row three chat calls, each of which holds what the one
before it said. Imports and a warm-up over the first rows are not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

IN_FLIGHT = 64
CALLS = 3
CHUNK_ROWS = 1_000
WARM_UP_ROWS = 32
INSTRUCTION = "Answer the customer in one sentence."
Measured = Callable[[str, Path, int], Awaitable[None] | None]


# ---------------------------------------------------------------------------------------------------------- the floor
async def httpx_over_aiohttp(url: str, table: Path, rows: int) -> None:
    """httpx's client over aiohttp's connections, and no engine: what the calls alone cost."""
    import httpx

    from toolkit.models.transport import AiohttpTransport

    await _bare(httpx.AsyncClient(transport=AiohttpTransport(), timeout=60), url, table, rows)


async def httpx_own_pool(url: str, table: Path, rows: int) -> None:
    """httpx's client as it comes, with as many connections as rows in flight."""
    import httpx

    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    await _bare(httpx.AsyncClient(limits=limits, timeout=60), url, table, rows)


async def _bare(client: Any, url: str, table: Path, rows: int) -> None:
    texts = _texts(table, rows)

    async def work() -> None:
        for text in texts:
            said = text
            for _ in range(CALLS):
                said = _words((await client.post(f"{url}/v1/chat/completions", json=_body(said))).json())

    async with client:
        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


def _texts(table: Path, rows: int) -> Iterator[str]:
    with table.open(encoding="utf-8") as lines:
        for _, line in zip(range(rows), lines, strict=False):
            yield json.loads(line)["ticket"]


def _body(text: str) -> dict[str, Any]:
    said = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": f"<ticket>\n{text}\n</ticket>"}]
    return {"model": "echo-1", "messages": said}


def _words(reply: Any) -> str:
    words: str = reply["choices"][0]["message"]["content"]
    return words


# ------------------------------------------------------------------------------------------------------- the toolkit
def toolkit_recorded(url: str, table: Path, rows: int) -> None:
    """The toolkit: every attempt durable in the journal and merged into the history, closed at the end."""
    with tempfile.TemporaryDirectory() as home:
        run = _workflow().run(table, _fleet(url), home=home, in_flight=IN_FLIGHT, limit=rows)
    assert run.progress.answered == rows, f"not every row is answered: {run}"


def toolkit_in_prefect(url: str, table: Path, rows: int) -> None:
    """The same inside a Prefect flow, one Prefect task for each chunk of rows."""
    from toolkit.orchestration import as_flow

    flow = as_flow(_workflow(), fleet=_fleet(url), rows=table, chunk_size=CHUNK_ROWS)
    with tempfile.TemporaryDirectory() as home:
        summary = flow(limit=rows, home=home)
    assert summary.answered == rows, f"not every row is answered: {summary}"


def _workflow() -> Any:
    """Three chained steps; the row's id is in every prompt, as what was asked before would not be asked again."""
    import toolkit as tk

    route, policy = tk.Ladder("echo"), tk.Retry(2) | tk.Fallback()

    @tk.step(route=route, policy=policy)
    def first(ticket: str) -> tk.Request:
        return tk.prompt(INSTRUCTION, ticket=ticket)

    @tk.step(route=route, policy=policy)
    def second(first: str, id: str) -> tk.Request:
        return tk.prompt(INSTRUCTION, ticket=f"{id}: {first}")

    @tk.step(route=route, policy=policy)
    def third(second: str, id: str) -> tk.Request:
        return tk.prompt(INSTRUCTION, ticket=f"{id}, again: {second}")

    return tk.Workflow("chain", [first, second, third])


def _fleet(url: str) -> Any:
    import toolkit as tk
    from toolkit.money.prices import Price

    return tk.Fleet.of(
        tk.ModelSpec("echo", "openai", "echo-1", endpoint=f"{url}/v1", price=Price(0.15, 0.6), window=128_000)
    )


# ------------------------------------------------------------------------------------------------------------ Prefect
async def prefect_task_per_call(url: str, table: Path, rows: int) -> None:
    """A plain Prefect flow with a task for each call, over httpx and aiohttp."""
    import httpx
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    from toolkit.models.transport import AiohttpTransport

    @task(cache_policy=NO_CACHE, persist_result=False)
    async def call(said: str) -> str:
        return _words((await client.post(f"{url}/v1/chat/completions", json=_body(said))).json())

    @flow
    async def chain() -> None:
        texts = _texts(table, rows)

        async def work() -> None:
            for text in texts:
                said = text
                for _ in range(CALLS):
                    said = await call(said)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))

    async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=60) as client:
        await chain()


# ---------------------------------------------------------------------------------------------------------- measuring
VARIANTS: dict[str, Measured] = {
    made.__name__: made
    for made in (httpx_over_aiohttp, httpx_own_pool, toolkit_recorded, toolkit_in_prefect, prefect_task_per_call)
}


def measure(variant: Measured, url: str, table: Path, rows: int) -> dict[str, float]:
    """Wall seconds, CPU seconds of this process (all its threads) and its peak memory in MB."""
    _run(variant, url, table, min(rows, WARM_UP_ROWS))
    began, used = time.perf_counter(), time.process_time()
    _run(variant, url, table, rows)
    return {
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - used,
        "peak_megabytes": _peak_megabytes(),
    }


def _run(variant: Measured, url: str, table: Path, rows: int) -> None:
    running = variant(url, table, rows)
    if running is not None:
        asyncio.run(_finished(running))


async def _finished(running: Awaitable[None]) -> None:
    await running


def _peak_megabytes() -> float:
    """The high-water mark of this process alone (what getrusage tells may be its parent's)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m evals.performance.variants")
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("url")
    parser.add_argument("table", type=Path)
    parser.add_argument("rows", type=int)
    given = parser.parse_args()
    print(json.dumps(measure(VARIANTS[given.variant], given.url, given.table, given.rows)))
