"""The secret under which a home's tokens and hashes are made: the environment's, else one made once for the home.

Whoever has it can try values out against the record; keep it apart where the record is passed on. Without it, and with
the record, nobody can.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from toolkit.errors import LedgerError

VARIABLE = "TOOLKIT_REDACTION_KEY"
NAME = "redaction.key"


def redaction_key(home: Path | str) -> bytes:
    """32 bytes: out of TOOLKIT_REDACTION_KEY where that is set, else out of the home's file, which is made if need be.

    Any number of processes may ask at once; all get the same. Raises LedgerError where the file cannot be read or made.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return _derived(given)
    path = Path(home) / NAME
    try:
        if not path.exists():
            _make(path)
        told = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(
            f"the key of the redaction, {path}, cannot be read or made: {error}; or set {VARIABLE}"
        ) from error
    if len(told) < 32:
        raise LedgerError(f"{path} holds no key; put back the one that was there, or set {VARIABLE}")
    return _derived(told)


def _make(path: Path) -> None:
    """Written whole under another name first, and only then linked: whoever comes second finds the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    apart = path.with_name(f"{NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(apart, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(apart, path)
    finally:
        apart.unlink()


def _derived(told: str) -> bytes:
    return blake2b(told.encode(), digest_size=32, person=b"toolkit-redact").digest()
