"""`python -m evals.routing.cuts [--cuts 8] [--write] [POOL ...]`: what the cut into folds does to a figure.

The given folds are one cut of many. Here the queries of all folds but the first, which stays apart, are cut anew, those
with the same question together, and judged as in `evals.routing`: how much closes ours of the gap, how much a logistic
regression, in each cut. The spread over cuts is of one set of queries, so it is chance that no further query removes;
that of other queries comes on top, and is what the intervals of results.md hold.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from evals.routing.__main__ import SUITE
from evals.routing.baselines import Expectation, logistic, mean_by_model
from evals.routing.judging import LOGISTIC, OURS, ZERO, folds, gap_of, learned, swept
from evals.routing.suite import Pool, load
from evals.routing.telling import of_machine
from toolkit.evaluation.outcomes import Outcomes
from toolkit.routing.frontier import Floats

PAGE = Path(__file__).parent / "cuts.md"
POOLS = ("gsm8k", "routerbench", "zeroeval", "bfcl")
APART = 0
TOOLS = "\n\n[tools]"
ROUTERS: dict[str, Expectation] = {ZERO: mean_by_model, LOGISTIC: logistic, OURS: learned}
INTRO = """# One figure, many cuts into folds

Gap closed (results.md tells what that is) by cross-validation on folds 1 to 4 of each pool, whose queries are cut into
four anew, those with the same question together: mean over the cuts ± standard deviation from cut to cut. Fold 0 stays
apart.
`python -m evals.routing.cuts --write` makes this page.
"""


@dataclass(frozen=True)
class Cut:
    """The gap that each router closes in one cut of a pool."""

    pool: str
    number: int
    gap: dict[str, float]


def recut(pool: Outcomes, number: int) -> Outcomes:
    """The pool without the fold that stays apart, cut into as many folds as are left; equal questions share one."""
    kept = pool.take(pool.fold != APART)
    asked = [query.split(TOOLS)[0] for query in kept.queries]
    questions = sorted(set(asked))
    many = len(set(kept.fold.tolist()))
    drawn = np.random.default_rng(number).permutation(len(questions)) % many
    fold = dict(zip(questions, drawn.tolist(), strict=True))
    return replace(kept, fold=np.array([fold[question] for question in asked], dtype=np.int64))


def closed(pool: Outcomes, router: Expectation) -> float:
    """The gap that a router closes, each query by what was fitted on the other folds."""
    merit, cost = (np.empty_like(pool.score) for _ in range(2))
    for train, test, at in folds(pool):
        merit[at], cost[at] = router(train, test)
    return gap_of(pool, swept(merit, cost, pool))


def judged(job: tuple[Pool, int], table: Path) -> Cut:
    pool, number = job
    cut = recut(pool.load(table), number)
    return Cut(pool.name, number, {name: closed(cut, router) for name, router in ROUTERS.items()})


def told(cuts: list[Cut]) -> str:
    """The table of all pools (Markdown)."""
    lines = [
        f"| pool | cuts | {' | '.join(ROUTERS)} | ours less logistic, paired | ours ahead in |",
        f"|{'---|' * (len(ROUTERS) + 4)}",
    ]
    for pool in dict.fromkeys(cut.pool for cut in cuts):
        found = [cut.gap for cut in cuts if cut.pool == pool]
        by_router = {name: np.array([gap[name] for gap in found]) for name in ROUTERS}
        apart = by_router[OURS] - by_router[LOGISTIC]
        cells = [*(_spread(each) for each in by_router.values()), _spread(apart, sign="+")]
        lines.append(f"| {pool} | {len(found)} | {' | '.join(cells)} | {int((apart > 0).sum())} of {len(found)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.routing.cuts", description="One figure, many cuts.")
    parser.add_argument("pools", nargs="*", default=POOLS, help="of the suite; default %(default)s")
    parser.add_argument("--cuts", type=int, default=8, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} beside this file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cuts judged at once; default %(default)s")
    given = parser.parse_args()
    table = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"
    if not table.exists():
        print(f"TOOLKIT_OUTCOMES must name a folder with outcomes.parquet (looked for {table})", file=sys.stderr)
        return 2
    suite = load(SUITE)
    jobs = list(product([suite.pool(name) for name in given.pools], range(given.cuts)))
    cuts = []
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as workers:
        for cut in workers.map(partial(judged, table=table), jobs):
            cuts.append(cut)
            print(cut.pool, cut.number, {name: round(gap, 3) for name, gap in cut.gap.items()}, flush=True)
    print(told(cuts))
    if given.write:
        PAGE.write_text(f"{INTRO}\n{told(cuts)}\n\n{of_machine()}\n", encoding="utf-8")
    return 0


def _spread(values: Floats, *, sign: str = "") -> str:
    return f"{values.mean():{sign}.3f} ± {values.std(ddof=1) if len(values) > 1 else float('nan'):.3f}"


if __name__ == "__main__":
    sys.exit(main())
