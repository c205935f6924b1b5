"""Texts and plain values without what must not be kept: each find becomes a token. Pure.

A token such as `[email:chfbkaibmp]` is a hash of the value under a key of this record, so that equal values give equal
tokens and joins still work, while nobody without the key can try values out. Redacting twice gives the same as once,
and what holds nothing comes back as the very same object.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from toolkit.records import Json
from toolkit.redaction import finding, numbers
from toolkit.redaction.finding import Found
from toolkit.redaction.rules import Redact

TOKEN = re.compile(r"\[[a-z][a-z0-9_]{0,31}:[a-p]{10}\]")
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopabcdef")
_LEAST_KNOWN = 6
_LEAST_CARD = 10**12


class Words:
    """Redacts texts and plain values for one record. `key` is the secret under which tokens are made, `known` are
    secrets known by heart (the keys of the fleet), which are found whatever their shape. With `redact=None` everything
    comes back as it is."""

    def __init__(self, redact: Redact | None, *, key: bytes, known: Iterable[str] = ()) -> None:
        self.redact = redact
        self._key = key
        self._known = tuple(secret for secret in known if len(secret) >= _LEAST_KNOWN) if redact is not None else ()
        self._patterns = {kind: re.compile(p) for kind, p in redact.patterns.items()} if redact is not None else {}
        self._keep = frozenset(map(finding.squash, redact.keep)) if redact is not None else frozenset()
        self._names: dict[str, tuple[str, bool, bool]] = {}

    # ---------------------------------------------------------------------------------------------------------- texts
    def text(self, text: str) -> str:
        """The text with every find replaced; the same object where there is none."""
        if self.redact is None or len(text) < 4:
            return text
        while (spans := self._spans(text)) and (redacted := self._replaced(text, spans)) != text:
            text = redacted
        return text

    def told(self, text: str) -> str:
        """As `text`, for a message that may have been cut short in the middle of a secret known by heart."""
        for secret in self._known:
            for size in range(min(len(secret), len(text)), _LEAST_KNOWN - 1, -1):
                if text.endswith(secret[:size]):
                    return self.text(text[: len(text) - size]) + self.token("key", secret)
        return self.text(text)

    def token(self, kind: str, value: str) -> str:
        """What stands for a value. Letters alone, so that no rule can take part of it for a number."""
        digest = blake2b(value.encode("utf-8", "surrogatepass"), key=self._key, digest_size=5).hexdigest()
        return f"[{kind}:{digest.translate(_LETTERS)}]"

    def _spans(self, text: str) -> list[Found]:
        redact = self.redact
        assert redact is not None
        found: list[Found] = []
        for secret in self._known:
            if secret in text:
                found += (Found(*match.span(), "key", secret) for match in re.finditer(re.escape(secret), text))
        if redact.secrets:
            found += finding.keys(text)
            found += finding.named(text, is_secret=self.is_secret)
        if redact.emails and "@" in text:
            found += finding.emails(text)
        if redact.cards or redact.phones:
            row = numbers.digits_in_a_row(text)
            if row >= 13 and redact.cards:
                found += numbers.cards(text)
            if row and redact.phones:
                found += numbers.phones(text)
        for kind, pattern in self._patterns.items():
            found += (Found(*m.span(), kind, m[0]) for m in pattern.finditer(text) if m.end() > m.start())
        if redact.finder is not None:
            found += (
                Found(start, end, re.sub(r"\W+", "_", kind.lower()).strip("_")[:32] or "found", text[start:end])
                for start, end, kind in redact.finder(text)
                if end > start
            )
        return found

    def _replaced(self, text: str, spans: list[Found]) -> str:
        tokens = [match.span() for match in TOKEN.finditer(text)]
        told, done = [], 0
        for span in _apart(text, spans, tokens):
            token = self.token(span.kind, span.value)
            told += [text[done : span.start], f'"{token}"' if span.quoted else token]
            done = span.end
        return "".join([*told, text[done:]])

    def is_secret(self, name: str) -> bool:
        """Whether that is the name of a field that holds a secret."""
        assert self.redact is not None
        return self.redact.secrets and finding.is_secret_name(name) and finding.squash(name) not in self._keep

    # --------------------------------------------------------------------------------------------------------- values
    def value(self, value: Json) -> Json:
        """Plain JSON with every find replaced, in the same structure; the same object where there is none."""
        return value if self.redact is None else self.within(value, secret=False)

    def fields(self, row: Mapping[str, Json]) -> Mapping[str, Json]:
        """A row, by the names of its columns; these stay as they are."""
        if self.redact is None:
            return row
        changed: dict[str, Json] = {}
        same = True
        for name, item in row.items():
            _, kept, hides = self._names.get(name) or self._name(name)
            new = changed[name] = item if kept else self.within(item, secret=hides)
            same = same and new is item
        return row if same else changed

    def within(self, value: Json, *, secret: bool) -> Json:
        """A value that stands within another; `secret` tells that the name above it makes a secret of all of it."""
        if isinstance(value, str):
            return self._leaf(value) if secret and value.strip() else self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value, secret=secret)
        if isinstance(value, list | tuple):
            return self._listed(value, secret=secret)
        if value is None or isinstance(value, bool):
            return value
        if secret:
            return self._leaf(str(value))
        assert self.redact is not None
        if self.redact.cards and isinstance(value, int | float) and value >= _LEAST_CARD and value == value // 1:
            digits = str(int(value))
            return self.token("card", digits) if numbers.is_card(digits) else value
        return value

    def _mapping(self, value: Mapping[str, Json], *, secret: bool) -> Mapping[str, Json]:
        changed: dict[str, Json] = {}
        same = True
        for name, item in value.items():
            told, kept, hides = self._names.get(name) or self._name(name)
            new = changed[told] = item if kept else self.within(item, secret=secret or hides)
            same = same and told == name and new is item
        return value if same else changed

    def _name(self, name: str) -> tuple[str, bool, bool]:
        """A name of a field: as it may be told, whether it is left alone, whether it is that of a secret."""
        if len(self._names) > 4096:
            self._names.clear()
        kept = finding.squash(name) in self._keep
        self._names[name] = self.text(name), kept, not kept and self.is_secret(name)
        return self._names[name]

    def _listed(self, value: list[Json] | tuple[Json, ...], *, secret: bool) -> Json:
        if not secret and set(map(type, value)) == {float} and max(value) < _LEAST_CARD:  # a vector
            return value
        items = [self.within(item, secret=secret) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return items if isinstance(value, list) else tuple(items)

    def _leaf(self, value: str) -> str:
        """A secret by its name alone, whole."""
        return value if TOKEN.fullmatch(value) else self.token("secret", value)


# ----------------------------------------------------------------------------------------------------------- helpers
def _apart(text: str, spans: list[Found], tokens: list[tuple[int, int]]) -> Iterator[Found]:
    """Spans in order that do not overlap: those that do become one of the first one's kind, and tokens are left out."""
    spans = sorted(spans, key=lambda span: (span.start, -span.end))
    joined: list[Found] = []
    for span in spans:
        if joined and span.start < joined[-1].end:
            last = joined[-1]
            if span.end > last.end:
                joined[-1] = Found(last.start, span.end, last.kind, text[last.start : span.end])
            continue
        joined.append(span)
    starts, ends = [start for start, _ in tokens], [end for _, end in tokens]
    for span in joined:
        start = span.start
        within = tokens[bisect_right(ends, start) : bisect_left(starts, span.end)]
        if not within:
            yield span
            continue
        for a, b in [*within, (span.end, span.end)]:
            if start < a:
                yield Found(start, a, span.kind, text[start:a])
            start = max(start, b)
