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

WIDTH_OF_FILES, WIDEST = 100, 10_000
ROOMY = ("parked", "aside", "seconds")
"""Columns of the list of runs that a narrow terminal has no room for."""
NARROWEST = 14
"""To how many characters names and sentences are folded at most."""
QUIET_SECONDS = 30.0
Record = Mapping[str, Any]


def console() -> Console:
    """Standard output: as wide as the terminal, or of a fixed width where it is none; wider where a table has to be, as
    a figure that is cut is another figure."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    class Wide(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            before, anything = self.size, self.options.update(max_width=WIDEST)
            needed = (Measurement.get(self, anything, each).minimum for each in objects if isinstance(each, Table))
            self.size = before._replace(width=max(before.width, *needed, 0))
            super().print(*objects, **options)
            self.size = before

    return Wide(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, words: int = 1) -> Table:
    """A table: the first `words` columns are names, the others numbers, those whose title starts with `>` sentences.

    Where it is narrow, sentences and names fold, and numbers never; in a file names do not either.
    """
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
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for index, name in enumerate(columns):
        is_sentence, is_name = name.startswith(">"), index < words
        title = name.lstrip(">")
        widest = max(
            (len(line) for cell in (title, *(row[index] for row in cells)) for line in cell.split("\n")), default=0
        )
        folds = is_sentence or (is_name and sys.stdout.isatty())
        made.add_column(
            title,
            justify="left" if is_name or is_sentence else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=min(widest, NARROWEST) if folds else widest,
        )
    for row in cells:
        made.add_row(*map(Text, row))
    return made


def show_runs(found: Sequence[Record], *, total: int, home: Path) -> None:
    """The list of runs."""
    out = console()
    if not found:
        out.print(f"no run yet in {home}; start one with toolkit run, or try toolkit demo")
        return
    cells = [dict(_run_cells(run)) for run in found]
    columns = [name for name in cells[0] if out.width >= WIDTH_OF_FILES or name not in ROOMY]
    out.print(table("", columns, ([row[name] for name in columns] for row in cells), words=2))
    if len(columns) < len(cells[0]):
        out.print(f"a terminal of {WIDTH_OF_FILES} columns shows {', '.join(ROOMY)} too", style="dim")
    if total > len(found):
        out.print(f"the newest {len(found)} of {total}")


def _run_cells(run: Record) -> Iterable[tuple[str, str]]:
    yield "run", run["run_id"]
    yield "status", state(run)
    yield "rows", count(run["rows_total"])
    for name, column in (("answered", "answered"), ("parked", "parked"), ("failed", "failed"), ("aside", "set_aside")):
        yield name, count(run[column])
    yield "calls", count(run["attempts"])
    yield "USD", usd(run["cost_usd"])
    yield "seconds", seconds(run["seconds"])


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
