"""Typed outputs: from a declared type to a JSON schema, from a model's text to a value, from a record back to the type.

A declared type is a pydantic model, a dataclass, a Literal, any annotation that pydantic knows, or a JSON schema as a
dict. Schemas sent to models are objects at the top, as providers demand: another type travels as `{"value": …}`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from toolkit.errors import InvalidOutput
from toolkit.records import Json

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


@dataclass(frozen=True)
class Output:
    """How a step's answer is read. `schema` is None for free text."""

    declared: Any = None
    schema: Mapping[str, Json] | None = None
    wrapped: bool = False
    _adapter: Any = field(default=None, repr=False)
    _validator: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, declared: Any) -> Output:
        """The reader for a declared type; `None` and `str` mean free text."""
        if declared is None or declared is str:
            return cls()
        if isinstance(declared, Mapping):
            from jsonschema.validators import validator_for

            kind = validator_for(declared)
            kind.check_schema(dict(declared))
            wrapped = declared.get("type") != "object"
            return cls(declared, _wrap(declared) if wrapped else declared, wrapped, _validator=kind(declared))
        from pydantic import TypeAdapter

        adapter: TypeAdapter[Any] = TypeAdapter(declared)
        schema = adapter.json_schema()
        wrapped = schema.get("type") != "object"
        return cls(declared, _wrap(schema) if wrapped else schema, wrapped, _adapter=adapter)

    def read(self, text: str) -> Json:
        """The value that a model's text stands for, as plain JSON. Raises InvalidOutput saying what does not fit."""
        if self.schema is None:
            return text
        fenced = _FENCE.match(text)
        bare = (fenced[1] if fenced else text).strip()
        value = self._unwrapped(bare)
        try:
            return self.check(value)
        except InvalidOutput:
            if self.wrapped and not isinstance(value, str):
                with contextlib.suppress(InvalidOutput):
                    return self.check(bare)  # a word that reads as JSON, say 1 or true
            raise

    def check(self, value: Json) -> Json:
        """`value` as plain JSON of the declared type. Raises InvalidOutput saying what does not fit."""
        if self._adapter is not None:
            from pydantic import ValidationError

            try:
                typed = self._adapter.validate_python(value)
                return self._adapter.dump_python(typed, mode="json", by_alias=True, round_trip=True)
            except ValidationError as error:
                raise InvalidOutput(_first_faults(error)) from error
        if self._validator is not None:
            fault = next(self._validator.iter_errors(value), None)
            if fault is not None:
                raise InvalidOutput(f"{'/'.join(map(str, fault.absolute_path)) or 'answer'}: {fault.message[:300]}")
        return value

    def revive(self, value: Json) -> Any:
        """The typed object that later steps see, out of the recorded JSON."""
        return value if self._adapter is None else self._adapter.validate_python(value)

    def _unwrapped(self, text: str) -> Json:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            if self.wrapped:
                return text
            raise InvalidOutput(f"the answer is no JSON ({error}); it starts with {text[:60]!r}") from error
        return value["value"] if self.wrapped and isinstance(value, dict) and set(value) == {"value"} else value


def _wrap(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema of `{"value": …}`; definitions stay at the top, where references look for them."""
    shared = {key: value for key, value in schema.items() if key in ("$defs", "definitions")}
    inner = {key: value for key, value in schema.items() if key not in shared}
    return {"type": "object", "properties": {"value": inner}, "required": ["value"], **shared}


def _first_faults(error: Any) -> str:
    faults = error.errors(include_url=False, include_input=False)
    shown = [f"{'.'.join(map(str, fault['loc'])) or 'answer'}: {fault['msg']}" for fault in faults[:3]]
    return "; ".join(shown) + (f" (and {len(faults) - 3} more)" if len(faults) > 3 else "")
