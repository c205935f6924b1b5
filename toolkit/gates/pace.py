"""Requests and tokens per minute as a timetable. In: how large the next requests are. Out: when each may go out.

This is the generic cell rate algorithm (ITU-T I.371), whose whole state is one number for each limit: the time at
which the next request would arrive if all came evenly. Who books moves it on, and may use what was booked from its
time on and for `BURST_SECONDS`; later it is lost. So no W seconds see more than rate × (W + `BURST_SECONDS`) and one
request, whoever books and however many they are. Times up to half of that ago are booked too: what is a little late is
not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

BURST_SECONDS = 0.5
SLAB_SECONDS = 1.0
MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What a model takes in a second; None: any number."""

    requests: float | None = None
    tokens: float | None = None

    @classmethod
    def per_minute(cls, requests: float | None = None, tokens: float | None = None) -> Pace:
        return cls(*(None if limit is None else limit / MINUTE_SECONDS for limit in (requests, tokens)))

    @property
    def is_limited(self) -> bool:
        return self.requests is not None or self.tokens is not None

    def slab(self, sizes: Sequence[float]) -> int:
        """How many of the requests in front are booked at once: those of about a second, but at least one."""
        count = len(sizes) if self.requests is None else min(len(sizes), max(1, int(self.requests * SLAB_SECONDS)))
        if self.tokens is None:
            return count
        room, taken = self.tokens * SLAB_SECONDS, 0
        while taken < count and (taken == 0 or sizes[taken] <= room):
            room -= sizes[taken]
            taken += 1
        return taken


@dataclass(frozen=True, slots=True)
class Timetable:
    """The times at which the next request, and the next token, would arrive if all came evenly."""

    requests_at: float = 0.0
    tokens_at: float = 0.0

    def booked(
        self, sizes: Sequence[float], pace: Pace, *, now: float, debt: float = 0.0
    ) -> tuple[Timetable, tuple[float, ...]]:
        """The timetable with requests of these sizes (tokens) in it, and the time of each.

        `debt` are tokens that earlier requests used beyond what was booked for them. What they left is no credit: its
        time has passed.
        """
        earliest = now - BURST_SECONDS / 2
        requests_at, tokens_at = max(self.requests_at, earliest), max(self.tokens_at, earliest)
        if pace.tokens is not None:
            tokens_at += debt / pace.tokens
        times = []
        for size in sizes:
            at = earliest
            if pace.requests is not None:
                at = max(at, requests_at)
            if pace.tokens is not None:
                at = max(at, tokens_at)
                tokens_at = max(tokens_at, at) + size / pace.tokens
            if pace.requests is not None:
                requests_at = at + 1.0 / pace.requests
            times.append(at)
        return replace(self, requests_at=requests_at, tokens_at=tokens_at), tuple(times)


IDLE = Timetable()
