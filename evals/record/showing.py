"""`python -m evals.record.showing`: what it takes to show a run of 100,000 rows in a notebook, beside one of 1,000."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import toolkit as tk
from evals.record.generate import generate
from evals.record.telling import Figure, figures_table, footer, where, write
from toolkit.ledger import History
from toolkit.ledger.homes import HISTORY
from toolkit.widgets.run import RunView

ROWS, FEW = 100_000, 1_000
ATTEMPTS_OF_ROW = 4.4
"""Four steps a row, and every tenth request is tried twice."""
RUN = "run-000000"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.record.showing", description="Showing a long run.")
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    about = where()
    seconds, sent, rows = _shown(given.rows)
    of_few, sent_of_few, few = _shown(FEW)
    figures = [Figure(name, f"{what}, of {rows:,} rows", seconds[name], "s", 1.0) for name, what in WHAT.items()] + [
        Figure("sent", "sent to the browser", sent / 1000, "kB", 100),
        Figure("sent_ratio", f"the same beside a run of {few:,} rows", sent / sent_of_few, "times", 1.5),
        Figure("seconds_ratio", "seconds until shown beside that run", seconds["shown"] / of_few["shown"], "times"),
    ]
    text = "\n\n".join(
        [
            "# Showing a long run",
            f"`tk.show` of a run of {rows:,} rows and {int(rows * ATTEMPTS_OF_ROW):,} attempts, and what a person does "
            "there: wall seconds of the kernel, each once. `python -m evals.record.showing` measures again.",
            figures_table(figures),
            footer(about),
        ]
    )
    print(text)
    if given.rows == ROWS:
        write("showing", text + "\n", {**about, "figures": [figure.told for figure in figures]})
    return 0 if all(figure.met is not False for figure in figures) else 1


WHAT = {
    "shown": "head, graph with figures and first page",
    "page": "a page in the middle",
    "search": "rows found by a word",
    "slowest": "the slowest rows first",
    "row": "one row opened",
}


def _shown(rows: int) -> tuple[dict[str, float], int, int]:
    """Seconds of each, the bytes of all that is sent, and how many rows there are."""
    with tempfile.TemporaryDirectory(prefix="toolkit-showing-") as folder:
        attempts = int(rows * ATTEMPTS_OF_ROW)
        generate(Path(folder) / HISTORY, attempts=attempts, of_run=attempts)
        view = tk.show(RUN, home=folder)
        assert isinstance(view, RunView)
        known = view.page.total
        row_id = History(folder).sql("select row_id from rows limit 1 offset $1", [known // 2]).rows[0][0]
        acts: dict[str, Callable[[], object]] = {
            "shown": lambda: tk.show(RUN, home=folder),
            "page": lambda: view.look(page=known // len(view.page.rows) // 2),
            "search": lambda: view.look(text=row_id),
            "slowest": lambda: view.look(sort="slowest"),
            "row": lambda: view.open(row_id),
        }
        seconds = {name: _timed(act) for name, act in acts.items()}
        return seconds, sum(len(part.encode()) for part in view.parts().values()), known


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
