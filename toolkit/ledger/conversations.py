"""What is kept of a conversation that goes on across processes and days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from toolkit.messages import Message
from toolkit.records import Json


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation; `about` is what else is known of it."""

    id: str
    name: str
    started_at: datetime
    about: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation, at its place there (from 0), and the attempt it came from, if any."""

    session_id: str
    index: int
    message: Message
    said_at: datetime
    run_id: str | None = None
    attempt_id: str | None = None
