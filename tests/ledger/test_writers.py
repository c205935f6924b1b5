"""Whoever keeps the history open: every row is there once, and the reader goes on showing what is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.record.writers import SITUATIONS, Situation, measure


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_several_processes_record_while_somebody_keeps_the_history_open(tmp_path: Path, situation: Situation) -> None:
    found = measure(situation, seconds=2.0, rate=150.0, writers=2, home=tmp_path / "home")
    assert (found.lost, found.doubled, found.without_text) == (0, 0, 0)
    assert (found.rows, found.seen_while_held, found.in_the_file) == (600, 600, 600)
    if situation.read_only:
        assert found.note == ""
    else:
        assert found.note.startswith("process <holder> holds history.duckdb open for writing")
    assert found.queries > 0
