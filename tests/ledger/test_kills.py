"""Processes killed in the middle of anything leave every acknowledged row, once, and files that open."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.record import kills
from evals.record.harness import Count, Marks, begun, counted, entries_of, killed
from toolkit.ledger import Journal


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_or_doubled_wherever_a_process_is_killed() -> None:
    tallies = kills.run(20, seed=20)
    assert {name: tally.count for name, tally in tallies.items()} == {phase.name: Count() for phase in kills.PHASES}
    assert sum(tally.kills for tally in tallies.values()) == 20
    assert min(tally.kills for tally in tallies.values()) >= 2


def test_a_row_that_is_missing_or_there_twice_is_counted(tmp_path: Path) -> None:
    """The count of the kills can fail."""
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(begun("run"), *(entry for row in range(5) for entry in entries_of("run", row)))
        journal.flush()
        journal.merge()
        journal.write(*entries_of("run", 4))
        journal.flush()
        journal.merge()
    found = counted(tmp_path, {"run": 7})
    assert found.lost >= 2 and found.doubled >= 1


def test_what_was_written_and_not_yet_acknowledged_may_be_lost_and_what_was_may_not(tmp_path: Path) -> None:
    death = killed(_acknowledge_and_die, tmp_path, point="done")
    assert (death.was_killed, death.last, death.acknowledged) == (True, "done", {"run": 3})
    assert counted(tmp_path, death.acknowledged) == Count()


def _acknowledge_and_die(marks: Marks, home: Path) -> None:
    journal = Journal.open(home)
    journal.write(begun("run"), *(entry for row in range(3) for entry in entries_of("run", row)))
    journal.flush()
    marks.acknowledged("run", 3)
    marks.reached("done")
