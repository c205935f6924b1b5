"""The names that OpenTelemetry's conventions for generative AI give to things, by version: data, and nothing else.

`1.41` is the last version that stands in OpenTelemetry's common conventions; `genai-0.1` is the first release of the
repository that the conventions for generative AI moved to. All of them have the status "development" there. What has no
convention (cost, routing, rows) is named in our own namespace, `toolkit.*`, alike in every version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from toolkit.errors import SetupError

VERSIONS = ("1.41", "genai-0.1")
DEFAULT = "1.41"
SCHEMA_URLS = {"1.41": "https://opentelemetry.io/schemas/1.41.0", "genai-0.1": ""}
"""By version; the repository of the newer one names no schema yet."""

_SAME = "="
_NAMES = """
operation                gen_ai.operation.name                      =
provider                 gen_ai.provider.name                       =
request_model            gen_ai.request.model                       =
response_model           gen_ai.response.model                      =
response_id              gen_ai.response.id                         =
finish_reasons           gen_ai.response.finish_reasons             =
input_tokens             gen_ai.usage.input_tokens                  =
output_tokens            gen_ai.usage.output_tokens                 =
cache_read_input_tokens  gen_ai.usage.cache_read.input_tokens       =
cache_write_input_tokens gen_ai.usage.cache_creation.input_tokens   gen_ai.usage.cache_write.input_tokens
reasoning_output_tokens  gen_ai.usage.reasoning.output_tokens       =
conversation             gen_ai.conversation.id                     =
workflow                 gen_ai.workflow.name                       gen_ai.agent.name
tool                     gen_ai.tool.name                           =
tool_type                gen_ai.tool.type                           =
tool_result              gen_ai.tool.call.result                    =
input_messages           gen_ai.input.messages                      =
output_messages          gen_ai.output.messages                     =
system_instructions      gen_ai.system_instructions                 =
max_tokens               gen_ai.request.max_tokens                  =
temperature              gen_ai.request.temperature                 =
seed                     gen_ai.request.seed                        =
output_type              gen_ai.output.type                         =
evaluation               gen_ai.evaluation.result                   =
evaluation_name          gen_ai.evaluation.name                     =
evaluation_value         gen_ai.evaluation.score.value              =
evaluation_label         gen_ai.evaluation.score.label              =
evaluation_explanation   gen_ai.evaluation.explanation              =
error                    error.type                                 =
"""
"""What a thing is called here, and its name in each of `VERSIONS`; `=` is the name to the left."""

_OWN = """
toolkit.run_id                 the run
toolkit.row_id                 the row of that run
toolkit.index                  the row's place in the table that was given, from 0
toolkit.step                   workflow/step; nested workflows outer/inner/step
toolkit.turn                   the turn of a step of several turns, from 0
toolkit.repeat                 the repetition of the same request, from 0
toolkit.workflow               name of the workflow
toolkit.origin                 who started the run: script, notebook, cli or prefect
toolkit.status                 how the run, the row or the step ended
toolkit.rows_total             how many rows the run was given
toolkit.parent_run_id          the run that started this one
toolkit.flow_run_id            the Prefect flow run
toolkit.key                    by which the answer is found again
toolkit.reused_from            the run whose answer this is, where nothing was asked again
toolkit.attempts               how many attempts the step took
toolkit.cost_usd               US dollars; absent where unknown
toolkit.reported_cost_usd      the provider's own word on the cost
toolkit.price_version          the price book that the cost was computed with
toolkit.attempt_id             the attempt, in the record
toolkit.number                 first, second, ... attempt at this request
toolkit.why                    the policy's move: first choice, retry, repair, escalate, fallback
toolkit.model                  the model's name in the fleet
toolkit.wait_seconds           waiting for a free place before the request was sent
toolkit.confidence             the model's own probability of its answer
toolkit.decision_id            the routing decision, in the record
toolkit.route.choice           the model picked
toolkit.route.probability      with which it was picked
toolkit.route.probabilities    exact or monte_carlo
toolkit.route.reason           why it was picked
toolkit.route.router           the call that builds the router
toolkit.route.exploration_rate share of decisions drawn by chance
toolkit.route.snapshot         what the router had learned by then
toolkit.route.order            eligible models from first to last resort
toolkit.route.candidates       JSON: verdicts, score, probability and expected cost of each model
toolkit.grade.kind             assertion, score or label
toolkit.grade.by               code, a model or a person
toolkit.reason                 why the row or the step ended so (only with content)
toolkit.fields                 JSON: the row as it was given (only with content)
toolkit.value                  JSON: the step's answer (only with content)
toolkit.error_message          what went wrong, in words (only with content)
"""

OWN: Mapping[str, str] = MappingProxyType(
    {name: what.strip() for name, what in (line.split(maxsplit=1) for line in _OWN.strip().splitlines())}
)
"""Our own attributes and what each holds."""


@dataclass(frozen=True)
class Instrument:
    """A metric and the measure it is made of (`toolkit.ledger.views.telemetry.MEASURED`).

    `by` are meanings (`Conventions.names`) or, where they begin with `toolkit.`, attributes of our own: `toolkit.model`
    is the column `model`. `fixed` are attributes that all its points have. `bounds` make it a histogram.
    """

    name: str
    unit: str
    description: str
    source: Literal["attempts", "tools", "rows"]
    measure: str
    by: tuple[str, ...]
    operations: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    bounds: tuple[float, ...] = ()


SECONDS = tuple(0.01 * 2**power for power in range(14))
TOKENS = tuple(float(4**power) for power in range(14))
CALL_SECONDS = tuple(0.1 * 2**power for power in range(13))
_MODEL = ("operation", "provider", "request_model", "response_model")
_DURATION = (*_MODEL, "error")
_UNKNOWN = (("gen_ai.token.modality", "unknown"),)


def _spent(column: str, what: str) -> Instrument:
    """A counter of tokens in the newer conventions; `column` is input_tokens, cache_read_input_tokens and so on."""
    part, _, direction = column.rpartition("_input_" if "input" in column else "_output_")
    side = "input_tokens" if "input" in column else "output_tokens"
    name = f"gen_ai.client.inference.usage.{f'{part}.' if part else ''}{side}"
    assert direction
    return Instrument(name, "{token}", what, "attempts", column, _MODEL, ("chat",), _UNKNOWN)


_OUR_INSTRUMENTS = (
    Instrument("toolkit.cost", "{USD}", "What attempts cost, as far as it is known.", "attempts", "cost_usd",
               (*_MODEL, "toolkit.model", "toolkit.workflow")),
    Instrument("toolkit.calls_of_unknown_cost", "{call}", "Attempts whose cost is unknown.", "attempts", "unpriced",
               (*_MODEL, "toolkit.model", "toolkit.workflow")),
    Instrument("toolkit.wait", "s", "How long attempts waited for a free place.", "attempts", "wait_seconds",
               ("toolkit.model",), bounds=SECONDS),
    Instrument("toolkit.rows", "{row}", "Rows that ended, by how.", "rows", "one",
               ("toolkit.workflow", "toolkit.status")),
)  # fmt: skip
INSTRUMENTS: Mapping[str, tuple[Instrument, ...]] = MappingProxyType({
    "1.41": (
        Instrument("gen_ai.client.operation.duration", "s", "Duration of an operation.", "attempts",
                   "service_seconds", _DURATION, bounds=SECONDS),
        Instrument("gen_ai.client.token.usage", "{token}", "Tokens used by an operation.", "attempts",
                   "input_tokens", _MODEL, fixed=(("gen_ai.token.type", "input"),), bounds=TOKENS),
        Instrument("gen_ai.client.token.usage", "{token}", "Tokens used by an operation.", "attempts",
                   "output_tokens", _MODEL, fixed=(("gen_ai.token.type", "output"),), bounds=TOKENS),
        *_OUR_INSTRUMENTS,
    ),
    "genai-0.1": (
        Instrument("gen_ai.client.inference.duration", "s", "Duration of an inference.", "attempts",
                   "service_seconds", _DURATION, ("chat",), bounds=SECONDS),
        Instrument("gen_ai.client.embeddings.duration", "s", "Duration of a call for embeddings.", "attempts",
                   "service_seconds", _DURATION, ("embeddings",), bounds=SECONDS),
        _spent("input_tokens", "Input tokens, cached ones included."),
        _spent("output_tokens", "Output tokens, reasoning included."),
        _spent("cache_read_input_tokens", "Input tokens read from the provider's cache."),
        _spent("cache_write_input_tokens", "Input tokens written to the provider's cache."),
        _spent("reasoning_output_tokens", "Output tokens of reasoning."),
        Instrument("gen_ai.client.inference.operation.input_tokens", "{token}", "Input tokens of an inference.",
                   "attempts", "input_tokens", _MODEL, ("chat",), bounds=TOKENS),
        Instrument("gen_ai.client.inference.operation.output_tokens", "{token}", "Output tokens of an inference.",
                   "attempts", "output_tokens", _MODEL, ("chat",), bounds=TOKENS),
        Instrument("gen_ai.client.embeddings.operation.input_tokens", "{token}",
                   "Input tokens of a call for embeddings.", "attempts", "input_tokens", _MODEL, ("embeddings",),
                   bounds=TOKENS),
        Instrument("gen_ai.execute_tool.duration", "s", "Duration of a tool step.", "tools", "seconds",
                   ("tool", "error"), bounds=SECONDS),
        Instrument("gen_ai.invoke_agent.duration", "s", "Duration of a workflow on one row.", "rows", "seconds",
                   ("operation", "workflow", "error"), bounds=CALL_SECONDS),
        *_OUR_INSTRUMENTS,
    ),
})  # fmt: skip
"""The metrics of each version. A bucket holds what is at most its bound; the last one all above."""


@dataclass(frozen=True)
class Conventions:
    """One version: what a thing is called here → its name there, its metrics, and the address of its schema."""

    version: str
    names: Mapping[str, str]
    instruments: tuple[Instrument, ...]
    schema_url: str

    def attributes(self, **known: object) -> dict[str, object]:
        """Attributes by their names in this version, of those that are known."""
        return {self.names[meaning]: value for meaning, value in known.items() if value is not None}


def table() -> list[tuple[str, ...]]:
    """What a thing is called here and in each version, line by line."""
    lines = []
    for meaning, first, *later in (line.split() for line in _NAMES.strip().splitlines()):
        named = [first]
        for name in later:
            named.append(named[-1] if name == _SAME else name)
        lines.append((meaning, *named))
    return lines


def conventions(version: str = DEFAULT) -> Conventions:
    """The conventions of a version. Raises SetupError where it is unknown."""
    if version not in VERSIONS:
        raise SetupError(f"no conventions {version!r}; there are {', '.join(VERSIONS)}")
    place = VERSIONS.index(version)
    names = {meaning: named[place] for meaning, *named in table()}
    return Conventions(version, MappingProxyType(names), INSTRUMENTS[version], SCHEMA_URLS[version])
