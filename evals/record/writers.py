"""Many writers, and a reader who will not let go of the history.

    python -m evals.record.writers [--seconds 60] [--rate 1000] [--writers 4] [--quick]

Processes record attempts while somebody keeps `history.duckdb` open, so that nothing can be merged: for reading in
another process, for reading in the very process that runs a batch, for writing in a foreign process. A prober asks
through the toolkit's reader all the while. Afterwards the rows are counted exactly; the file must catch up by itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb

from evals.record.harness import PRELOADED, START, STEP, TEXT, begun
from toolkit.ledger import Entry, History, Journal, attempt_entries, facts
from toolkit.messages import Text
from toolkit.records import Attempt, Place, Reply, Usage

HERE = Path(__file__).parent
WINDOWS = 6
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Situation:
    """Who holds the file: in a process of its own or in that of the first writer, and whether for reading."""

    name: str
    in_a_writer: bool
    read_only: bool


SITUATIONS = (
    Situation("read-only, in another process", in_a_writer=False, read_only=True),
    Situation("read-only, in a process that writes", in_a_writer=True, read_only=True),
    Situation("read-write, in a foreign process", in_a_writer=False, read_only=False),
)


@dataclass(frozen=True)
class Outcome:
    """What was measured. A lag is the time from an acknowledgement to the end of the first query that saw the row.

    `query_seconds` are the medians of successive parts of the run, `slowest_query_seconds` is of all of it.
    `catch_up_seconds` are from letting go until all is in the file: by a batch that goes on, or by the next journal.
    """

    situation: str
    writers: int
    seconds: float
    rows: int
    rows_per_second: float
    seen_while_held: int
    in_the_file: int
    lost: int
    doubled: int
    without_text: int
    queries: int
    lag_p50_seconds: float
    lag_p99_seconds: float
    lag_worst_seconds: float
    query_seconds: tuple[float, ...]
    slowest_query_seconds: float
    segments: int
    catch_up_by: str
    catch_up_seconds: float
    note: str


# ------------------------------------------------------------------------------------------------- the processes
def attempt(run: str, row: int) -> tuple[Entry, ...]:
    """An attempt with an output of 1.5 kB."""
    id = f"{run}-{row:07d}"
    reply = Reply((Text(f"{id} {TEXT}"),), usage=Usage(400, 380), finish_reasons=("stop",))
    tried = Attempt(id, 1, "first", "small", "openai", "gpt-small", START, 0.01, 1.2, reply=reply, cost_usd=0.0004)
    return attempt_entries(Place(run, f"row-{row:07d}", STEP), None, tried, None)


def record(
    pipe: Connection, home: Path, run: str, *, rate: float, rows: int, holds: bool, let_go: Event, go_on: Event
) -> None:
    """Record that many attempts at that rate, tell when which were durable, stay open until `go_on`."""
    acknowledged: list[tuple[int, float]] = []
    with Journal.open(home) as journal:
        journal.write(begun(run))
        journal.flush()
        held = duckdb.connect(str(home / "history.duckdb"), read_only=True) if holds else None
        pipe.send("ready")
        pipe.recv()
        started, row = time.monotonic(), 0
        while row < rows:
            due = min(int(rate * (time.monotonic() - started)) + 1, rows, row + 500)
            if due == row:
                time.sleep(0.005)
                continue
            journal.write(*(entry for each in range(row, due) for entry in attempt(run, each)))
            journal.flush()
            row = due
            acknowledged.append((row, time.monotonic()))
        pipe.send((time.monotonic() - started, acknowledged))
        if held is not None:
            let_go.wait()
            held.close()
        go_on.wait()
    pipe.send("closed")


def hold(pipe: Connection, path: Path, *, read_only: bool, let_go: Event) -> None:
    """Keep the history open, as a notebook does for days."""
    connection = duckdb.connect(str(path), read_only=read_only)
    connection.execute("select count(*) from attempts").fetchall()
    pipe.send("ready")
    let_go.wait()
    connection.close()
    pipe.send("closed")


def probe(pipe: Connection, home: Path, *, enough: Event) -> None:
    """Ask again and again; per query when it began and ended, and run → rows seen, and how many that should be.

    The rows of a run become durable in order, so those up to the last one that is seen must all be there, once.
    """
    history, seen, note = History(home), [], ""
    while not enough.is_set():
        began = time.monotonic()
        found = history.sql("select run_id, count(*), max(id) from attempts group by run_id")
        seen.append((began, time.monotonic(), {run: (rows, int(last[-7:]) + 1) for run, rows, last in found.rows}))
        note = note or found.note
        time.sleep(PAUSE_SECONDS)
    pipe.send((seen, note))


# ------------------------------------------------------------------------------------------------- one situation
def measure(situation: Situation, *, seconds: float, rate: float, writers: int, home: Path) -> Outcome:
    """Run that situation in an empty home."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    enough, let_go, go_on = context.Event(), context.Event(), context.Event()
    processes: list[Any] = []

    def start(target: Any, *arguments: Any, **named: Any) -> tuple[Connection, int]:
        ours, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs, *arguments), kwargs=named)
        process.start()
        theirs.close()
        processes.append(process)
        return ours, process.pid or 0

    with Journal.open(home) as journal:
        journal.write(begun("first"), *(entry for row in range(100) for entry in attempt("first", row)))
    try:
        keeper, holder = None, 0
        if not situation.in_a_writer:
            keeper, holder = start(hold, home / "history.duckdb", read_only=situation.read_only, let_go=let_go)
            _received(keeper)
        pipes, rows = [], int(rate * seconds)
        for number in range(writers):
            holds = situation.in_a_writer and number == 0
            signals = {"let_go": let_go, "go_on": go_on}
            pipe, pid = start(record, home, f"run-{number}", rate=rate, rows=rows, holds=holds, **signals)
            _received(pipe)
            keeper, holder = keeper or pipe, holder or pid
            pipes.append(pipe)
        prober, _ = start(probe, home, enough=enough)
        for pipe in pipes:
            pipe.send("go")
        told = [_received(pipe, patience=seconds * 5 + PATIENCE_SECONDS) for pipe in pipes]
        seen_at_last = _count(home)
        aside = facts(home).segments
        time.sleep(2 * PAUSE_SECONDS)
        enough.set()
        seen, note = _received(prober)
        by, catch_up = _caught_up(home, situation, let_go=let_go, go_on=go_on, writers=pipes, holder=keeper)
    finally:
        for signal in (enough, let_go, go_on):
            signal.set()
        for process in processes:
            process.join(30)
            if process.is_alive():
                process.kill()
    in_file, ids, texts = _in_file(home)
    lags = sorted(_lags([acknowledged for _, acknowledged in told], seen))
    queries = [end - began for began, end, _ in seen]
    wanted = writers * rows + (100 if situation.read_only else 0)
    return Outcome(
        situation=situation.name,
        writers=writers,
        seconds=round(max(took for took, _ in told), 1),
        rows=writers * rows,
        rows_per_second=round(sum(rows / took for took, _ in told)),
        seen_while_held=seen_at_last - (100 if situation.read_only else 0),
        in_the_file=in_file - 100,
        lost=writers * rows
        + 100
        - ids
        + max(0, wanted - seen_at_last)
        + sum(max(0, due - rows) for *_, found in seen for rows, due in found.values()),
        doubled=in_file - ids + sum(max(0, rows - due) for *_, found in seen for rows, due in found.values()),
        without_text=in_file - texts,
        queries=len(queries),
        lag_p50_seconds=_quantile(lags, 0.5),
        lag_p99_seconds=_quantile(lags, 0.99),
        lag_worst_seconds=_quantile(lags, 1.0),
        query_seconds=tuple(round(statistics.median(part), 3) for part in _parts(queries)),
        slowest_query_seconds=round(max(queries), 3),
        segments=aside,
        catch_up_by=by,
        catch_up_seconds=round(catch_up, 1),
        note=note.replace(f"process {holder} ", "process <holder> "),
    )


