"""The suite of the routing evaluation: a TOML file that a person can edit. In: the file. Out: pools and demands."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from toolkit.errors import RunError
from toolkit.evaluation.outcomes import Outcomes, load_outcomes

MEASURES = ("apgr", "gap", "over_zero", "unseen", "few_labels")


@dataclass(frozen=True)
class Pool:
    """A dataset of the outcomes, or those of its tasks that begin with a word. `few_labels`: judge with so many too."""

    name: str
    dataset: str = ""
    tasks: str = ""
    few_labels: int | None = None

    def load(self, table: Path) -> Outcomes:
        found = load_outcomes(table, self.dataset or self.name)
        return found.of_tasks(self.tasks) if self.tasks else found


@dataclass(frozen=True)
class Demand:
    """That a measure of a router be at least a number, or at least what another router has; on one pool or on all."""

    measure: str
    least: float = 0.0
    pool: str = ""
    router: str = "ours"
    over: str = ""
    required: bool = False

    def __str__(self) -> str:
        told = self.measure.replace("_low", ", lower end").replace("_", " ")
        against = f"not below {self.over}" if self.over else f"at least {self.least:g}"
        return f"{self.router}: {told} {against}"


@dataclass(frozen=True)
class Suite:
    name: str
    pools: tuple[Pool, ...]
    demands: tuple[Demand, ...]
    replicates: int = 300
    curve: tuple[float, ...] = ()

    def pool(self, name: str) -> Pool:
        """The pool of that name; a dataset of the outcomes where the suite has none."""
        return next((pool for pool in self.pools if pool.name == name), Pool(name))

    def of(self, pool: str) -> tuple[Demand, ...]:
        """The demands on a pool; one that names it goes before those of its measure for all."""
        own = [demand for demand in self.demands if demand.pool == pool]
        said = {(demand.measure, demand.router, demand.over) for demand in own if demand.required}
        shared = [d for d in self.demands if not d.pool and (d.measure, d.router, d.over) not in said]
        return (*shared, *own)


def load(path: Path) -> Suite:
    """Raises RunError saying which entry of the file cannot be used, and why."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"cannot read the suite {path}: {error}") from error
    pools = tuple(_made(Pool, each, f"{path}: [[pools]] {n}") for n, each in enumerate(told.pop("pools", ()), 1))
    demands = tuple(_made(Demand, d, f"{path}: [[demands]] {n}") for n, d in enumerate(told.pop("demands", ()), 1))
    if not pools:
        raise RunError(f"{path} has no [[pools]]")
    for n, demand in enumerate(demands, 1):
        if demand.measure.removesuffix("_low") not in MEASURES:
            raise RunError(f"{path}: [[demands]] {n}: measure is one of {', '.join(MEASURES)}, not {demand.measure!r}")
        if demand.pool and demand.pool not in {pool.name for pool in pools}:
            raise RunError(f"{path}: [[demands]] {n} is on the pool {demand.pool!r}, which the suite does not have")
    told["curve"] = tuple(told.get("curve", ()))
    suite: Suite = _made(Suite, {"name": path.stem, **told, "pools": pools, "demands": demands}, str(path))
    return suite


def _made(kind: Any, told: Mapping[str, Any], where: str) -> Any:
    known = {each.name for each in fields(kind)}
    if unknown := sorted(set(told) - known):
        raise RunError(f"{where} has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}")
    try:
        return kind(**told)
    except TypeError as error:
        raise RunError(f"{where}: {error}") from error
