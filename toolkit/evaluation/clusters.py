"""Rows that belong together: how much they leave that is independent. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST_CLUSTERS = 5.0


def alike(clusters: NDArray[np.int64]) -> float:
    """How many clusters of one size are as good as these (n,): (Σ sizes)² / Σ sizes² (Kish 1965)."""
    sizes = np.unique(clusters, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def too_alike(clusters: NDArray[np.int64] | None) -> str | None:
    """Why rows that belong together leave too little that is independent; None where they leave enough."""
    if clusters is None or not len(clusters) or alike(clusters) >= FEWEST_CLUSTERS:
        return None
    sizes = np.unique(clusters, return_counts=True)[1]
    largest = 100 * sizes.max() / sizes.sum()
    return (
        f"the rows form {len(sizes):,} clusters, of which the largest holds {largest:.0f} %: that is as good as "
        f"{alike(clusters):.1f} of one size, and at least {FEWEST_CLUSTERS:g} are needed"
    )
