"""How a run is to go: its settings, and what is wrong with those that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from toolkit.errors import RunError
from toolkit.money.budgets import Budget, Budgets, budgets_of
from toolkit.records import Json
from toolkit.redaction import Redact

DEFAULT_HOME = ".toolkit"
Part = Literal["rows", "end"]


@dataclass(frozen=True)
class Again:
    """A row of a run that is to be driven again: its id, its place in the table, and when it had ended."""

    row_id: str
    index: int
    ended_at: datetime


@dataclass(frozen=True)
class Settings:
    """How to run.

    `home` holds journal and history; `in_flight` bounds the rows under way; `fresh` asks anew what is on record (of
    other runs); `limit` and `skip` choose rows; `run_id` continues that run; `parts` leaves work to other callers: a
    chunk runs "rows" alone, whoever is last runs the "end" (reducing steps, the run's status). `taken` are ids that
    other callers of this run have given to rows before these; `only` are ids of the rows to work on, where the others
    are left as they are. `again` says which rows of the run the given ones are, whatever became of them before.
    `told` is kept with the run for whoever resumes it.
    `budget` is what may be spent, as values or as text (`toolkit.money.budgets`), None for no limit.
    `redact` says what is replaced before anybody sees it: a `Redact`, its label, "secrets" (the default), "personal" or
    None; `content` is "full", or "hashes" where no words are to be kept. Left empty, a run that is continued goes on as
    it was.
    """

    home: Path = Path(DEFAULT_HOME)
    in_flight: int = 64
    fresh: bool = False
    seed: int = 0
    limit: int | None = None
    skip: int = 0
    run_id: str | None = None
    origin: str = "script"
    budget: Budget | Budgets | str | None = ""
    redact: Redact | str | None = ""
    content: str = ""
    flow_run_id: str | None = None
    parts: frozenset[Part] = frozenset({"rows", "end"})
    taken: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    again: tuple[Again, ...] = ()
    told: Mapping[str, Json] = field(default_factory=dict)


def settings_of(options: Mapping[str, Any]) -> Settings:
    """The settings that these options make. Raises RunError where there is no such option, or it cannot be so."""
    known = Settings.__dataclass_fields__
    if unknown := sorted(set(options) - set(known)):
        raise RunError(f"run() has no option {unknown[0]!r}; it has {', '.join(known)}")
    settings = Settings(**{**options, "home": Path(options.get("home", DEFAULT_HOME))})
    for name, least in (("in_flight", 1), ("limit", 1), ("skip", 0)):
        value = getattr(settings, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise RunError(f"{name} must be a whole number of at least {least}, not {value!r}")
    budgets_of(settings.budget)
    if settings.origin == "script" and _in_a_kernel():
        settings = replace(settings, origin="notebook")
    return settings


def _in_a_kernel() -> bool:
    """Whether this process is the kernel of a notebook, and has not only loaded what makes one."""
    loaded = sys.modules.get("ipykernel.kernelapp")
    return loaded is not None and bool(loaded.IPKernelApp.initialized())
