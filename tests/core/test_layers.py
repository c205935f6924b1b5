"""Imports go downward only; importing the package does no work; its names are pinned."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import toolkit

PACKAGE = Path(toolkit.__file__).parent

LAYERS = (
    ("words", ("colours", "errors", "lazily", "messages", "records")),
    ("judgement", ("context", "gates", "grading", "money", "policies", "prompts", "redaction", "routing")),
    ("world", ("fleet", "ledger", "models", "rows")),
    ("motion", ("asking", "graph", "runs", "people")),
    ("reading", ("charts", "evaluation", "forecasts")),
    ("edges", ("cli", "examples", "fake", "guarding", "magics", "orchestration", "serving", "telemetry", "widgets")),
)
LAYER = {module: level for level, (_, modules) in enumerate(LAYERS) for module in modules}

HEAVY = ("prefect", "pandas", "sklearn", "altair", "ipywidgets", "duckdb", "sqlalchemy")

EXPORTED = [
    "Balanced", "Budget", "Cheapest", "CutMiddle", "DropOldest", "Escalate", "Explore", "Fallback", "Fastest", "Fixed",
    "Fleet", "Hedge", "History", "Inbox", "Journal", "Judge", "Keep", "Ladder", "Learned", "Measured", "ModelSpec",
    "Once", "Redact", "Refit", "Repair", "Reply", "Request", "Retrieve", "Retry", "Rule", "Rules", "Session", "Shadow",
    "Similarity", "Skip", "Split", "Sticky", "Summarise", "Thompson", "Uniform", "Where", "Within", "Workflow",
    "as_flow", "changes", "compare", "counterfactual", "drift", "embed", "gate", "grading", "label", "prompt", "replay",
    "review", "router", "show", "step", "template", "tool", "watch",
]  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("toolkit", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str], *, everywhere: bool) -> Iterator[str]:
    """The package's modules that a file imports: at module level, or in functions too. Type checking does not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield from (module for module in (name if name in known else node.module,) if module in known)
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def layer(module: str) -> int:
    return LAYER[module.split(".")[1]]


def test_every_module_has_a_layer() -> None:
    tops = {name.split(".")[1] for name in modules() if name != "toolkit"}
    assert tops - set(LAYER) == set(), "give the new module a layer in the table of this test"


@pytest.mark.slow
def test_imports_go_downward_only() -> None:
    known = {name: path for name, path in modules().items() if name != "toolkit"}
    upward = [
        f"{name} (layer {layer(name)}) imports {imported} (layer {layer(imported)})"
        for name, path in known.items()
        for imported in imports(path, set(known), everywhere=True)
        if layer(imported) > layer(name)
    ]
    assert upward == []


def test_within_motion_a_request_knows_no_row_a_row_no_run_and_a_run_no_person() -> None:
    order = dict(LAYERS)["motion"]
    known = {name: path for name, path in modules().items() if name != "toolkit" and name.split(".")[1] in order}
    upward = [
        f"{name} imports {imported}"
        for name, path in known.items()
        for imported in imports(path, set(known), everywhere=False)
        if order.index(imported.split(".")[1]) > order.index(name.split(".")[1])
    ]
    assert upward == []


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    graph = {name: set(imports(path, set(known), everywhere=False)) - {name} for name, path in known.items()}
    list(TopologicalSorter(graph).static_order())


def test_words_need_nothing_that_does_io() -> None:
    allowed = {"toolkit", "orjson", "__future__", *sys.stdlib_module_names} - {"socket", "sqlite3", "http", "asyncio"}
    for name in ("errors", "messages", "records"):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert {each.split(".")[0] for each in named} <= allowed, name


def test_importing_the_package_does_no_work() -> None:
    code = (
        "import time; began = time.process_time(); import toolkit; took = time.process_time() - began\n"
        "import json, sys; print(json.dumps([took, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, loaded = json.loads(done.stdout)
    assert set(HEAVY) & set(loaded) == set()
    assert took < 2 * 0.3


def test_building_a_workflow_loads_nothing_heavy() -> None:
    code = (
        "import toolkit as tk, json, sys\n"
        "step = tk.step(route=tk.Ladder('a', 'b'), policy=tk.Retry(2) | tk.Fallback())(lambda ticket: tk.prompt('x'))\n"
        "tk.Workflow('w', [step]); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(json.loads(done.stdout)) == set()


def test_the_exported_names_are_pinned() -> None:
    assert toolkit.__all__ == sorted(EXPORTED)
    assert dir(toolkit) == toolkit.__all__


@pytest.mark.parametrize("name", [name for name in EXPORTED if name != "as_flow"])  # which loads Prefect, for seconds
def test_every_exported_name_loads(name: str) -> None:
    assert getattr(toolkit, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Orchestrator'"):
        getattr(toolkit, "Orchestrator")  # noqa: B009
