"""Killing whatever records, in the middle of anything: nothing acknowledged may be lost, nothing be there twice.

    python -m evals.record.kills [--kills 200] [--seed 1]

Processes are killed (`kill -9`) at named points, some moments after them, and at random instants. Each time all files
must open again, and the rows are counted exactly.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb

from evals.record.harness import Count, Death, Marks, begun, counted, entries_of, killed, watched
from toolkit.ledger import History, Journal
from toolkit.ledger.history import schema
from toolkit.ledger.merging import merger as merging
from toolkit.ledger.retention.pruning import Rule, prune

HERE = Path(__file__).parent
PAST = HERE.parents[1] / "tests" / "ledger" / "past"
PAST_ROWS = {"past-1": 20, "past-2": 15}
STEP_ROWS = 40
LIVES = 8
"""How many processes in turn are killed in one home, before a new one is begun."""


# ------------------------------------------------------------------------------------------ what is being done
def write(marks: Marks, home: Path, run: str, rows: int) -> None:
    """Write and flush, a few rows at a time."""
    with watched(home, marks) as journal:
        journal.write(begun(run))
        for row in range(0, rows, 4):
            journal.write(*(entry for each in range(row, row + 4) for entry in entries_of(run, each)))
            journal.flush()
            marks.acknowledged(run, row + 4)


def merge(marks: Marks, home: Path, run: str, rows: int) -> None:
    """Write and merge in turn; what was merged is pruned with the next commits."""
    with watched(home, marks) as journal:
        journal.write(begun(run))
        for row in range(0, rows, STEP_ROWS):
            journal.write(*(entry for each in range(row, row + STEP_ROWS) for entry in entries_of(run, each)))
            journal.flush()
            marks.acknowledged(run, row + STEP_ROWS)
            journal.merge()


def batch(marks: Marks, home: Path, run: str, rows: int) -> None:
    """Write while the journal merges by itself, as a batch does."""
    merging.EVERY_SECONDS = 0.05
    with watched(home, marks, merges=True) as journal:
        journal.write(begun(run))
        for row in range(0, rows, 4):
            journal.write(*(entry for each in range(row, row + 4) for entry in entries_of(run, each)))
            journal.flush()
            marks.acknowledged(run, row + 4)


def spill(marks: Marks, home: Path, run: str, rows: int) -> None:
    """Write and merge while this very process holds the history open for reading."""
    merging.SPILL_ENTRIES = 2 * STEP_ROWS
    with watched(home, marks) as journal:
        journal.write(begun(run))
        journal.flush()
        journal.merge()
        with duckdb.connect(str(home / "history.duckdb"), read_only=True):
            for row in range(0, rows, STEP_ROWS):
                journal.write(*(entry for each in range(row, row + STEP_ROWS) for entry in entries_of(run, each)))
                journal.flush()
                marks.acknowledged(run, row + STEP_ROWS)
                journal.merge()


def unspill(marks: Marks, home: Path, run: str, rows: int) -> None:
    """Set aside while the history is held, then merge what was set aside."""
    silent = Marks(marks.pipe)
    spill(silent, home, run, rows)
    with watched(home, marks) as journal:
        journal.merge()


def migrate(marks: Marks, home: Path, run: str, rows: int) -> None:
    """Open a record of the first version, which leads journal and history to today's."""
    from sqlalchemy import Engine, event

    event.listen(Engine, "before_cursor_execute", lambda *given: marks.ran(given[2]))
    with watched(home, marks) as journal:
        journal.merge()
        marks.reached("migrated")


def retain(marks: Marks, home: Path, run: str, rows: int) -> None:
    """Take the content of all runs but the newest off the record."""
    marks.reached("retention_begun")
    prune(home, Rule(keep_runs=1, force=True), reached=marks.reached)


# -------------------------------------------------------------------------------------------------- being killed
@dataclass(frozen=True)
class Phase:
    """What is killed: `work` at one of `points`, up to `seconds` later; a kill counts where the last word is in `hit`.

    Without points it is killed at a random instant in its first `seconds`.
    """

    name: str
    work: Callable[..., None]
    points: tuple[str, ...]
    hit: tuple[str, ...]
    seconds: float
    times: int = 4


