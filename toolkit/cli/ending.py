"""How a command ends when something went wrong: one sentence on the error stream, and an exit code."""

from __future__ import annotations

import sys
import traceback

from toolkit.errors import ToolkitError, sentence

FAILED = 1
NOT_RUN = 2
BUG = 70
INTERRUPTED = 130
BROKEN = (BrokenPipeError, EOFError)
"""What the command-line library ends itself: the reader of a pipe went away, the input ended."""


def explain(error: BaseException, *, debug: bool) -> int:
    """Say what went wrong on the error stream; the exit code for it."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, ToolkitError):
        complain(sentence(error))
        return NOT_RUN
    if isinstance(error, OSError) and error.filename is not None:
        complain(f"{error.filename}: {error.strerror or sentence(error)}; name another path, or make that one usable")
        return NOT_RUN
    complain(
        f"{type(error).__name__}: {sentence(error)}; this is a bug in toolkit, please report it"
        + ("" if debug else "; run again with --debug to see where")
    )
    return BUG


def complain(text: str) -> None:
    """One line on the error stream, whatever happens to that stream."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    print(f"toolkit: {text}".encode(encoding, "replace").decode(encoding), file=sys.stderr, flush=True)
