"""How many calls may be under way at once. In: how many of a round of answers were refusals. Out: the limit.

A limit shrinks by half the share of refusals (429, 503, 529), all of them halve it, and grows by one call a round: the
control of DCTCP (Alizadeh et al., "Data Center TCP", 2010). Halving at a single refusal, as TCP does, would leave a
model that refuses one call in ten with a handful of calls where it takes dozens.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import CallError, Overloaded, RateLimited

HOLDS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """A round: the answers since the limit was last looked at, how many of them refused, the most calls at once."""

    answers: int = 0
    refused: int = 0
    peak: int = 0

    def after(self, error: CallError | None, *, in_flight: int) -> Window:
        refused = isinstance(error, RateLimited | Overloaded)
        return Window(self.answers + 1, self.refused + refused, max(self.peak, in_flight))


@dataclass(frozen=True, slots=True)
class Load:
    """A process's limit, None for what the model's `concurrency` says, and when it last changed."""

    limit: float | None = None
    changed_at: float = 0.0

    def calls(self, most: int) -> int:
        """How many calls may be under way where `most` is the model's own bound."""
        return most if self.limit is None else max(1, min(most, int(self.limit)))

    def is_over(self, window: Window, *, most: int) -> bool:
        """Whether that was a whole round: as many answers as calls were under way at once."""
        return window.answers >= max(1, min(self.calls(most), window.peak))

    def after(self, window: Window, *, most: int, now: float) -> Load:
        """The load after a whole round."""
        allowed = float(most) if self.limit is None else self.limit
        share = window.refused / window.answers
        limit = min(allowed, window.peak) * (1 - share / 2) if share else allowed
        if share < 0.5 and window.peak >= int(allowed):
            limit += 1
        if limit >= most or (share == 0.0 and self.limit is None):
            return self if self.limit is None else Load(None, now)
        return Load(max(1.0, limit), now)

    def met(self, other: Load, *, now: float) -> Load:
        """This process's load where another's word is newer.

        Who knows nothing takes it, who has a limit meets it half way, and what is a minute old says nothing any more.
        """
        if other.limit is None or other.changed_at <= self.changed_at or now - other.changed_at > HOLDS_SECONDS:
            return self.held(now)
        limit = other.limit if self.limit is None else (self.limit + other.limit) / 2
        return Load(limit, other.changed_at)

    def held(self, now: float) -> Load:
        """The load now: a limit that nothing confirmed or changed for a minute is none."""
        return FREE if self.limit is not None and now - self.changed_at > HOLDS_SECONDS else self


FREE = Load()
