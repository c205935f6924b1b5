"""Runs every notebook from top to bottom, and fails with the first cell that does.

python -m notebooks.execute            # check them, change nothing
python -m notebooks.execute --write    # and keep the outputs in the files
python -m notebooks.execute 05         # those alone whose names begin so
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent
CELL_SECONDS = 240


def execute(path: Path, *, write: bool) -> float:
    """Run one notebook; seconds. Raises CellExecutionError with the cell and what it raised."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    began = time.monotonic()
    client.execute()
    if write:
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    return time.monotonic() - began


def main() -> int:
    status = 0
    write = "--write" in sys.argv
    wanted = tuple(word for word in sys.argv[1:] if not word.startswith("-"))
    for path in sorted(path for path in FOLDER.glob("*.ipynb") if not wanted or path.name.startswith(wanted)):
        try:
            print(f"{path.name}: ran in {execute(path, write=write):.0f} s", flush=True)
        except CellExecutionError as error:
            print(f"{path.name}: failed\n{error}", flush=True)
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
