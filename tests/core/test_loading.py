"""A workflow by its reference: what is found, and what is said where nothing is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit import Workflow
from toolkit.errors import WorkflowError
from toolkit.runs.loading import SHIPPED, load_workflow

FLOW = """
import toolkit as tk
import neighbour

@tk.step
def length(ticket):
    return len(ticket) + neighbour.MORE

first = tk.Workflow("first", [length])
"""
TWO = FLOW + 'second = tk.Workflow("second", [length])\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "shop"
    package.mkdir()
    for name, text in {
        "shop/__init__.py": "",
        "shop/flows.py": FLOW.replace("import neighbour", "from shop import neighbour"),
        "shop/broken.py": "import shop.missing_part",
        "shop/neighbour.py": "MORE = 1",
        "one.py": FLOW,
        "two.py": TWO,
        "alias.py": FLOW + "same = first\n",
        "none.py": "x = 1",
        "torn.py": "def f(:\n",
        "raises.py": "\n\nprint(1 / 0)\n",
        "exits.py": "raise SystemExit(3)",
        "lacks.py": "import no_such_module_at_all",
        "wrong.py": "import toolkit as tk\nflow = tk.Workflow('w', [])\n",
        "neighbour.py": "MORE = 1",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("shop", "neighbour")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("one.py", "first"),
        ("one.py:first", "first"),
        ("two.py:second", "second"),
        ("alias.py", "first"),
        ("shop.flows:first", "first"),
        ("shop.flows", "first"),
    ],
)
def test_a_workflow_is_found_by_its_file_or_its_module(folder: Path, reference: str, name: str) -> None:
    path = list(sys.path)
    assert load_workflow(reference).name == name
    assert sys.path == path


def test_a_file_elsewhere_finds_its_neighbours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert load_workflow(f"{folder}/one.py:first").name == "first"


FAULTS = [
    ("two.py", "name the workflow: two.py has first, second"),
    ("two.py:third", "two.py has no workflow 'third'; two.py has first, second"),
    ("one.py:length", "has no workflow 'length'"),
    ("none.py", "none.py defines no Workflow at its top level"),
    ("nowhere.py:x", "there is no file nowhere.py"),
    ("nowhere", "there is no workflow 'nowhere'; give file.py:name"),
    ("shop.nowhere:x", "there is no workflow 'shop.nowhere:x'"),
    ("torn.py", "torn.py raised SyntaxError on import at line 1"),
    ("raises.py", "raises.py raised ZeroDivisionError on import at line 3: division by zero"),
    ("exits.py", "exits.py raised SystemExit on import at line 1"),
    ("lacks.py", "lacks.py raised ModuleNotFoundError on import at line 1: No module named 'no_such_module_at_all'"),
    ("shop.broken", "shop.broken raised ModuleNotFoundError on import"),
    ("wrong.py", "wrong.py: workflow 'w' has no steps"),
    ("", "ValueError"),
]


@pytest.mark.parametrize(("reference", "why"), FAULTS)
def test_what_cannot_be_loaded_says_why_and_where(folder: Path, reference: str, why: str) -> None:
    with pytest.raises(WorkflowError) as refused:
        load_workflow(reference)
    assert why in str(refused.value)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_examples_load(name: str) -> None:
    assert isinstance(load_workflow(name), Workflow)
