"""Spans and metrics after OpenTelemetry's conventions for generative AI, made from the record.

    >>> from toolkit.telemetry import export
    >>> export(History(".toolkit"), run_id="latest", endpoint="http://127.0.0.1:4318")  # doctest: +SKIP

`export` sends what is on record, of a run or of a window of time; `follow` sends what ends from now on, and keeps its
place. What maps to what stands in `docs/opentelemetry.md`. Sending needs the extra: pip install 'toolkit[otel]'.
"""

from __future__ import annotations

from toolkit.telemetry.exporting import Told, export
from toolkit.telemetry.following import follow

__all__ = ["Told", "export", "follow"]
