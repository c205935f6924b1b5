"""The shape of an answer: a pattern, JSON, a JSON schema. No truth is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from toolkit.grading.grader import Case, Grader, assertion, picked, words
from toolkit.records import Grade, Json, canonical

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


@dataclass(frozen=True)
class Regex(Grader):
    """The pattern is found in the answer; with `whole` it matches all of it.

    The pattern is Python's, whose matching has no time limit: one such as `(a+)+$` can take for ever on a long answer.
    Raises ValueError where it is no pattern.
    """

    pattern: str
    of: str | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is no regular expression: {error}") from error

    def grade(self, case: Case) -> Grade:
        text = words(case.value, self.of)
        found = re.fullmatch(self.pattern, text) if self.whole else re.search(self.pattern, text)
        return assertion(self, found is not None, f"found {found[0][:60]!r}" if found else "the pattern is not in it")


@dataclass(frozen=True)
class Schema(Grader):
    """The answer is JSON, and satisfies the JSON schema: a dict, or its JSON as text; without one any JSON will do.

    A text is read as JSON, also out of a fence; a field (`of`) that is no JSON is a string. Nothing is fetched for a
    `$ref`. Raises ValueError where it is none.
    """

    schema: Any = "{}"
    of: str | None = None

    def __post_init__(self) -> None:
        told = canonical(self.schema).decode() if isinstance(self.schema, Mapping) else self.schema
        object.__setattr__(self, "schema", told)  # as text, so that the grader can be hashed and its repr builds it
        try:
            _validator(told)
        except Exception as error:
            raise ValueError(f"{str(told)[:60]!r} is no JSON schema: {str(error).splitlines()[0]}") from error

    def grade(self, case: Case) -> Grade:
        value: Json = picked(case.value, self.of)
        if isinstance(value, str):
            fenced = _FENCE.match(value)
            try:
                value = orjson.loads(fenced[1] if fenced else value)
            except orjson.JSONDecodeError as error:
                if self.of is None:
                    return assertion(self, False, f"no JSON: {error}")
        try:
            fault = next(_validator(self.schema).iter_errors(value), None)
        except Exception as error:  # a reference that leads nowhere
            return assertion(self, False, f"the schema cannot be followed: {error}"[:300])
        if fault is None:
            return assertion(self, True, "as the schema wants it")
        return assertion(self, False, f"{'/'.join(map(str, fault.absolute_path)) or 'answer'}: {fault.message[:300]}")


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema.validators import validator_for
    from referencing import Registry

    told = orjson.loads(schema)
    kind = validator_for(told)
    kind.check_schema(told)
    registry: Registry[Any] = Registry()
    return kind(told, registry=registry)
