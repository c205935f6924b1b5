"""The nouns: frozen records that move between layers. No I/O.

    Request ─▶ Decision ─▶ Attempt* ─▶ Answer        Grade hangs on an attempt or on an answer
    Run ─▶ RowRecord                                  Event: what happened beside the answers

Durations are seconds on a monotonic clock, stamps are UTC, money is US dollars, unknown is None and never 0.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Literal

import orjson

from toolkit.errors import CallError
from toolkit.messages import Message, Part, Text, ToolSpec

Json = Any
Operation = Literal["chat", "embeddings", "execute_tool"]
AnswerStatus = Literal["answered", "skipped", "parked", "failed"]
RowStatus = Literal["answered", "parked", "failed", "set_aside"]
RunStatus = Literal["running", "finished", "cancelled", "interrupted"]


# ---------------------------------------------------------------------------------------------------------- requests
@dataclass(frozen=True, slots=True)
class Request:
    """What a step wants of whoever the router picks.

    `output_schema` is the JSON schema that the answer must satisfy (None: free text); `inputs` are the texts of an
    embeddings request; `needs` are capabilities that a model must declare to be a candidate.
    """

    messages: tuple[Message, ...] = ()
    operation: Operation = "chat"
    inputs: tuple[str, ...] = ()
    output_schema: Mapping[str, Json] | None = None
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    needs: tuple[str, ...] = ()

    def canonical(self) -> bytes:
        """The request as canonical JSON: what is hashed and what is recorded.

        Fields at their default are left out, so that a field added later changes no key that is on record.
        """
        return canonical({name: value for name in _REQUEST_FIELDS if (value := getattr(self, name)) not in (None, ())})

    @property
    def text(self) -> str:
        """All that a model is told, as plain text."""
        return "\n\n".join([message.text for message in self.messages] + list(self.inputs))

    def with_options(self, **changes: Any) -> Request:
        """A copy with some fields changed, e.g. `max_output_tokens=200, temperature=0.0`."""
        return replace(self, **changes)


_REQUEST_FIELDS = tuple(each.name for each in fields(Request))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt. Cached and reasoning tokens are parts of input and output, never on top of them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a model, in neutral form.

    `confidence` is the model's own probability of its answer where it tells one; `cost_usd` and `service_seconds` are
    the provider's word where it gives it; `score` is the recorded quality where an outcome is played back.
    """

    parts: tuple[Part, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    usage: Usage = Usage()
    finish_reasons: tuple[str, ...] = ()
    response_model: str | None = None
    response_id: str | None = None
    confidence: float | None = None
    cost_usd: float | None = None
    service_seconds: float | None = None
    score: float | None = None
    value: Json = None

    @property
    def text(self) -> str:
        """The words of the reply, without reasoning and tool calls."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


# --------------------------------------------------------------------------------------------------------- decisions
@dataclass(frozen=True, slots=True)
class Verdict:
    """What one hard constraint said of one candidate."""

    constraint: str
    passed: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model as the router saw it. `probability` is that of being chosen by this decision."""

    model: str
    verdicts: tuple[Verdict, ...] = ()
    score: float | None = None
    probability: float = 0.0
    expected_cost_usd: float | None = None

    @property
    def eligible(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    def with_probability(self, probability: float) -> Candidate:
        """The same candidate, chosen so probably. Built outright, as each decision does so for each candidate."""
        if probability == self.probability:
            return self
        return Candidate(self.model, self.verdicts, self.score, probability, self.expected_cost_usd)


@dataclass(frozen=True, slots=True)
class Decision:
    """Who was picked for a request, out of whom, how probably and why.

    `order` lists the eligible candidates from first to last resort; Fallback and Escalate walk along it.
    `probabilities` tells whether the candidates' probabilities are exact or estimated by Monte Carlo.
    """

    choice: str
    candidates: tuple[Candidate, ...]
    order: tuple[str, ...]
    reason: str
    router: str
    probabilities: Literal["exact", "monte_carlo"] = "exact"
    exploration_rate: float = 0.0
    seed: int = 0
    snapshot: str | None = None

    @property
    def probability(self) -> float:
        """The probability with which the choice was made."""
        return next((c.probability for c in self.candidates if c.model == self.choice), 0.0)


# ---------------------------------------------------------------------------------------------------------- attempts
@dataclass(frozen=True, slots=True)
class Grade:
    """A judgement of an answer: `value` is a number (bools are 0 and 1), `label` a word, `reason` says why."""

    grader: str
    kind: Literal["assertion", "score", "label"]
    value: float | None = None
    label: str | None = None
    reason: str = ""
    graded_by: str = "code"


@dataclass(frozen=True, slots=True)
class Dropped:
    """What of a prompt did not go out: bytes of UTF-8 of a section or message, and `how` it was left out."""

    section: str
    bytes: int
    how: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one model. Either `reply` (and its parsed `value`) or `error` is set.

    `cost_usd` is what counts: the provider's own word where it gives one, else `computed_cost_usd`, which is by the
    price book named by `price_version`. `reserved_usd` is what its budgets held back for it while it ran.
    """

    id: str
    number: int
    model: str
    why: str
    provider_name: str
    request_model: str
    started_at: datetime
    wait_seconds: float
    service_seconds: float
    reply: Reply | None = None
    value: Json = None
    error: CallError | None = None
    cost_usd: float | None = None
    computed_cost_usd: float | None = None
    price_version: str | None = None
    grades: tuple[Grade, ...] = ()
    reserved_usd: float | None = None
    dropped: tuple[Dropped, ...] = ()

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def quality(self) -> float | None:
        """The lowest numeric grade, else the model's own confidence, else None."""
        scores = [grade.value for grade in self.grades if grade.value is not None]
        if scores:
            return min(scores)
        return self.reply.confidence if self.reply else None


# ----------------------------------------------------------------------------------------------------------- answers
@dataclass(frozen=True, slots=True)
class Place:
    """Where in a run something happens: run, row, step, and which turn and repeat of that step."""

    run_id: str
    row_id: str
    step: str
    turn: int = 0
    repeat: int = 0

    def __str__(self) -> str:
        return f"run {self.run_id}, row {self.row_id}, step {self.step}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What later steps see of a step: durable before it counts.

    `value` is plain JSON. `reused_from` names the run whose answer this is, where nothing was asked again.
    `value_hash` stands for the value where the run records no content.
    """

    place: Place
    key: str
    status: AnswerStatus
    value: Json = None
    reason: str = ""
    model: str | None = None
    attempt_id: str | None = None
    attempts: int = 0
    cost_usd: float | None = 0.0
    seconds: float = 0.0
    reused_from: str | None = None
    answered_at: datetime = field(default_factory=lambda: now())
    value_hash: str | None = None


# -------------------------------------------------------------------------------------------------------------- runs
@dataclass(frozen=True, slots=True)
class Run:
    """One pass of a workflow over rows, by whoever started it (`origin`: script, notebook, cli or prefect)."""

    id: str
    workflow: str
    origin: str
    started_at: datetime
    status: RunStatus = "running"
    finished_at: datetime | None = None
    rows_total: int | None = None
    seed: int = 0
    settings: Mapping[str, Json] = field(default_factory=dict)
    parent_run_id: str | None = None
    flow_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class RowRecord:
    """One row of a run: what went in, and how it ended."""

    run_id: str
    row_id: str
    index: int
    status: RowStatus
    fields: Mapping[str, Json]
    reason: str = ""
    seconds: float = 0.0
    cost_usd: float | None = 0.0
    parent_row_id: str | None = None
    parent_step: str | None = None
    finished_at: datetime = field(default_factory=lambda: now())


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling beside the answers, e.g. `toolkit.row.parked`."""

    name: str
    run_id: str
    at: datetime
    about: Mapping[str, Json] = field(default_factory=dict)


# ----------------------------------------------------------------------------------------------------------- helpers
def now() -> datetime:
    """The time, in UTC. For stamps only; durations come from a monotonic clock."""
    return datetime.now(UTC)


def new_id() -> str:
    """A unique id of 32 hexadecimal digits that sorts by time: 64 bits of nanoseconds, 64 of chance."""
    return f"{time.time_ns():016x}{os.urandom(8).hex()}"


def made_at(id: str) -> datetime:
    """When an id of `new_id` was made, in UTC."""
    return datetime.fromtimestamp(int(id[:16], 16) / 1e9, UTC)


def canonical(value: Json) -> bytes:
    """`value` as canonical JSON: sorted keys, no spaces, UTF-8. Raises TypeError where JSON cannot hold it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def content_hash(content: bytes) -> str:
    """The name of a content: 128 bits of BLAKE2b in hexadecimal."""
    return blake2b(content, digest_size=16).hexdigest()


def answer_key(step: str, request: bytes, plan: str, *, turn: int = 0, repeat: int = 0) -> str:
    """The key under which an answer is kept and found again.

    In the key: workflow and step (`workflow/step`), the canonical JSON of the rendered request, the label of the plan
    (router, policy, models), the turn of a generator step and the repeat index. Not in the key: source code, run, row,
    time, prices, limits, keys.
    """
    return content_hash(b"\x00".join((step.encode(), request, plan.encode(), b"%d" % turn, b"%d" % repeat)))
