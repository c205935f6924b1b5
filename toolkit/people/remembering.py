"""What of a conversation goes into the next prompt: at most what fits the largest window of those who may answer.

In: a turn's question with all that was said before. Out: the question as it is asked, and how many messages it leaves
out. Whoever answers in the end may have a smaller window, and is given less; what no window holds is not even rendered,
so that a turn costs the same however long the conversation is. The same messages always give the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolkit.asking.fitting import Fitter
from toolkit.asking.questions import Question
from toolkit.context import CannotFit
from toolkit.ledger.documents import CHUNK
from toolkit.messages import Message
from toolkit.models.spec import ModelSpec
from toolkit.records import Request

SHARE = 0.85
"""The share of the largest window that is used: estimates of tokens differ a little from turn to turn."""
FEW_CHUNKS = 4


async def remembered(question: Question, models: Sequence[ModelSpec], *, fitter: Fitter) -> tuple[Question, int]:
    """The question with what is remembered. `fitter` must not have learnt anything, or a resumed turn would differ."""
    largest = _largest(models)
    if largest is None:
        return question, 0
    try:
        fitted = (await fitter.fitted(question, largest, shrink=SHARE)).request
    except CannotFit:  # nobody can answer this one, and whoever is tried will say so
        return question, 0
    if fitted is question.request:
        return question, 0
    kept = in_blocks(question.request, fitted)
    left_out = sum(all(message is not other for other in kept.messages) for message in question.request.messages)
    return replace(question, request=kept), left_out


def in_blocks(whole: Request, fitted: Request) -> Request:
    """Where the oldest messages went, so many more that they are whole chunks of the record.

    What is left then stays at the same place of its chunk from turn to turn, so that the record keeps it once.
    """
    said, kept = (_said(request.messages) for request in (whole, fitted))
    gone = len(said) - len(kept)
    more = -gone % CHUNK
    if (
        gone <= 0
        or len(kept) - more < FEW_CHUNKS * CHUNK
        or any(a is not b for a, b in zip(said[gone:], kept, strict=True))
    ):
        return fitted
    left = {id(message) for message in kept[more:]}
    messages = tuple(m for m in fitted.messages if m.role == "system" or id(m) in left)
    return replace(fitted, messages=messages)


def _said(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if message.role != "system"]


def _largest(models: Sequence[ModelSpec]) -> ModelSpec | None:
    """The model with the largest window; None where one has no bound."""
    asked = [spec for spec in models if not spec.is_person]
    if not asked or any(spec.window is None for spec in asked):
        return None
    return max(asked, key=lambda spec: spec.window or 0)
