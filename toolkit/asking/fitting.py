"""Fitting the requests of one run: the strategies decide, here they are given what they ask for.

In: a question and the model that it goes to. Out: the request in that model's format and window, and what was dropped.
What a strategy asks is a question of its own, at `<step>/fit`, answered out of the record or by asking, recorded and
charged like any other. Here is what is learnt on the way: how many tokens a model makes of a text, and how large its
window is by its own word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from toolkit.asking.questions import Plan, Question
from toolkit.context import OUTPUT_SHARE_TOKENS, CannotFit, Fitted, Room, Shortening
from toolkit.errors import CallError, ContextOverflow
from toolkit.fleet import Fleet
from toolkit.messages import Media, Message, Text
from toolkit.models import anthropic
from toolkit.models.passing import passed
from toolkit.models.spec import ModelSpec
from toolkit.models.tokenizers import tokenizer_of
from toolkit.policies import Retry
from toolkit.prompts.overflow import told_in
from toolkit.prompts.tokens import ESTIMATE, Counter, Estimate, prompt_tokens
from toolkit.records import Answer, Reply, Request, canonical, content_hash
from toolkit.routing import Fixed

Ask = Callable[[Question], Awaitable[Answer]]
PATIENT = Retry(2)
OWN_LIMITS = {"anthropic": anthropic.DEFAULT_LIMIT}
"""Tokens of output that a dialect asks for where nobody names a limit."""


async def unasked(question: Question) -> Answer:
    """The ask of whoever has nobody to ask."""
    raise CannotFit(f"the strategy {question.plan.label!r} wants to ask a model, and nobody is there to be asked")


class Fitter:
    """Fits requests for one run; `ask` answers the questions that a strategy has on the way.

    A `steady` one always fits the same alike: it learns nothing, and waits for no tokenizer.
    """

    def __init__(self, fleet: Fleet, ask: Ask = unasked, *, steady: bool = False) -> None:
        self._fleet = fleet
        self._ask = ask
        self._steady = steady
        self._estimates: dict[str, Estimate] = {}
        self._windows: dict[str, int] = {}

    async def fitted(
        self, question: Question, spec: ModelSpec, *, added: Sequence[Message] = (), shrink: float = 1.0
    ) -> Fitted:
        """The question's request as it goes out to this model, with `added` messages at its end, which stay whole.

        `shrink` is the share of the room that may be used. Raises CannotFit where it does not fit.
        """
        found = passed(question.request, spec)
        window = self._window(spec)
        if window is not None:
            counter = self.counter(spec)
            room = Room.of(window, _share(question.request, spec, window), counter, shrink=shrink)
            room = room.less(prompt_tokens(Request(tuple(added)), counter)) if added else room
            shorter = question.plan.fit.fit(found.request, room)
            found = found.then(shorter if isinstance(shorter, Fitted) else await self._driven(shorter, question))
        if added:
            request = replace(found.request, messages=(*found.request.messages, *added))
            found = replace(found, request=request)
        return found

    def counter(self, spec: ModelSpec) -> Counter:
        """Who counts the tokens of a model: its tokenizer, else the estimate as corrected so far."""
        return ESTIMATE if self._steady else tokenizer_of(spec) or self._estimates.get(spec.name, ESTIMATE)

    def heard(self, spec: ModelSpec, request: Request, outcome: Reply | CallError) -> None:
        """Learn from what came of a request: the tokens that it had, and the window that it was too long for."""
        if self._steady:
            return
        if isinstance(outcome, Reply):
            tokens = outcome.usage.input_tokens
        elif type(outcome) is ContextOverflow:
            told = told_in(str(outcome))
            tokens, window = told.tokens, told.window
            if window is None and self._window(spec) is None:  # then all that is known is that this was too long
                window = prompt_tokens(request, self.counter(spec)) + _share(request, spec, None)
            if window is not None:
                self._windows[spec.name] = min(window, self._window(spec) or window)
        else:
            return
        if tokens is not None and request.operation == "chat" and not _attached(request):
            known = self._estimates.get(spec.name, ESTIMATE)
            self._estimates[spec.name] = known.after(prompt_tokens(request, ESTIMATE), tokens)

    def _window(self, spec: ModelSpec) -> int | None:
        return self._windows.get(spec.name, spec.window)

    async def _driven(self, shortening: Shortening, question: Question) -> Fitted:
        """What a strategy that asks comes to."""
        try:
            model, wanted = next(shortening)
            while True:
                model, wanted = shortening.send(await self._reply(question, model, wanted))
        except StopIteration as stop:
            fitted: Fitted = stop.value
            return fitted

    async def _reply(self, question: Question, model: str, wanted: Request) -> Reply:
        """The answer to what a strategy asks. Its turn is a number made of its content, so that the same content has
        the same key, and so the same answer, at whatever turn of whatever row it is asked for."""
        turn = int(content_hash(wanted.canonical())[:7], 16)
        place = replace(question.place, step=f"{question.place.step}/fit", turn=turn, repeat=0)
        plan = Plan(Fixed(model), PATIENT, label=f"fit {self._fleet[model].identity}")
        answer = await self._ask(Question(place, wanted, plan))
        if answer.status != "answered":
            raise CannotFit(f"{model} was asked to help fit the prompt, and did not answer: {answer.reason}")
        if wanted.operation == "embeddings":
            vectors = [answer.value] if len(wanted.inputs) == 1 else answer.value
            return Reply(vectors=tuple(map(tuple, vectors)), value=answer.value)
        text = answer.value if isinstance(answer.value, str) else canonical(answer.value).decode()
        return Reply(parts=(Text(text),), value=answer.value)


def _share(request: Request, spec: ModelSpec, window: int | None) -> int:
    """Tokens of a window that are kept for the answer: what the request declares, else the model's own limit, up to
    half of the window."""
    if request.operation == "embeddings":
        return 0
    own = spec.max_output_tokens or OWN_LIMITS.get(spec.provider, OUTPUT_SHARE_TOKENS)
    return request.max_output_tokens or (own if window is None else min(own, max(1, window // 2)))


def _attached(request: Request) -> bool:
    """Whether there are attachments, of whose tokens a report cannot be told apart."""
    return any(isinstance(part, Media) for message in request.messages for part in message.parts)
