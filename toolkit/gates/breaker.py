"""A circuit breaker. In: how attempts ended. Out: whether the next may pass.

After `THRESHOLD` failures in a row that speak of the service itself (not of our request) it shuts for a while; then one
probe at a time may pass, and its success opens it again. Of two deadlines the later one holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.errors import CallError, Overloaded, TimedOut, Unavailable

THRESHOLD = 5
SHUT_SECONDS = 30.0
MOST_SECONDS = 3600.0
"""However long a service says that it will be gone: its clock may be wrong."""
PROBE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one; times are seconds on the caller's clock.

    A probe is under way until its outcome is known, at the latest until `probe_until`: whoever made it may be dead.
    """

    failures: int = 0
    shut_until: float | None = None
    probe_until: float | None = None

    @property
    def is_shut(self) -> bool:
        """Whether nothing but a probe may pass, if that."""
        return self.shut_until is not None

    def admits(self, now: float) -> bool:
        """Whether a request may pass: open, or the time has come for a probe and none is under way."""
        if self.shut_until is None:
            return True
        return now >= self.shut_until and (self.probe_until is None or now >= self.probe_until)

    def opens_in(self, now: float) -> float:
        """Seconds until it is worth asking again whether a request may pass."""
        return 0.0 if self.admits(now) else max((self.shut_until or 0.0) - now, PROBE_SECONDS)

    def probed(self, until: float) -> Breaker:
        """The state while a probe is under way."""
        return replace(self, probe_until=until)

    def shut(self, until: float) -> Breaker:
        """Shut until then, or longer where it is already."""
        return replace(self, shut_until=max(until, self.shut_until or until))

    def released(self) -> Breaker:
        """The state when a probe was broken off: another may be made."""
        return replace(self, probe_until=None)

    def told(self, word: Breaker, *, probe: bool) -> Breaker:
        """What all know once one gave its word, which may be that of the probe: of two deadlines the later one."""
        if not word.is_shut:
            return OPEN
        shut = replace(self, failures=word.failures, probe_until=None if probe else self.probe_until)
        return shut.shut(word.shut_until or 0.0)

    def after(self, error: CallError | None, now: float, *, probe: bool = False) -> Breaker:
        """The state after an attempt that passed, as a probe or not; any answer at all opens."""
        if not isinstance(error, Overloaded | TimedOut | Unavailable):
            return OPEN
        failed = replace(self, failures=self.failures + 1, probe_until=None if probe else self.probe_until)
        if failed.failures < THRESHOLD and not self.is_shut:
            return failed
        return failed.shut(now + max(SHUT_SECONDS, min(error.retry_after or 0.0, MOST_SECONDS)))


OPEN = Breaker()
