"""`python -m evals.fuzz`: damaged responses of both dialects, decoded; counts of what came out, and branch coverage.

Ends with exit code 1 where something else than a Reply or a CallError came out, where a reply breaks what every reply
promises, or where one input took longer than a second.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from random import Random
from types import ModuleType

import coverage

from evals.fuzz.coverage_guided import guided_part

FOLDER = Path(__file__).parent
DECODING = ("bodies", "http_errors", "openai", "openai_stream", "anthropic", "anthropic_stream")
LONGEST_SECONDS = 1.0
MEASURED_INPUTS = 30_000
"""Coverage slows decoding, so it is measured on the first part of the inputs only."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="20,000 inputs, and no file is written")
    given = parser.parse_args()
    inputs = 20_000 if given.quick else given.inputs
    began = time.perf_counter()
    measuring = coverage.Coverage(
        branch=True, include=[f"*/toolkit/models/{name}.py" for name in DECODING], data_file=None
    )
    measuring.start()
    fuzzing = Fuzzing(Random(given.seed))
    fuzzing.run(min(inputs, MEASURED_INPUTS))
    measuring.stop()
    covered = _covered(measuring)
    fuzzing.run(inputs - min(inputs, MEASURED_INPUTS))
    told = _report(fuzzing, covered, inputs=inputs, seed=given.seed, seconds=time.perf_counter() - began)
    print(told)
    if not given.quick:
        results = FOLDER / "results.md"
        results.write_text(told + guided_part(results.read_text()))
    return 1 if fuzzing.escaped else 0


class Fuzzing:
    """Decodes damaged responses, and counts what came out."""

    def __init__(self, chance: Random) -> None:
        from evals.fuzz.corpus import VALID
        from toolkit.models import anthropic, openai

        self.chance = chance
        self.dialects: dict[str, ModuleType] = {"openai": openai, "anthropic": anthropic}
        self.valid = VALID
        self.outcomes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.escaped: list[str] = []
        self.slowest = 0.0

    def run(self, inputs: int) -> None:
        from evals.fuzz.mutations import mutated, noise
        from evals.fuzz.promises import broken
        from toolkit.errors import CallError
        from toolkit.records import Reply

        for _ in range(inputs):
            response = self.chance.choice(self.valid)
            damaged = self.chance.random() < 0.9
            self.kinds["damaged valid responses" if damaged else "noise"] += 1
            response = mutated(response, self.chance) if damaged else noise(response, self.chance)
            headers = {"content-type": response.content_type}
            if response.retry_after is not None:
                headers["retry-after"] = response.retry_after
            began = time.perf_counter()
            try:
                decode = self.dialects[response.dialect].decode
                reply = decode(response.status, headers, response.body, operation=response.operation)
                self.outcomes["Reply"] += 1
                if not isinstance(reply, Reply):
                    self.escaped.append(f"{reply!r}: {response!r}")
                elif told := broken(reply):
                    self.escaped.append(f"{told}: {response!r}")
            except CallError as error:
                self.outcomes[type(error).__name__] += 1
            except BaseException as error:
                self.escaped.append(f"{type(error).__name__}: {error}: {response!r}")
            took = time.perf_counter() - began
            self.slowest = max(self.slowest, took)
            if took > LONGEST_SECONDS:
                self.escaped.append(f"took {took:.1f} s: {response!r:.500}")


def _covered(measuring: coverage.Coverage) -> float:
    """The share of branches of decoding that were taken; what comes before decoding in a module is left out."""
    taken = possible = 0
    for name in DECODING:
        path = sys.modules[f"toolkit.models.{name}"].__file__ or ""
        lines = Path(path).read_text().splitlines()
        begins = next(
            (number for number, line in enumerate(lines, 1) if line.startswith("# --") and "decode" in line), 0
        )
        for line, (exits, seen) in measuring._analyze(path).branch_stats().items():
            if line > begins:
                possible, taken = possible + exits, taken + seen
    return taken / possible


def _report(fuzzing: Fuzzing, covered: float, *, inputs: int, seed: int, seconds: float) -> str:
    lines = [
        "# Fuzzing of decoding",
        "",
        f"`python -m evals.fuzz --inputs {inputs} --seed {seed}`: {inputs:,} inputs in {seconds:.0f} s, "
        f"{len(fuzzing.escaped)} escaped, slowest {1000 * fuzzing.slowest:.1f} ms, "
        f"branch coverage of decoding {100 * covered:.1f} % (over the first {min(inputs, MEASURED_INPUTS):,} inputs).",
        "",
        "| input | count |",
        "|---|---|",
        *(f"| {kind} | {count:,} |" for kind, count in fuzzing.kinds.most_common()),
        "",
        "| outcome | count |",
        "|---|---|",
        *(f"| {outcome} | {count:,} |" for outcome, count in fuzzing.outcomes.most_common()),
        "",
        *(f"* escaped: {json.dumps(escaped)[:1000]}" for escaped in fuzzing.escaped[:20]),
        f"Python {platform.python_version()}, orjson {version('orjson')}, {platform.machine()}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
