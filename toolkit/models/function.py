"""A function as a model: users' own code, and tests."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import orjson

from toolkit.errors import CallError, Unavailable
from toolkit.messages import Text
from toolkit.records import Json, Reply, Request, Usage

Answering = Callable[[Request], "Json | Reply | Awaitable[Json | Reply]"]


class FunctionModel:
    """Calls `function(request)`, which returns text, a Reply, or any JSON value (sent on as its text).

    An exception that is no CallError counts as the model being unavailable, and is recorded as such.
    """

    def __init__(self, function: Answering) -> None:
        self.function = function

    async def send(self, request: Request) -> Reply:
        try:
            answer = self.function(request)
            if inspect.isawaitable(answer):
                answer = await answer
            reply = answer if isinstance(answer, Reply) else text_reply(request, answer)
            reply.text.encode()  # half a character could not go on record
            return reply
        except CallError:
            raise
        except Exception as error:
            raise Unavailable(f"the function raised {type(error).__name__}: {error}") from error

    async def close(self) -> None:
        return None


def text_reply(request: Request, answer: Json, *, confidence: float | None = None, model: str | None = None) -> Reply:
    """A reply that says `answer` (text as it is, anything else as JSON); token counts are estimates."""
    text = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
    return Reply(
        parts=(Text(text),),
        usage=Usage(estimated_tokens(request.text), estimated_tokens(text)),
        finish_reasons=("stop",),
        response_model=model,
        confidence=confidence,
    )


def estimated_tokens(text: str) -> int:
    """About four bytes of UTF-8 to a token; at least one."""
    return max(1, (len(text.encode()) + 3) // 4)
