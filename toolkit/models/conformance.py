"""What every provider owes the engine, as laws that pytest collects; made for authors of plug-ins, and used on ours.

    class TestMine(ProviderConformance):
        def provider(self) -> Provider:
            return Mine(ModelSpec("mine", "mine", "mine-1"))

Nothing here needs pytest: each law is a method without arguments that raises an AssertionError saying what is broken.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_args

import orjson

from toolkit.errors import CallError
from toolkit.messages import Data, Media, Message, Part, Text, ToolCall, ToolResult, ToolSpec
from toolkit.models.spec import Provider
from toolkit.records import Reply, Request

T = TypeVar("T")
Outcome = Reply | CallError

TYPED = {"type": "object", "properties": {"intent": {"type": "string"}, "urgent": {"type": "boolean"}}}


def _told(*sections: tuple[str, str], **options: Any) -> Request:
    parts = tuple(Data(name, text, name) for name, text in sections)
    return Request(messages=(Message("system", (Text("Do it."),)), Message("user", parts)), **options)


def _said(*parts: Part, **options: Any) -> Request:
    return Request(messages=(Message("user", parts),), **options)


REQUESTS: Mapping[str, Request] = MappingProxyType(
    {
        "words": _told(("ticket", "Hi")),
        "typed": _told(("ticket", "Where is my parcel L-20568? It cost 79,00 €."), output_schema=TYPED),
        "typed oddly": _told(
            ("ticket", "x"), output_schema={"type": "object", "properties": {"zz": {"$ref": "#/$defs/no"}}}
        ),
        "typed as a list": _told(("ticket", "x"), output_schema={"type": "array"}),
        "many sections": _told(
            ("question", "How many?"), ("table", "create table"), ("today", "x"), ("query_id", "q1")
        ),
        "texts": Request(operation="embeddings", inputs=("one", "two")),
        "no texts": Request(operation="embeddings"),
        "nothing": Request(),
        "an empty message": _said(),
        "blank": _said(Text(" ")),
        "long": _told(("ticket", "parcel late " * 2000), output_schema=TYPED),
        "any script": _told(("ticket", "Où est 📦? 荷物はどこ \x00 \u202e"), output_schema=TYPED),
        "half a character": _said(Text("\ud800")),
        "attachment": _said(Media("image/png", "aGk=")),
        "tools": _said(Text("Find it."), tools=(ToolSpec("find", "finds", {"type": "object", "properties": {}}),)),
        "a tool's result": Request(
            messages=(
                Message("user", (Text("Find it."),)),
                Message("assistant", (ToolCall("1", "find", {}),)),
                Message("tool", (ToolResult("1", "find", "x", is_error=True),)),
            ),
            tools=(ToolSpec("find", "finds"),),
        ),
        "every option": _told(("ticket", "Hi"), max_output_tokens=1, temperature=0.0, seed=7),
    }
)
"""Requests as workflows make them, and the oddest that they can make."""


class ProviderConformance:
    """Subclass it under a name that pytest collects, and say how the provider is made.

    `requests` are what it is asked, `seconds` is the longest that one answer may take.
    """

    requests: ClassVar[Mapping[str, Request]] = REQUESTS
    seconds: ClassVar[float] = 60.0

    def provider(self) -> Provider:
        """A new provider, ready to send."""
        raise NotImplementedError("say how the provider is made: def provider(self) -> Provider")

    # -------------------------------------------------------------------------------------------------------- the laws
    def test_whatever_is_asked_it_gives_a_reply_or_a_call_error(self) -> None:
        """Nothing else may escape; what cannot be served is a CallError that says why."""
        for name, outcome in self._outcomes().items():
            if isinstance(outcome, CallError):
                owed(bool(str(outcome).strip()), f"{name}: the {type(outcome).__name__} says nothing")
                wait = outcome.retry_after
                owed(wait is None or (math.isfinite(wait) and wait >= 0), f"{name}: retry_after is {wait}")

    def test_what_a_reply_holds_is_of_its_kind(self) -> None:
        """Parts are parts, vectors are finite and as many as the texts, and all of it can be recorded."""
        for name, reply in self._replies().items():
            owed(all(isinstance(part, get_args(Part)) for part in reply.parts), f"{name}: odd parts: {reply.parts!r}")
            owed(all(isinstance(word, str) for word in reply.finish_reasons), f"{name}: {reply.finish_reasons!r}")
            owed(len(reply.vectors) in (0, len(self.requests[name].inputs)), f"{name}: a vector for each text, or none")
            owed(len({len(vector) for vector in reply.vectors}) <= 1, f"{name}: vectors of several lengths")
            owed(
                all(math.isfinite(number) for vector in reply.vectors for number in vector),
                f"{name}: a vector with NaN or infinity",
            )
            reply.text.encode()
            orjson.dumps(reply)

    def test_what_a_reply_counts_adds_up(self) -> None:
        """Unknown is None, never 0 in its place; cached and reasoning tokens are parts of input and output."""
        for name, reply in self._replies().items():
            usage = reply.usage
            counts = [getattr(usage, field) for field in usage.__slots__]
            for count in counts:
                owed(count is None or (type(count) is int and count >= 0), f"{name}: {count!r} is no number of tokens")
            for whole, *parts in (
                (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_write_input_tokens),
                (usage.output_tokens, usage.reasoning_output_tokens),
            ):
                owed(whole is None or sum(part or 0 for part in parts) <= whole, f"{name}: parts over {whole}: {usage}")
            for told, most in ((reply.confidence, 1.0), (reply.cost_usd, math.inf), (reply.service_seconds, math.inf)):
                known = told is None or (math.isfinite(told) and 0 <= told <= most)
                owed(known, f"{name}: confidence, cost_usd or service_seconds is {told!r}")

    def test_many_may_ask_at_once(self) -> None:
        """The engine has as many calls in flight as `concurrency` says, all through one provider."""

        async def asked(provider: Provider) -> dict[str, list[Outcome]]:
            several = [self._outcome(provider, request) for request in self.requests.values() for _ in range(3)]
            found = await asyncio.gather(*several)
            return {name: found[3 * at : 3 * at + 3] for at, name in enumerate(self.requests)}

        alone = self._replies()
        for name, outcomes in self._with_provider(asked).items():
            for outcome in outcomes:
                if name in alone and isinstance(outcome, Reply):
                    as_alone = len(outcome.vectors) == len(alone[name].vectors)
                    owed(as_alone, f"{name}: asked beside others, it got the vectors of somebody else")

    def test_a_cancelled_call_is_cancelled_and_the_next_one_answered(self) -> None:
        """A run that is stopped cancels what is under way: that is nobody's failure, and harms no other call."""

        async def asked(provider: Provider) -> None:
            for request in self.requests.values():
                task = asyncio.ensure_future(provider.send(request))
                await asyncio.sleep(0)
                if not task.cancel():
                    await asyncio.wait([task])
                    continue
                await asyncio.wait([task], timeout=self.seconds)
                owed(task.done(), "a cancelled call goes on")
                owed(task.cancelled(), f"a cancelled call ended otherwise: {task.cancelled() or task.exception()!r}")
            await self._outcome(provider, next(iter(self.requests.values())))

        self._with_provider(asked)

    def test_a_request_is_left_as_it_was(self) -> None:
        """It is recorded after it was sent, and may go to another model next."""

        async def asked(provider: Provider) -> None:
            for name, request in self.requests.items():
                before = repr(request)
                await self._outcome(provider, request)
                owed(repr(request) == before, f"{name}: the request was changed")

        self._with_provider(asked)

    def test_it_closes_quietly_unused_and_twice(self) -> None:
        """Each run closes what it opened, whether it was asked or not."""

        async def asked(provider: Provider) -> None:
            await provider.close()

        self._with_provider(asked)

    # --------------------------------------------------------------------------------------------------------- helpers
    def _outcomes(self) -> dict[str, Outcome]:
        """What comes of each request, one after another."""

        async def asked(provider: Provider) -> dict[str, Outcome]:
            return {name: await self._outcome(provider, request) for name, request in self.requests.items()}

        return self._with_provider(asked)

    def _replies(self) -> dict[str, Reply]:
        return {name: outcome for name, outcome in self._outcomes().items() if isinstance(outcome, Reply)}

    async def _outcome(self, provider: Provider, request: Request) -> Outcome:
        try:
            async with asyncio.timeout(self.seconds):
                reply = await provider.send(request)
        except CallError as error:
            return error
        except TimeoutError:
            raise AssertionError(f"no answer within {self.seconds:g} s to {request!r:.200}") from None
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} escaped ({error}) from {request!r:.200}") from error
        owed(isinstance(reply, Reply), f"gave a {type(reply).__name__} and no Reply to {request!r:.200}")
        return reply

    def _with_provider(self, asked: Callable[[Provider], Coroutine[Any, Any, T]]) -> T:
        """What `asked` gives, in an event loop of its own, with a provider that is closed afterwards."""

        async def go() -> T:
            provider = self.provider()
            try:
                return await asked(provider)
            finally:
                await provider.close()

        return asyncio.run(go())


def owed(kept: bool, words: str) -> None:
    """Raise an AssertionError in these words where a promise is not kept."""
    if not kept:
        raise AssertionError(words)
