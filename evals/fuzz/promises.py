"""What every Reply promises, whatever it was decoded from."""

from __future__ import annotations

import math

from toolkit.records import Reply


def broken(reply: Reply) -> str:
    """Which promise this one breaks; empty for none."""
    usage = reply.usage
    for parts, whole in (
        ((usage.cache_read_input_tokens, usage.cache_write_input_tokens), usage.input_tokens),
        ((usage.reasoning_output_tokens,), usage.output_tokens),
    ):
        if whole is not None and sum(part or 0 for part in parts) > whole:
            return "parts of the usage are more than the whole"
    if reply.confidence is not None and not 0 <= reply.confidence <= 1:
        return "the confidence is no probability"
    if not all(math.isfinite(number) for vector in reply.vectors for number in vector):
        return "a vector is not finite"
    return ""
