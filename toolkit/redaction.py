"""What must not be kept is replaced before anybody sees it: secrets by default, people's data where asked for. Pure.

    Redact (the rules; its repr is the call that builds it) ── with a key ──▶ Redactor: text, values, requests, replies

Each find becomes a token such as `[email:chfbkaibmp]`: a hash of the value under a key of this record, so that equal
values give equal tokens and joins still work, while nobody without the key can try values out. Redacting twice gives
the same as once, and what holds nothing comes back as the very same object.

Another library joins as `finder`, a function from a text to (start, end, kind):

    from presidio_analyzer import AnalyzerEngine

    analyzer = AnalyzerEngine()

    def presidio(text):
        return [(found.start, found.end, found.entity_type) for found in analyzer.analyze(text, language="en")]

    workflow.run(rows, fleet, redact=Redact.personal(finder=presidio))
"""

from __future__ import annotations

import ast
import copy
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any, TypeVar

from toolkit import finding, finding_numbers
from toolkit.errors import RunError, ToolkitError
from toolkit.finding import Found, is_secret_name
from toolkit.messages import Data, Message, Part, Reasoning, Text, ToolCall, ToolResult
from toolkit.records import Grade, Json, Reply, Request

Finder = Callable[[str], Iterable[tuple[int, int, str]]]
E = TypeVar("E", bound=BaseException)
R = TypeVar("R")
TOKEN = re.compile(r"\[[a-z][a-z0-9_]{0,31}:[a-p]{10}\]")
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopabcdef")
_LEAST_KNOWN = 6
_LEAST_CARD = 10**12


@dataclass(frozen=True, repr=False)
class Redact:
    """Which finds are replaced.

    `secrets` are keys, tokens and passwords, by shape and by the name of the column or field that holds them; `cards`
    are payment cards; `patterns` are regular expressions of your own by the kind that they find; `keep` names columns
    and fields that are left alone; `finder` finds more, by whatever library.
    """

    emails: bool = False
    phones: bool = False
    secrets: bool = True
    cards: bool = True
    patterns: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    finder: Finder | None = None

    def __post_init__(self) -> None:
        for kind, pattern in self.patterns.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", kind):
                raise RunError(f"a pattern's kind is a word in lower case, not {kind!r}")
            try:
                re.compile(pattern)
            except re.error as error:
                raise RunError(f"the pattern {pattern!r} of {kind!r} is no regular expression: {error}") from None
        object.__setattr__(self, "keep", tuple(self.keep))

    @classmethod
    def personal(cls, **options: Any) -> Redact:
        """Secrets, cards, e-mail addresses and phone numbers."""
        return cls(emails=True, phones=True, **options)

    @classmethod
    def parse(cls, label: str) -> Redact | None:
        """What a label stands for: `secrets`, `personal`, `none`, or the call that builds it. Raises RunError."""
        named: dict[str, Redact | None] = {"secrets": cls(), "personal": cls.personal(), "none": None}
        label = label.strip()
        if label in named:
            return named[label]
        try:
            call = ast.parse(label, mode="eval").body
            if not isinstance(call, ast.Call) or ast.unparse(call.func) != "Redact" or call.args:
                raise ValueError("it is no call of Redact")
            return cls(**{str(given.arg): ast.literal_eval(given.value) for given in call.keywords})
        except (SyntaxError, TypeError, ValueError):
            raise RunError(
                f"cannot build the redaction {label!r}; it is secrets, personal, none, or a call such as "
                "Redact(emails=True, patterns={'ticket': 'T-[0-9]+'}); a finder is given in code: run(…, redact=…)"
            ) from None

    @staticmethod
    def label(redact: Redact | None) -> str:
        """The text that stands for it in a run's settings."""
        return "none" if redact is None else repr(redact)

    def __repr__(self) -> str:
        given = ((each.name, getattr(self, each.name), each) for each in fields(self))
        told = [f"{name}={_told(value)}" for name, value, each in given if value != _default(each)]
        return f"Redact({', '.join(told)})"


def _default(each: Any) -> Any:
    return {} if each.name == "patterns" else each.default


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return repr(dict(value))
    return f"<{getattr(value, '__qualname__', type(value).__name__)}>" if callable(value) else repr(value)


