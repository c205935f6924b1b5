"""Many requests for vectors become few calls. In: requests as they come. Out: a call's result for each of them.

    request ─┐                         ┌─▶ its vectors, its share of the tokens
    request ─┼─▶ gathered ─▶ one call ─┼─▶ …
    request ─┘                         └─▶ …

Requests are gathered while more keep coming, for a few milliseconds each; while another call is under way for a tenth
of a second, and while one waits to be let in until it is. A full call goes at once. Where a call fails by what was
asked, its requests are asked again by halves, so that one bad text does not fail the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from toolkit.errors import CallError, ContentFiltered, ContextOverflow, InvalidRequest, InvalidResponse
from toolkit.records import Reply, Request, Usage, new_id

GATHER_SECONDS = 0.005
LONGEST_SECONDS = 0.1
MOST_BYTES = 256 * 1024
OF_THE_REQUEST = (ContentFiltered, ContextOverflow, InvalidRequest, InvalidResponse)


@dataclass(frozen=True, slots=True)
class Call:
    """What came of a call: either a reply or an error, and when it was let in and had ended, by the caller's clock."""

    opened: float
    finished: float
    reply: Reply | None = None
    error: CallError | None = None


Calling = Callable[[Request, Callable[[], None]], Coroutine[Any, Any, Call]]
"""Makes a call; tells when it was let in."""


# ---------------------------------------------------------------------------------------------------------------- pure
def gathered(requests: Sequence[Request]) -> Request:
    """One request for all these texts."""
    return replace(requests[0], inputs=tuple(text for request in requests for text in request.inputs))


