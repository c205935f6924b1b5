"""What a request asks for: its named data sections, and the fields of its output schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.errors import InvalidRequest
from toolkit.messages import Data
from toolkit.records import Json, Request


@dataclass(frozen=True, slots=True)
class Field:
    """One property of a schema: its JSON types (empty: any), its allowed values, and whether it must be there."""

    name: str
    types: frozenset[str]
    choices: tuple[Json, ...]
    required: bool

    @property
    def nullable(self) -> bool:
        return not self.types or "null" in self.types

    @property
    def is_boolean(self) -> bool:
        return "boolean" in self.types

    @property
    def labels(self) -> tuple[str, ...]:
        """The words to choose from, where the field is a choice of words."""
        return tuple(choice for choice in self.choices if isinstance(choice, str))


def sections(request: Request) -> dict[str, str]:
    """The request's data by name; of several with one name the last."""
    return {part.name: part.text for message in request.messages for part in message.parts if isinstance(part, Data)}


def section(request: Request, names: Sequence[str]) -> str | None:
    """The first of the named sections that is there."""
    found = sections(request)
    return next((found[name] for name in names if name in found), None)


def subject(request: Request, names: Sequence[str] = ("ticket", "question", "text", "message", "request")) -> str:
    """The text that the request is about: a named section, else its only data, else what the user said last."""
    named = section(request, names)
    if named is not None:
        return named
    found = sections(request)
    if found:
        return "\n".join(found.values())
    said = [message.text for message in request.messages if message.role == "user"]
    if not said:
        raise InvalidRequest(f"the request has no section {' or '.join(names[:2])} and no words of a user")
    return said[-1]


def fields(schema: Mapping[str, Json]) -> list[Field]:
    """The properties of an object schema, as pydantic emits them (references and optional values resolved)."""
    root = _resolved(schema, schema)
    properties = root.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        raise InvalidRequest("the output schema is no object with properties, so there is nothing to fill in")
    required = set(root.get("required", ()))
    return [_field(name, value, schema, name in required) for name, value in properties.items()]


def only(wanted: Iterable[Field], served: Mapping[str, Json], who: str) -> dict[str, Json]:
    """The served values of the wanted fields; what is not served is left out or null where the schema allows it."""
    answer: dict[str, Json] = {}
    for field in wanted:
        if field.name in served:
            answer[field.name] = served[field.name]
        elif field.required and not field.nullable:
            raise InvalidRequest(f"{who} cannot fill in {field.name!r}")
        elif field.required:
            answer[field.name] = None
    return answer


def _field(name: str, value: Json, root: Mapping[str, Json], required: bool) -> Field:
    types: set[str] = set()
    choices: list[Json] = []
    for option in _options(value, root):
        kind = option.get("type")
        types.update([kind] if isinstance(kind, str) else kind or ())
        choices.extend(option.get("enum", ()))
        if "const" in option:
            choices.append(option["const"])
    if None in choices:
        types.add("null")
    return Field(name, frozenset(types), tuple(c for c in choices if c is not None), required)


def _options(value: Json, root: Mapping[str, Json]) -> list[Mapping[str, Any]]:
    resolved = _resolved(value, root)
    for key in ("anyOf", "oneOf"):
        if key in resolved:
            return [option for choice in resolved[key] for option in _options(choice, root)]
    return [resolved]


def _resolved(value: Json, root: Mapping[str, Json]) -> Mapping[str, Any]:
    """`value` with `$ref` followed and a single `allOf` unwrapped."""
    for _ in range(20):
        if not isinstance(value, Mapping):
            return {}
        if isinstance(value.get("$ref"), str):
            value = _at(value["$ref"], root)
        elif isinstance(value.get("allOf"), list) and len(value["allOf"]) == 1:
            value = value["allOf"][0]
        else:
            return value
    raise InvalidRequest("the output schema refers to itself without end")


def _at(reference: str, root: Mapping[str, Json]) -> Json:
    value: Json = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not isinstance(value, Mapping) or step not in value:
            raise InvalidRequest(f"the output schema refers to {reference}, which is not in it")
        value = value[step]
    return value
