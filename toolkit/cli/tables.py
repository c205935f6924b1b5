"""Tables for a terminal, and the same without colours or control characters where the output goes to a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH_OF_FILES = 100
QUIET_SECONDS = 30.0
Record = Mapping[str, Any]


def console() -> Console:
    """Standard output: as wide as the terminal, or of a fixed width where it is none."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, words: int = 1) -> Table:
    """A table: the first `words` columns are names, the others numbers, those whose title starts with `>` sentences."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for index, name in enumerate(columns):
        wordy = index < words or name.startswith(">")
        made.add_column(
            name.lstrip(">"), justify="left" if wordy else "right", overflow="fold", no_wrap=not name.startswith(">")
        )
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return made


def show_runs(found: Sequence[Record], *, total: int, home: Path) -> None:
    """The list of runs."""
    out = console()
    if not found:
        out.print(f"no run yet in {home}; start one with toolkit run, or try toolkit demo")
        return
    columns = ("run", "status", "rows", "answered", "parked", "failed", "aside", "calls", "USD", "seconds")
    out.print(table("", columns, ([*_run_cells(run)] for run in found), words=2))
    if total > len(found):
        out.print(f"the newest {len(found)} of {total}")


def _run_cells(run: Record) -> Iterable[str]:
    yield run["run_id"]
    yield state(run)
    yield count(run["rows_total"])
    for name in ("answered", "parked", "failed", "set_aside", "attempts"):
        yield count(run[name])
    yield usd(run["cost_usd"])
    yield seconds(run["seconds"])


def state(run: Record) -> str:
    """A run's status; one that says it is running and has long been silent was probably killed."""
    from toolkit.runs.progress import duration

    if run["status"] == "running" and run["quiet_seconds"] > QUIET_SECONDS:
        return f"silent for {duration(run['quiet_seconds'])}"
    return str(run["status"])


# -------------------------------------------------------------------------------------------------------------- cells
def count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def usd(amount: float | None, *, unpriced: int = 0) -> str:
    """US dollars; a plus says that some calls have no known cost."""
    if amount is None:
        return "unknown" if unpriced else "–"
    return (f"{amount:.4f}" if not 0 < amount < 0.01 else f"{amount:.6f}") + ("+" if unpriced else "")


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def short(text: Any, characters: int = 100) -> str:
    """On one line, and no longer than that."""
    told = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return told if len(told) <= characters else told[: characters - 1] + "…"


def grader_name(label: str) -> str:
    """A grader in a word or two, out of the call that builds it: `intent`, or `Grounded` where it has no column."""
    found = re.search(r"expects='([^']*)'", label)
    return found[1] if found else label.split("(", 1)[0]
