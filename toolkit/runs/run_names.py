"""The names of runs: found again when cut short; and whether there is a record that could have any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from toolkit.errors import RunError
from toolkit.ledger.homes import has_journal, has_record
from toolkit.ledger.views.questions import RUN_NAMES

if TYPE_CHECKING:
    from toolkit.ledger.reading.history import History

LATEST = "latest"


def going_on(run_id: str, home: Path | str) -> str:
    """The command that goes on with a run, as it can be typed."""
    return f"toolkit resume {run_id} --home {quote(str(home))}"


def chosen(wanted: str, names: Sequence[str], *, home: Path | str) -> str:
    """The name meant, out of all names with the newest first: the whole name, its only beginning or part, or `latest`.

    Raises RunError where none or several fit.
    """
    if wanted == LATEST and names:
        return names[0]
    if wanted in names:
        return wanted
    found = [name for name in names if name.startswith(wanted)] or [name for name in names if wanted in name]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(f"{wanted!r} fits {len(found)} runs: {', '.join(found[:5])}; give more of the name")
    known = f"the newest are {', '.join(names[:3])}" if names else "there are none yet; start one with toolkit run"
    raise RunError(f"there is no run {wanted!r} in {home}; {known}")


def named(history: History, wanted: str) -> str:
    """The whole name of a run that may be cut short. Raises RunError where there is none, or no record at all."""
    check_record(history.home)
    return chosen(wanted, history.sql(RUN_NAMES).column("id"), home=history.home)


def check_record(home: Path | str) -> None:
    """Raise RunError where there is no record at all."""
    if not has_record(home):
        raise RunError(f"there is no record in {home}; run something first, or name another home (--home)")


def check_journal(home: Path | str) -> None:
    """Raise RunError where there is no journal, without which nothing goes on."""
    check_record(home)
    if not has_journal(home):
        raise RunError(
            f"there is a history in {home} and no journal: what happened can be read there, but nothing goes on; name "
            "another home (--home)"
        )
