"""`python -m evals.routing [--suite FILE] [--quick] [POOL ...]`: learned routing on recorded answers of real models.

In: the folder named by TOOLKIT_OUTCOMES, with outcomes.parquet, and a suite. Out: the table of each pool, printed and,
where all pools of the suite are judged, written to results.md and results.json beside this file. A POOL may also be any
other dataset of the outcomes. Exit code 1 where a required demand of the suite is missed, 2 where the data are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from evals.routing.reporting import Report, report
from evals.routing.suite import Suite, load
from evals.routing.telling import INTRO, of_machine, told
from toolkit.errors import ToolkitError

FOLDER = Path(__file__).parent
SUITE = FOLDER.parent / "suites" / "routing.toml"
QUICK_REPLICATES = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.routing", description="Learned routing, judged.")
    parser.add_argument(
        "pools", nargs="*", help="of the suite, or other datasets; default all, and then files are written"
    )
    parser.add_argument("--suite", type=Path, default=SUITE, help="a TOML file; default %(default)s")
    parser.add_argument(
        "--quick", action="store_true", help="few bootstrap replicates, no curves, and no file is written"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="pools judged at once; default %(default)s")
    given = parser.parse_args()
    table = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"
    if not table.exists():
        print(f"TOOLKIT_OUTCOMES must name a folder with outcomes.parquet (looked for {table})", file=sys.stderr)
        return 2
    try:
        suite = load(given.suite)
        if given.quick:
            suite = replace(suite, replicates=QUICK_REPLICATES, curve=())
        pools = [suite.pool(name) for name in given.pools or [pool.name for pool in suite.pools]]
        reports = []
        with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as workers:
            for found in workers.map(partial(report, suite=suite, table=table), pools):
                reports.append(found)
                print(told(found), flush=True)
    except ToolkitError as error:
        print(error, file=sys.stderr)
        return 2
    if not given.pools and not given.quick and given.suite == SUITE:
        write(reports, suite)
    missed = [
        f"{r.pool}: {v.demand}: {v.value:.4f}" for r in reports for v in r.verdicts if v.demand.required and not v.met
    ]
    print("\n".join(["MISSED, and required:", *missed] if missed else ["All required demands are met."]))
    return 1 if missed else 0


def write(reports: list[Report], suite: Suite) -> None:
    machine = of_machine()
    texts = [INTRO, *(told(each) for each in reports), machine]
    (FOLDER / "results.md").write_text("\n".join(texts) + "\n", encoding="utf-8")
    everything: dict[str, Any] = {
        "machine": machine, "replicates": suite.replicates, "pools": {each.pool: asdict(each) for each in reports}
    }  # fmt: skip
    text = json.dumps(everything, indent=2, ensure_ascii=False) + "\n"
    (FOLDER / "results.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
