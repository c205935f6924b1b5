"""A person: a member of the fleet whose answers arrive later. The engine parks the row; nobody is called here.

[models.reviewer]
provider = "person"
capabilities = ["*"]
time_out = "2 days"                            # seconds, or min, h, days, weeks; without it people are waited for
default = { intent = "other", urgent = false } # the answer that is taken then; without it the row fails
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from toolkit.errors import FleetError, InvalidRequest
from toolkit.models.spec import ModelSpec
from toolkit.records import Json, Reply, Request

TIME_OUT, DEFAULT = "time_out", "default"
_UNITS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400, "w": 604800,
          "week": 604800}  # fmt: skip
_LONGEST_SECONDS = 100 * 365 * 86400


class Person:
    """Stands in the fleet so that routers see a candidate; sending to it is a mistake of the engine's."""

    def __init__(self, spec: ModelSpec) -> None:
        self.name = spec.name
        self.patience = Patience.of(spec)

    async def send(self, request: Request) -> Reply:
        raise InvalidRequest(f"{self.name} is a person: the question is parked in the inbox, not sent")

    async def close(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a person is waited for (None: for ever), and the answer that is taken then (None: none)."""

    seconds: float | None = None
    default: Json = None

    @classmethod
    def of(cls, spec: ModelSpec) -> Patience:
        """What the settings of a person say. Raises FleetError where `time_out` is no time."""
        default = spec.settings.get(DEFAULT)
        if (told := spec.settings.get(TIME_OUT)) is None:
            if default is not None:
                raise FleetError(
                    f"model {spec.name!r}: a default is taken after a time_out, and there is none; add one"
                )
            return cls()
        seconds = _seconds(told)
        if seconds is None:
            raise FleetError(
                f"model {spec.name!r}: time_out is seconds, or text such as '90 min', '36 h' or '2 days', not {told!r}"
            )
        return cls(seconds, default)


def folded(table: Mapping[str, Json]) -> dict[str, Json]:
    """A person's table of models.toml with `time_out` and `default` among its settings, where all members have them."""
    own = {name: table[name] for name in (TIME_OUT, DEFAULT) if name in table}
    settings = table.get("settings", {})
    if not own or table.get("provider") != "person" or not isinstance(settings, Mapping):
        return dict(table)
    rest = {name: value for name, value in table.items() if name not in own}
    return {**rest, "settings": {**settings, **own}}


def _seconds(told: Json) -> float | None:
    if isinstance(told, str):
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]+?)s?\s*", told)
        unit = _UNITS.get(found[2]) if found is not None else None
        return None if found is None or unit is None else _within(float(found[1]) * unit)
    return None if isinstance(told, bool) or not isinstance(told, int | float) else _within(float(told))


def _within(seconds: float) -> float | None:
    return seconds if isfinite(seconds) and 0 < seconds <= _LONGEST_SECONDS else None
