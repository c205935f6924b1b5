"""`python -m evals.gates`: three processes, one journal, and a fake server that counts. `--quick` writes no file."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.gates.measuring import Seen, measured
from evals.performance.results import surroundings

FOLDER = Path(__file__).parent
LATENCY_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.gates", description="What gates hold, and what they cost.")
    parser.add_argument("--quick", action="store_true", help="fewer rows, and no file is written")
    parser.add_argument("--only", nargs="+", choices=("pace", "load", "dead", "vectors"), default=None)
    given = parser.parse_args()
    about = surroundings()
    parts = {"pace": pace, "load": load, "dead": dead, "vectors": vectors}
    wanted = given.only or list(parts)
    text = "\n\n".join(["# What gates hold", *("\n".join(parts[name](given.quick)) for name in wanted), _where(about)])
    print(text)
    if not given.quick and given.only is None:
        (FOLDER / "results.md").write_text(text + "\n", encoding="utf-8")


def pace(quick: bool) -> Iterator[str]:
    yield "## Requests and tokens per minute, three processes on one journal"
    yield ""
    yield "The server refuses what is over its limit (a bucket of one second); the fleet's file has the same limit."
    yield ""
    yield "| limit of the server | declared | calls | refused | answered a minute | share of the limit | median wait |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    rows = 60 if quick else 150
    for limit in ({"requests_per_minute": 1_200}, {"requests_per_minute": 6_000}, {"tokens_per_minute": 60_000}):
        for declared in (True, False):
            found = _measured("limited", {"m": _model(limit_seconds=1, **limit)}, rows=rows,
                              limits=limit if declared else {})  # fmt: skip
            ((name, most),) = limit.items()
            rate = found.per_minute if name == "requests_per_minute" else found.tokens_per_minute
            wait = max(worker["wait_seconds"] for worker in found.workers)
            yield (
                f"| {most:,} {name.split('_')[0]} | {'yes' if declared else 'no'} | {found.calls} | {found.refused} | "
                f"{rate:,.0f} | {rate / most:.0%} | {wait:.2f} s |"
            )


def load(quick: bool) -> Iterator[str]:
    yield "## Concurrency that adapts to refusals: one process, a limit that nobody declared"
    yield ""
    yield "| concurrency | calls | refused (429) | answered a minute |"
    yield "|---|--:|--:|--:|"
    rows, model = 300 if quick else 2_000, _model(requests_per_minute=6_000, limit_seconds=1)
    for name, options in (("adapts", ()), ("fixed at 64", ("--rigid",))):
        options = (*options, "--in-flight", "64")
        found = _measured("limited", {"m": model}, rows=rows, processes=1, options=options)
        yield f"| {name} | {found.calls} | {found.refused} | {found.per_minute:,.0f} |"


def dead(quick: bool) -> Iterator[str]:
    rows = 100 if quick else 1_000
    found = _measured("dead", {"dead": _model(faults="500"), "alive": _model()}, rows=rows, watched="dead")
    yield "## A dead model before one that lives, three processes"
    yield ""
    yield f"* rows: {3 * rows:,}, all answered by the other: {found.answered:,}"
    yield f"* calls to the dead model, by all three together: {found.calls}, within {found.seconds:.1f} s"


def vectors(quick: bool) -> Iterator[str]:
    yield "## Requests for vectors that share calls, one process"
    yield ""
    yield "| texts a call at most | rows | calls | seconds |"
    yield "|--:|--:|--:|--:|"
    rows = 400 if quick else 4_000
    for batch in (1, 64):
        found = _measured("vectors", {"m": _model()}, rows=rows, processes=1, limits={"batch": batch},
                          options=("--in-flight", "200"))  # fmt: skip
        yield f"| {batch} | {rows:,} | {found.calls:,} | {found.workers[0]['seconds']:.1f} |"


def _where(about: dict[str, Any]) -> str:
    return (
        f"{about['processor']}, {about['cores']} cores (load {about['load']} at the start), {about['system']}, "
        f"Python {about['python']}, {about['measured_at'][:10]}."
    )


def _model(**fields: Any) -> dict[str, Any]:
    return {"latency_seconds": LATENCY_SECONDS, **fields}


def _measured(what: str, models: dict[str, Any], **options: Any) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        return measured(what, models, home=Path(folder), **options)


if __name__ == "__main__":
    main()
