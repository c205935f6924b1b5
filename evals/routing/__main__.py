"""`python -m evals.routing [--quick] [POOL ...]`: learned routing on recorded answers of real models, cross-validated.

In: the folder named by TOOLKIT_OUTCOMES, with outcomes.parquet. Out: the table of each pool, printed and written to
results.md and results.json beside this file. Exit code 2 where the data are not there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evals.routing.judging import Line, Unseen, cards, few_labels, lines, perfect_labels, played, unseen
from toolkit.evaluation.outcomes import Outcomes, load_outcomes

FOLDER = Path(__file__).parent
POOLS = ("mmlu", "gsm8k", "routerbench", "zeroeval", "bfcl")
PARTS = {"mmlu": ("routellm", "mmlu"), "gsm8k": ("routellm", "gsm8k")}
REPLICATES, QUICK_REPLICATES = 300, 30
INTRO = """# Learned routing on recorded answers

Five-fold cross-validation on the folds given with the data; each query is routed by what was fitted on the other four.
One configuration for all pools: what is selected is selected by folds inside the training folds. Intervals of 95 % are
paired bootstraps over queries. `gap closed` and `over zero` are held against the best mixture of single models *by
the very queries that are judged*, which no router can know; `zero router` is that mixture as the training folds tell
it.

What is *not* nested: the design itself. Features, the fixed weights and sizes in `toolkit/routing/learning.py`, the
idea of considering the frontier's models alone, and the guards were settled after looking at figures on these very
folds, over some hundred variants; so the point estimates of `ours` are somewhat flattered, and only data kept apart can
tell by how much. Bootstrap intervals of hull measures lean upwards: the row `zero router` shows how far chance alone
lifts them. Where tasks are left out, a share abstained of 100 % means that it equals the zero router by construction.
"""
HEAD = ("router", "APGR", "CPT 50 / 80 %", "AIQ", "gap closed", "AIQ over zero", "saving at 100 / 99 / 95 %", "arena")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.routing", description="Learned routing, judged.")
    parser.add_argument("pools", nargs="*", help=f"of {', '.join(POOLS)}; default all, and only then files are written")
    parser.add_argument("--quick", action="store_true", help="few bootstrap replicates, and no file is written")
    given = parser.parse_args()
    table = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"
    if not table.exists():
        print(f"TOOLKIT_OUTCOMES must name a folder with outcomes.parquet (looked for {table})", file=sys.stderr)
        return 2
    replicates = QUICK_REPLICATES if given.quick else REPLICATES
    told: dict[str, Any] = {}
    texts = [INTRO]
    for name in given.pools or POOLS:
        began = time.process_time()
        text, told[name] = judged(_pool(table, name), name, replicates)
        told[name]["cpu_seconds"] = round(time.process_time() - began, 1)
        print(text, flush=True)
        texts.append(text)
    texts.append(_machine())
    if not given.pools and not given.quick:
        (FOLDER / "results.md").write_text("\n".join(texts) + "\n", encoding="utf-8")
        everything = {"machine": _machine(), "replicates": replicates, "pools": told}
        (FOLDER / "results.json").write_text(json.dumps(everything, indent=2, ensure_ascii=False) + "\n")
    return 0


def judged(pool: Outcomes, name: str, replicates: int) -> tuple[str, dict[str, Any]]:
    """The text of a pool and its figures."""
    routers = {router.name: router for router in played(pool)}
    found = list(lines(pool, routers, replicates=replicates))
    few = few_labels(pool, replicates=replicates) if len(pool.models) == 2 and len(pool) > 3_000 else None
    left_out = unseen(pool, replicates=replicates)
    nested = cards(pool)
    parts = [
        f"## {name}: {len(pool):,} queries, {len(pool.models)} models, {len(set(pool.tasks))} tasks\n",
        shown(found),
    ]
    if few is not None:
        parts.append(f"\nWith 1,500 labels a fold: APGR {few}.")
    perfect = perfect_labels(pool)
    parts.append(
        f"\nPerfect task labels, by the means of the very queries judged, would close {perfect:.3f} of the gap."
    )
    parts.append("\n" + _unseen_in_words(left_out))
    gaps = ", ".join(f"{card['gap_closed']:.3f} ± {card['gap_closed_error']:.3f}" for card in nested)
    parts.append(f"\nNested figures, by which each fold's settings were chosen (gap closed ± standard error): {gaps}.")
    considered = ", ".join(str(card["models_considered"]) for card in nested)
    parts.append(f"Models considered in each fold: {considered}.\n")
    figures = {
        "perfect_labels": perfect,
        "lines": [asdict(line) for line in found],
        "few_labels": None if few is None else asdict(few),
        "unseen": None if left_out is None else asdict(left_out),
        "nested": nested,
    }
    return "\n".join(parts), figures


def shown(found: Sequence[Line]) -> str:
    """The lines as a table in Markdown."""
    rows = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for line in found:
        cells = (
            line.router,
            "" if line.apgr is None else str(line.apgr),
            "" if line.apgr is None else f"{_number(line.cpt_50)} / {_number(line.cpt_80)}",
            f"{line.aiq:.4f}",
            str(line.gap),
            f"{line.over_zero.value:+.4f} [{line.over_zero.low:+.4f}, {line.over_zero.high:+.4f}]",
            " / ".join(_percent(each) for each in line.savings),
            f"{line.arena:.3f}",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _unseen_in_words(found: Unseen | None) -> str:
    if found is None:
        return "Tasks left out of training: there is only one."
    return (
        f"Tasks left out of training ({found.lots} lots): abstained on {100 * found.abstained:.1f} % of their queries; "
        f"AIQ over the zero router of the same training {found.gain.value:+.4f} [{found.gain.low:+.4f}, "
        f"{found.gain.high:+.4f}], worst lot {found.worst:+.4f}."
    )


def _pool(table: Path, name: str) -> Outcomes:
    dataset, *starts = PARTS.get(name, (name,))
    pool = load_outcomes(table, dataset)
    return pool.of_tasks(*starts) if starts else pool


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _machine() -> str:
    names = ("scikit-learn", "numpy", "scipy", "duckdb")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores."


if __name__ == "__main__":
    sys.exit(main())