def parted(reply: Reply, requests: Sequence[Request]) -> list[Reply]:
    """The reply to each of the requests that were gathered: its vectors, and its share of tokens and cost.

    Tokens are shared out by the bytes of the texts, and cached ones by the tokens; the parts add up to the whole.
    `response_id` is that of the call, or one of our own, so that calls can be counted.
    """
    if len(requests) == 1:
        return [reply]
    weights = [max(1, _size(request)) for request in requests]
    usages = _usages(reply.usage, weights)
    costs = [None if reply.cost_usd is None else reply.cost_usd * weight / sum(weights) for weight in weights]
    ends = list(accumulate(len(request.inputs) for request in requests))
    call_id = reply.response_id or f"call-{new_id()}"
    return [
        replace(reply, vectors=reply.vectors[end - len(request.inputs) : end], usage=usage, cost_usd=cost,
                response_id=call_id)
        for request, end, usage, cost in zip(requests, ends, usages, costs, strict=True)
    ]  # fmt: skip


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number in parts by weight, none of them off by one or more, that add up to it (largest remainders)."""
    whole = sum(weights) or 1
    parts = [total * weight // whole for weight in weights]
    largest = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in largest[: total - sum(parts)]:
        parts[place] += 1
    return parts


def _usages(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    def shared(tokens: int | None, by: Sequence[int]) -> Sequence[int | None]:
        return [None] * len(weights) if tokens is None else shares(tokens, by)

    entered = shared(usage.input_tokens, weights)
    left = shared(usage.output_tokens, weights)
    columns = (
        entered,
        left,
        shared(usage.cache_read_input_tokens, _known(entered, weights)),
        shared(usage.cache_write_input_tokens, _known(entered, weights)),
        shared(usage.reasoning_output_tokens, _known(left, weights)),
    )
    return [Usage(*parts) for parts in zip(*columns, strict=True)]


def _known(tokens: Sequence[int | None], weights: Sequence[int]) -> Sequence[int]:
    return [weight if part is None else part for part, weight in zip(tokens, weights, strict=True)]


def _size(request: Request) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in request.inputs)


# -------------------------------------------------------------------------------------------------------------- acting
@dataclass(slots=True, eq=False)
class _Asked:
    request: Request
    alike: bytes
    size: int
    let_in: Callable[[], None]
    done: asyncio.Future[Call]


class Coalescer:
    """Gathers the requests to one model, up to `most` texts a call."""

    def __init__(self, calling: Calling, *, most: int, seconds: float = GATHER_SECONDS) -> None:
        self._calling = calling
        self._most = most
        self._seconds = seconds
        self._asked: list[_Asked] = []
        self._first_at = self._last_at = 0.0
        self._outside = 0
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def call(self, request: Request, let_in: Callable[[], None] = lambda: None) -> Call:
        """What came of the call that this request was part of; `let_in` hears when that passed the door.

        Raises whatever the calling raised.
        """
        loop = asyncio.get_running_loop()
        alike = replace(request, inputs=()).canonical()
        asked = _Asked(request, alike, _size(request), let_in, loop.create_future())
        self._last_at = loop.time()
        if not self._asked:
            self._first_at = self._last_at
        self._asked.append(asked)
        if self._is_full():
            self._send()
        elif self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)
        return await asked.done

    def _is_full(self) -> bool:
        texts = sum(len(asked.request.inputs) for asked in self._asked)
        return texts >= self._most or sum(asked.size for asked in self._asked) >= MOST_BYTES

    def _look(self) -> None:
        """Send what was gathered, or go on gathering while more keep coming."""
        self._timer = None
        loop = asyncio.get_running_loop()
        if not self._asked or self._outside:
            return  # whoever is let in looks again
        due = self._first_at + LONGEST_SECONDS
        if not self._calls:
            due = min(due, self._last_at + self._seconds)
        if loop.time() < due:
            self._timer = loop.call_at(due, self._look)
        else:
            self._send()

    def _send(self) -> None:
        """One call with those in front that go together."""
        asked, size, texts = self._asked[:1], self._asked[0].size, len(self._asked[0].request.inputs)
        for other in self._asked[1:]:
            size, texts = size + other.size, texts + len(other.request.inputs)
            if texts > self._most or size > MOST_BYTES or other.alike != asked[0].alike:
                break
            asked.append(other)
        del self._asked[: len(asked)]
        self._first_at = asyncio.get_running_loop().time()
        self._begin([one for one in asked if not one.done.done()])
        if self._asked:
            self._look_soon()

    def _look_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def _begin(self, asked: list[_Asked]) -> None:
        if not asked:
            return
        task = asyncio.get_running_loop().create_task(self._carry(asked))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        waiting = len(asked)

        def left(one: asyncio.Future[Call]) -> None:
            nonlocal waiting
            waiting -= one.cancelled()
            if not waiting:
                task.cancel()

        for one in asked:
            one.done.add_done_callback(left)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if self._asked and not self._calls:
            self._look_soon()

    async def _carry(self, asked: list[_Asked]) -> None:
        """Make the call and give each its part; by halves where it failed by what was asked."""
        outside = True
        self._outside += 1

        def inside() -> None:
            nonlocal outside
            if outside:
                outside = False
                self._outside -= 1
                if self._asked:
                    self._look_soon()

        def let_in() -> None:
            inside()
            for one in asked:
                one.let_in()

        requests = [one.request for one in asked]
        try:
            call = _checked(await self._calling(gathered(requests), let_in), requests)
        except BaseException as error:
            for one in asked:
                _fail(one.done, error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        finally:
            inside()
        if isinstance(call.error, OF_THE_REQUEST) and len(asked) > 1:
            half = len(asked) // 2
            self._begin([one for one in asked[:half] if not one.done.done()])
            self._begin([one for one in asked[half:] if not one.done.done()])
            return
        replies = [None] * len(asked) if call.reply is None else parted(call.reply, requests)
        for one, reply in zip(asked, replies, strict=True):
            if not one.done.done():
                one.done.set_result(replace(call, reply=reply))


def _checked(call: Call, requests: Sequence[Request]) -> Call:
    """The call; an error where there are not as many vectors as texts, as nobody could tell whose is whose."""
    texts = sum(len(request.inputs) for request in requests)
    if call.reply is None or len(call.reply.vectors) == texts:
        return call
    error = InvalidResponse(f"{texts} texts went in, {len(call.reply.vectors)} vectors came out")
    return replace(call, reply=None, error=error)


def _fail(done: asyncio.Future[Call], error: BaseException) -> None:
    if done.done():
        return
    if isinstance(error, asyncio.CancelledError):
        done.cancel()
    else:
        done.set_exception(error)
