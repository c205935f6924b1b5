"""The tree of errors.

    ToolkitError
    ├── SetupError            what was asked for cannot run; found before anything is spent
    │   ├── WorkflowError     unknown name, cycle, unroutable step
    │   ├── FleetError        models.toml: unknown model, bad field, missing key
    │   ├── RowsError         the table of rows cannot be read or lacks a column
    │   ├── RunError          no such run, nothing to resume
    │   ├── InboxError        no such question to a person, or it is answered already, or the answer does not fit
    │   └── SessionError      a conversation cannot go on so
    │       └── SessionBusy   another turn of it is under way
    ├── LedgerError           journal or history cannot be read or written
    ├── StepError             a step's own code failed; the row is set aside
    ├── Stopped               the run was cancelled between two attempts
    ├── OverBudget            a call could pass a budget, and was not sent
    └── CallError             one attempt failed; becomes part of its record, never escapes the loop
        ├── RateLimited           429; `retry_after` in seconds where told
        ├── Overloaded            503, 529
        ├── Unavailable           500, 502, 504, refused, reset, DNS, TLS
        ├── TimedOut              connect, read or deadline
        ├── InvalidRequest        400, 404, 422: asking again alike is useless
        ├── AccessDenied          401, 403
        ├── ContextOverflow       413, or the provider says that the prompt is too long
        ├── ContentFiltered       the provider declined
        ├── CutShort              stopped at the output limit
        ├── InvalidOutput         arrived, but does not fit what the step declared
        └── InvalidResponse       bytes that are no reply in the provider's format

Every message says what, where and what to do next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from toolkit.records import Reply

LONGEST_SENTENCE = 1200


class ToolkitError(Exception):
    """Base of everything the toolkit raises on purpose."""


class SetupError(ToolkitError):
    """What was asked for cannot run; nothing was spent."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the sentence, which says what to do. IPython's `%tb` has the traceback."""
        return [f"{type(self).__name__}: {self}"]


class WorkflowError(SetupError):
    """The workflow does not hold together."""


class FleetError(SetupError):
    """The fleet cannot serve what is asked of it."""


class RowsError(SetupError):
    """The table of rows cannot be read, or lacks what the workflow needs."""


class RunError(SetupError):
    """There is no such run, or it cannot be continued."""


class InboxError(SetupError):
    """There is no such question to a person, it has been answered already, or the answer does not fit it."""


class SessionError(SetupError):
    """The conversation cannot go on so: a turn of it has no answer yet, or it was begun otherwise."""


class SessionBusy(SessionError):
    """Another turn of the conversation is under way, here or in another process."""


class LedgerError(ToolkitError):
    """The journal or the history cannot be read or written."""


class StepError(ToolkitError):
    """A step's own code raised, or returned what cannot be recorded."""


class Stopped(ToolkitError):
    """The run was cancelled; what was under way stops before its next attempt and can be resumed."""


class BudgetReached(Stopped):
    """A budget stopped the run: what is on record stays, and a larger one goes on."""


class OverBudget(ToolkitError):
    """A call could pass a budget; it was not sent, and cost nothing.

    `stops_the_run` says whether no call of the run is likely to fare better, until the budget is raised.
    """

    def __init__(self, message: str, *, stops_the_run: bool = False) -> None:
        super().__init__(message)
        self.stops_the_run = stops_the_run


class CallError(ToolkitError):
    """One attempt at a model failed.

    `error_type` is the class recorded in the history (OpenTelemetry's `error.type`); `transient` says whether the
    same request may succeed later at the same model; `retry_after` is the wait in seconds that the provider asked for.
    """

    error_type: ClassVar[str] = "other"
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message.encode(errors="replace").decode())  # half a character could not go on record
        self.retry_after = retry_after


class RateLimited(CallError):
    error_type = "rate_limited"
    transient = True


class Overloaded(CallError):
    error_type = "overloaded"
    transient = True


class Unavailable(CallError):
    error_type = "unavailable"
    transient = True


class TimedOut(CallError):
    error_type = "timeout"
    transient = True


class InvalidRequest(CallError):
    error_type = "invalid_request"


class AccessDenied(CallError):
    error_type = "access_denied"


class ContextOverflow(CallError):
    error_type = "context_overflow"


class ContentFiltered(CallError):
    """`billed` is a reply without the words that were withheld: its tokens, which count all the same."""

    error_type = "content_filtered"

    def __init__(self, message: str, *, billed: Reply | None = None) -> None:
        super().__init__(message)
        self.billed = billed


class CutShort(CallError):
    error_type = "cut_short"


class InvalidOutput(CallError):
    error_type = "invalid_output"


class InvalidResponse(CallError):
    error_type = "invalid_response"
    transient = True


def sentence(error: BaseException) -> str:
    """An error's message on one line: no picture of the place, no list of hints, no control characters."""
    told = str(error).strip()
    told = re.split(r"\n\s*\n?LINE \d+:", told)[0]
    told = "".join(character if character.isprintable() else " " for character in told)
    told = " ".join(told.split()) or "no message"
    return told if len(told) <= LONGEST_SENTENCE else told[: LONGEST_SENTENCE - 1] + "…"
