"""How far a follower has come with one receiver: a small file in the home, replaced whole after each batch.

Rows are found by when they ended, and a row may become visible a moment after one that ended later (another process,
another machine). So the place is a moment, and beside it whatever was sent in the minutes before that moment; those
minutes are looked at again. `again` remembers rows and runs that ended without being done: parked ones are taken up
later, and then only what is new is sent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import orjson

from toolkit.errors import LedgerError

GRACE_US = 300 * 1_000_000
"""So much later than a row that ended after it may a row become visible, and still be sent."""


@dataclass
class Place:
    """What was sent to an endpoint: all that ended before `reached_us`, less `GRACE_US`, and then `sent`."""

    path: Path
    endpoint: str
    began_us: int
    reached_us: int
    sent: dict[str, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Path, endpoint: str, *, begin_us: int) -> Place:
        """The place kept in a home for an endpoint, or a new one at `begin_us`."""
        mark = blake2b(endpoint.encode(), digest_size=4).hexdigest()
        path = home / f"telemetry-{mark}.json"
        if not path.exists():
            return cls(path, endpoint, begin_us, begin_us)
        try:
            kept = orjson.loads(path.read_bytes())
            return cls(path, endpoint, kept["began_us"], kept["reached_us"], kept["sent"], kept["again"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise LedgerError(f"{path} cannot be read; delete it to begin anew (say from when with --since)") from error

    @property
    def since_us(self) -> int:
        """From when to look: what ended before was sent."""
        return max(self.began_us, self.reached_us - GRACE_US)

    def is_new(self, name: tuple[str, str], ended_us: int) -> bool:
        """Whether a row (or run) that ended then has not been sent."""
        return _key(name, ended_us) not in self.sent

    def before(self, name: tuple[str, str]) -> int | None:
        """When a row (or run) ended the last time that it was sent, where it was not done then."""
        return self.again.get(_key(name))

    def note(self, name: tuple[str, str], ended_us: int, *, done: bool) -> None:
        """A row (or run) was sent; `done` if nothing can come after this end."""
        self.sent[_key(name, ended_us)] = ended_us
        self.reached_us = max(self.reached_us, ended_us)
        if done:
            self.again.pop(_key(name), None)
        else:
            self.again[_key(name)] = ended_us

    def keep(self) -> None:
        """Write it down."""
        self.sent = {key: ended for key, ended in self.sent.items() if ended >= self.since_us}
        told = {"endpoint": self.endpoint, "began_us": self.began_us, "reached_us": self.reached_us}
        body = orjson.dumps(told | {"sent": self.sent, "again": self.again}, option=orjson.OPT_INDENT_2)
        aside = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            with aside.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be written: {error}; what was sent would be sent again") from error


def _key(name: tuple[str, str], ended_us: int | None = None) -> str:
    told = "\0".join((*name, "" if ended_us is None else str(ended_us)))
    return blake2b(told.encode(), digest_size=10).hexdigest()
