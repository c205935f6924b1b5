"""Kill a batch at every phase, resume it, and count what was paid for twice.

    python -m evals.resume [--kills 140] [--rows 500] [--seed 1] [--quick]

A fake server in a process of its own counts every request by its body. Each batch is killed (`kill -9`) again and
again, resumed by a new process each time, and goes on to its end at last; its tables must be those of a batch that
nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evals.performance.results import surroundings
from evals.record.harness import killed
from evals.resume import together
from evals.resume.batch import IN_FLIGHT, STEPS, drive, server_settings
from evals.resume.serving import Served, doubled, tables, undisturbed
from toolkit import fake
from toolkit.fake.starting import Running as Server

FOLDER = Path(__file__).parent
LIVES = 14
"""How often a batch is killed before it may go on to its end."""


@dataclass(frozen=True)
class Phase:
    """Where a process is killed: up to `seconds` after it reached one of `points` for the n-th time, n below `times`.

    Those of the end come when all rows are done; without points it is killed at a random instant in `seconds`.
    """

    name: str
    points: tuple[str, ...]
    seconds: float
    times: int = 60
    is_end: bool = False


PHASES = (
    Phase("before a request is sent", ("sending",), 0.0),
    Phase("requests in flight", ("sending",), 0.015),
    Phase("between answer and commit", ("replied",), 0.0005),
    Phase("in a commit", ("journal_commit",), 0.003, times=20),
    Phase("in a merge", ("staged", "before_history_commit", "after_history_commit"), 0.01, times=3),
    Phase("at the end", ("rows_done", "end_claimed", "reporting", "leaving", "left"), 0.002, times=1, is_end=True),
    Phase("random instants", (), 1.5),
)


@dataclass
class Tally:
    """What came of the kills of a phase; `open_calls` were asked and not yet on record when the process died."""

    kills: int = 0
    missed: int = 0
    open_calls: int = 0
    most_open: int = 0


@dataclass
class Whole:
    """All batches together. `extra` are calls beyond one for each step of each row."""

    batches: int = 0
    steps: int = 0
    served: int = 0
    extra: int = 0
    in_flight: int = 0
    asked_again: int = 0
    doubled: int = 0
    strangers: int = 0
    different: int = 0
    phases: dict[str, Tally] = field(default_factory=lambda: {phase.name: Tally() for phase in PHASES})

    @property
    def is_sound(self) -> bool:
        """Nothing on record was asked again, no more was asked than was lost with a process, and the tables agree."""
        wrong = self.asked_again + self.doubled + self.strangers + self.different
        return not wrong and self.served <= self.steps + self.in_flight


def kills(server: Server, folder: Path, *, wanted: int, count: int, chance: random.Random) -> Whole:
    """Batches that are killed `wanted` times in all, as often in each phase."""
    expected, places = undisturbed(server, folder / "undisturbed", count, run="batch")
    whole, each = Whole(), -(-wanted // len(PHASES))
    while any(tally.kills < each for tally in whole.phases.values()):
        home = folder / f"home-{whole.batches}"
        server.reset()
        served = Served(server, places)
        for phase in _lives(whole, each, chance):
            tally = whole.phases[phase.name]
            point, times = (chance.choice(phase.points) if phase.points else ""), chance.randint(1, phase.times)
            after = None if phase.points else chance.uniform(0.0, phase.seconds)
            seconds = 0.0 if chance.random() < 0.25 else chance.uniform(0.0, phase.seconds)
            life = (home, "batch", server.url, count, None)
            death = killed(drive, *life, point=point, times=times, seconds=seconds, after=after)
            open_calls = served.after_a_life(home, "batch")
            if not death.was_killed:
                tally.missed += 1
                continue
            tally.kills += 1
            tally.open_calls += open_calls
            tally.most_open = max(tally.most_open, open_calls)
        if killed(drive, home, "batch", server.url, count, None).was_killed:
            raise RuntimeError("a process died that nobody killed")
        served.after_a_life(home, "batch")
        _add(whole, served, home, expected, steps=len(places))
        done = sum(tally.kills for tally in whole.phases.values())
        print(f"{done} of {each * len(PHASES)} kills, {whole.batches} batches", file=sys.stderr, flush=True)
    return whole


def _lives(whole: Whole, each: int, chance: random.Random) -> Iterator[Phase]:
    """The phases of a batch's lives: those under way in any order, then those of the end, which comes last."""
    for is_end in (False, True):
        for _ in range(LIVES - LIVES // 3 if not is_end else LIVES // 3):
            due = [p for p in PHASES if p.is_end == is_end and whole.phases[p.name].kills < each]
            if not due:
                break
            yield chance.choice(due)


def _add(whole: Whole, served: Served, home: Path, expected: object, *, steps: int) -> None:
    whole.batches += 1
    whole.steps += steps
    whole.served += served.calls.total()
    whole.extra += served.calls.total() - len(served.calls)
    whole.in_flight += served.in_flight
    whole.asked_again += len(served.asked_again)
    whole.strangers += served.strangers
    whole.doubled += doubled(home, "batch")
    whole.different += tables(home, "batch") != expected


# ----------------------------------------------------------------------------------------------------------- telling
def told(whole: Whole, shared: together.Shared, *, count: int, seed: int, seconds: float) -> str:
    """The counts as Markdown."""
    about = surroundings()
    lines = [
        "# Killed and resumed",
        "",
        f"`python -m evals.resume`, seed {seed}, {seconds:.0f} s. Batches of {count} rows through {len(STEPS)} steps "
        f"of models, a step that all rows share and one over all rows, {IN_FLIGHT} rows at once, against a fake server "
        "in another process. `kill -9`, then a new process resumes at once. *Open calls* were asked and not yet on "
        "record when the process died: they are what may be asked a second time.",
        "",
        "| killed | kills | ended before it | open calls | most at one kill |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, tally in whole.phases.items():
        lines.append(f"| {name} | {tally.kills} | {tally.missed} | {tally.open_calls} | {tally.most_open} |")
    total = sum(tally.kills for tally in whole.phases.values())
    missed = sum(tally.missed for tally in whole.phases.values())
    lines += [
        f"| **all** | {total} | {missed} | {sum(t.open_calls for t in whole.phases.values())} | |",
        "",
        f"* {whole.batches} batches, {whole.steps:,} steps: {whole.served:,} requests served, {whole.extra:,} beyond "
        f"one for each step, {whole.in_flight:,} were open at kills.",
        f"* Steps on record that were asked again: {whole.asked_again}. Answers on record twice: {whole.doubled}.",
        f"* Batches whose tables are not those of an undisturbed one: {whole.different}.",
        "",
        *together.told(shared),
        "",
        f"{about['processor']}, {about['cores']} cores (load {about['load']} at the start), {about['system']}, "
        f"Python {about['python']}, {about['measured_at'][:10]}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.resume", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=147)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=10, help="of two processes at one run, and of one that sleeps")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="21 kills of 60 rows, two rounds, and no file is written")
    given = parser.parse_args()
    if given.quick:
        given.kills, given.rows, given.rounds = 21, 60, 2
    started = time.monotonic()
    with fake.running(server_settings()) as server, tempfile.TemporaryDirectory(prefix="toolkit-resume-") as folder:
        chance = random.Random(given.seed)
        whole = kills(server, Path(folder), wanted=given.kills, count=given.rows, chance=chance)
        shared = together.rounds(server, Path(folder), wanted=given.rounds, count=given.rows, chance=chance)
    text = told(whole, shared, count=given.rows, seed=given.seed, seconds=time.monotonic() - started)
    print(text)
    if not given.quick:
        (FOLDER / "results.md").write_text(text)
        figures = {"seed": given.seed, "kills": asdict(whole), "together": asdict(shared)}
        (FOLDER / "results.json").write_text(json.dumps(figures, indent=1) + "\n")
    raise SystemExit(0 if whole.is_sound and shared.is_sound else 1)


if __name__ == "__main__":
    main()