class Redactor:
    """Redacts for one record. `key` is the secret under which tokens are made, `known` are secrets known by heart (the
    keys of the fleet), which are found whatever their shape. With `redact=None` everything comes back as it is."""

    def __init__(self, redact: Redact | None, *, key: bytes, known: Iterable[str] = ()) -> None:
        self.redact = redact
        self._key = key
        self._known = tuple(secret for secret in known if len(secret) >= _LEAST_KNOWN) if redact is not None else ()
        self._patterns = {kind: re.compile(p) for kind, p in redact.patterns.items()} if redact is not None else {}
        self._keep = frozenset(map(finding.squash, redact.keep)) if redact is not None else frozenset()
        self._names: dict[str, tuple[str, bool, bool]] = {}
        self._schemas: dict[int, tuple[Any, Any]] = {}

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
            found += finding.named(text, is_secret=self._is_secret)
        if redact.emails and "@" in text:
            found += finding.emails(text)
        if redact.cards or redact.phones:
            row = finding_numbers.digits_in_a_row(text)
            if row >= 13 and redact.cards:
                found += finding_numbers.cards(text)
            if row and redact.phones:
                found += finding_numbers.phones(text)
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

    def _is_secret(self, name: str) -> bool:
        assert self.redact is not None
        return self.redact.secrets and is_secret_name(name) and finding.squash(name) not in self._keep

    # --------------------------------------------------------------------------------------------------------- values
    def value(self, value: Json) -> Json:
        """Plain JSON with every find replaced, in the same structure; the same object where there is none."""
        return value if self.redact is None else self._value(value, secret=False)

    def fields(self, row: Mapping[str, Json]) -> Mapping[str, Json]:
        """A row, by the names of its columns; these stay as they are."""
        if self.redact is None:
            return row
        changed: dict[str, Json] = {}
        same = True
        for name, item in row.items():
            _, kept, hides = self._names.get(name) or self._name(name)
            new = changed[name] = item if kept else self._value(item, secret=hides)
            same = same and new is item
        return row if same else changed

    def _value(self, value: Json, *, secret: bool) -> Json:
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
            return self.token("card", digits) if finding_numbers.is_card(digits) else value
        return value

    def _mapping(self, value: Mapping[str, Json], *, secret: bool) -> Mapping[str, Json]:
        changed: dict[str, Json] = {}
        same = True
        for name, item in value.items():
            told, kept, hides = self._names.get(name) or self._name(name)
            new = changed[told] = item if kept else self._value(item, secret=secret or hides)
            same = same and told == name and new is item
        return value if same else changed

    def _name(self, name: str) -> tuple[str, bool, bool]:
        """A name of a field: as it may be told, whether it is left alone, whether it is that of a secret."""
        if len(self._names) > 4096:
            self._names.clear()
        kept = finding.squash(name) in self._keep
        self._names[name] = self.text(name), kept, not kept and self._is_secret(name)
        return self._names[name]

    def _listed(self, value: list[Json] | tuple[Json, ...], *, secret: bool) -> Json:
        if not secret and set(map(type, value)) == {float} and max(value) < _LEAST_CARD:  # a vector
            return value
        items = [self._value(item, secret=secret) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return items if isinstance(value, list) else tuple(items)

    def _leaf(self, value: str) -> str:
        """A secret by its name alone, whole."""
        return value if TOKEN.fullmatch(value) else self.token("secret", value)

    # -------------------------------------------------------------------------------------------- requests and replies
    def request(self, request: Request) -> Request:
        """A request as it may go out: its words, data and texts, and the words in its schemas."""
        if self.redact is None:
            return request
        return _with(
            request,
            messages=_each(request.messages, self._message),
            inputs=_each(request.inputs, self.text),
            output_schema=self._schema(request.output_schema),
            tools=request.tools and _each(request.tools, self._tool),
        )

    def reply(self, reply: Reply) -> Reply:
        """A reply as it may be read: also a find that only its parts together make up."""
        if self.redact is None:
            return reply
        words = [part for part in reply.parts if isinstance(part, Text)]
        parts = reply.parts
        if len(words) > 1 and (whole := self.text(reply.text)) is not reply.text and whole != reply.text:
            others = [part for part in parts if not isinstance(part, Text)]
            parts = (*others, Text(whole))
        return _with(reply, parts=_each(parts, self._part), value=self._value(reply.value, secret=False))

    def grade(self, grade: Grade) -> Grade:
        """A grade whose reason and word may be kept."""
        return _with(grade, reason=self.text(grade.reason), label=grade.label and self.text(grade.label))

    def error(self, error: E) -> E:
        """An error whose message, and what it was raised from, tell nothing; the same object where they did not."""
        if self.redact is None:
            return error
        message = self.told(str(error))
        if message == str(error) and not self._causes_tell(error):
            return error
        clean = copy.copy(error) if isinstance(error, ToolkitError) else error
        clean.args = (message,)
        clean.__cause__ = clean.__context__ = None
        return clean.with_traceback(error.__traceback__)

    def _causes_tell(self, error: BaseException) -> bool:
        """Whether one of the errors behind an error holds a find: a traceback would print it."""
        seen: set[int] = set()
        behind = error.__cause__ or error.__context__
        while behind is not None and id(behind) not in seen:
            seen.add(id(behind))
            if self.told(str(behind)) != str(behind):
                return True
            behind = behind.__cause__ or behind.__context__
        return False

    def _message(self, message: Message) -> Message:
        return _with(message, parts=_each(message.parts, self._part))

    def _part(self, part: Part) -> Part:
        match part:
            case Text():
                return _with(part, text=self.text(part.text))
            case Data():
                return _with(part, text=self._value(part.text, secret=self._is_secret(part.name)))
            case Reasoning():
                told = self.text(part.text)
                return part if told is part.text else Reasoning(told)  # a provider's signature fits its own words alone
            case ToolCall():
                return _with(part, arguments=self._value(part.arguments, secret=False))
            case ToolResult():
                return _with(part, text=self.text(part.text))
        return part

    def _tool(self, tool: Any) -> Any:
        return _with(tool, description=self.text(tool.description), parameters=self._schema(tool.parameters))

    def _schema(self, schema: Any) -> Any:
        """The words of a schema; names in it are those of fields, whose values are types and no secrets."""
        if schema is None:
            return None
        known = self._schemas.get(id(schema))
        if known is None or known[0] is not schema:
            if len(self._schemas) > 256:
                self._schemas.clear()
            known = self._schemas[id(schema)] = (schema, self._words(schema))
        return known[1]

    def _words(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            changed = {name: self._words(item) for name, item in value.items()}
            return value if all(changed[name] is item for name, item in value.items()) else changed
        if isinstance(value, list | tuple):
            items = [self._words(item) for item in value]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else items
        return value


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


def _each(items: tuple[Any, ...], change: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The items changed; the same tuple where none is."""
    changed = tuple(map(change, items))
    return items if all(new is old for new, old in zip(changed, items, strict=True)) else changed


def _with(record: R, **changes: Any) -> R:
    """The record with these fields; the same object where they are what they were."""
    if all(getattr(record, name) is value for name, value in changes.items()):
        return record
    changed: R = replace(record, **changes)  # type: ignore[type-var]
    return changed
