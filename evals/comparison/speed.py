"""What is timed: two routers on n decisions, compared and inferred; each gives what came out in words."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from toolkit.evaluation.comparison import compared
from toolkit.evaluation.estimates import Estimate
from toolkit.evaluation.offpolicy import Floats, Logged, difference, estimate
from toolkit.evaluation.scored import Scored

REPLICATES = 1_000
T = TypeVar("T")


def compare_two(n: int) -> str:
    """Quality, cost and time of two routers."""
    rng = np.random.default_rng(1)
    quality = (rng.random((n, 2)) < [0.700, 0.702]).astype(np.float64)
    scored = Scored(("a", "b"), quality, rng.lognormal(-7, 1, (n, 2)), rng.lognormal(0, 1, (n, 2)))
    return str(compared(scored, replicates=REPLICATES))


def compare_clustered(n: int) -> str:
    """The same, with ten rows to a cluster."""
    rng = np.random.default_rng(2)
    quality = (rng.random((n, 2)) < [0.700, 0.702]).astype(np.float64)
    clusters = rng.integers(0, max(n // 10, 1), n)
    return str(compared(Scored(("a", "b"), quality, clusters=clusters), replicates=REPLICATES))


def infer_two(n: int) -> str:
    """The value of two routers, and their difference, from an exploring history of three models and five features."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 5))
    best = np.eye(3)[(x @ rng.normal(size=(5, 3))).argmax(axis=1)]
    past: Floats = 0.3 / 3 + 0.7 * best
    choice = (past.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    reward = (rng.random(n) < 1 / (1 + np.exp(-x[:, 0] - 0.3 * choice))).astype(np.float64)
    logged = Logged(choice, reward, past, x)
    one, other = np.tile(np.eye(3)[2], (n, 1)), np.tile([1 / 3] * 3, (n, 1))
    found = [estimate(logged, one), estimate(logged, other), difference(logged, one, other)]
    assert all(isinstance(each, Estimate) for each in found)
    return " · ".join(str(each).split(" by")[0] for each in found)


def timed(work: Callable[[T], str], of: T) -> tuple[float, float, float, str]:
    """Seconds, seconds of processor, peak memory of this process in GB, and what came out."""
    began, cpu = time.perf_counter(), time.process_time()
    said = work(of)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    return time.perf_counter() - began, time.process_time() - cpu, peak, said
