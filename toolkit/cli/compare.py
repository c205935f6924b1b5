"""`toolkit compare`: runs over the same rows against the first of them, in a sentence and a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.options import DEFAULT_HOME, AsJson, Home

if TYPE_CHECKING:
    from toolkit.evaluation.comparison import Comparison

SHOWN_ROWS = 20


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Runs, cut short if you like, or `latest`.")],
    step: Annotated[str | None, typer.Option("--step", help="Whose answers count; without it the whole row.")] = None,
    quality: Annotated[str | None, typer.Option("--quality", help="A grader, or how its label begins.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="A field of rows that belong together.")] = None,
    segment: Annotated[str | None, typer.Option("--segment", help="A field of which each value is told apart.")] = None,
    margin: Annotated[
        float | None, typer.Option("--margin", min=0, help="How much worse in quality still counts as no worse.")
    ] = None,
    changed: Annotated[bool, typer.Option("--changed", help="List the rows whose quality changed too.")] = False,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Compare runs row by row with the first of them: quality, cost and time, with intervals and corrected tests."""
    from toolkit.evaluation.comparing import compare as compared

    found = compared(home, runs=runs, step=step, quality=quality, cluster=cluster, segment=segment, margin=margin)
    if as_json:
        told = {"sentence": found.sentence, "notes": list(found.scored.notes)}
        differences = json.loads(found.frame().to_json(orient="records"))
        print(json.dumps({**told, "differences": differences}))
        return
    _show(found, changed=changed)


def _show(found: Comparison, *, changed: bool) -> None:
    from toolkit.cli.tables import console, table

    cells = [
        (each.contender, each.measure, each.segment, *_numbers(each), each.verdict or "", each.reason or "")
        for each in found.frame().itertuples()
    ]
    columns = ("run", "measure", "segment", "difference", "low", "high", "p", "verdict", ">why not")
    out = console()
    out.print(table("", columns, cells, words=3))
    if changed:
        for contender in found.scored.contenders[1:]:
            rows = found.changed(contender)
            told = [[_number(cell) for cell in row] for row in rows.head(SHOWN_ROWS).itertuples(index=False)]
            out.print(table(f"{len(rows):,} rows changed with {contender}", tuple(rows.columns), told))
    for note in found.scored.notes:
        print(note)
    print(found.sentence)


def _numbers(each: object) -> tuple[str, ...]:
    return tuple(_number(getattr(each, name)) for name in ("difference", "low", "high", "p_corrected"))


def _number(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value)
