"""The rules of a redaction: which finds are replaced. A value; its repr is the call that builds it.

Another library joins as `finder`, a function from a text to (start, end, kind):

    from presidio_analyzer import AnalyzerEngine

    analyzer = AnalyzerEngine()

    def presidio(text):
        return [(found.start, found.end, found.entity_type) for found in analyzer.analyze(text, language="en")]

    workflow.run(rows, fleet, redact=Redact.personal(finder=presidio))
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from toolkit.errors import RunError

Finder = Callable[[str], Iterable[tuple[int, int, str]]]


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
