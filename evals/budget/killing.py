"""A run by several processes, of which one after the other is killed and begun again, watched from outside.

In: a `Trial`. Out: a `Verdict`. Two accounts are compared: what the server charged, by its own count, and what the
journal keeps as spent and reserved. Whenever it is looked, the first is at most the second, and neither passes the cap.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from evals.budget.worker import PRICES
from toolkit import fake
from toolkit.ledger import History
from toolkit.money.budgets import SLACK, Budgets, budgets_of

FAULTS = "429:0.04, 500:0.03, cut_stream:0.03, truncated_json:0.03, reset:0.03, silent:0.01"
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 300.0
RUN = "budgeted"


@dataclass(frozen=True)
class Trial:
    """`budget` as text; `kills` are processes that are killed and begun again, at moments that `seed` gives."""

    budget: str
    rows: int
    processes: int = 4
    in_flight: int = 64
    kills: int = 12
    faults: str = FAULTS
    seed: int = 1


@dataclass(frozen=True)
class Verdict:
    """What was found. Dollars are those of the whole run; `highest` is the most that a cap was used up, by the
    server's count and by the journal's, as shares of it; `violations` are sentences."""

    trial: Trial
    charged_usd: float
    spent_usd: float
    calls: int
    kills: int
    looks: int
    charged_share: float
    kept_share: float
    left_held: int
    ended: str
    seconds: float
    violations: tuple[str, ...]


def tried(trial: Trial) -> Verdict:
    """Run it to its end: until the budget stops all processes, or all rows are answered."""
    budgets = budgets_of(trial.budget)
    assert budgets is not None
    models = {
        name: {"price": {"input": price.input, "output": price.output}, "faults": trial.faults}
        for name, price in PRICES.items()
    }
    defaults = {"latency_seconds": 0.15, "latency_spread": 0.6, "answer_tokens": 100, "quality": 0.9}
    with (
        tempfile.TemporaryDirectory() as folder,
        fake.running(fake.settings({"models": models, "defaults": defaults, "seed": trial.seed})) as server,
    ):
        return _Watch(trial, budgets, server, Path(folder)).verdict()


class _Watch:
    def __init__(self, trial: Trial, budgets: Budgets, server: fake.Running, home: Path) -> None:
        self.trial = trial
        self.budgets = budgets
        self.server = server
        self.home = home
        self.violations: list[str] = []
        self.looks = self.kills = 0
        self.shares = {"charged": 0.0, "kept": 0.0}
        self.ended = ""

    def verdict(self) -> Verdict:
        chance, began = random.Random(self.trial.seed), time.monotonic()
        processes = [self._begun() for _ in range(self.trial.processes)]
        next_kill = began + 1.5 + chance.random()
        try:
            while processes:
                time.sleep(LOOK_SECONDS)
                self._look()
                if time.monotonic() - began > PATIENCE_SECONDS:
                    self.violations.append(f"{len(processes)} processes did not end")
                    break
                for process in [each for each in processes if each.poll() is not None]:
                    processes.remove(process)
                    out, err = process.communicate()
                    self.ended = out.strip() or self.ended
                    if process.returncode:
                        self.violations.append(f"a process ended with {process.returncode}: {err.strip()[-300:]}")
                if self.kills < self.trial.kills and processes and time.monotonic() >= next_kill:
                    victim = processes.pop(chance.randrange(len(processes)))
                    victim.send_signal(signal.SIGKILL)
                    victim.communicate()
                    self.kills += 1
                    self._look()
                    processes.append(self._begun())
                    next_kill = time.monotonic() + 0.2 + 0.8 * chance.random()
        finally:
            for process in processes:
                process.kill()
                process.communicate()
        return self._last(time.monotonic() - began)

    def _begun(self) -> subprocess.Popen[str]:
        given = (self.home, RUN, self.server.url, self.trial.budget, self.trial.rows, self.trial.in_flight)
        command = [sys.executable, "-m", "evals.budget.worker", *map(str, given)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    # ---------------------------------------------------------------------------------------------------- looking
    def _charged(self) -> dict[str, float]:
        """What the server has charged so far, by model."""
        return {name: model["cost_usd"] or 0.0 for name, model in self.server.counts()["models"].items()}

    def _kept(self) -> dict[str, tuple[float, float]]:
        """Scope → what is spent and what is held back there, in US dollars."""
        if not (self.home / "journal.db").exists():
            return {}
        with closing(sqlite3.connect(self.home / "journal.db", timeout=60)) as journal:
            try:
                rows = journal.execute("select scope, spent, reserved from budgets where unit = 'usd'").fetchall()
            except sqlite3.OperationalError:  # its tables are being made
                return {}
            return {scope: (spent, held) for scope, spent, held in rows}

    def _look(self) -> None:
        """First what is charged, then what is kept: the other way round more could be charged in between."""
        charged, kept = self._charged(), self._kept()
        self.looks += 1
        for part in self.budgets.parts:
            if part.usd is None:
                continue
            of_part = sum(cost for model, cost in charged.items() if part.covers("desk/reply", model))
            day = time.strftime("%Y-%m-%d", time.gmtime())
            spent, held = kept.get(part.scope(RUN, day), (0.0, 0.0))
            self.shares["charged"] = max(self.shares["charged"], of_part / part.usd)
            self.shares["kept"] = max(self.shares["kept"], (spent + held) / part.usd)
            if of_part > part.usd:
                self.violations.append(f"{part}: {of_part:.6f} USD were charged")
            if spent + held > part.usd * (1 + SLACK):
                self.violations.append(f"{part}: {spent:.6f} spent and {held:.6f} held back")
            if of_part > (spent + held) * (1 + SLACK) + 1e-9:
                self.violations.append(f"{part}: {of_part:.6f} USD were charged, {spent + held:.6f} are kept")

    def _last(self, seconds: float) -> Verdict:
        """Reconcile what the dead held back, and look a last time."""
        command = [sys.executable, "-m", "toolkit.cli", "budget", "--reconcile", "--home", str(self.home)]
        subprocess.run(command, capture_output=True, check=True)
        self._look()
        with closing(sqlite3.connect(self.home / "journal.db")) as journal:
            ((left_held,),) = journal.execute("select count(*) from reservations").fetchall()
        ((twice,),) = History(self.home).sql("select count(*) - count(distinct id) from attempts").rows
        if twice:
            self.violations.append(f"{twice} attempts are on record twice")
        charged = self._charged()
        spent = max((spent for spent, _ in self._kept().values()), default=0.0)
        return Verdict(
            trial=self.trial,
            charged_usd=sum(charged.values()),
            spent_usd=spent,
            calls=self.server.counts()["requests"],
            kills=self.kills,
            looks=self.looks,
            charged_share=self.shares["charged"],
            kept_share=self.shares["kept"],
            left_held=left_held,
            ended=self.ended,
            seconds=seconds,
            violations=tuple(self.violations),
        )
