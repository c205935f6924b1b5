"""The page on context: its example runs as written, and its queries say what the page says they do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.runs.running import Running

PAGE = (Path(__file__).parents[2] / "docs" / "context.md").read_text(encoding="utf-8")
EXAMPLE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        names: dict[str, Any] = {}
        exec(compile(EXAMPLE, "docs/context.md", "exec"), names)
        yield names["run"]


def test_which_outputs_went_into_which_prompt(run: Running) -> None:
    found = [row[:4] for row in run.sql(QUERIES[0])]
    assert found == [
        ("desk/reply", "passages", "desk/passages", None),
        ("desk/reply", "topic", "desk/topic", "small"),
    ]


def test_which_messages_and_sections_went_into_which_prompt(run: Running) -> None:
    found = [row[:6] for row in run.sql(QUERIES[1])]
    assert found == [
        ("desk/reply", 0, "system", "text", None, None),
        ("desk/reply", 1, "user", "data", "passages", "passages"),
        ("desk/reply", 1, "user", "data", "ticket", "ticket"),
        ("desk/reply", 1, "user", "data", "topic", "topic"),
        ("desk/topic", 0, "system", "text", None, None),
        ("desk/topic", 1, "user", "data", "ticket", "ticket"),
    ]
    assert run.sql(QUERIES[1]).rows[2][6] == "When do I get my refunds?"


def test_which_passages_went_into_which_prompt_and_which_did_not(run: Running) -> None:
    assert [row[1:] for row in run.sql(QUERIES[2])] == [("t1", "desk/reply", "small", "p1")]
    assert list(run.sql(QUERIES[2].replace("= 'p1'", "= 'p2'"))) == []
    dropped = list(run.sql(QUERIES[3]))
    assert [(step, section, how) for step, _, section, _, how in dropped] == [
        ("desk/reply", "passages[2]", "least like the question")
    ]
