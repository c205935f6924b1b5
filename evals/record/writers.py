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
from collections.abc import Callable, Sequence
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
FIRST_ROWS = 100


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
class Crowd:
    """Processes of one situation and the signals that they wait for; leaving it ends them all."""

    def __init__(self) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self.enough, self.let_go, self.go_on = (self._context.Event() for _ in range(3))
        self._processes: list[Any] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for signal in (self.enough, self.let_go, self.go_on):
            signal.set()
        for process in self._processes:
            process.join(30)
            if process.is_alive():
                process.kill()

    def start(self, target: Callable[..., None], *arguments: Any, **named: Any) -> tuple[Connection, int]:
        """A process that runs `target`: a pipe to it, and its id."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=target, args=(theirs, *arguments), kwargs=named)
        process.start()
        theirs.close()
        self._processes.append(process)
        return ours, process.pid or 0

    def start_recorder(self, home: Path, number: int, *, rate: float, rows: int, holds: bool) -> tuple[Connection, int]:
        signals = {"let_go": self.let_go, "go_on": self.go_on}
        found = self.start(record, home, f"run-{number}", rate=rate, rows=rows, holds=holds, **signals)
        _received(found[0])
        return found


@dataclass(frozen=True)
class Watched:
    """What was seen: by each writer (seconds, acknowledgements), by the prober, and of the file as it was held."""

    told: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    seen: Sequence[tuple[float, float, dict[str, tuple[int, int]]]]
    note: str
    seen_at_last: int
    segments: int
    caught_up: tuple[str, float]


def measure(situation: Situation, *, seconds: float, rate: float, writers: int, home: Path) -> Outcome:
    """Run that situation in an empty home, of which the first rows are in the file before anybody holds it."""
    with Journal.open(home) as journal:
        journal.write(begun("first"), *(entry for row in range(FIRST_ROWS) for entry in attempt("first", row)))
    rows = int(rate * seconds)
    watched = _watched(situation, seconds=seconds, rate=rate, writers=writers, home=home)
    return _outcome(situation, watched, rows=rows, writers=writers, home=home)


def _watched(situation: Situation, *, seconds: float, rate: float, writers: int, home: Path) -> Watched:
    with Crowd() as crowd:
        keeper, holder = None, 0
        if not situation.in_a_writer:
            path = home / "history.duckdb"
            keeper, holder = crowd.start(hold, path, read_only=situation.read_only, let_go=crowd.let_go)
            _received(keeper)
        pipes = []
        for number in range(writers):
            holds = situation.in_a_writer and number == 0
            pipe, pid = crowd.start_recorder(home, number, rate=rate, rows=int(rate * seconds), holds=holds)
            keeper, holder = keeper or pipe, holder or pid
            pipes.append(pipe)
        prober, _ = crowd.start(probe, home, enough=crowd.enough)
        for pipe in pipes:
            pipe.send("go")
        told = [_received(pipe, patience=seconds * 5 + PATIENCE_SECONDS) for pipe in pipes]
        seen_at_last, segments = _count(home), facts(home).segments
        time.sleep(2 * PAUSE_SECONDS)
        crowd.enough.set()
        seen, note = _received(prober)
        caught_up = _caught_up(home, situation, crowd, writers=pipes, holder=keeper)
    return Watched(
        told, seen, note.replace(f"process {holder} ", "process <holder> "), seen_at_last, segments, caught_up
    )


def _outcome(situation: Situation, watched: Watched, *, rows: int, writers: int, home: Path) -> Outcome:
    """Counts what was promised against what was seen and what is in the file."""
    in_file, ids, texts = _in_file(home)
    first_seen = FIRST_ROWS if situation.read_only else 0
    counts = [count for *_, found in watched.seen for count in found.values()]
    unseen = max(0, writers * rows + first_seen - watched.seen_at_last) + sum(
        max(0, due - seen) for seen, due in counts
    )
    lags = sorted(_lags([acknowledged for _, acknowledged in watched.told], watched.seen))
    queries = [end - began for began, end, _ in watched.seen]
    by, catch_up = watched.caught_up
    return Outcome(
        situation=situation.name,
        writers=writers,
        seconds=round(max(took for took, _ in watched.told), 1),
        rows=writers * rows,
        rows_per_second=round(sum(rows / took for took, _ in watched.told)),
        seen_while_held=watched.seen_at_last - first_seen,
        in_the_file=in_file - FIRST_ROWS,
        lost=writers * rows + FIRST_ROWS - ids + unseen,
        doubled=in_file - ids + sum(max(0, seen - due) for seen, due in counts),
        without_text=in_file - texts,
        queries=len(queries),
        lag_p50_seconds=_quantile(lags, 0.5),
        lag_p99_seconds=_quantile(lags, 0.99),
        lag_worst_seconds=_quantile(lags, 1.0),
        query_seconds=tuple(round(statistics.median(part), 3) for part in _parts(queries)),
        slowest_query_seconds=round(max(queries), 3),
        segments=watched.segments,
        catch_up_by=by,
        catch_up_seconds=round(catch_up, 1),
        note=watched.note,
    )


def _caught_up(
    home: Path, situation: Situation, crowd: Crowd, *, writers: Sequence[Connection], holder: Connection | None
) -> tuple[str, float]:
    """Let go of the file; by whom and in what time it catches up."""
    if situation.read_only:
        started = time.monotonic()
        crowd.let_go.set()
        while not _is_merged(home):
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise RuntimeError(f"the history did not catch up: {facts(home)}")
            time.sleep(0.1)
        return "a batch that goes on", time.monotonic() - started
    crowd.go_on.set()
    for pipe in writers:
        _received(pipe)  # the batches have ended while the file was held
    crowd.let_go.set()
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
