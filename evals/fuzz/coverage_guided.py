"""Fuzzing of decoding that follows coverage: atheris changes responses until they take branches none has taken yet.

Optional: atheris is no dependency of ours, and needs an environment of its own with nothing else in it.

    python3.11 -m venv fuzzing && fuzzing/bin/pip install atheris orjson
    fuzzing/bin/python -m evals.fuzz.coverage_guided --seconds 300

Each dialect has a process, which begins with the corpus of `evals.fuzz`; an input is one byte for the way a response
comes (status, content type, what was asked, how long to wait), and its body. Half of the changes are libFuzzer's, half
those of `mutations`, which keep JSON and events whole. Writes its part of results.md, and ends with exit code 1 where
something else than a Reply or a CallError came out, or a reply breaks what every reply promises.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

RESULTS = Path(__file__).with_name("results.md")
HEADING = "\n## Guided by coverage\n"
DIALECTS = ("openai", "anthropic")
LONGEST_BODY = 8_192


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.fuzz.coverage_guided", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=300, help="for each dialect")
    parser.add_argument("--quick", action="store_true", help="10 seconds, and no file is written")
    parser.add_argument("--inside", choices=DIALECTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    seconds = 10 if given.quick else given.seconds
    if given.inside:
        _fuzz(given.inside, seconds)
    told = {dialect: _fuzzed(dialect, seconds) for dialect in DIALECTS}
    part = _report(told, seconds)
    print(part)
    if not given.quick:
        before, _, _ = RESULTS.read_text().partition(HEADING)
        RESULTS.write_text(before + part)
    return 1 if any(each["escaped"] for each in told.values()) else 0


def guided_part(results: str) -> str:
    """The part of results.md that this command wrote."""
    _, heading, part = results.partition(HEADING)
    return heading + part


# ---------------------------------------------------------------------------------------------------- a fuzzing process
def _fuzz(dialect: str, seconds: int) -> None:
    """Decode until the time is over; prints what came out as a line of JSON, and ends the process."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["toolkit.models", "toolkit.records", "toolkit.messages"]):
        decode = import_module(f"toolkit.models.{dialect}").decode
    from evals.fuzz.corpus import VALID
    from evals.fuzz.mutations import mutated
    from evals.fuzz.promises import broken
    from toolkit.errors import CallError
    from toolkit.records import Reply

    seeds = [response for response in VALID if response.dialect == dialect]
    ways = list(dict.fromkeys(replace(response, body=b"") for response in seeds))
    outcomes: Counter[str] = Counter()
    escaped: list[str] = []
    began = time.monotonic()

    def one(data: bytes) -> None:
        if not outcomes.total() % 256 and time.monotonic() - began > seconds:
            print(json.dumps({"outcomes": outcomes, "escaped": escaped}), flush=True)
            os._exit(0)
        way = ways[data[0] % len(ways)] if data else ways[0]
        headers = {"content-type": way.content_type}
        if way.retry_after is not None:
            headers["retry-after"] = way.retry_after
        try:
            reply = decode(way.status, headers, data[1:], operation=way.operation)
            outcomes[type(reply).__name__] += 1
            told = broken(reply) if isinstance(reply, Reply) else f"gave {reply!r:.100}"
        except CallError as error:
            outcomes[type(error).__name__] += 1
            return
        except Exception as error:
            outcomes["escaped"] += 1
            told = f"{type(error).__name__}: {error}"
        if told:
            escaped.append(f"{told}: {data!r:.500}")

    def changed(data: bytes, longest: int, seed: int) -> bytes:
        found: bytes = atheris.Mutate(data, longest)
        if seed % 2 or not data:
            return found
        try:
            response = mutated(replace(ways[data[0] % len(ways)], body=data[1:]), Random(seed))
        except RecursionError:
            return found
        return (data[:1] + response.body)[:longest]

    with tempfile.TemporaryDirectory() as folder:
        for number, response in enumerate(seeds):
            way = ways.index(replace(response, body=b""))
            (Path(folder) / str(number)).write_bytes(bytes([way]) + response.body)
        command = [sys.argv[0], folder, f"-max_len={LONGEST_BODY}", "-seed=1"]
        atheris.Setup(command, one, custom_mutator=changed)
        atheris.Fuzz()


def _fuzzed(dialect: str, seconds: int) -> dict[str, Any]:
    """What came out of a process that fuzzed so long, and the edges that it covered."""
    command = [sys.executable, "-m", "evals.fuzz.coverage_guided", "--inside", dialect, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise SystemExit(f"fuzzing {dialect} ended with {done.returncode}: {done.stderr[-2000:]}")
    covered = [int(edges) for edges in re.findall(r"cov: (\d+)", done.stderr)]
    kept = [int(inputs) for inputs in re.findall(r"corp: (\d+)", done.stderr)]
    found: dict[str, Any] = json.loads(lines[-1])
    return {**found, "covered": covered[-1], "at_first": covered[0], "kept": kept[-1]}


def _report(told: dict[str, dict[str, Any]], seconds: int) -> str:
    names = sorted({name for each in told.values() for name in each["outcomes"]})
    lines = [
        HEADING,
        f"`python -m evals.fuzz.coverage_guided --seconds {seconds}`, in an environment of its own "
        f"(atheris {version('atheris')}, orjson {version('orjson')}): {seconds} s for each dialect.",
        "",
        f"| | {' | '.join(told)} |",
        f"|---|{'---|' * len(told)}",
        _line("inputs", [sum(each["outcomes"].values()) for each in told.values()]),
        _line("escaped", [len(each["escaped"]) for each in told.values()]),
        _line("edges covered by the seeds", [each["at_first"] for each in told.values()]),
        _line("edges covered in the end", [each["covered"] for each in told.values()]),
        _line("inputs kept, as each took an edge that none had taken so", [each["kept"] for each in told.values()]),
        *(_line(f"→ {name}", [each["outcomes"].get(name, 0) for each in told.values()]) for name in names),
        *(f"\n* escaped: {escaped}" for each in told.values() for escaped in each["escaped"][:20]),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, counts: list[int]) -> str:
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |"


if __name__ == "__main__":
    sys.exit(main())