def _caught_up(
    home: Path,
    situation: Situation,
    *,
    let_go: Event,
    go_on: Event,
    writers: Sequence[Connection],
    holder: Connection | None,
) -> tuple[str, float]:
    """Let go of the file; by whom and in what time it catches up."""
    if situation.read_only:
        started = time.monotonic()
        let_go.set()
        while not _is_merged(home):
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise RuntimeError(f"the history did not catch up: {facts(home)}")
            time.sleep(0.1)
        return "a batch that goes on", time.monotonic() - started
    go_on.set()
    for pipe in writers:
        _received(pipe)  # the batches have ended while the file was held
    let_go.set()
    assert holder is not None
    _received(holder)
    started = time.monotonic()
    Journal.open(home).close()
    if not _is_merged(home):
        raise RuntimeError(f"the history did not catch up: {facts(home)}")
    return "the next journal that opens", time.monotonic() - started


def _is_merged(home: Path) -> bool:
    found = facts(home)
    return (found.segments, found.pending_entries) == (0, 0)


def _count(home: Path) -> int:
    """Through the reader."""
    return int(History(home).sql("select count(*) from attempts").rows[0][0])


def _in_file(home: Path) -> tuple[int, int, int]:
    """In the file itself: attempts, different ones, and those whose output is there."""
    query = "select count(*), count(distinct id), count(output) from attempts_text"
    with duckdb.connect(str(home / "history.duckdb"), read_only=True) as connection:
        rows, ids, texts = connection.execute(query).fetchall()[0]
    return int(rows), int(ids), int(texts)


