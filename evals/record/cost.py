"""`python -m evals.record.cost`: what recording costs, beside plain files and databases doing less, in the same run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping

from evals.record.telling import Figure, figures_table, footer, table, where, write
from evals.record.ways import BETWEEN_CALLS_SECONDS, GROUP, IN_FLIGHT, WAYS

REPEATS = 3
Told = Mapping[str, float]
RIVALS = {
    "attempts": "toolkit: journal, then history",
    "journal_alone": "toolkit: journal alone",
    "jsonl": "JSONL, appended",
    "sqlite": "SQLite, an insert per row",
    "duckdb_appender": "DuckDB's appender",
}
MERGED_ROWS = "merged rows/s in large batches (attempts and contents)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.record.cost", description="What recording costs.")
    parser.add_argument("--attempts", type=int, help="default 40,000; with --quick 4,000")
    parser.add_argument("--quick", action="store_true", help="few attempts, each way once, and no file is written")
    given = parser.parse_args()
    count = given.attempts or (4_000 if given.quick else 40_000)
    about = where()
    measured = {name: _best(name, count, 1 if given.quick else REPEATS) for name in WAYS}
    figures = judged(measured, count)
    text = report(figures, measured, count=count, about=footer(about))
    print(text)
    if not given.quick:
        told = {**about, "attempts": count, "figures": [figure.told for figure in figures], "measured": measured}
        write("cost", text, told)


def judged(measured: Mapping[str, Told], count: int) -> list[Figure]:
    """What there is an aim for."""
    attempts, calls, alone, late = (
        measured[name] for name in ("attempts", "whole_calls", "journal_alone", "late_commits")
    )
    loop, whole = "CPU an attempt on the loop's thread", "CPU an attempt in the whole process, merge included"
    return [
        Figure("loop_cpu", loop, 1000 * attempts["loop_cpu_seconds"] / count, "ms", 0.15),
        Figure("process_cpu", whole, 1000 * attempts["cpu_seconds"] / count, "ms", 0.3),
        Figure("call_loop_cpu", "the same of a whole call, loop", 1000 * calls["loop_cpu_seconds"] / count, "ms", 0.15),
        Figure("call_process_cpu", "the same of a whole call, process", 1000 * calls["cpu_seconds"] / count, "ms", 0.3),
        Figure("attempts_a_second", "attempts/s into the journal", count / alone["seconds"], "", 10_000, True),
        Figure("attempts_merged", "attempts/s until all are in the history", count / attempts["merged_seconds"], ""),
        Figure("calls_a_second", "whole calls/s into the journal, the merge beside", count / calls["seconds"], ""),
        Figure("calls_merged", "whole calls/s until all are in the history", count / calls["merged_seconds"], ""),
        Figure("merged_rows", MERGED_ROWS, alone["merged_rows"] / alone["merge_seconds"], "", 25_000, True),
        Figure("late_p50", "commits late by, loop saturated, merge beside: p50", 1000 * late["late_p50_seconds"], "ms"),
        Figure("late_p99", "p99, in the middle run", 1000 * late["late_p99_seconds"], "ms", 50),
        Figure("late_p99_least", "p99, in the least disturbed run", 1000 * late["late_p99_least_seconds"], "ms", 50),
    ]


def report(figures: list[Figure], measured: Mapping[str, Told], *, count: int, about: str) -> str:
    """The whole report in Markdown."""
    lines = [("way", "attempts/s", "CPU an attempt", "÷ SQLite")]
    for name, title in RIVALS.items():
        told = measured[name]
        ratio = told["cpu_seconds"] / measured["sqlite"]["cpu_seconds"]
        each = f"{1e6 * told['cpu_seconds'] / count:.0f} µs"
        seconds = told.get("merged_seconds", told["seconds"])
        lines.append((title, f"{count / seconds:,.0f}", each, f"{ratio:.2f}"))
    paragraphs = [
        "# What recording costs",
        f"{count:,} calls with texts of about 1.5 kB, all different, made before the clock starts; each way in a "
        "process of its own, the least disturbed of its runs. `python -m evals.record.cost` measures again.",
        "An *attempt* is two entries: its row, and its output as a content. A *whole call* is what the loop records of "
        "one: the request as a content, the decision, the attempt, its output, and the answer. Turning records into "
        "entries is counted. The journal commits with `synchronous=FULL`. The loop is saturated by "
        f"{IN_FLIGHT} rows in flight that compute {1e6 * BETWEEN_CALLS_SECONDS:.0f} µs before each whole call; how "
        "late a commit is, is measured on another thread, whose own wait for the interpreter is part of it.",
        figures_table(figures),
        f"The same attempts in other ways, {GROUP:,} to a transaction or fsync. These write once and merge nothing, "
        "and DuckDB's file lets no second process in meanwhile.",
        table(lines),
        about,
    ]
    return "\n\n".join(paragraphs) + "\n"


def _best(name: str, count: int, repeats: int) -> Told:
    """Of a few runs the best of each figure, as others can only make them worse; for lateness the middle run."""
    print(f"{name}, {count:,} calls …", file=sys.stderr, flush=True)
    runs = [_measured(name, count) for _ in range(repeats)]
    if name == "late_commits":
        runs.sort(key=lambda run: run["late_p99_seconds"])
        return {**runs[repeats // 2], "late_p99_least_seconds": runs[0]["late_p99_seconds"]}
    return {figure: min(run[figure] for run in runs) for figure in runs[0]}


def _measured(name: str, count: int) -> Told:
    command = [sys.executable, "-m", "evals.record.ways", name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


if __name__ == "__main__":
    main()
