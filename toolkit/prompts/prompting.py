"""What a step returns: a request (`prompt`, `template`, `embed`), or a reason to be skipped (`Skip`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, time
from enum import Enum
from inspect import Parameter, Signature
from string import Formatter
from typing import Any

import orjson

from toolkit.errors import StepError, WorkflowError
from toolkit.messages import Data, Message, Text
from toolkit.records import Request


@dataclass(frozen=True, slots=True)
class Skip:
    """A step's word that it has nothing to do for this row; what needs its output is skipped with it."""

    reason: str


def prompt(instruction: str, /, **sections: Any) -> Request:
    """A chat request: your words, and named sections of data that stay apart from them.

    A section is text, or anything that JSON can hold (a row, a list of passages, a typed output). A section that is
    None raises StepError: a prompt never has a blank where something should be.

    >>> prompt("Triage this support ticket.", ticket="My parcel is late").text
    'Triage this support ticket.\\n\\n<ticket>\\nMy parcel is late\\n</ticket>'
    """
    if not sections:
        return Request(messages=(Message("user", (Text(instruction),)),))
    data = tuple(Data(name, as_text(name, value), source=name) for name, value in sections.items())
    return Request(messages=(Message("system", (Text(instruction),)), Message("user", data)))


def template(text: str, /, *, safe: Sequence[str] = ()) -> Template:
    """A prompt with places for values: `{ticket}`, or `{triage.intent}` for a field of a typed value.

    Values are data: they stand in sections of their own, and the instruction names them. Only those in `safe` (words of
    yours, a language or a tone, say) become part of the instruction. Braces are written `{{` and `}}`. Raises
    WorkflowError where the text is no such template.

    >>> template("Answer the {ticket} in {language}.", safe=["language"])(ticket="Late!", language="French").text
    'Answer the `ticket` in French.\\n\\n<ticket>\\nLate!\\n</ticket>'
    """
    pieces = tuple(_pieces(text))
    names = {path.partition(".")[0] for _, path in pieces if path}
    if isinstance(safe, str) or (unused := sorted(set(safe) - names)):
        wrong = repr(safe) if isinstance(safe, str) else unused[0]
        raise WorkflowError(f"the template has no name {wrong}; safe= lists names of it, and it has {_listed(names)}")
    return Template(text, tuple(safe), pieces)


@dataclass(frozen=True)
class Template:
    """A prompt with places for values. Calling it with them gives the request.

    It serves as a step's function: its names are the edges, so a name that is neither a step nor a column is an error
    before anything is asked: `step(route=…, name="reply")(template("… {ticket} …"))`.
    """

    text: str
    safe: tuple[str, ...] = ()
    pieces: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)

    __name__ = "template"

    def __post_init__(self) -> None:
        parameters = [Parameter(name, Parameter.KEYWORD_ONLY) for name in self.names]
        object.__setattr__(self, "__signature__", Signature(parameters))

    @property
    def names(self) -> tuple[str, ...]:
        """What it must be given."""
        return tuple(dict.fromkeys(path.partition(".")[0] for path in self.paths))

    @property
    def paths(self) -> tuple[str, ...]:
        """The values in it, each once: names, and the fields of them, in the order of the text."""
        return tuple(dict.fromkeys(path for _, path in self.pieces if path is not None))

    def __call__(self, **values: Any) -> Request:
        """The request. Raises WorkflowError where a name is missing or unknown, StepError where a value is blank."""
        if (given := set(values)) != set(self.names):
            faults = [f"misses {name!r}" for name in self.names if name not in given]
            faults += [f"has no place for {name!r}" for name in sorted(given - set(self.names))]
            raise WorkflowError(f"the template {self.text[:60]!r} {faults[0]}; it has {_listed(self.names)}")
        told, sections = [], {}
        for words, path in self.pieces:
            told.append(words)
            if path is not None and path.partition(".")[0] in self.safe:
                told.append(_safe_words(path, _at(path, values)))
            elif path is not None:
                told.append(f"`{path}`")
                sections[path] = _at(path, values)
        return prompt("".join(told), **sections)


def embed(*texts: str) -> Request:
    """An embeddings request; the answer is a list of vectors, or one vector for one text."""
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise StepError(f"cannot embed {text!r}: it is no text")
    return Request(operation="embeddings", inputs=texts)


def as_text(name: str, value: Any) -> str:
    """A value as the text of a section: text as it is, anything else as JSON."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise StepError(f"the prompt's section {name!r} is empty")
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(plain(value), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError as error:
        raise StepError(f"the prompt's section {name!r} cannot be written as JSON: {error}") from error


def plain(value: Any) -> Any:
    """A value as plain JSON: typed objects become dicts, tuples lists, dates ISO text. Raises TypeError otherwise."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return [plain(record) for record in value.to_dict("records")]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return orjson.loads(orjson.dumps(value))


def fields_of(declared: Any) -> dict[str, Any] | None:
    """Field → type, of a pydantic model or a dataclass; None for any other type."""
    if not isinstance(declared, type):
        return None
    if hasattr(declared, "model_fields"):
        return {name: each.annotation for name, each in declared.model_fields.items()}
    return {each.name: each.type for each in fields(declared)} if is_dataclass(declared) else None


# ------------------------------------------------------------------------------------------------------------ templates
def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Words, each with the path of the value behind them. Raises WorkflowError."""
    try:
        found = list(Formatter().parse(text))
    except ValueError as error:
        raise WorkflowError(
            f"the template {text[:60]!r} is not well formed: {error}; write {{{{ for a brace"
        ) from error
    for words, path, spec, conversion in found:
        if path is not None and not all(part.isidentifier() for part in path.split(".")):
            raise WorkflowError(f"the template has a place {{{path}}}; a place is a name, or a name and its fields")
        if spec or conversion:
            raise WorkflowError(f"the template formats {{{path}}}; give it the value as it is to stand there")
        yield words, path


def _at(path: str, values: Mapping[str, Any]) -> Any:
    """The value that a path leads to. Raises StepError where there is none."""
    name, *rest = path.split(".")
    value = values[name]
    for part in rest:
        try:
            value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        except (KeyError, AttributeError):
            raise StepError(f"the template wants {path!r}, and {type(value).__name__} has no {part!r}") from None
    return value


def _safe_words(path: str, value: Any) -> str:
    value = value.value if isinstance(value, Enum) else value
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise StepError(f"the template puts {path!r} into the instruction; it must be a word or a number there")
    return str(value)


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
