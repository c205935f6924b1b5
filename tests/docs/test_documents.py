"""The documents say what the code does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_schema_page_is_what_the_code_says() -> None:
    from docs.make_schema import PAGE, schema

    assert PAGE.read_text(encoding="utf-8") == schema(), "run: python docs/make_schema.py"


@pytest.mark.slow
def test_the_twenty_lines_of_the_readme_run_as_written(tmp_path: Path) -> None:
    lines = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "tk.Workflow" in block)
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "small" in done.stdout
    assert "answered" in done.stdout


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:docs|notebooks|flows|evals)/[\w./-]+)`", README))))
def test_every_file_that_the_readme_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()
