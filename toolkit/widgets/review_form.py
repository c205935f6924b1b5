"""A form out of a step's declared output type, and a value out of what somebody filled in. Pure.

    JSON schema ─▶ Form ─▶ (a page) ─▶ name of field → what was chosen or typed ─▶ value, or FormError in a sentence

Words to choose from, yes and no, numbers and texts have fields of their own; what is nested is JSON that is typed.
Whether a value fits the type is for the inbox to say: here it is only read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from toolkit.errors import InboxError
from toolkit.records import Json

Kind = Literal["choice", "number", "integer", "text", "json"]
MOST_CHOICES = 40
WHOLE = ""
"""The name of the one field of a form whose value is no object."""


class FormError(InboxError):
    """What was filled in cannot be read."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. A choice is given as its place among `options`; anything else as the text that was typed.

    `required` fields must be filled in; others are left out of the value where they are empty. `nullable` ones may be
    null: an empty field is null where it is required.
    """

    name: str
    kind: Kind
    options: tuple[Json, ...] = ()
    required: bool = True
    nullable: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a value; `is_whole` where its one field is the value itself."""

    fields: tuple[Field, ...]
    is_whole: bool = False


def form_of(schema: Mapping[str, Json] | None) -> Form:
    """The form for a value of that JSON schema; None is free text."""
    if schema is None:
        return Form((Field(WHOLE, "text"),), is_whole=True)
    found = _meant(schema, schema)
    properties = found.get("properties")
    if found.get("type") != "object" or not isinstance(properties, Mapping) or not properties:
        return Form((_field(WHOLE, schema, root=schema, required=True),), is_whole=True)
    required = set(found.get("required", ()))
    return Form(tuple(_field(name, each, root=schema, required=name in required) for name, each in properties.items()))


def filled(form: Form, value: Json) -> dict[str, Json]:
    """The fields as they are where the form holds that value: what a model said before, to begin with."""
    if form.is_whole:
        return {WHOLE: _shown(form.fields[0], value)}
    given = value if isinstance(value, Mapping) else {}
    return {field.name: _shown(field, given[field.name]) for field in form.fields if field.name in given}


def value_of(form: Form, given: Mapping[str, Json]) -> Json:
    """The value that the filled-in fields make. Raises FormError naming the field that cannot be read."""
    if form.is_whole:
        return _read(form.fields[0], given.get(WHOLE))
    value: dict[str, Json] = {}
    for field in form.fields:
        told = given.get(field.name)
        if _is_empty(told) and not field.required:
            continue
        value[field.name] = _read(field, told)
    return value


# ------------------------------------------------------------------------------------------------------------ reading
def _read(field: Field, told: Json) -> Json:
    if _is_empty(told):
        if field.nullable:
            return None
        if field.kind == "text" and isinstance(told, str):
            return told  # an empty text is one; whether it may be is for the inbox to say
        raise FormError(f"{_named(field)} is empty: {_wanted(field)}")
    if field.kind == "choice":
        if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < len(field.options):
            return field.options[told]
        raise FormError(f"{_named(field)} has no choice {told!r}: {_wanted(field)}")
    text = str(told)
    if field.kind == "text":
        return text
    try:
        if field.kind == "integer":
            return int(text)
        if field.kind == "number":
            return _number(text)
        return orjson.loads(text)
    except ValueError as error:
        why = f" ({error})" if field.kind == "json" else f", not {text[:40]!r}"
        raise FormError(f"{_named(field)} cannot be read: {_wanted(field)}{why}") from error


def _number(text: str) -> float | int:
    """A number with a point or a comma. Raises ValueError where it could be either of two: 1,234."""
    if re.fullmatch(r"\s*-?[1-9]\d{0,2},\d{3}\s*", text):
        raise ValueError(text)
    number = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 and "." not in text else number


def _is_empty(told: Json) -> bool:
    return told is None or (isinstance(told, str) and not told.strip())


def _named(field: Field) -> str:
    return f"field {field.name!r}" if field.name != WHOLE else "the answer"


