"""Rate limits that tell the truth: a bucket that refills evenly. Pure: level and time in, level and wait out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from toolkit.fake.profiles import Profile

MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """What may still be used at the moment `at`; never more than `most`."""

    per_second: float
    most: float
    level: float
    at: float

    def filled(self, at: float) -> Bucket:
        """The bucket at a later moment."""
        return replace(self, level=min(self.most, self.level + (at - self.at) * self.per_second), at=at)

    def wait_for(self, amount: float) -> float:
        """Seconds until so much can be taken; infinite where it never can."""
        if amount > self.most:
            return math.inf
        return max(0.0, (amount - self.level) / self.per_second)

    def without(self, amount: float) -> Bucket:
        return replace(self, level=self.level - amount)


@dataclass(frozen=True, slots=True)
class Limits:
    """The requests and tokens that a model still takes; None: any number."""

    requests: Bucket | None
    tokens: Bucket | None

    @classmethod
    def of(cls, profile: Profile, *, at: float) -> Limits:
        return cls(_bucket(profile.requests_per_minute, profile, at), _bucket(profile.tokens_per_minute, profile, at))

    def admit(self, input_tokens: int, *, at: float) -> tuple[Limits, float]:
        """What is left after a request of that size, and 0; or the seconds until it would be taken, and nothing used.

        A refused request uses nothing up, so a client that waits as told is let in unless others were quicker.
        """
        requests = None if self.requests is None else self.requests.filled(at)
        tokens = None if self.tokens is None else self.tokens.filled(at)
        wait = max(
            0.0 if requests is None else requests.wait_for(1.0),
            0.0 if tokens is None else tokens.wait_for(input_tokens),
        )
        if wait > 0:
            return Limits(requests, tokens), wait
        return Limits(
            None if requests is None else requests.without(1.0),
            None if tokens is None else tokens.without(input_tokens),
        ), 0.0

    def charge(self, output_tokens: int) -> Limits:
        """What is left when an answer's tokens are counted too; they may use up more than there was."""
        return self if self.tokens is None else replace(self, tokens=self.tokens.without(output_tokens))


def told_seconds(wait: float) -> float:
    """A wait as Retry-After tells it: rounded up, to hundredths of a second, and from one second on to whole ones."""
    return float(math.ceil(wait)) if wait > 1 else math.ceil(wait * 100) / 100


def _bucket(per_minute: float | None, profile: Profile, at: float) -> Bucket | None:
    if per_minute is None:
        return None
    per_second = per_minute / MINUTE_SECONDS
    most = max(1.0, per_second * profile.limit_seconds)
    return Bucket(per_second, most, most, at)
