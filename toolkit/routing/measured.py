"""What models were measured to do, by step: a value with a hash, made from the history and kept beside it.

    seen = tk.Measured.of(run.history, "triage").save(".toolkit")     .toolkit/measured-<hash>.json
    route = tk.Fastest(seen)                                          Fastest('.toolkit/measured-<hash>.json')

A router that decides from it stays a pure value: new measurements are another snapshot, and so another label.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from toolkit.errors import FleetError
from toolkit.records import canonical, content_hash

# `ends_with` lets a step be named without its workflow, as evaluation does; a model's own word is no judgement.
MEASURED = """
    with judged as (
        select attempt_id, min(mean) as quality from (
            select attempt_id, grader, avg(value) as mean from grades
            where attempt_id is not null and value is not null and isfinite(value) and grader <> 'Confidence()'
            group by attempt_id, grader
        ) group by attempt_id
    )
    select t.step, t.model, count(*) as calls, count(*) filter (t.error_type is not null) as failed,
        median(t.service_seconds) filter (t.error_type is null) as seconds,
        count(j.quality) as graded, avg(j.quality) as quality
    from attempts t left join judged j on j.attempt_id = t.id
    where t.step = $step or (($step is null or ends_with(t.step, '/' || $step))
        and not regexp_matches(t.step, '/.+/(route|grade|fit)$'))
    group by t.step, t.model order by t.step, t.model"""


class Asked(Protocol):
    """What answers a query: a `History`."""

    def sql(self, query: str, params: Mapping[str, Any]) -> Any:
        """An answer with `rows`."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model at one step. `seconds` is the median service time of its answers, waiting left out.

    `quality` is the mean of its `graded` answers' lowest grades. None where nothing is known.
    """

    step: str
    model: str
    calls: int = 0
    failed: int = 0
    seconds: float | None = None
    graded: int = 0
    quality: float | None = None


@dataclass(frozen=True)
class Measured:
    """A snapshot of measurements. `source` is the file that holds it, or its hash where it was never saved."""

    rows: tuple[Measurement, ...]
    file: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, history: Asked, step: str | None = None) -> Measured:
        """All attempts on record at that step, named with its workflow or without; None: at every step."""
        found = history.sql(MEASURED, {"step": step}).rows
        return cls(tuple(Measurement(*row) for row in found))

    @classmethod
    def load(cls, path: Path | str) -> Measured:
        """What `save` wrote. Raises FleetError where it is not there, or not what its name says."""
        return _loaded(str(path))

    def save(self, path: Path | str) -> Measured:
        """Write it to that .json file, or into that folder, named by its hash; the same snapshot, named by its file."""
        target = Path(path)
        target = target if target.suffix == ".json" else target / f"measured-{self.hash[:12]}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        told = {"hash": self.hash, "rows": [asdict(row) for row in self.rows]}
        target.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        _loaded.cache_clear()
        return replace(self, file=str(target))

    @cached_property
    def hash(self) -> str:
        return content_hash(canonical([asdict(row) for row in self.rows]))

    @property
    def source(self) -> str:
        return self.file or self.hash

    def about(self, step: str) -> Mapping[str, Measurement]:
        """The models measured at a step. A snapshot of one step alone speaks for any: that is what it was made for."""
        return self._by_step.get(step) or (next(iter(self._by_step.values())) if len(self._by_step) == 1 else {})

    @cached_property
    def _by_step(self) -> Mapping[str, Mapping[str, Measurement]]:
        found: dict[str, dict[str, Measurement]] = {}
        for row in self.rows:
            found.setdefault(row.step, {})[row.model] = row
        return found


def known(measured: str | Path | Measured) -> tuple[str, Measured]:
    """(its name in labels, the snapshot) of what a router is given: a file, or the value."""
    value = measured if isinstance(measured, Measured) else Measured.load(measured)
    return value.source, value


@lru_cache(maxsize=32)
def _loaded(path: str) -> Measured:
    """Read once: a file that is written anew is another snapshot, for the next process."""
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        found = Measured(_rows(told["rows"]), path)
    except FileNotFoundError:
        raise FleetError(f"there is no snapshot {path!r}: make one with Measured.of(history, step).save(…)") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise FleetError(f"cannot read the snapshot {path!r}: {error}") from error
    if found.hash != told.get("hash"):
        raise FleetError(f"the snapshot {path!r} was changed after it was saved: make it anew")
    return found


def _rows(told: Iterable[Mapping[str, Any]]) -> tuple[Measurement, ...]:
    return tuple(Measurement(**row) for row in told)
