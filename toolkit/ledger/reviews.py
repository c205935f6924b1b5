"""A question that waits for a person, or that a person has answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from toolkit.records import Json, Place, content_hash

ReviewStatus = Literal["open", "answered", "expired"]


@dataclass(frozen=True, slots=True)
class Review:
    """One question to a person about one place of a run; `key` is that of the answer which it will become.

    `person` is the member of the fleet who is asked; `output_schema` is the JSON schema that `value`, that person's
    answer, must satisfy (None: free text); `why` says why a person is asked. After `expires_at` nobody is waited for:
    `default_value` is the answer then, and where that is None the row fails. `answered_by` is the name that whoever
    answered gave.
    """

    key: str
    place: Place
    question: str
    asked_at: datetime
    person: str = "person"
    output_schema: Mapping[str, Json] | None = None
    status: ReviewStatus = "open"
    answered_at: datetime | None = None
    value: Json = None
    why: str = ""
    expires_at: datetime | None = None
    default_value: Json = None
    answered_by: str | None = None

    @property
    def id(self) -> str:
        """The question's name: 32 hexadecimal digits, of which people type the first few."""
        return review_id(self.place, self.key)


def review_id(place: Place, key: str) -> str:
    """The name of the question with that key at that place."""
    parts = (place.run_id, place.row_id, place.step, str(place.turn), str(place.repeat), key)
    return content_hash("\x1f".join(parts).encode())
