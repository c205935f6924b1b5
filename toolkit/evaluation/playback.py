"""A fleet that plays back what its members answered before, request by request; nothing else of it is changed.

    Fleet + history ─▶ Playback: the same members, whose answers come from the record

What is not on record raises `NotOnRecord`, which ends the step: no policy may act on it, as the model was never asked.
Where missing answers are to be asked for, the real member is, and its answer is on the record of the run that asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from toolkit.errors import CallError, StepError
from toolkit.evaluation.requests import PARTS
from toolkit.fleet import Fleet
from toolkit.ledger import History
from toolkit.ledger.views import evaluations
from toolkit.messages import Part, Text
from toolkit.models.spec import ModelSpec, Provider
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens
from toolkit.records import Reply, Request, Usage, content_hash

MARK = "is not on record"
LIMITS: Mapping[str, Any] = {"requests_per_minute": None, "tokens_per_minute": None, "key_env": None, "endpoint": None}
"""What holds a member back, or tells where it is; a member that is played back is neither asked nor held back."""
OUTPUT_TOKENS = 256

Asked = tuple[str, str]
"""A model's name, and the hash of the request as it was sent."""


class NotOnRecord(StepError):
    """A model was to be asked what nobody asked it before."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: a reply, or the error that stood in its place."""

    reply: Reply | None
    error: CallError | None = None


@dataclass
class Played:
    """What happened while playing: how often an answer was on record, and what was missing, with its price."""

    outcomes: Mapping[Asked, Sequence[Outcome]]
    reused: int = 0
    missing: dict[Asked, float | None] = field(default_factory=dict)
    turns: Counter[Asked] = field(default_factory=Counter)

    def next(self, asked: Asked) -> Outcome | None:
        """The answer to this request; to the same request again the one after it, then the last once more."""
        known = self.outcomes.get(asked)
        if not known:
            return None
        turn = self.turns[asked]
        self.turns[asked] += 1
        self.reused += 1
        return known[min(turn, len(known) - 1)]


@dataclass(frozen=True)
class Playback(Fleet):
    """A fleet whose members answer out of `played`; with `real`, what is missing is asked of that fleet."""

    played: Played = field(default_factory=lambda: Played({}))
    real: Fleet | None = None

    @classmethod
    def over(cls, fleet: Fleet, played: Played, *, ask_missing: bool = False) -> Playback:
        """The members of a fleet, played back. Persons stay who they are: their rows are parked."""
        known = {each.name for each in fields(ModelSpec)}
        limits: dict[str, Any] = {name: value for name, value in LIMITS.items() if name in known and not ask_missing}
        specs = {name: spec if spec.is_person else replace(spec, **limits) for name, spec in _priced(fleet).items()}
        return cls(specs, fleet.functions, fleet.overrides, played=played, real=fleet if ask_missing else None)

    def open(self, name: str) -> Provider:
        if self[name].is_person:
            return super().open(name)
        return _Player(name, self)


class _Player:
    """One member of a playback."""

    def __init__(self, name: str, playback: Playback) -> None:
        self.name = name
        self._playback = playback
        self._real: Provider | None = None

    async def send(self, request: Request) -> Reply:
        played = self._playback.played
        asked = (self.name, content_hash(request.canonical()))
        outcome = played.next(asked)
        if outcome is None:
            price = self._playback.facts[self.name].price
            output_tokens = 0 if request.operation == "embeddings" else request.max_output_tokens or OUTPUT_TOKENS
            tokens = prompt_tokens(request, ESTIMATE)
            played.missing.setdefault(asked, None if price is None else price.expected(tokens, output_tokens))
            return await self._asked(request)
        if outcome.error is not None:
            raise outcome.error
        assert outcome.reply is not None
        return outcome.reply

    async def close(self) -> None:
        if self._real is not None:
            await self._real.close()

    async def _asked(self, request: Request) -> Reply:
        if self._playback.real is None:
            raise NotOnRecord(f"the answer of {self.name} to this request {MARK}")
        if self._real is None:
            self._real = self._playback.real.open(self.name)
        return await self._real.send(request)


def outcomes_of(history: History, run_id: str) -> dict[Asked, list[Outcome]]:
    """All that models answered, by model and request. Of a request that was answered in the end, errors that passed are
    left out: they say nothing about the answer."""
    found: dict[Asked, list[Outcome]] = {}
    for row in history.sql(evaluations.PLAYED, {"run": run_id}).rows:
        outcome = _outcome(row[2:])
        if outcome is not None:
            found.setdefault((row[0], row[1]), []).append(outcome)
    return {asked: [each for each in known if each.reply] or known[-1:] for asked, known in found.items()}


# ----------------------------------------------------------------------------------------------------------- helpers
def _priced(fleet: Fleet) -> dict[str, ModelSpec]:
    """The specs with the prices of today written in, so that they hold without the endpoint that tells the provider."""
    book = fleet.prices
    return {name: spec if spec.price else replace(spec, price=book.price(name)) for name, spec in fleet.specs.items()}


def _outcome(told: Sequence[Any]) -> Outcome | None:
    """None where the words were not kept."""
    (operation, output, vectors, finish_reasons, response_model, response_id, confidence, cost_usd, seconds,
     entered, left, read, written, reasoned, error_type, error_message, score) = told  # fmt: skip
    if finish_reasons is None and error_type is not None:
        return Outcome(None, ERRORS.get(error_type, CallError)(error_message or error_type))
    if operation == "embeddings":
        if vectors is None:
            return None
        value = orjson.loads(vectors)
        given = tuple(map(tuple, value if value and isinstance(value[0], list) else [value]))
        parts: tuple[Part, ...] = ()
    else:
        if output is None:
            return None
        parts, given = _parts(output), ()
    return Outcome(
        Reply(
            parts=parts,
            vectors=given,
            usage=Usage(entered, left, read, written, reasoned),
            finish_reasons=tuple(finish_reasons or ()),
            response_model=response_model,
            response_id=response_id,
            confidence=confidence,
            cost_usd=cost_usd,
            service_seconds=seconds,
            score=score,
        )
    )


def _parts(output: str) -> tuple[Part, ...]:
    """Words as they are; parts, where it is the JSON of a list of which at least one is more than words."""
    if output.startswith('[{"'):
        try:
            told = orjson.loads(output)
            parts = tuple(PARTS[part["type"]](**part) for part in told)
            if not all(isinstance(part, Text) for part in parts):
                return parts
        except (KeyError, TypeError, orjson.JSONDecodeError):
            pass
    return (Text(output),)


def _errors(base: type[CallError]) -> dict[str, type[CallError]]:
    found = {base.error_type: base}
    for each in base.__subclasses__():
        found |= _errors(each)
    return found


ERRORS = _errors(CallError)