PHASES = (
    Phase("journal commit", write, ("journal_commit",), ("journal_commit",), 0.003, times=40),
    Phase(
        "merge",
        merge,
        ("staged", "before_history_commit"),
        ("staged", "before_history_commit"),
        0.01,
    ),
    Phase("checkpoint", merge, ("after_history_commit",), ("after_history_commit",), 0.03),
    Phase("pruning of the journal", merge, ("journal_prune",), ("journal_prune",), 0.0005, times=3),
    Phase(
        "migration",
        migrate,
        ("journal_migration", "migration_begun", "before_migration_commit", "after_migration_commit"),
        ("journal_migration", "journal_commit", "migration_begun", "before_migration_commit", "after_migration_commit"),
        0.02,
        times=1,
    ),
    Phase(
        "retention",
        retain,
        ("retention_begun", "drafted", "journal_cleared", "swapped"),
        ("retention_begun", "drafted", "journal_cleared", "swapped", "compacted"),
        0.1,
        times=1,
    ),
    Phase("segment spill", spill, ("spilling", "spilled"), ("spilling", "spilled"), 0.03, times=3),
    Phase(
        "merging of segments",
        unspill,
        ("before_history_commit", "segment_merged", "segment_removed"),
        ("before_history_commit", "after_history_commit", "history_closed", "segment_merged", "segment_removed"),
        0.01,
        times=2,
    ),
    Phase("any instant", batch, (), (), 1.0),
)


@dataclass
class Tally:
    """What came of the kills in one phase; `points` tells how often which word was the last."""

    kills: int = 0
    missed: int = 0
    counted: int = 0
    count: Count = field(default_factory=Count)
    points: dict[str, int] = field(default_factory=dict)


def kill(phase: Phase, wanted: int, *, chance: random.Random, folder: Path) -> Tally:
    """Kill until `wanted` kills have hit that phase, or so many tries have missed it that something is wrong."""
    tally, home, acknowledged = Tally(), folder, dict[str, int]()
    for number in range(10 * wanted + 10):
        if tally.kills == wanted:
            break
        if number % LIVES == 0 or phase.name == "migration":
            shutil.rmtree(folder / phase.work.__name__, ignore_errors=True)
            home, acknowledged = folder / phase.work.__name__, {}
            _prepare(phase, home, acknowledged)
        run, rows = f"{phase.work.__name__}-{number:04d}", 4_000 if phase.work in (write, batch) else 6 * STEP_ROWS
        if phase.work is retain:
            _record(home, run, acknowledged)
        death = _killed(phase, home, run, rows, chance=chance)
        acknowledged |= death.acknowledged
        tally.count += _checked(phase, home, acknowledged)
        if not death.was_killed or (phase.hit and death.last not in phase.hit):
            tally.missed += 1
            continue
        tally.kills += 1
        tally.points[death.last] = tally.points.get(death.last, 0) + 1
        tally.counted += sum(acknowledged.values())
    return tally


def _killed(phase: Phase, home: Path, run: str, rows: int, *, chance: random.Random) -> Death:
    if not phase.points:
        return killed(phase.work, home, run, rows, after=chance.uniform(0.0, phase.seconds))
    seconds = 0.0 if chance.random() < 0.25 else chance.uniform(0.0, phase.seconds)
    times = chance.randint(1, phase.times)
    return killed(phase.work, home, run, rows, point=chance.choice(phase.points), times=times, seconds=seconds)


def _prepare(phase: Phase, home: Path, acknowledged: dict[str, int]) -> None:
    home.mkdir(parents=True)
    if phase.work is migrate:
        for name, stem in (("history.duckdb", "history-1.duckdb.xz"), ("journal.db", "journal-1.db.xz")):
            (home / name).write_bytes(lzma.decompress((PAST / stem).read_bytes()))
        acknowledged.update(PAST_ROWS)


def _record(home: Path, run: str, acknowledged: dict[str, int]) -> None:
    """A run of 40 rows in that home."""
    with Journal.open(home) as journal:
        journal.write(begun(run), *(entry for row in range(STEP_ROWS) for entry in entries_of(run, row)))
    acknowledged[run] = STEP_ROWS


