"""How a fake server and each of its models behave: frozen records. `reading` makes them of TOML and options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from toolkit.fake.kinds import PORT_KINDS
from toolkit.money.prices import Price
from toolkit.records import Json


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a model is dead, in seconds after the server's start; with `every`, within each such period.

    `fault` says how it is dead. Written as `30-60`, `0-30/90` (a third of the time), `30-60=refused`.
    """

    starts: float
    ends: float
    every: float | None = None
    fault: str = "503"

    def __str__(self) -> str:
        period = "" if self.every is None else f"/{self.every:g}"
        return f"{self.starts:g}-{self.ends:g}{period}={self.fault}"

    def holds(self, seconds: float) -> bool:
        """Whether it is dead so many seconds after the start."""
        return self.starts <= (seconds if self.every is None else seconds % self.every) < self.ends

    def changes_after(self, seconds: float) -> float | None:
        """When it next begins or ends, in seconds after the start; None for never again."""
        base = 0.0 if self.every is None else seconds - seconds % self.every
        bases = (base,) if self.every is None else (base, base + self.every)
        return min((at for b in bases for at in (b + self.starts, b + self.ends) if at > seconds), default=None)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a script: what a request that `match` is found in gets. Of `answer` and `fault` one is set."""

    match: re.Pattern[str]
    model: str | None = None
    answer: Json = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One model.

    Times are seconds; `latency_seconds` is the median of a log-normal time whose logarithm's deviation is
    `latency_spread`. `faults` maps a kind to its rate. `limit_seconds` is the time over which a minute's limits may be
    used up at once. `cached_share` is the part of the input told as read from a cache, `quality` the probability that a
    typed answer is right, `answer_tokens` the length of free text (0: a few words), `calls_at_once` the number of calls
    in a reply that calls tools.
    """

    name: str
    provider: Literal["openai", "anthropic", "both"] = "openai"
    latency_seconds: float = 0.0
    latency_spread: float = 0.0
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    faults: Mapping[str, float] = field(default_factory=dict)
    retry_after_seconds: float = 1.0
    shut_seconds: float = 1.0
    drip_seconds: float = 0.5
    outages: tuple[Outage, ...] = ()
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    limit_seconds: float = 60.0
    window: int | None = None
    price: Price | None = None
    tells_cost: bool = False
    cached_share: float = 0.0
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    quality: float = 1.0
    structured: Literal["yes", "ignored", "refused"] = "yes"
    tools: Literal["never", "sometimes", "first-turn", "always"] = "never"
    calls_at_once: int = 1
    capabilities: tuple[str, ...] = ("chat", "json", "tools", "embed")
    dimensions: int = 16

    @property
    def has_own_port(self) -> bool:
        """Whether something of it strikes before a request is read, so that it needs a port of its own."""
        return any(kind in PORT_KINDS for kind in (*self.faults, *(outage.fault for outage in self.outages)))

    def outage_at(self, seconds: float) -> str | None:
        """How the model is dead so many seconds after the start; None where it lives."""
        return next((outage.fault for outage in self.outages if outage.holds(seconds)), None)


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole server. `port` 0 is any free one; `log`, `counts` and `fleet` are files that it writes."""

    models: Mapping[str, Profile]
    seed: int = 0
    port: int = 0
    script: tuple[Line, ...] = ()
    keep: int = 100_000
    tls: bool = False
    log: Path | None = None
    counts: Path | None = None
    fleet: Path | None = None
