"""What there is to learn from: requests, and what is known of models' answers to them. A frozen table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from toolkit.routing.frontier import Floats, Ints

FOLDS = 5
FEWEST_ROWS = 40
FEWEST_DISTINCT = 20


@dataclass(frozen=True)
class Examples:
    """Requests and what is known of models' answers to them.

    `quality` (n, k) lies in 0..1, `cost` (n, k) is US dollars; NaN where a model was not asked. `tasks` may be empty
    strings. Rows of one group (say, variants of one question) are held out together. Raises ValueError, in words that
    say what to do, where nothing can be learnt from them.
    """

    texts: tuple[str, ...]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    quality: Floats
    cost: Floats
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, k = len(self.texts), len(self.models)
        if self.quality.shape != (n, k) or self.cost.shape != (n, k) or len(self.tasks) != n:
            raise ValueError(f"{n} texts and {k} models want tables of that shape, not {self.quality.shape}")
        if k < 2:
            raise ValueError(f"there is nothing to choose between: outcomes of {k} model{'s' * (k != 1)}")
        if n < FEWEST_ROWS:
            raise ValueError(f"{n} requests are too few to learn from; at least {FEWEST_ROWS} are needed")
        if (graded := int((~np.isnan(self.quality)).any(axis=1).sum())) < FEWEST_ROWS:
            raise ValueError(f"only {graded} of {n} requests have a grade; at least {FEWEST_ROWS} are needed")
        if (distinct := len(set(self.groups or self.texts))) < FEWEST_DISTINCT:
            raise ValueError(f"only {distinct} of the {n} requests differ; at least {FEWEST_DISTINCT} have to")
        for name, table in (("quality", self.quality), ("cost", self.cost)):
            self._checked(name, table)

    def _checked(self, name: str, table: Floats) -> None:
        if (unseen := np.isnan(table).all(axis=0)).any():
            model = self.models[int(unseen.argmax())]
            raise ValueError(
                f"there is no {name} on record for {model}: "
                + ("give its price" if name == "cost" else "grade its answers")
                + ", or leave the model out"
            )
        if np.isinf(table).any():
            raise ValueError(f"{name} holds an infinite number")
        highest = 1.0 if name == "quality" else np.inf
        if (wrong := (table < 0) | (table > highest)).any():
            row, model = np.argwhere(wrong)[0]
            wanted = "lies in 0..1" if name == "quality" else "is in US dollars, from 0 up"
            raise ValueError(f"{name} {wanted}: not {table[row, model]:g}, as of {self.models[model]} at request {row}")

    def graded(self) -> Examples:
        """Only the requests that have a grade of any model."""
        rows = np.flatnonzero((~np.isnan(self.quality)).any(axis=1))
        if len(rows) == len(self.texts):
            return self
        texts, tasks, groups = (
            tuple(part[row] for row in rows) if part else () for part in (self.texts, self.tasks, self.groups)
        )
        return replace(self, texts=texts, tasks=tasks, quality=self.quality[rows], cost=self.cost[rows], groups=groups)

    def hash(self) -> str:
        """The name of the data: 128 bits in hexadecimal."""
        made = blake2b(digest_size=16)
        for part in (*self.texts, *self.tasks, *self.models):
            made.update(part.encode(errors="replace") + b"\0")
        made.update(np.ascontiguousarray(self.quality).tobytes())
        made.update(np.ascontiguousarray(self.cost).tobytes())
        return made.hexdigest()

    def folds(self) -> Ints:
        """(n,) a fold for each row by the hash of its group, or of its text where there is none."""
        named = self.groups or self.texts
        digests = (blake2b(name.encode(errors="replace"), digest_size=4).digest() for name in named)
        return np.array([int.from_bytes(digest, "big") % FOLDS for digest in digests], dtype=np.int64)