def _received(pipe: Connection, *, patience: float = PATIENCE_SECONDS) -> Any:
    if not pipe.poll(patience):
        raise RuntimeError("a process says nothing; see what it wrote")
    return pipe.recv()


def _lags(acknowledged: Sequence[Sequence[tuple[int, float]]], seen: Sequence[tuple[float, float, Any]]) -> list[float]:
    """Per acknowledgement, the time until the end of the first query that saw its last row."""
    lags = []
    for number, batches in enumerate(acknowledged):
        probes = iter([(end, found.get(f"run-{number}", (0, 0))[0]) for _, end, found in seen])
        end, rows = next(probes)
        for row, at in batches:
            while rows < row or end < at:
                end, rows = next(probes, (float("inf"), row))
            lags.append(end - at)
    return lags


def _quantile(values: Sequence[float], share: float) -> float:
    return round(values[min(len(values) - 1, int(share * len(values)))], 3)


def _parts(values: Sequence[float]) -> list[Sequence[float]]:
    size = max(1, -(-len(values) // WINDOWS))
    return [values[start : start + size] for start in range(0, len(values), size)]


# ------------------------------------------------------------------------------------------------------- telling
def told(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as Markdown."""
    columns = ["", *(outcome.situation for outcome in outcomes)]
    rows = {
        "writers × rows a second": [f"{o.writers} × {o.rows_per_second / o.writers:,.0f}" for o in outcomes],
        "seconds": [f"{o.seconds}" for o in outcomes],
        "attempts recorded": [f"{o.rows:,}" for o in outcomes],
        "of these seen by the reader while the file was held": [f"{o.seen_while_held:,}" for o in outcomes],
        "in the file afterwards": [f"{o.in_the_file:,}" for o in outcomes],
        "lost / doubled / without their text": [f"{o.lost} / {o.doubled} / {o.without_text}" for o in outcomes],
        "visible after, p50 / p99 / worst": [
            f"{o.lag_p50_seconds:.2f} / {o.lag_p99_seconds:.2f} / {o.lag_worst_seconds:.2f} s" for o in outcomes
        ],
        "query, median over the run": [" ".join(f"{each:.2f}" for each in o.query_seconds) + " s" for o in outcomes],
        "slowest of the queries": [f"{o.slowest_query_seconds:.2f} s of {o.queries}" for o in outcomes],
        "segments set aside": [f"{o.segments}" for o in outcomes],
        "catches up by": [o.catch_up_by for o in outcomes],
        "in": [f"{o.catch_up_seconds} s" for o in outcomes],
        "the reader's note": [o.note or "none" for o in outcomes],
    }
    table = [columns, ["---"] * len(columns), *([name, *cells] for name, cells in rows.items())]
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    about = [
        "# Many writers, and a reader who will not let go",
        "",
        "`python -m evals.record.writers`: processes record attempts with outputs of 1.5 kB, each commit synced to",
        "the disk (`synchronous=FULL`), while somebody keeps `history.duckdb` open. A query counts all attempts by run",
        f"through the toolkit's reader, with pauses of {PAUSE_SECONDS} s; a row is visible when the first query that",
        "saw it ends.",
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, on two cores with little else to do.",
    ]
    return "\n".join([*about, "", *lines, ""])


def run(*, seconds: float, rate: float, writers: int) -> list[Outcome]:
    """The three situations; the first for `seconds`, the others for a third of that."""
    outcomes = []
    for situation, share in zip(SITUATIONS, (1, 1 / 3, 1 / 3), strict=True):
        with tempfile.TemporaryDirectory(prefix="toolkit-writers-") as folder:
            outcomes.append(
                measure(situation, seconds=seconds * share, rate=rate, writers=writers, home=Path(folder) / "home")
            )
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.record.writers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="attempts a second and writer")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="write no files")
    given = parser.parse_args()
    outcomes = run(seconds=given.seconds, rate=given.rate, writers=given.writers)
    print(told(outcomes))
    if not given.quick:
        (HERE / "writers.md").write_text(told(outcomes))
        (HERE / "writers.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    raise SystemExit(1 if any(o.lost or o.doubled or o.without_text for o in outcomes) else 0)


if __name__ == "__main__":
    main()
