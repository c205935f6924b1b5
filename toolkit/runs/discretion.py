"""What a run keeps to itself: which finds it redacts, and how much content it puts on record.

In: a run's settings, and the run that they continue. Out: the redactor through which all comes that enters, or the one
sentence that says why it cannot be so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from toolkit.asking.settings import Settings
from toolkit.errors import RunError
from toolkit.fleet import Fleet
from toolkit.graph.workflow import Workflow
from toolkit.ledger.recording import Content
from toolkit.ledger.secret_key import redaction_key
from toolkit.records import Json, Run
from toolkit.redaction import Redact, Redactor
from toolkit.rows import Fields, Rows


@dataclass(frozen=True)
class Discretion:
    """How a run treats what it must not tell."""

    redact: Redact | None
    content: Content

    @classmethod
    def of(cls, settings: Settings, known: Run | None = None) -> Discretion:
        """As the settings say; where they do not, as the run that they continue. Raises RunError where they differ."""
        before = known.settings if known is not None else {}
        redact = settings.redact
        if redact == "":
            redact = Redact() if "redact" not in before else _begun(known, str(before["redact"]))
        elif isinstance(redact, str):
            redact = Redact.parse(redact)
        content = settings.content or str(before.get("content", "full"))
        if content not in get_args(Content):
            raise RunError(f"content is {' or '.join(map(repr, get_args(Content)))}, not {content!r}")
        found = cls(redact, cast(Content, content))
        for name, value in found.told.items():
            if before.get(name, value) != value:
                raise RunError(
                    f"run {known.id if known else ''} was begun with {name}={before[name]!r}, not {value!r}; "
                    f"continue it with the same, or start another run"
                )
        return found

    @property
    def told(self) -> Mapping[str, Json]:
        """What a run's settings keep of it."""
        return {"redact": Redact.label(self.redact), "content": self.content}

    def key(self, home: Path) -> bytes:
        """The secret of the home's tokens and hashes; none where none is needed."""
        return redaction_key(home) if self.redact is not None or self.content == "hashes" else b""

    def redactor(self, fleet: Fleet, *, key: bytes) -> Redactor:
        """The redactor that also knows the fleet's own keys by heart."""
        named = (spec.key_env for spec in fleet.specs.values())
        return Redactor(self.redact, key=key, known=[os.environ.get(name, "") for name in named if name])

    def check(self, workflow: Workflow, fleet: Fleet) -> None:
        """Raises RunError where the workflow needs a record with content, and this one has none."""
        if self.content == "full":
            return
        if workflow.reducing:
            raise RunError(
                f"step {workflow.reducing[0].name!r} reads the recorded values of all rows, and a run with "
                "content='hashes' records none; leave the step out, or run with content='full'"
            )
        for step in workflow.steps:
            if step.inner is not None:
                self.check(step.inner, fleet)
            names = step.route.names() if step.route is not None else ()
            persons = fleet.persons & set(fleet if names is None else names)
            if persons:
                raise RunError(
                    f"step {step.name!r} may ask {min(persons)!r}, and a run with content='hashes' keeps no question "
                    "that a person could read; route to models alone (--router), or run with content='full'"
                )


def redacted(table: Rows, redactor: Redactor) -> Rows:
    """The rows as a run sees them; what goes wrong on reading them tells nothing either."""

    def stream() -> Iterator[Fields]:
        with discreet(redactor):
            yield from map(redactor.fields, table.stream())

    return table if redactor.redact is None else replace(table, stream=stream)


@contextmanager
def discreet(redactor: Redactor) -> Iterator[None]:
    """Errors that leave the block tell nothing that is redacted, neither themselves nor what they were raised from."""
    try:
        yield
    except Exception as error:
        clean = redactor.error(error)
        if clean is error:
            raise
        raise clean from None


def _begun(known: Run | None, label: str) -> Redact | None:
    try:
        return Redact.parse(label)
    except RunError as error:
        run_id = known.id if known is not None else ""
        raise RunError(
            f"run {run_id} was begun with redact={label}, which cannot be built from its text; call .run() where it "
            f"was begun, with run_id={run_id!r} and the same redact="
        ) from error
