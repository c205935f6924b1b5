"""Which requests are like those of the training, by their words: near enough to one of a few regions of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.routing.frontier import Floats

REGIONS = 8
UNLIKE_SHARE, UNLIKE_SLACK = 0.01, 0.7


def regions_of(words: Any, latent: Floats, seed: int) -> tuple[Floats, Floats]:
    """(columns, regions) directions in which the training rows lie, and how near a row must be to one to be like them.

    How near a training row is to its own region is measured without the row itself.
    """
    from sklearn.cluster import KMeans

    distinct = len(np.unique(latent.round(6), axis=0))
    count = min(REGIONS, distinct, max(1, len(latent) // 20))
    mine = KMeans(count, n_init=1, random_state=seed).fit(latent).labels_
    sums = np.stack([np.asarray(words[mine == r].sum(axis=0)).ravel() for r in range(count)])
    squares = (sums**2).sum(axis=1)
    touching = np.asarray((words @ sums.T)[np.arange(len(mine)), mine])
    near = (touching - 1) / np.sqrt(np.maximum(squares[mine] - 2 * touching + 1, 1e-12))
    limits = [np.quantile(near[mine == r], UNLIKE_SHARE) if (mine == r).sum() > 1 else np.inf for r in range(count)]
    return (sums / np.sqrt(np.maximum(squares, 1e-12))[:, None]).T, UNLIKE_SLACK * np.array(limits)
