"""`python -m evals.fake`: requests a second, by the clock and by the CPU time of the server's process."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from evals.performance.results import surroundings
from toolkit import fake

FOLDER = Path(__file__).parent
CONNECTIONS = 32
REPEATS = 3
TICKET = "My parcel LN was to arrive on Monday, and the tracking page has not moved since. Where is it now? "
TRIAGE = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["refund", "delivery", "account", "billing", "product", "order", "other"]},
        "urgent": {"type": "boolean"},
        "summary": {"type": "string", "maxLength": 80},
    },
    "required": ["intent", "urgent", "summary"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Case:
    """One kind of call."""

    name: str
    body: dict[str, Any]
    path: str = "/v1/chat/completions"
    model: dict[str, Any] | None = None
    logs: bool = False


def _chat(**more: Any) -> dict[str, Any]:
    told = [{"role": "system", "content": "Triage this support ticket."}, {"role": "user", "content": TICKET}]
    return {"model": "m", "messages": told, **more}


SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": TRIAGE}}
ANTHROPIC = {"model": "m", "max_tokens": 500, "messages": [{"role": "user", "content": TICKET}]}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
MIX = "429:0.05, 500:0.05, truncated_json:0.02, content_filter:0.02"
CASES = (
    Case("chat", _chat()),
    Case("chat, every call logged to a file", _chat(), logs=True),
    Case("chat, 14 % faults, rate limits, prices", _chat(), model={
        "faults": MIX, "requests_per_minute": 1e9, "tokens_per_minute": 1e9, "price": {"input": 1.0, "output": 2.0},
    }),
    Case("chat after 10 ms", _chat(), model={"latency_seconds": 0.01, "latency_spread": 0.3}),
    Case("typed answer", _chat(response_format=SCHEMA)),
    Case("prompt of 8 kB", _chat(messages=[{"role": "user", "content": TICKET * 80}])),
    Case("stream of some 20 events", _chat(**STREAM)),
    Case("embedding", {"model": "m", "input": [TICKET]}, "/v1/embeddings"),
    Case("Anthropic's messages", ANTHROPIC, "/v1/messages"),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    case: Case
    per_second: float
    per_cpu_second: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.fake", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few requests, one run of each, and no file is written")
    quick = parser.parse_args().quick
    requests, repeats = (2_000, 1) if quick else (10_000, REPEATS)
    about = surroundings()
    best = [max((_measured(case, requests) for _ in range(repeats)), key=lambda m: m.per_cpu_second) for case in CASES]
    text = _report(best, requests, about)
    print(text)
    if not quick:
        (FOLDER / "results.md").write_text(text)


def _measured(case: Case, requests: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        log = {"log": str(Path(folder) / "log.jsonl")} if case.logs else {}
        with fake.running(fake.settings({"models": {"m": case.model or {}}, "seed": 1, **log})) as server:
            body = orjson.dumps(case.body)
            _load(server.url, case.path, body.replace(b"LN", b"W"), 500)
            server.reset()
            before = server.counts()["cpu_seconds"]
            seconds = _load(server.url, case.path, body, requests)
            counts = server.counts()
            if counts["models"]["m"]["distinct"] != requests:
                raise RuntimeError(f"{case.name}: {counts['models']['m']} after {requests} requests")
            return Measured(case, requests / seconds, requests / (counts["cpu_seconds"] - before))


def _load(url: str, path: str, body: bytes, requests: int) -> float:
    port = url.rpartition(":")[2].partition("/")[0]
    command = [sys.executable, "-m", "evals.fake.load", port, path, str(CONNECTIONS), str(requests)]
    return float(subprocess.run(command, input=body, capture_output=True, check=True).stdout)


def _report(measured: list[Measured], requests: int, about: dict[str, Any]) -> str:
    lines = [
        "# How fast the fake server is",
        "",
        f"{requests:,} requests over {CONNECTIONS} kept connections, each of other words, from a second process over "
        f"the loopback; the best of {REPEATS} runs. Requests a second of CPU count the CPU time of the server's "
        "process alone, so they tell what one core to itself answers; requests a second are by the clock, on a machine "
        "that the load shares. `python -m evals.fake` measures again.",
        "",
        "| call | requests a second of CPU | requests a second |",
        "|---|--:|--:|",
        *(f"| {m.case.name} | {m.per_cpu_second:,.0f} | {m.per_second:,.0f} |" for m in measured),
        "",
        "The first call with a schema of the harder kind (patterns, `not`, `oneOf` …) loads the package jsonschema, "
        "which stops the server once for up to a second.",
        "",
        f"{about['processor']}, {about['cores']} cores (load {about['load']} at the start), {about['system']}, "
        f"Python {about['python']}, {about['measured_at'][:10]}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