def _checked(phase: Phase, home: Path, acknowledged: Mapping[str, int]) -> Count:
    if phase.work is migrate:
        return _check_migrated(home)
    if phase.work is not retain:
        return counted(home, dict(acknowledged))
    # First everything must open, and the newest run be whole; the same command again finishes the job.
    newest = list(acknowledged)[-1]
    query = "select count(*), count(distinct id), count(request), count(output) from attempts_text where run_id = ?"
    whole = History(home).sql(query, [newest]).rows == ((STEP_ROWS,) * 4,)
    prune(home, Rule(keep_runs=1, force=True))
    told = () if whole and History(home).sql(query, [newest]).rows == ((STEP_ROWS,) * 4,) else ("not whole",)
    query = "select count(*), count(distinct id), count(output) from attempts_text where run_id <> ?"
    attempts, ids, texts = History(home).sql(query, [newest]).rows[0]
    wanted = sum(rows for run, rows in acknowledged.items() if run != newest)
    left = (f"{texts} texts are left",) if texts else ()
    return Count(wanted - ids, attempts - ids, (*told, *left)) + counted(home, {newest: STEP_ROWS})


def _check_migrated(home: Path) -> Count:
    count = counted(home, {})
    query = "select run_id, count(*), count(distinct id) from attempts group by all order by all"
    with duckdb.connect(str(home / "history.duckdb"), read_only=True) as connection:
        found = connection.execute(query).fetchall()
        version = connection.execute("select max(version), count(*) from schema_version").fetchall()
    told = () if version == [(schema.VERSION, schema.VERSION)] else (f"schema version {version}",)
    lost = sum(rows - next((ids for run, _, ids in found if run == name), 0) for name, rows in PAST_ROWS.items())
    return count + Count(lost, sum(total - ids for _, total, ids in found), told)


# ------------------------------------------------------------------------------------------------------- telling
def told(tallies: Mapping[str, Tally], *, seed: int, seconds: float) -> str:
    """The counts as Markdown; a file that does not open ends everything with an error."""
    lines = [
        "# Killed in the middle of it",
        "",
        f"`python -m evals.record.kills`, seed {seed}, {seconds:.0f} s. A process is killed (`kill -9`) where it was "
        "caught in the phase;",
        "then all files are opened, what is left is merged, and the rows are counted.",
        "",
        "| phase | kills | caught elsewhere | acknowledged rows counted | rows lost | rows doubled | other faults |",
        "|---|---|---|---|---|---|---|",
    ]
    total = Tally()
    for name, tally in tallies.items():
        lines.append(_line(name, tally))
        total.kills += tally.kills
        total.missed += tally.missed
        total.counted += tally.counted
        total.count += tally.count
    lines += [_line("**all**", total), "", "The last word of the killed, by phase:", ""]
    for name, tally in tallies.items():
        lines.append(f"* {name}: " + ", ".join(f"{point} {n}" for point, n in sorted(tally.points.items())))
    return "\n".join([*lines, *(["", "Faults:", *total.count.faults] if total.count.faults else []), ""])


def _line(name: str, tally: Tally) -> str:
    cells = (tally.kills, tally.missed, tally.counted, tally.count.lost, tally.count.doubled)
    return f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + f" | {len(tally.count.faults)} |"


def run(kills: int, *, seed: int) -> dict[str, Tally]:
    """That many kills, shared out over the phases."""
    each, more = divmod(kills, len(PHASES))
    tallies = {}
    with tempfile.TemporaryDirectory(prefix="toolkit-kills-") as folder:
        for number, phase in enumerate(PHASES):
            chance = random.Random(f"{seed} {phase.name}")
            wanted = each + (number < more)
            tallies[phase.name] = kill(phase, wanted, chance=chance, folder=Path(folder))
    return tallies


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.record.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="write no files")
    given = parser.parse_args()
    started = time.monotonic()
    tallies = run(given.kills, seed=given.seed)
    text = told(tallies, seed=given.seed, seconds=time.monotonic() - started)
    print(text)
    if not given.quick:
        (HERE / "kills.md").write_text(text)
        figures = {name: asdict(tally) for name, tally in tallies.items()}
        (HERE / "kills.json").write_text(json.dumps({"seed": given.seed, "phases": figures}, indent=1) + "\n")
    total = sum((tally.count for tally in tallies.values()), Count())
    raise SystemExit(0 if total == Count() else 1)


if __name__ == "__main__":
    main()
