"""The page on evaluation runs as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs_and_says_what_it_promises(tmp_path: Path) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "is better than" in done.stdout
    assert "would have reached" in done.stdout
    assert "184 answers were on record, none is missing" in done.stdout


def test_the_suite_on_the_page_has_no_entry_that_a_suite_does_not_know() -> None:
    from toolkit.evaluation.judge_checks import JudgeCheck
    from toolkit.evaluation.suites import Check, Limits

    told, judging = (tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
    assert all(set(judge) <= set(JudgeCheck.__dataclass_fields__) for judge in judging["judges"])
    assert set(told["limits"]) <= set(Limits.__dataclass_fields__)
    assert all(set(check) <= set(Check.__dataclass_fields__) for check in told["checks"])
