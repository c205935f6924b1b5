"""How a value may stand on record: as it is, as redaction wrote it, or as the hash of a run that keeps no content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from toolkit.errors import RunError
from toolkit.ledger.homes import has_record
from toolkit.records import Json, canonical

if TYPE_CHECKING:
    from toolkit.ledger.reading.history import History

LABELS = (
    "select distinct settings ->> 'redact', settings ->> 'content' from runs where settings ->> 'redact' is not null"
)


def spellings(history: History, column: str, values: Sequence[str]) -> tuple[str, ...]:
    """All ways in which the runs on record may have written these values of a column, the values themselves first."""
    found = dict.fromkeys(values)
    if not has_record(history.home):
        return tuple(found)
    labels = history.sql(LABELS).rows
    if any(label != "none" or content == "hashes" for label, content in labels):
        from toolkit.ledger.secret_key import redaction_key

        key = redaction_key(history.home)
        for value in values:
            written = dict.fromkeys([value, *_tokens(column, value, {label for label, _ in labels}, key=key)])
            forms = (form for each in written for form in _forms(each))
            found |= written | dict.fromkeys(blake2b(canonical(f), key=key, digest_size=16).hexdigest() for f in forms)
    return tuple(found)


def _tokens(column: str, value: str, labels: Iterable[str], *, key: bytes) -> Iterable[str]:
    """The value after each redaction that a run had, as far as its rules can be built from their text."""
    from toolkit.redaction import Redact, Redactor

    for label in ("personal", *labels):
        try:
            redact = Redact.parse(label)
        except RunError:
            continue
        told = Redactor(redact, key=key).fields({column: value})
        yield from (str(each) for each in told.values())


def _forms(value: str) -> Iterable[Json]:
    """The JSON values that are written so."""
    yield value
    for read in (int, float):
        try:
            yield read(value)
        except ValueError:
            continue
