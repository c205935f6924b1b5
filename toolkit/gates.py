"""Gates: whether a model may be asked now. Pure: a frozen state, and the state after an attempt.

A circuit breaker: after `THRESHOLD` failures in a row that speak of the service itself (not of our request) the gate
shuts for a while; then one probe at a time may pass, and its success opens the gate again. Of two deadlines the later
one holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.errors import CallError, Overloaded, TimedOut, Unavailable

THRESHOLD = 5
SHUT_SECONDS = 30.0
PROBE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Gate:
    """State of one model's gate; times are seconds on the caller's monotonic clock."""

    failures: int = 0
    shut_until: float | None = None
    probing: bool = False

    def admits(self, now: float) -> bool:
        """Whether a request may pass: open, or the time has come for a probe and none is under way."""
        return self.shut_until is None or (now >= self.shut_until and not self.probing)

    def opens_in(self, now: float) -> float:
        """Seconds until it is worth asking again whether a request may pass."""
        return 0.0 if self.admits(now) else max((self.shut_until or 0.0) - now, PROBE_SECONDS)

    def entered(self, now: float) -> Gate:
        """The state while a request that was admitted is under way."""
        return self if self.shut_until is None else replace(self, probing=True)

    def after(self, error: CallError | None, now: float) -> Gate:
        """The state after an attempt."""
        if error is None or not isinstance(error, Overloaded | TimedOut | Unavailable):
            return OPEN
        failures = self.failures + 1
        if failures < THRESHOLD and self.shut_until is None:
            return replace(self, failures=failures)
        deadline = now + max(SHUT_SECONDS, error.retry_after or 0.0)
        return Gate(failures, max(deadline, self.shut_until or 0.0))


OPEN = Gate()
