"""`python -m evals.routing.speed [--write]`: what deciding costs, in processor time.

Rule routers and `Learned` on one request at a time, and `Learned` on a batch; made-up requests of 40 words, and
recorded ones where TOOLKIT_OUTCOMES names them. Exit code 1 where a demand is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import toolkit as tk
from toolkit.evaluation.outcomes import Outcomes, folds_of, load_outcomes
from toolkit.messages import Message, Text
from toolkit.money.prices import Price
from toolkit.records import Request
from toolkit.routing import Cheapest, Learned, Router, RoutingFacts
from toolkit.routing.learning import fit
from toolkit.routing.router import ModelFacts

FILE = Path(__file__).parent / "speed.md"
LEAST_BATCH, MOST_LEARNED, MOST_RULES = 20_000, 1e-3, 50e-6
REPEATS, ROUNDS = 300, 15
WORDS = ("order", "refund", "parcel", "invoice", "broken", "late", "account", "password", "please", "thanks", "where",
         "when", "number", "delivery", "again", "address", "payment", "twice", "charged", "screen")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.routing.speed", description="What deciding costs.")
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name} beside this file")
    given = parser.parse_args()
    threadpool_limits(1)
    lines = [
        "# What deciding costs",
        "",
        f"Processor time, the best of {ROUNDS} rounds, with one thread for linear algebra.",
        "",
    ]
    lines += ["| router | requests | measured | demanded |", "|---|---|---|---|"]
    missed = False
    for name, router in RULES.items():
        seconds = one_at_a_time(router, [facts(text, ("small", "large", "person")) for text in made_up(20).queries])
        missed |= seconds > MOST_RULES
        lines.append(f"| {name} | made up | {seconds * 1e6:.0f} µs | ≤ {MOST_RULES * 1e6:.0f} µs |")
    for name, pool in {"made up": made_up(2_000), **recorded()}.items():
        router = Learned(fit(pool.examples()), worth=40.0)
        asked = [facts(text, pool.models, task) for text, task in zip(pool.queries[:20], pool.tasks[:20], strict=True)]
        seconds, rate = one_at_a_time(router, asked), batched(router, pool)
        missed |= seconds > MOST_LEARNED or rate < LEAST_BATCH
        told = f"{name}: {np.mean([len(text) for text in pool.queries]):.0f} characters, {len(pool.models)} models"
        lines.append(f"| `Learned`, one request | {told} | {seconds * 1e6:.0f} µs | ≤ {MOST_LEARNED * 1e6:.0f} µs |")
        lines.append(f"| `Learned`, a batch | {told} | {rate:,.0f} a second | ≥ {LEAST_BATCH:,} a second |")
    lines += ["", f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores."]
    print("\n".join(lines))
    if given.write:
        FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(missed)


RULES: dict[str, Router] = {
    "`Fixed`": tk.Fixed("small"),
    "`Ladder`": tk.Ladder("small", "large", "person"),
    "`Rules` by length": tk.Rules(tk.Rule(tk.Fixed("large"), min_tokens=500), otherwise=tk.Fixed("small")),
    "`Cheapest`": Cheapest("small", "large"),
    "`Explore` around `Ladder`": tk.Explore(tk.Ladder("small", "large"), rate=0.1),
}


def one_at_a_time(router: Router, asked: Sequence[RoutingFacts]) -> float:
    """Seconds for one decision."""

    def decide() -> None:
        for n in range(REPEATS):
            router.decide(asked[n % len(asked)])

    return best(decide) / REPEATS


def batched(router: Learned, pool: Outcomes) -> float:
    """Requests a second, from their texts to the models chosen."""
    times = max(1, 10_000 // len(pool))
    texts, tasks = pool.queries * times, pool.tasks * times
    return len(texts) / best(lambda: router.choose_many(texts, tasks))


def best(work: Callable[[], object]) -> float:
    work()
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def facts(text: str, models: Sequence[str], task: str = "talk") -> RoutingFacts:
    members = {name: ModelFacts(name, "function", frozenset({"*"}), price=Price(1.0, 1.0)) for name in models}
    return RoutingFacts(Request((Message("user", (Text(text),)),)), members, fields={"task": task}, input_tokens=60)


def made_up(n: int) -> Outcomes:
    """Requests of 40 words; who is good at them is chance."""
    rng = np.random.default_rng(0)
    queries = tuple(" ".join(rng.choice(WORDS, 40)) for _ in range(n))
    models = ("small", "large", "person")
    return Outcomes(
        "made up", tuple(map(str, range(n))), queries, ("talk",) * n, models,
        (rng.random((n, 3)) < [0.6, 0.8, 0.9]).astype(np.float64), np.tile([0.001, 0.01, 0.1], (n, 1)),
        folds_of(queries),
    )  # fmt: skip


def recorded() -> dict[str, Outcomes]:
    table = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"
    return {name: load_outcomes(table, name) for name in ("routerbench", "bfcl")} if table.exists() else {}


if __name__ == "__main__":
    sys.exit(main())
