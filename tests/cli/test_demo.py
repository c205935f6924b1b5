"""The demo: quick, honest about what is measured on which rows, and plain where nobody watches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@pytest.mark.slow
def test_the_demo_of_a_part_shows_steps_routing_and_what_waits(desk: Desk) -> None:
    ended = desk.process("demo", "--no-prefect", "--rows", "300")
    assert ended.code == 0, ended.err
    assert not CONTROL.search(ended.out)
    assert all(len(line) <= 100 for line in ended.out.splitlines()[1:]), ended.out
    assert "Quality is that of the 26 rows of the part 'test' alone" in " ".join(ended.out.split())
    for word in ("triage", "explored", "escalated to", "toolkit show latest", "toolkit sql", "toolkit lab"):
        assert word in ended.out


@pytest.mark.slow
def test_the_whole_demo_goes_through_prefect(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    desk.environment["PREFECT_HOME"] = str(desk.folder / "prefect")
    ended = desk.process("demo")
    assert ended.code == 0, ended.err
    assert not CONTROL.search(ended.out)
    origin = desk.toolkit("sql", "select origin, status, rows_total from runs", "--format", "csv")
    assert origin.out.splitlines()[1] == "prefect,finished,460"
