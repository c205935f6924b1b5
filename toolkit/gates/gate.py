"""All that processes know of a model together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.gates.breaker import OPEN, Breaker
from toolkit.gates.load import FREE, Load
from toolkit.gates.pace import IDLE, Timetable


@dataclass(frozen=True, slots=True)
class Gate:
    """The state of a model's gate; times are seconds on the caller's clock."""

    breaker: Breaker = OPEN
    timetable: Timetable = IDLE
    load: Load = FREE

    def moved(self, seconds: float) -> Gate:
        """The same on a clock that is so far ahead."""
        breaker, times, load = self.breaker, self.timetable, self.load
        return Gate(
            replace(
                breaker,
                shut_until=None if breaker.shut_until is None else breaker.shut_until + seconds,
                probe_until=None if breaker.probe_until is None else breaker.probe_until + seconds,
            ),
            Timetable(times.requests_at + seconds, times.tokens_at + seconds),
            replace(load, changed_at=load.changed_at + seconds),
        )
