"""Rows as several contenders answered them: what is compared. Pure arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.evaluation.resampling import Floats, Ints

Measure = Literal["quality", "cost", "seconds"]
MEASURES: tuple[Measure, ...] = ("quality", "cost", "seconds")


@dataclass(frozen=True)
class Origin:
    """The run that a contender is, and the folder of its record."""

    home: Path
    run_id: str


@dataclass(frozen=True, eq=False)
class Scored:
    """n rows as k contenders answered them: quality, cost in US dollars and seconds, (n, k) each, NaN where unknown.

    `clusters` (n,) name rows that belong together, `segments` (n,) the part of the table that a row is in; `prints`
    (n,) stand for what a row said, so that rows of several records are told apart where they share an id; `graders`
    (n, k) for who judged an answer, 0 where nobody did. `faults` are measures that cannot be compared, with the reason;
    `notes` what a reader of the numbers should know; `origins` (k) where a contender's rows can be looked at, None
    where it is no run.
    """

    contenders: tuple[str, ...]
    quality: Floats
    cost: Floats | None = None
    seconds: Floats | None = None
    row_ids: Sequence[str] | None = None
    clusters: Ints | None = None
    segments: NDArray[Any] | None = None
    segment: str = ""
    prints: NDArray[Any] | None = None
    graders: NDArray[np.uint64] | None = None
    faults: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origins: tuple[Origin | None, ...] = ()

    def __post_init__(self) -> None:
        n, k = self.quality.shape if self.quality.ndim == 2 else (-1, -1)
        if k != len(self.contenders):
            raise ValueError(f"quality has shape {self.quality.shape}, for {len(self.contenders)} contenders")
        for name in ("cost", "seconds"):
            table = getattr(self, name)
            if table is not None and table.shape != (n, k):
                raise ValueError(f"{name} has shape {table.shape}, quality {self.quality.shape}")
        for name in ("row_ids", "clusters", "segments"):
            listed = getattr(self, name)
            if listed is not None and len(listed) != n:
                raise ValueError(f"{name} has {len(listed)} rows, quality {n}")
        if np.isinf(self.quality).any():
            raise ValueError("a quality is infinite; grades are numbers")
        if len(set(self.contenders)) < len(self.contenders):
            raise ValueError("two contenders have one name")

    def table(self, measure: Measure) -> Floats | None:
        """(n, k) one measure."""
        found: Floats | None = getattr(self, measure)
        return found

    @cached_property
    def common(self) -> NDArray[np.bool_]:
        """(n,) the rows whose quality is known of all contenders."""
        return np.asarray(np.isfinite(self.quality).all(axis=1))
