"""The record as metrics: histograms and counters over a window, made by the database.

In: a history, a window and the conventions. Out: metrics of our own, with a point for every set of attributes. A point
covers the window from its start to its end, however long ago that was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.ledger.reading.history import History
from toolkit.ledger.views import telemetry as statements
from toolkit.telemetry.conventions import Conventions, Instrument
from toolkit.telemetry.facts import Window, read

Attributes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """Measures of one set of attributes; `counts` is how many fell into each bucket, empty for a counter."""

    attributes: Attributes
    count: int
    total: float
    least: float
    greatest: float
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """A histogram (where it has `bounds`) or a counter, with its points over a window."""

    name: str
    unit: str
    description: str
    bounds: tuple[float, ...]
    points: tuple[Point, ...]


def metrics(history: History, window: Window, conventions: Conventions) -> tuple[Metric, ...]:
    """All metrics of a window that have a point; instruments of one name are one metric."""
    points: defaultdict[str, list[Point]] = defaultdict(list)
    for instrument in conventions.instruments:
        points[instrument.name].extend(_points(history, window, instrument, conventions))
    described = {instrument.name: instrument for instrument in conventions.instruments}
    return tuple(
        Metric(name, described[name].unit, described[name].description, described[name].bounds, tuple(found))
        for name, found in points.items()
        if found
    )


def _points(history: History, window: Window, instrument: Instrument, conventions: Conventions) -> Iterable[Point]:
    by = [meaning.removeprefix("toolkit.") for meaning in instrument.by]
    statement = statements.measurement(
        instrument.source,
        instrument.measure,
        by=by,
        operations=instrument.operations,
        buckets=bool(instrument.bounds),
    )
    params: dict[str, Any] = {"since": window.since_us, "until": window.until_us}
    if instrument.bounds:
        params["bounds"] = list(instrument.bounds)
    found = read(history, statement, params, run_id=window.run_id)
    gathered: defaultdict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in found.rows:
        gathered[row[: len(by)]].append(row[len(by) :])
    names = [conventions.names.get(meaning, meaning) for meaning in instrument.by]
    for values, parts in gathered.items():
        known = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
        yield _point((*known, *instrument.fixed), parts, buckets=len(instrument.bounds) + 1 if instrument.bounds else 0)


def _point(attributes: Attributes, parts: Sequence[tuple[Any, ...]], *, buckets: int) -> Point:
    """One point of its parts by bucket: (bucket, how many, sum, least, greatest)."""
    counts = [0] * buckets
    for bucket, n, *_ in parts:
        if buckets:
            counts[bucket] += n
    return Point(
        attributes,
        count=sum(n for _, n, *_ in parts),
        total=sum(total for _, _, total, _, _ in parts),
        least=min(least for *_, least, _ in parts),
        greatest=max(greatest for *_, greatest in parts),
        counts=tuple(counts),
    )