def _wanted(field: Field) -> str:
    wanted = {"choice": "choose one", "integer": "a whole number", "number": "a number", "text": "a text"}
    return wanted.get(field.kind, "JSON" + (f" of {field.hint}" if field.hint else ""))


# ------------------------------------------------------------------------------------------------------------ filling
def _shown(field: Field, value: Json) -> Json:
    if field.kind == "choice":
        return next((place for place, each in enumerate(field.options) if _is_same(each, value)), None)
    if value is None:
        return ""
    if field.kind in ("text", "integer", "number") and not isinstance(value, list | Mapping):
        return str(value)
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _is_same(one: Json, other: Json) -> bool:
    """As JSON has it, where true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


# ------------------------------------------------------------------------------------------------------------ schemas
def _field(name: str, schema: Json, *, root: Mapping[str, Json], required: bool) -> Field:
    found, nullable = _not_null(_meant(schema, root), root)
    hint = str(found.get("description") or "")
    options = _options(found, root)
    if options is not None and 0 < len(options) <= MOST_CHOICES:
        nullable = nullable or None in options
        options = tuple(each for each in options if each is not None)
        return Field(name, "choice", options, required, nullable, hint)
    kinds: Mapping[Json, Kind] = {"string": "text", "integer": "integer", "number": "number"}
    told = found.get("type")
    if isinstance(told, list):
        nullable = nullable or "null" in told
        rest = [each for each in told if each != "null"]
        told = rest[0] if len(rest) == 1 else None
    kind = kinds.get(told, "json")
    if kind == "json":
        hint = hint or _summary(found, root)
    return Field(name, kind, (), required, nullable, hint)


def _options(schema: Mapping[str, Json], root: Mapping[str, Json]) -> tuple[Json, ...] | None:
    """The values that are all there is to choose from, None where there are others."""
    if isinstance(schema.get("enum"), list):
        return tuple(schema["enum"])
    if "const" in schema:
        return (schema["const"],)
    if schema.get("type") == "boolean":
        return (True, False)
    several = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(several, list) and several:
        parts = [_options(_meant(each, root), root) for each in several]
        if all(part is not None for part in parts):
            return tuple(each for part in parts for each in part or ())
    return None


def _not_null(schema: Mapping[str, Json], root: Mapping[str, Json]) -> tuple[Mapping[str, Json], bool]:
    """The schema without null as one of several, and whether that was one."""
    several = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(several, list):
        return schema, schema.get("type") == "null"
    parts = [_meant(each, root) for each in several]
    rest = [each for each in parts if each.get("type") != "null"]
    if len(rest) == len(parts):
        return schema, False
    about = {name: schema[name] for name in ("description",) if name in schema}
    return ({**rest[0], **about} if len(rest) == 1 else {**about, "anyOf": rest}), True


def _meant(schema: Json, root: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a reference within the schema stands for, with what is said beside it; `{}` where nobody can tell."""
    for _ in range(8):
        if not isinstance(schema, Mapping):
            return {}
        if "allOf" in schema and isinstance(schema["allOf"], list) and len(schema["allOf"]) == 1:
            schema = {**{name: each for name, each in schema.items() if name != "allOf"}, **schema["allOf"][0]}
        target = schema.get("$ref")
        if not isinstance(target, str):
            return dict(schema)
        found: Json = root if target.startswith("#") else {}
        for part in target.removeprefix("#").strip("/").split("/") if target != "#" else ():
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        beside: dict[str, Json] = {name: each for name, each in schema.items() if name != "$ref"}
        schema = {**found, **beside} if isinstance(found, Mapping) else beside
    return {}


def _summary(schema: Mapping[str, Json], root: Mapping[str, Json]) -> str:
    """What is to be typed, in a few words."""
    if schema.get("type") == "array":
        inner = _meant(schema.get("items", {}), root)
        return f"a list of {_summary(inner, root)}s" if inner else "a list"
    if isinstance(schema.get("properties"), Mapping):
        return "an object with " + ", ".join(map(str, schema["properties"]))
    return str(schema.get("type") or "any kind")
