"""What one call may cost at most, and the output limit that makes it so. Pure.

No tokenizer makes two tokens of one byte, so bytes of UTF-8 bound the input from above; a tokenizer of the model's own
counts closer. The output is bounded by the limit that is sent, and so one is always sent.
"""

from __future__ import annotations

import math

from toolkit.messages import Data, Media, Part, Reasoning, Text, ToolCall, ToolResult, render
from toolkit.models.spec import ModelSpec
from toolkit.money.budgets import Worst
from toolkit.money.prices import TOKENS_PER_UNIT, Price
from toolkit.prompts.tokens import Counter, prompt_tokens
from toolkit.records import Request, canonical

REQUEST_OVERHEAD, MESSAGE_OVERHEAD = 64, 16
"""Tokens that no text shows: the marks of a chat template."""
FORMAT_OVERHEAD = 1024
"""Tokens that a provider may add of its own where there are tools, or a schema for the answer."""
MEDIA_TOKENS = 50_000
"""The most that an attachment counts where its base64 is shorter: a large image of a few colours is a short file."""
OUTPUT_TOKENS = 4096
"""The output limit where nobody declares one."""
LEAST_OUTPUT_TOKENS = 256
"""The output limit in a window that the prompt may fill: what fitting leaves free there."""
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
COPIES_FIELDS = ("n", "best_of", "num_completions")


def limited(request: Request, spec: ModelSpec, counter: Counter | None = None) -> Request:
    """The request with an output limit, where neither it nor its model has one."""
    if request.operation == "embeddings" or request.max_output_tokens or spec.max_output_tokens:
        return request
    limit = OUTPUT_TOKENS
    if spec.window is not None:
        limit = min(limit, max(LEAST_OUTPUT_TOKENS, spec.window - input_tokens(request, counter)))
    return request.with_options(max_output_tokens=limit)


def worst(
    request: Request,
    spec: ModelSpec,
    *,
    price: Price | None,
    ceiling_usd: float | None = None,
    counter: Counter | None = None,
) -> Worst:
    """What a call may cost at most; its money is `ceiling_usd` where the price is unknown, None without that."""
    entered, left = input_tokens(request, counter), output_tokens(request, spec)
    return Worst(ceiling_usd if price is None else dearest(price, entered, left), entered + left)


def input_tokens(request: Request, counter: Counter | None = None) -> int:
    """As many tokens as the input can have: by the model's tokenizer, else by bytes."""
    formatted = FORMAT_OVERHEAD if request.tools or request.output_schema is not None else 0
    pieces = len(request.messages) + len(request.inputs)
    overhead = REQUEST_OVERHEAD + MESSAGE_OVERHEAD * pieces + formatted
    media = [part for message in request.messages for part in message.parts if isinstance(part, Media)]
    if counter is not None and not media:
        return overhead + math.ceil(prompt_tokens(request, counter) * (1 + counter.margin))
    told = sum(_part_bytes(part) for message in request.messages for part in message.parts)
    told += sum(_bytes(text) for text in request.inputs) + sum(len(canonical(tool)) for tool in request.tools)
    if request.output_schema is not None:
        told += len(canonical(request.output_schema))
    return overhead + told


def output_tokens(request: Request, spec: ModelSpec) -> int:
    """As many tokens as the output can have: by the limits that are sent, those in the settings' `body` included."""
    if request.operation == "embeddings":
        return 0
    limit = request.max_output_tokens or spec.max_output_tokens or OUTPUT_TOKENS
    body = spec.body
    named = (*LIMIT_FIELDS, str(spec.settings.get("limit_field", "max_tokens")))
    limits = [value for name in named if isinstance(value := body.get(name), int) and not isinstance(value, bool)]
    copies = [value for name in COPIES_FIELDS if isinstance(value := body.get(name), int)]
    return max([limit, *limits]) * max([1, *copies])


def dearest(price: Price, input_tokens: int, output_tokens: int) -> float:
    """US dollars for at most so many tokens, whichever tier they turn out to be in, all of them written to a cache."""
    reached = [price, *(tier for above, tier in price.tiers if input_tokens > above)]
    return max(
        each.request
        + (
            input_tokens * max(each.input, each.cache_write or 0.0, each.cache_read or 0.0)
            + output_tokens * each.output
        )
        / TOKENS_PER_UNIT
        for each in reached
    )


def _part_bytes(part: Part) -> int:
    match part:
        case Text() | Data():
            return _bytes(render(part))
        case Media():
            return max(len(part.data), MEDIA_TOKENS)
        case Reasoning():
            return _bytes(part.text) + _bytes(part.signature or "")
        case ToolCall():
            return _bytes(part.name) + _bytes(part.id) + len(canonical(part.arguments))
        case ToolResult():
            return _bytes(part.name) + _bytes(part.id) + _bytes(part.text)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
