"""What in a text is a secret or an address: spans, found by shape or by the name before them. Pure.

In: a text. Out: `Found` spans, each with its kind and the value in the form in which equal ones are equal. Each search
looks for a cheap sign first, as most texts hold nothing, and none takes more than linear time.

Sources: RFC 7519 (JSON web tokens), RFC 7468 (PEM), and the key formats that providers publish for secret scanners.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple


class Found(NamedTuple):
    """`text[start:end]` is of that kind. `quoted`: what replaces it needs quotation marks of its own to stay JSON."""

    start: int
    end: int
    kind: str
    value: str
    quoted: bool = False


# ------------------------------------------------------------------------------------------------------ keys and tokens
_RUN = b"x" * 15
"""No key is shorter than that, and little prose has a word so long."""
_AS_RUNS = bytes(120 if (chr(code).isalnum() and code < 128) or chr(code) in "_-." else 32 for code in range(256))
_KEYS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        sk-(?=[A-Za-z_-]{0,80}[0-9A-Z])[A-Za-z0-9_-]{16,}
      | (?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9+/=]{16,}
      | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,}
      | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9_-]{20,} | GOCSPX-[A-Za-z0-9_-]{16,}
      | xox[abeoprs]-[A-Za-z0-9-]{10,} | xapp-[A-Za-z0-9-]{10,}
      | hf_[A-Za-z0-9]{20,} | gsk_[A-Za-z0-9]{20,} | pplx-[A-Za-z0-9]{20,} | xai-[A-Za-z0-9]{20,} | r8_[A-Za-z0-9]{20,}
      | npm_[A-Za-z0-9]{20,} | pypi-[A-Za-z0-9_-]{20,} | SG\.[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{10,}
      | dop_v1_[a-f0-9]{32,} | dapi[a-f0-9]{32} | nvapi-[A-Za-z0-9_-]{20,} | tvly-[A-Za-z0-9_-]{16,}
      | lsv2_[A-Za-z0-9_]{20,}
    )""",
    re.VERBOSE,
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{12,}\.[\w-]{4,}(?:\.[\w-]*)?")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.S)
_BEARER = re.compile(r"(?i:bearer)[\s:=\"']{1,4}([A-Za-z0-9._~+/-]{6,}=*)")
_PASSWORD_IN_URL = re.compile(r"://[^\s/:@\"'<>]*:([^\s/\"'<>]+)@")


def keys(text: str) -> Iterator[Found]:
    """Keys of the usual shapes, JSON web tokens, private keys, bearer tokens, passwords in URLs."""
    for start, end in _long_words(text):
        if (match := _KEYS.search(text, start, end)) is not None:
            whole = _KEYS.match(text, match.start()) or match  # some have marks that no word has
            yield Found(*whole.span(), "key", whole[0])
        if "eyJ" in text[start:end]:
            for match in _JWT.finditer(text, start, end):
                yield Found(*match.span(), "token", match[0])
    if "-----BEGIN" in text:
        for match in _PEM.finditer(text):
            yield Found(*match.span(), "private_key", match[0])
    if "earer" in text or "EARER" in text:
        for match in _BEARER.finditer(text):
            if _looks_made(match[1]):
                yield Found(*match.span(1), "token", match[1])
    if "://" in text and "@" in text:
        for match in _PASSWORD_IN_URL.finditer(text):
            yield Found(*match.span(1), "password", match[1])


def _long_words(text: str) -> Iterator[tuple[int, int]]:
    """Where words stand that are long enough to be keys; each byte looked at is one character of the text."""
    words = text.encode("latin-1", "replace").translate(_AS_RUNS)
    at = words.find(_RUN)
    while at >= 0:
        end = words.find(b" ", at)
        end = end if end >= 0 else len(words)
        yield at, end
        at = words.find(_RUN, end)


def _looks_made(value: str) -> bool:
    """Whether a word looks like something that a machine or a careful person made up, and not like prose."""
    plain = value.rstrip(".,")
    return any(char.isdigit() for char in plain) or (len(plain) >= 12 and not plain[1:].islower()) or len(plain) >= 24


