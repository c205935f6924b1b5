"""A span and how it is named, timed and numbered. Nothing here knows a wire format.

Ids come from the record's own, so that a second export gives the same; times are those of the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Any, Literal

from toolkit.telemetry.conventions import Conventions
from toolkit.telemetry.facts import BATCH, RowFacts

Kind = Literal["internal", "client"]
Place = tuple[str, int, int]
"""Step, turn and repeat within a row."""
US_NS = 1_000
"""Nanoseconds of a microsecond, in which the record stamps."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something at one moment of a span."""

    name: str
    at_ns: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A span: its place in a trace, when it was, and what is known of it. `error_type` is set where it failed."""

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    kind: Kind
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    error_type: str | None = None
    error_message: str | None = None
    events: tuple[SpanEvent, ...] = ()
    link: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """How spans are told: under which names, and whether with content."""

    conventions: Conventions
    content: bool = False


# ---------------------------------------------------------------------------------------------------------------- ids
def trace_id_of(run_id: str, row_id: str = BATCH) -> int:
    """The trace of a row; of the run itself for what is done once for the batch."""
    return id_of(16, "trace", run_id, row_id)


def span_id_of(run_id: str, row_id: str = BATCH, *, again_us: int | None = None) -> int:
    """The span of a row or run. `again_us` is when it ended, where it had ended before and was sent then."""
    return id_of(8, "row", run_id, row_id, *([str(again_us)] if again_us is not None else []))


def step_id_of(run_id: str, row_id: str, place: Place, *, settled: int = 0) -> int:
    """The span of a step; `settled` counts how often it had been settled before."""
    return id_of(8, "step", run_id, row_id, *map(str, place), *([str(settled)] if settled else []))


def root_of(row: RowFacts) -> str:
    """The row in whose trace a row stands: its own, but of an item of a list the row that the list came from.

    An item's name is its parent's with `/step` or `/step[3]` behind it, and it is nested as deep as its step's path.
    """
    if row.parent_row_id is None or row.parent_step is None:
        return row.row_id
    depth = row.parent_step.count("/")
    return row.parent_row_id.rsplit("/", depth - 1)[0] if depth > 1 else row.parent_row_id


# ------------------------------------------------------------------------------------------------ names, times, numbers
def known(**values: Any) -> dict[str, Any]:
    """Attributes of our own namespace, of those that are known."""
    return {f"toolkit.{name}": value for name, value in values.items() if value is not None}


def named(what: str, of: str | None) -> str:
    """The name of a span: what is done and, where that is known, to what."""
    return f"{what} {of}" if of else what


def began_ns(ended_us: int, seconds: float | None) -> int:
    """When what ended then began, in nanoseconds; whole microseconds, as the record's stamps are."""
    return (ended_us - ceil((seconds or 0.0) * 1e6)) * US_NS


def id_of(size: int, *parts: str) -> int:
    """A number of `size` bytes that the parts determine; never 0, which is no id."""
    found = int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=size).digest(), "big")
    return found or 1
