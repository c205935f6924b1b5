"""What a provider says of a prompt that is too long: how long it was, and how long it may be. Pure.

Providers tell it in words alone, each in its own; what is here is how OpenAI, Anthropic, vLLM, llama.cpp, Google and
others put it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LEAST_WINDOW = 64
"""Smaller numbers are no windows."""

_N = r"(\d[\d,._]*\d|\d)"
_WINDOW = re.compile(
    rf"""maximum\ context\ length\ (?:is|of)\ {_N}
    |tokens\ >\ {_N}\ maximum
    |maximum\ number\ of\ tokens\ allowed\ \({_N}\)
    |context\ (?:size|window|length)\ (?:is|of)?\s*\(?{_N}
    |"?n_ctx"?\s*[:=]\s*{_N}
    |context\ limit:\ [\d\ +]+>\ {_N}""",
    re.IGNORECASE | re.VERBOSE,
)
_TOKENS = re.compile(
    rf"""\({_N}\ in\ (?:the|your)\ (?:messages|prompt)
    |messages?\ resulted\ in\ {_N}
    |prompt\ is\ too\ long:\ {_N}
    |prompt\ contains\ (?:at\ least\ )?{_N}
    |input\ token\ count\ \(?{_N}
    |request\ \({_N}\ tokens\)
    |"?n_prompt_tokens"?\s*[:=]\s*{_N}
    |input\ length\ (?:and\ .max_tokens.\ exceed\ context\ limit:\ )?{_N}""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """Tokens of the prompt and of the window; None where they are not told."""

    tokens: int | None = None
    window: int | None = None


def told_in(words: str) -> Told:
    """The numbers in a provider's words."""
    window = _number(_WINDOW, words)
    return Told(_number(_TOKENS, words), window if window is not None and window >= LEAST_WINDOW else None)


def _number(pattern: re.Pattern[str], words: str) -> int | None:
    found = pattern.search(words)
    if found is None:
        return None
    return int(re.sub(r"\D", "", next(group for group in found.groups() if group is not None)))
