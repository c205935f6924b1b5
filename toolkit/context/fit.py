"""What a fitting strategy is (`Fit`), what it gives (`Fitted`), and two that need nothing else: `Keep` and `Joined`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from toolkit.context.room import Room
from toolkit.errors import ContextOverflow
from toolkit.prompts.tokens import Counter, window_tokens
from toolkit.records import Dropped, Reply, Request


class CannotFit(ContextOverflow):
    """The strategy cannot make the prompt as small as the window wants it; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A request as it may go out, and what of it does not."""

    request: Request
    dropped: tuple[Dropped, ...] = ()

    def then(self, later: Fitted) -> Fitted:
        """What came of fitting this one further."""
        return Fitted(later.request, (*self.dropped, *later.dropped))


Shortening = Generator[tuple[str, Request], Reply, Fitted]
"""A strategy that must ask yields (model, request) and is sent the reply; the loop sends, records and charges it."""


class Fit:
    """Base of fitting strategies: frozen dataclasses with two methods, `shorten` and `smallest`; joined by `|`."""

    def shorten(self, request: Request, room: Room) -> Fitted | Shortening:
        """A request that does not fit, brought as near to the room as this strategy can."""
        raise NotImplementedError

    def smallest(self, request: Request) -> Request:
        """The smallest that this strategy can make of a request: what routers hold against windows."""
        return request

    def least_tokens(self, request: Request, counter: Counter) -> int:
        """The tokens of a window that it takes at least."""
        smallest = self.smallest(request)
        tokens = window_tokens(request, counter)
        return tokens if smallest is request else min(tokens, window_tokens(smallest, counter))

    def names(self) -> tuple[str, ...]:
        """The models that it may ask."""
        return ()

    def fit(self, request: Request, room: Room) -> Fitted | Shortening:
        """A request that fits, the very same where it did. Raises CannotFit, at once or from the generator."""
        if room.holds(request):
            return Fitted(request)
        shorter = self.shorten(request, room)
        return self._held(shorter, room) if isinstance(shorter, Fitted) else self._held_later(shorter, room)

    def __or__(self, other: Fit) -> Fit:
        return Joined((*_parts(self), *_parts(other)))

    def _held(self, fitted: Fitted, room: Room) -> Fitted:
        if room.holds(fitted.request):
            return fitted
        raise CannotFit(
            f"the prompt has about {room.taken(fitted.request):,} tokens after {self!r}, there is room for "
            f"{room.tokens:,}; declare fit=… on the step (CutMiddle(), DropOldest(), Retrieve(), "
            "Summarise('small'), or several joined by |), or route to a larger window"
        )

    def _held_later(self, shortening: Shortening, room: Room) -> Shortening:
        return self._held((yield from shortening), room)


@dataclass(frozen=True)
class Keep(Fit):
    """Drop nothing: a prompt that is too long is an error, and routers leave out models it does not fit."""

    def shorten(self, request: Request, room: Room) -> Fitted:
        return Fitted(request)


@dataclass(frozen=True)
class Joined(Fit):
    """Strategies in turn, until it fits."""

    parts: tuple[Fit, ...]

    def shorten(self, request: Request, room: Room) -> Fitted | Shortening:
        return _in_turn(self.parts, Fitted(request), room)

    def smallest(self, request: Request) -> Request:
        for part in self.parts:
            request = part.smallest(request)
        return request

    def names(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.names())

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.parts))


def _in_turn(parts: Sequence[Fit], fitted: Fitted, room: Room) -> Fitted | Shortening:
    for place, part in enumerate(parts):
        if room.holds(fitted.request):
            break
        shorter = part.shorten(fitted.request, room)
        if not isinstance(shorter, Fitted):
            return _asking(shorter, parts[place + 1 :], fitted, room)
        fitted = fitted.then(shorter)
    return fitted


def _asking(shortening: Shortening, rest: Sequence[Fit], fitted: Fitted, room: Room) -> Shortening:
    found = _in_turn(rest, fitted.then((yield from shortening)), room)
    return found if isinstance(found, Fitted) else (yield from found)


def _parts(fit: Fit) -> tuple[Fit, ...]:
    return fit.parts if isinstance(fit, Joined) else (fit,)