# -------------------------------------------------------------------------------------------------- by the name before
_NAMES = (
    "api key", "access key", "secret key", "private key", "signing key", "encryption key", "ssh key", "account key",
    "auth key", "shared key", "master key", "password", "passwords", "password hash", "passwd", "pwd", "passphrase",
    "passcode", "secret", "secrets", "token", "authorization", "credential", "credentials", "cookie", "cookies", "jwt",
    "cvv", "cvc",
)  # fmt: skip
_NAME_ENDINGS = tuple(name.replace(" ", "") for name in _NAMES)
_LAST_LETTERS = frozenset(name[-3:] for name in _NAMES)
_NAME = re.compile(r"[\w.-]+(?:[ ](?i:key|hash))?\Z|(?i:api|access|secret|private|auth)[ ](?i:key)\Z")
_LONGEST_NAME = 64
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_OPENING = re.compile(r"\\{0,3}[\"']")
_NUMBER = re.compile(r"-?\d[\d.eE+-]*")
_BARE = re.compile(r"((?:(?:basic|bearer|digest|token)\s+)?[^\s\"'<>,;(){}\[\]&\\]{4,})", re.IGNORECASE)
_MEMBER = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
_NO_SECRETS = frozenset({"none", "null", "true", "false", "bearer", "basic", "undefined"})
_decoder = json.JSONDecoder()


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a key, a column or a field of that name holds a secret: `api_key`, `X-Api-Key`, `dbPassword`, `token`."""
    return squash(name).endswith(_NAME_ENDINGS)


def squash(name: str) -> str:
    """A name without case and separators."""
    return re.sub(r"[\W_]+", "", name).lower()


def named(text: str, *, is_secret: Callable[[str], bool]) -> Iterator[Found]:
    """Values that stand behind a secret's name: in JSON (also inside other text, also escaped), `NAME=value`,
    `Authorization: Basic …`."""
    for sign in ":=":
        at = text.find(sign)
        while at >= 0:
            before = text[max(0, at - _LONGEST_NAME) : at]
            name = before.rstrip("\\\"' \t\n")
            if name[-3:].lower() in _LAST_LETTERS and text[at + 1 : at + 2] != "=":
                found = _NAME.search(name)
                if found is not None and is_secret(found[0]):
                    for value in _behind(text, at, close=before[len(name) :]):
                        yield value
                        at = value.end - 1
            at = text.find(sign, at + 1)


def _behind(text: str, sign: int, *, close: str) -> Iterator[Found]:
    """The value behind the sign at that place; `close` is what stands between the name and the sign."""
    at = sign + 1
    while at < len(text) and at - sign < 6 and text[at].isspace():
        at += 1
    opening = _OPENING.match(text, at)
    if opening is not None:
        yield from _quoted(text, opening)
    elif text[at : at + 1] in ("{", "["):
        yield from _inside(text, at)
    elif '"' in close or "'" in close:
        if (number := _NUMBER.match(text, at)) is not None:
            yield Found(*number.span(), "secret", number[0], quoted=close.startswith('"'))
    elif (bare := _BARE.match(text, at)) is not None:
        value = bare[1].rstrip(".:!?")
        directly = text[sign] == "=" and at == sign + 1 and not close
        if value.lower() not in _NO_SECRETS and (directly or _looks_made(value)) and len(value) >= 4:
            yield Found(at, at + len(value), "secret", value)


def _quoted(text: str, opening: re.Match[str]) -> Iterator[Found]:
    """The text up to the same mark as it opens with, or to the end of the line."""
    if opening[0] == '"':
        whole = _STRING.match(text, opening.start())
        start, end = whole.span(1) if whole is not None else (opening.end(), _line_end(text, opening.end()))
        value = _unescaped(text[start:end])
    else:
        start, end = opening.end(), text.find(opening[0], opening.end())
        end = end if end >= 0 else _line_end(text, start)
        value = text[start:end]
    if value.strip():
        yield Found(start, end, "secret", value)


def _inside(text: str, at: int) -> Iterator[Found]:
    """All strings of an object or a list in JSON, but the names of its members."""
    try:
        _, end = _decoder.raw_decode(text, at)
    except (ValueError, RecursionError):
        return
    for match in _MEMBER.finditer(text, at, end):
        value = _unescaped(match[1])
        if match[2] is None and value.strip():
            yield Found(*match.span(1), "secret", value)


def _unescaped(inner: str) -> str:
    if "\\" not in inner:
        return inner
    try:
        told: str = json.loads(f'"{inner}"', strict=False)
    except ValueError:
        return inner
    return told


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return end if end >= 0 else len(text)


# ------------------------------------------------------------------------------------------------------------- e-mails
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,62})\.){1,8}(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})")
_LOCAL_WINDOW = 128


def emails(text: str) -> Iterator[Found]:
    """E-mail addresses."""
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        if domain is not None and (start := _local_start(text, at)) < at:
            yield Found(start, domain.end(), "email", text[start : domain.end()].lower())
        at = text.find("@", at + 1)


def _local_start(text: str, at: int) -> int:
    """Where the part before the @ begins: without punctuation at its start, or the letter of an escape as in \\n."""
    start, least = at, max(0, at - _LOCAL_WINDOW)
    while start > least and (text[start - 1].isalnum() or text[start - 1] in "_.%+'-"):
        start -= 1
    if start > 0 and text[start - 1] == "\\" and text[start] in "nrtbf":
        start += 1
    while start < at and text[start] in ".'-%":
        start += 1
    return start
