"""`ModelSpec`, one member of a fleet as configured, and `Provider`, the one method that whoever answers has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from toolkit.errors import FleetError
from toolkit.money.prices import Price
from toolkit.records import Json, Reply, Request

IN_HOUSE = ("person", "function", "embedded", "recorded")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A member of the fleet.

    `name` is the word that workflows use, `model` the one that the provider knows; `window` and `max_output_tokens`
    are tokens; `concurrency` bounds the calls in flight of one process, the limits per minute those of all that share
    a journal, `batch` the texts of one call for vectors; `timeout_seconds` bounds one attempt; `settings` are the
    provider's own, `folder` is where their relative paths start.
    """

    name: str
    provider: str
    model: str
    endpoint: str | None = None
    key_env: str | None = None
    price: Price | None = None
    window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset({"chat", "json"})
    concurrency: int = 64
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    batch: int = 64
    timeout_seconds: float = 60.0
    settings: Mapping[str, Json] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def is_person(self) -> bool:
        return self.provider == "person"

    @property
    def is_hosted(self) -> bool:
        """Whether it is reached over the network, so that it may have a list price."""
        return self.provider not in IN_HOUSE

    @property
    def identity(self) -> str:
        """Who answers, as part of an answer's key: not where it is reached or what it costs."""
        return f"{self.name}={self.provider}:{self.model}"

    @property
    def body(self) -> Mapping[str, Json]:
        """Fields that the settings add to the body of each request; they win over what the dialect encodes."""
        more = self.settings.get("body", {})
        if not isinstance(more, Mapping):
            raise FleetError(f"model {self.name!r}: settings.body is a table of fields, not {more!r}")
        return more

    def key(self) -> str | None:
        """The API key out of the environment; never stored. Raises FleetError where it is declared and missing."""
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env)
        if not key:
            raise FleetError(
                f"model {self.name!r} needs its key in the environment variable {self.key_env}, which is not set; "
                f"set it, or route to other models"
            )
        return key

    def path(self, setting: str) -> Path:
        """The file that a setting names, relative to the fleet's own file."""
        value = self.settings.get(setting)
        if not isinstance(value, str):
            raise FleetError(f"model {self.name!r}: setting {setting!r} must name a file")
        path = self.folder / value
        if not path.exists():
            raise FleetError(f"model {self.name!r}: {setting} = {value!r} is not there (looked for {path})")
        return path


class Provider(Protocol):
    """Whoever answers requests. A failed attempt raises a CallError; nothing else may escape."""

    async def send(self, request: Request) -> Reply:
        """The reply to a request."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
