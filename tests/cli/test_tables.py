"""Tables in a terminal: names and sentences fold where it is narrow, figures are never cut."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cli import tables

NUMBERS = st.lists(st.integers(0, 10**9).map("{:,}".format), min_size=1, max_size=9)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(columns: list[str], cells: list[Any], *, width: int, terminal: bool) -> str:
    out = Terminal() if terminal else io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "dumb")
        tables.console().print(tables.table("", columns, [cells], words=1))
    return out.getvalue()


@given(numbers=NUMBERS, width=st.integers(20, 200), terminal=st.booleans(), name=st.integers(1, 120))
def test_no_figure_is_cut_and_no_name_loses_a_letter(numbers: list[str], width: int, terminal: bool, name: int) -> None:
    shown = printed(["run", *"abcdefghi"[: len(numbers)]], ["r" * name, *numbers], width=width, terminal=terminal)
    assert [each for each in numbers if each not in shown.split()] == []
    assert shown.count("r") == name + 1


def test_in_a_file_a_name_stands_on_one_line() -> None:
    assert "r" * 150 in printed(["run", "calls"], ["r" * 150, 3], width=80, terminal=False)
