"""The tokenizer of a model, where it is at hand: of a file that its settings name, or OpenAI's.

    settings = { tokenizer = "qwen3/tokenizer.json" }      # beside models.toml; needs the package tokenizers

For OpenAI's own models it is tiktoken's, where that package is installed. tiktoken fetches a vocabulary when it is
first used; so that nobody waits for a network that is not there, that is done aside, and until it has arrived there is
no tokenizer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from toolkit.models.spec import ModelSpec
from toolkit.prompts.tokens import Counter

PIECE = 20_000
"""Characters that are counted at a time: some tokenizers take long over one long word."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Counts by a tokenizer. The margin is for what chat templates and tools' own formats add."""

    name: str
    count: Callable[[str], int] = field(repr=False)
    margin: float = 0.02

    def text(self, text: str) -> int:
        whole = text.encode("utf-8", "replace").decode()  # half a character is none that a tokenizer knows
        return sum(self.count(whole[at : at + PIECE]) for at in range(0, len(whole), PIECE))


def tokenizer_of(spec: ModelSpec) -> Counter | None:
    """The tokenizer that counts as this model does, None where there is none, or none yet. Returns at once.

    Raises FleetError where the settings name a file that is not there.
    """
    if "tokenizer" in spec.settings:
        return _of_file(spec.path("tokenizer"))
    return _tiktoken(spec.model) if spec.provider == "openai" else None


@lru_cache(maxsize=16)
def _of_file(path: Path) -> Counter | None:
    try:
        from tokenizers import Tokenizer as FileTokenizer
    except ImportError:
        _logger.info("%s: tokens are estimated, as the package tokenizers is not installed", path)
        return None
    try:
        found = FileTokenizer.from_file(str(path))
    except Exception as error:
        _logger.warning("%s is no file of a tokenizer, so tokens are estimated: %s", path, error)
        return None
    return Tokenizer(path.name, lambda text: len(found.encode(text, add_special_tokens=False).ids))


# ---------------------------------------------------------------------------------------------------------- tiktoken
_arrived: dict[str, Counter | None] = {}
"""Model → its tokenizer; None while it is on its way, and where there is none."""
_lock = threading.Lock()


def _tiktoken(model: str) -> Counter | None:
    with _lock:
        if model not in _arrived:
            _arrived[model] = None
            threading.Thread(target=_fetch, args=(model,), name="tiktoken", daemon=True).start()
        return _arrived[model]


def _fetch(model: str) -> None:
    try:
        import tiktoken

        encoding = tiktoken.encoding_for_model(model)
    except Exception as error:  # not installed, no model of theirs, no network
        _logger.debug("no tokenizer for %s, so tokens are estimated: %s", model, error)
        return
    _arrived[model] = Tokenizer(encoding.name, lambda text: len(encoding.encode_ordinary(text)))
