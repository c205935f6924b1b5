"""A generator step: it yields a request, or a list of them, and is sent the reply, or the list of replies.

Only its last word is read as the step's output; what it asks on the way is free text unless the request says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from toolkit.errors import StepError, ToolkitError
from toolkit.graph.calling import are_requests, raised, together
from toolkit.graph.work import Work
from toolkit.messages import Text
from toolkit.records import Answer, Reply, Request, canonical

AskTurn = Callable[[Request, int], Awaitable[Answer]]
"""Asks a request as so many turns of a step's go, from 1."""


async def driven(work: Work, turns: Generator[Any, Any, Any], ask: AskTurn) -> Any:
    """What the generator returns in the end; an `Answer` where one of its requests has none.

    Raises StepError where it raised, or yielded no request.
    """
    turn, sent = 0, None
    while True:
        try:
            wanted = turns.send(sent)
        except StopIteration as stop:
            return stop.value
        except ToolkitError:
            raise
        except (Exception, SystemExit) as error:
            raise raised(work.step, error) from error
        if not isinstance(wanted, Request) and not are_requests(wanted) and wanted != []:
            kind = type(wanted).__name__
            raise StepError(f"step {work.step.name!r} yielded a {kind}; it may yield a request or a list of requests")
        requests = [wanted] if isinstance(wanted, Request) else list(wanted)
        asked = await together(_asked(ask, request, turn) for turn, request in enumerate(requests, start=turn + 1))
        turn += len(requests)
        if (bad := next((answer for answer in asked if answer.status != "answered"), None)) is not None:
            turns.close()
            return work.unanswered(bad)
        replies = [_reply(request, answer) for request, answer in zip(requests, asked, strict=True)]
        sent = replies[0] if isinstance(wanted, Request) else replies


async def _asked(ask: AskTurn, request: Request, turn: int) -> Answer:
    return await ask(request, turn)


def _reply(request: Request, answer: Answer) -> Reply:
    """What a generator step is sent: the recorded answer as a reply."""
    if request.operation == "embeddings":
        vectors = [answer.value] if len(request.inputs) == 1 else answer.value
        return Reply(vectors=tuple(tuple(vector) for vector in vectors), value=answer.value)
    text = answer.value if isinstance(answer.value, str) else canonical(answer.value).decode()
    return Reply(parts=(Text(text),), value=answer.value)
