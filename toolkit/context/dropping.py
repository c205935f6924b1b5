"""`DropOldest`: a conversation forgets its oldest turns first."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.context.exchanges import old_exchanges, without
from toolkit.context.fit import Fit, Fitted
from toolkit.context.room import Room
from toolkit.prompts.tokens import prompt_tokens
from toolkit.records import Request


@dataclass(frozen=True)
class DropOldest(Fit):
    """Drop the oldest exchanges, as many as it takes; never a system message, never the last `keep` exchanges.

    An exchange is what the user says, and all up to what the user says next, so that a tool's call goes with its
    result and the roles that are left still alternate.
    """

    keep: int = 1

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"DropOldest: keep must be 1 or more, for the last turn is the question; not {self.keep}")

    def shorten(self, request: Request, room: Room) -> Fitted:
        excess = room.taken(request) - room.tokens
        gone = []
        for exchange in old_exchanges(request.messages, self.keep):
            if excess <= 0:
                break
            gone.append(exchange)
            excess -= prompt_tokens(Request(exchange.messages), room.counter)
        return Fitted(without(request, gone), tuple(exchange.dropped("dropped as oldest") for exchange in gone))

    def smallest(self, request: Request) -> Request:
        return without(request, old_exchanges(request.messages, self.keep))

    def __repr__(self) -> str:
        return "DropOldest()" if self.keep == 1 else f"DropOldest(keep={self.keep})"
