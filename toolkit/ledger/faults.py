"""What to do about a fault of the disk: the databases and the system say what is wrong, not how to mend it."""

from __future__ import annotations

import re

_REMEDIES = (
    (r"disk is full|no space left|quota exceeded|file too large", "make room on that disk"),
    (
        r"read-?only|permission denied|operation not permitted|unable to open database file",
        "make the folder and the file writable for this user, or choose another home",
    ),
    (r"is locked|is busy", "another program has kept the file locked for a minute: end it"),
    (r"disk i/o error|input/output error", "look after the disk: it refuses to be read or written"),
)


def remedy(error: BaseException) -> str | None:
    """What to do about it, None where it tells of no fault of the disk but of the file's content."""
    text = f"{error} {error.__cause__ or ''}".lower()
    return next((advice for pattern, advice in _REMEDIES if re.search(pattern, text)), None)


def said(error: BaseException) -> str:
    """The error in its own words, on one line."""
    return " ".join(str(error.__cause__ or error).split())
