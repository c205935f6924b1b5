"""Runs every notebook from top to bottom, two at a time, and fails with the first cell that does.

python -m notebooks.execute            # check them, change nothing
python -m notebooks.execute --write    # and keep the outputs in the files
python -m notebooks.execute 05         # those alone whose names begin so
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

FOLDER = Path(__file__).parent
CELL_SECONDS = 600
AT_ONCE = 2
WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(path: Path, *, write: bool) -> float:
    """Run one notebook; seconds. Raises CellExecutionError with the cell and what it raised."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    began = time.monotonic()
    client.execute()
    if write:
        _still(notebook)
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    return time.monotonic() - began


def _still(notebook: Any) -> None:
    """Keep the HTML of a widget in its place, which a viewer without a kernel can show; and no times of execution."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", {}):
                output["data"].pop(WIDGET, None)


def main() -> int:
    wanted = tuple(word for word in sys.argv[1:] if not word.startswith("-"))
    paths = sorted(path for path in FOLDER.glob("*.ipynb") if not wanted or path.name.startswith(wanted))
    faults = 0
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as workers:
        for path, (seconds, fault) in zip(paths, workers.map(_ran, paths), strict=True):
            told = f"failed\n{fault}" if fault else f"ran in {seconds:.0f} s"
            print(f"{path.name}: {told}", flush=True)
            faults += bool(fault)
    return 1 if faults else 0


def _ran(path: Path) -> tuple[float, str]:
    """Seconds, and what went wrong."""
    try:
        return execute(path, write="--write" in sys.argv), ""
    except (CellExecutionError, CellTimeoutError) as error:
        return 0.0, str(error)


if __name__ == "__main__":
    raise SystemExit(main())
