"""`python -m evals.record.tail`: how long a query takes while a million entries could not be merged.

Somebody in another process keeps the history open, so what is written piles up: in the journal, and set aside as
Parquet. Each query reads the history and that tail together, as `toolkit sql` does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from evals.record.calls import START, Call, calls
from evals.record.telling import Figure, figures_table, footer, where, write
from evals.record.ways import entries_of_call
from toolkit.ledger import Entry, History, Journal, facts, run_entry
from toolkit.records import Run

ENTRIES_OF_CALL = 3  # in the log; a call's two contents come on top
MERGED_CALLS, DISTINCT_CALLS = 1_000, 5_000
MOST_PENDING = 20_000
HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.readline()
"""
QUERIES = {
    "calls": ("all attempts, counted", "select count(*) from attempts"),
    "costs": ("cost by step and model", "select step, model, sum(cost_usd) from attempts group by all"),
    "view": ("the view model_costs", "select * from model_costs"),
    "one": ("one attempt by its id", "select * from attempts where id = $id"),
    "answers": ("answers by status", "select status, count(*) from answers group by all"),
    "rows": ("one row: its decisions", "select choice, reason from decisions where row_id = $row"),
}
AIM_SECONDS, REPEATS = 0.3, 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.record.tail", description="Reading what is not merged.")
    parser.add_argument("--entries", type=int, default=1_000_000, help="how many are not merged")
    parser.add_argument("--quick", action="store_true", help="60,000 entries, and no file is written")
    given = parser.parse_args()
    entries, about = 60_000 if given.quick else given.entries, where()
    with tempfile.TemporaryDirectory() as folder, _piled_up(Path(folder), entries) as journal:
        began = time.perf_counter()
        History(journal.home).sql(QUERIES["costs"][1])
        at_once = Figure("at_once", "cost by step and model, the moment the last was written", 0.0, "s")
        figures = [replace(at_once, number=time.perf_counter() - began)]
        journal.merge()  # sets aside what the merger has not come to yet
        journal.flush()
        found = facts(journal.home)
        figures += _asked(journal.home, entries // ENTRIES_OF_CALL)
    text = "\n\n".join(
        [
            "# Reading over what is not merged",
            f"{entries:,} entries were written as fast as they could be while another process kept the history open "
            f"for reading, and were set aside in {found.segments:,} segments of {found.segment_bytes / 1e6:,.0f} MB "
            "together. Each figure is the wall time of one `History.sql`, from opening to closing, the best of "
            f"{REPEATS}; the first one of a single query before all was set aside. `python -m evals.record.tail` "
            "measures again.",
            figures_table(figures),
            footer(about),
        ]
    )
    print(text)
    if not given.quick:
        told = {**about, "entries": entries, "segments": found.segments, "figures": [each.told for each in figures]}
        write("tail", text + "\n", told)


@contextmanager
def _piled_up(home: Path, entries: int) -> Iterator[Journal]:
    """The journal of a home whose history is held in another process, with that many entries written since."""
    made = list(calls(DISTINCT_CALLS))
    with Journal.open(home) as journal:
        journal.write(run_entry(Run("run-1", "support", "script", START)))
        for call in made[:MERGED_CALLS]:
            journal.write(*entries_of_call(call))
    command = [sys.executable, "-c", HOLD, str(home / "history.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        began = time.monotonic()
        journal = Journal.open(home)
        for number in range(entries // ENTRIES_OF_CALL):
            ticket = journal.write(*_again(made, number))
            if ticket % MOST_PENDING < 5:
                journal.flush()
        journal.flush()
        print(f"{entries:,} entries in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        yield journal
        holder.communicate("\n")
        journal.close()


def _again(made: list[Call], number: int) -> tuple[Entry, ...]:
    """A call of its own whose texts have been there before."""
    call, name = made[number % len(made)], f"{number:032x}"
    place = replace(call.place, row_id=f"again-{number}")
    return entries_of_call(
        replace(
            call,
            decision_id=f"d{name[1:]}",
            attempt=replace(call.attempt, id=name),
            answer=replace(call.answer, place=place, key=name, attempt_id=name),
        )
    )


def _asked(home: Path, number: int) -> list[Figure]:
    history = History(home)
    figures = []
    for name, (what, query) in QUERIES.items():
        params = {"id": f"{number // 2:032x}", "row": f"again-{number // 2}"}
        given = {key: value for key, value in params.items() if f"${key}" in query}
        seconds = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            rows = history.sql(query, given or None).rows
            seconds.append(time.perf_counter() - began)
        assert rows, what
        figures.append(Figure(name, what, min(seconds), "s", AIM_SECONDS))
    return figures


if __name__ == "__main__":
    main()
