"""`toolkit gate`: a suite run and judged, for CI and for the nightly flow."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.ending import FAILED
from toolkit.cli.options import DEFAULT_HOME, AsJson, Home


def gate(
    suite: Annotated[Path, typer.Argument(metavar="SUITE", help="A TOML file with cases, graders and targets.")],
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="RUN", help="The run on record that it must not fall behind.")
    ] = "",
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="Judge this run on record instead of running the suite.")
    ] = "",
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Run a suite and hold it against its targets and a baseline.

    Exit code 0: everything holds; 1: something got worse beyond its margin, or misses its target, or cannot be judged,
    with the reason; 2: nothing could run.
    """
    from toolkit.evaluation.gate import gate as gated

    found = gated(suite, baseline=baseline or None, run=run or None, home=home)
    if as_json:
        told = {"suite": found.suite, "run_id": found.run, "baseline": found.baseline, "passes": found.passes}
        print(json.dumps({**told, "checks": [asdict(each) for each in found.judged]}))
    else:
        from toolkit.cli.tables import console, table

        cells = [(each.name, each.ended, each.why) for each in found.judged]
        console().print(table("", ("check", "ended", ">why"), cells, words=2))
        print(found.sentence)
    if not found.passes:
        raise typer.Exit(FAILED)
