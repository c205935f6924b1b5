"""What the fake server was asked, by row and step, beside what the journal has: whatever was paid for twice shows.

A call is known by the hash of its body; a first, quiet run of the batch tells which row and step a body is of, as it
asks one row after the other.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.resume.batch import BATCH, MODELS, STEPS, fleet, rows
from toolkit.fake.starting import Running as Server
from toolkit.ledger import History

Place = tuple[str, str]
"""Step and row id."""
TABLES = """
    select step, row_id, value, status from answers where run_id = '{run}' and turn = 0 order by all"""
ROWS = """select row_id, "index", status, fields from rows where run_id = '{run}' order by all"""
CLAIMS = "select row_id from claims where holder in (select id from holders where pid = ?)"
DOUBLED = """
    select count(*) from (select step, row_id from answers where run_id = '{run}' group by all having count(*) > 1)"""


@dataclass
class Served:
    """The calls so far by place, those of the current life apart, and the answers known to be committed."""

    server: Server
    places: Mapping[str, Place]
    calls: Counter[Place] = field(default_factory=Counter)
    committed: set[Place] = field(default_factory=set)
    asked_again: list[Place] = field(default_factory=list)
    in_flight: int = 0
    strangers: int = 0
    _next: int = 0

    def after_a_life(self, home: Path, run: str) -> int:
        """Take in what was asked since, and what is committed now; how many calls were open when that life ended."""
        self.server_is_idle()
        told = self.server.requests(self._next)
        self._next = told["next"]
        life: Counter[Place] = Counter()
        for call in told["requests"]:
            place = self.places.get(call["hash"])
            if place is None:
                self.strangers += 1
                continue
            life[place] += 1
        self.asked_again += [place for place in life if place in self.committed]
        self.calls += life
        self.committed = committed(home, run)
        unanswered = sum(count for place, count in life.items() if place not in self.committed)
        self.in_flight += unanswered
        return unanswered

    def seen(self) -> Counter[Place]:
        """Take in what was asked since; all calls so far."""
        self.server_is_idle()
        told = self.server.requests(self._next)
        self._next = told["next"]
        self.calls += Counter(self.places[call["hash"]] for call in told["requests"])
        return self.calls.copy()

    def open_calls(self, home: Path, *, pid: int) -> set[Place]:
        """What was asked of the rows that this process has claimed, and is not on record."""
        with closing(sqlite3.connect(home / "journal.db")) as journal:
            rows = {row.partition("/")[0] if row.startswith("*/") else row for (row,) in journal.execute(CLAIMS, [pid])}
        return {place for place in set(self.calls) - committed(home, "shared") if place[1] in rows}

    def server_is_idle(self) -> None:
        asked = -1
        while (told := self.server.counts())["requests"] != asked or _in_flight(told):
            asked = told["requests"]
            time.sleep(0.03)


def _in_flight(told: Mapping[str, Any]) -> bool:
    return any(model["in_flight"] for model in told["models"].values())


def committed(home: Path, run: str) -> set[Place]:
    """Step and row of all that the journal has answered."""
    if not (home / "journal.db").exists():
        return set()
    with closing(sqlite3.connect(home / "journal.db")) as journal:
        query = "select step, row_id from answers where run_id = ? and status = 'answered'"
        return {(step.rpartition("/")[2], row_id) for step, row_id in journal.execute(query, [run])}


def tables(home: Path, run: str) -> tuple[Any, ...]:
    """What a run leaves: each step's answers, its rows, and how it ended."""
    history = History(home)
    answers, ended = (history.sql(query.format(run=run)).rows for query in (TABLES, ROWS))
    status = history.sql(f"select status from runs where id = '{run}'").rows
    return answers, ended, status


def doubled(home: Path, run: str) -> int:
    """How many answers of a run are there more than once."""
    return int(History(home).sql(DOUBLED.format(run=run)).rows[0][0])


def entries(home: Path) -> int:
    """How many entries were ever committed: the log's numbers are never given twice."""
    with closing(sqlite3.connect(home / "journal.db")) as journal:
        (given,) = journal.execute("select seq from sqlite_sequence where name = 'log'").fetchone()
    return int(given)


def undisturbed(server: Server, home: Path, count: int, *, run: str) -> tuple[tuple[Any, ...], dict[str, Place]]:
    """A quiet run of the batch, one row after the other: its tables, and the place of each body."""
    server.reset()
    BATCH.start(rows(count), fleet(server.url), home=home, run_id=run, in_flight=1).wait(show=False)
    seen: Counter[str] = Counter()
    places: dict[str, Place] = {}
    for call in server.requests(0)["requests"]:
        model = call["model"]
        number, seen[model] = seen[model], seen[model] + 1
        step = dict(zip(MODELS, (*STEPS, "rules"), strict=True))[model]
        places[call["hash"]] = (step, "*" if step == "rules" else f"r{number:04d}")
    wanted = len(STEPS) * count + 1
    if len(places) != wanted or seen.total() != wanted:
        raise RuntimeError(f"the undisturbed run asked {seen.total()} times for {len(places)} of {wanted} places")
    server.reset()
    return tables(home, run), places
