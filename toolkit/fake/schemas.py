"""A JSON value that satisfies a JSON schema, and one that does not. Pure: schema, words and dice in, the value out.

Source: JSON Schema, draft 2020-12. What a single pass may get wrong (`not`, `oneOf`, `contains`, patterns …) is checked
with the package jsonschema and drawn again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

import orjson

from toolkit.fake.values import Drawing, Unsatisfiable
from toolkit.records import Json, canonical

TRIES = 40
ABOUT = frozenset(("$comment", "$defs", "$id", "$schema", "default", "definitions", "deprecated", "description"))
PLAIN = ABOUT | frozenset(
    ("$ref", "additionalProperties", "anyOf", "const", "discriminator", "enum", "examples", "exclusiveMaximum",
     "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum",
     "prefixItems", "properties", "readOnly", "required", "strict", "title", "type", "writeOnly")
)  # fmt: skip
"""Keywords that one pass gets right, or that constrain nothing."""
BELOW = ("properties", "$defs", "definitions")
TYPES = frozenset(("object", "array", "string", "integer", "number", "boolean", "null"))


def satisfying(schema: Json, *, dice: Random, words: Sequence[str] = ()) -> Json:
    """A value of the schema; its free texts are made of `words`. Raises Unsatisfiable where none was found."""
    told = canonical(schema)
    try:
        if is_plain(told):
            return Drawing(schema, dice, words).value(schema)
        return _found(schema, told, dice, words)
    except Unsatisfiable:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Unsatisfiable(f"it is no JSON schema ({type(error).__name__}: {error})") from error


def violating(schema: Json, value: Json) -> Json:
    """A value near `value` that does not satisfy the schema; a bare sentence where all JSON does."""
    told = canonical(schema)
    return next((near for near in _near(value) if not fits(told, near)), "this is not what was asked for")


def fits(schema: bytes, value: Json) -> bool:
    """Whether a value satisfies a schema, which comes as canonical JSON."""
    from referencing.exceptions import Unresolvable

    try:
        return bool(_validator(schema).is_valid(value))
    except (Unresolvable, re.error, RecursionError) as error:
        raise Unsatisfiable(f"{type(error).__name__}: {error}") from error


def _found(schema: Json, told: bytes, dice: Random, words: Sequence[str]) -> Json:
    """The first value drawn that jsonschema takes."""
    reason = "none of its values was found"
    for _ in range(TRIES):
        try:
            value = Drawing(schema, dice, words).value(schema)
        except Unsatisfiable as error:
            reason = str(error)
            continue
        if fits(told, value):
            return value
    raise Unsatisfiable(reason)


def _near(value: Json) -> Iterator[Json]:
    """Values that differ from `value` as answers of models do: a field of the wrong type, a field left out, a text."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield {**value, name: [held] if not isinstance(held, list) else "several"}
        for name in value:
            yield {key: held for key, held in value.items() if key != name}
    yield from ("I would say so.", [], None, {}, 0)


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    from jsonschema.validators import Draft202012Validator, validator_for

    content = orjson.loads(schema)
    return validator_for(content, default=Draft202012Validator)(content)


@lru_cache(maxsize=1024)
def is_plain(schema: bytes) -> bool:
    """Whether one pass is sure to satisfy the schema, which comes as canonical JSON."""
    content = orjson.loads(schema)
    return isinstance(content, dict) and all(map(_is_plain, _schemas(content)))


def _is_plain(schema: Json) -> bool:
    if not isinstance(schema, Mapping):
        return schema is True or schema is False
    constrained = len({"enum", "const"} & set(schema)) and len(set(schema) & {"enum", "const", "anyOf", "$ref"}) > 1
    combined = {"anyOf", "$ref"} & set(schema) and {"type", "enum", "const", "properties", "items"} & set(schema)
    return set(schema) <= PLAIN and not constrained and not combined and _is_known(schema.get("type"))


def _is_known(kind: Json) -> bool:
    return kind is None or (isinstance(kind, str) and kind in TYPES)


def _schemas(schema: Json) -> Iterator[Json]:
    """A schema and all that stand in it."""
    yield schema
    if not isinstance(schema, Mapping):
        return
    for name, value in schema.items():
        if name in BELOW and isinstance(value, Mapping):
            for each in value.values():
                yield from _schemas(each)
        elif name in ("items", "additionalProperties"):
            yield from _schemas(value)
        elif name in ("anyOf", "prefixItems") and isinstance(value, list):
            for each in value:
                yield from _schemas(each)
