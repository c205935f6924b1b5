"""A turn of a conversation as a value, and as what is on record of it. Pure.

In: what a user says; the answer that came of it. Out: a `Turn`, a message, the row of the turn, the reply as a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from toolkit.errors import SessionError
from toolkit.ledger import Said
from toolkit.messages import Data, Message, Text
from toolkit.prompts.prompting import as_text
from toolkit.records import Answer, AnswerStatus, Json, RowRecord, canonical, now


@dataclass(frozen=True)
class Turn:
    """A turn that was taken: what was replied, by whom, for how much.

    `status` is answered, or says why there is no reply: failed with its `reason`, parked where a person was asked.
    `left_out` is how many earlier messages no prompt of this turn held.
    """

    number: int
    status: AnswerStatus
    value: Json
    model: str | None
    reason: str
    attempts: int
    cost_usd: float | None
    seconds: float
    attempt_id: str | None = None
    left_out: int = 0

    @classmethod
    def of(cls, answer: Answer, *, number: int, left_out: int) -> Turn:
        return cls(
            number,
            answer.status,
            answer.value,
            answer.model,
            answer.reason,
            answer.attempts,
            answer.cost_usd,
            answer.seconds,
            answer.attempt_id,
            left_out,
        )

    @property
    def text(self) -> str:
        """The reply as text; empty where there is none."""
        if self.status != "answered":
            return ""
        return self.value if isinstance(self.value, str) else canonical(self.value).decode()

    def __str__(self) -> str:
        return self.text or f"(no reply: {self.status}, {self.reason})"


def message_of(text: str | None, data: Mapping[str, Any]) -> Message | None:
    """What the user says: words, and named sections of data beside them. Raises SessionError where it is nothing."""
    if text is None and not data:
        return None
    if text is None or not text.strip():
        raise SessionError("say something: the words of a turn are not to be empty")
    sections = (Data(name, as_text(name, value), source=name) for name, value in data.items())
    return Message("user", (Text(text), *sections))


def fields_of(message: Message) -> dict[str, Json]:
    """The user's message as the fields of a row."""
    named = {part.name: part.text for part in message.parts if isinstance(part, Data)}
    return {"text": "\n\n".join(part.text for part in message.parts if isinstance(part, Text)), **named}


def row_of(answer: Answer, asked: Said, *, number: int, left_out: int) -> RowRecord:
    """The turn as a row of the session's run."""
    status = "failed" if answer.status == "skipped" else answer.status
    return RowRecord(
        run_id=answer.place.run_id,
        row_id=answer.place.row_id,
        index=number - 1,
        status=status,
        fields={**fields_of(asked.message), **({"left_out": left_out} if left_out else {})},
        reason="" if answer.status == "answered" else answer.reason,
        seconds=answer.seconds,
        cost_usd=answer.cost_usd,
    )


def replied(answer: Answer, asked: Said) -> list[Said]:
    """The reply as the next message; none where there is none."""
    if answer.status != "answered":
        return []
    text = answer.value if isinstance(answer.value, str) else canonical(answer.value).decode()
    message = Message("assistant", (Text(text),))
    return [replace(asked, index=asked.index + 1, message=message, said_at=now(), attempt_id=answer.attempt_id)]
