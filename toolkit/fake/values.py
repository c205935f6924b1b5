"""One pass through a JSON schema: a value that satisfies what its keywords say one by one. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from toolkit.fake.patterns import sample
from toolkit.records import Json, canonical

SHALLOW = 5
"""From this depth on, only what must be there is made."""
DEEPEST = 60
SPAN = 100
"""How far numbers lie from their one bound, where they have but one."""
FORMATS: Mapping[str, str] = {
    "date": r"20[12]\d-(0[1-9]|1[0-2])-([01][1-9]|2[0-8])",
    "time": r"([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ",
    "date-time": r"20[12]\d-(0[1-9]|1[0-2])-([01][1-9]|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ",
    "duration": r"P[1-9]DT1?[1-9]H",
    "email": r"[a-z]{4,8}@example\.(com|org)",
    "hostname": r"[a-z]{4,8}\.example\.(com|org)",
    "ipv4": r"192\.0\.2\.[1-9]\d",
    "ipv6": r"2001:db8::[1-9a-f]{1,4}",
    "uri": r"https://example\.(com|org)/[a-z]{4,8}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
}
IMPLIED = (
    ("object", ("properties", "required", "additionalProperties", "minProperties", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    ("string", ()),
)
WEIGHT = ("null", "boolean", "integer", "number", "string", "array", "object")


class Unsatisfiable(ValueError):
    """No value of the schema was found."""


class Drawing:
    """Draws values of a schema; `root` is where its references start, `words` what free texts are made of."""

    def __init__(self, root: Json, dice: Random, words: Sequence[str]) -> None:
        self.root = root
        self.dice = dice
        self.words = words or ("word",)

    def value(self, schema: Json, depth: int = 0) -> Json:
        if schema is False or depth > DEEPEST:
            raise Unsatisfiable("the schema allows no finite value")
        if schema is True:
            return self._text({})
        if not isinstance(schema, Mapping):
            raise Unsatisfiable(f"a schema is an object, not {type(schema).__name__}")
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.dice.choice(_some(schema["enum"], "enum"))
        for name in ("anyOf", "oneOf"):
            if name in schema:
                rest = {key: held for key, held in schema.items() if key != name}
                return self.value(merged(rest, self._branch(_some(schema[name], name), depth)), depth + 1)
        return self._typed(self._type(schema, depth), schema, depth)

    def _typed(self, kind: str, schema: Mapping[str, Any], depth: int) -> Json:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._text(schema)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return self.dice.random() < 0.5
            case "null":
                return None
            case _:
                raise Unsatisfiable(f"{kind!r} is no type")

    # ------------------------------------------------------------------------------------------------- which schema
    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with its reference and its `allOf` written out."""
        for _ in range(DEEPEST):
            if "$ref" in schema:
                target = self._target(schema["$ref"])
                schema = merged({key: held for key, held in schema.items() if key != "$ref"}, target)
            elif "allOf" in schema:
                parts = _some(schema["allOf"], "allOf")
                schema = {key: held for key, held in schema.items() if key != "allOf"}
                for part in parts:
                    schema = merged(schema, self._resolved(part) if isinstance(part, Mapping) else part)
            else:
                return schema
        raise Unsatisfiable("a reference leads back to itself")

    def _target(self, ref: str) -> Json:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise Unsatisfiable(f"the reference {ref!r} leads out of the schema")
        found = self.root
        for step in filter(None, ref[1:].split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (LookupError, TypeError, ValueError):
                raise Unsatisfiable(f"the reference {ref!r} leads nowhere") from None
        return found

    def _branch(self, branches: Sequence[Json], depth: int) -> Json:
        """One of the branches; deep down, the one that asks for least."""
        if depth < SHALLOW:
            return self.dice.choice(branches)
        return min(branches, key=self._weight)

    def _weight(self, branch: Json) -> int:
        if not isinstance(branch, Mapping) or "$ref" in branch:
            return len(WEIGHT)
        kind = branch.get("type")
        return WEIGHT.index(kind) if isinstance(kind, str) and kind in WEIGHT else 0

    def _type(self, schema: Mapping[str, Any], depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = _some(kind, "type")
            return str(min(kinds, key=WEIGHT.index) if depth >= SHALLOW else self.dice.choice(kinds))
        if kind is not None:
            return str(kind)
        return next((name for name, keywords in IMPLIED if any(word in schema for word in keywords)), "string")

    # ------------------------------------------------------------------------------------------------------- values
    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Json]:
        declared, required = schema.get("properties") or {}, schema.get("required") or []
        further = schema.get("additionalProperties", True)
        wanted = [name for name in declared if name in required or (depth < SHALLOW and declared[name] is not False)]
        made = {name: self.value(declared[name], depth + 1) for name in wanted}
        for name in required:
            if name not in made:
                made[name] = self.value(self._below(schema, name, further), depth + 1)
        least = schema.get("minProperties", 0)
        if not declared and further is not False and depth < SHALLOW:
            least = max(least, 1)
        tries = 0
        while len(made) < least and tries < 10 * least:
            tries += 1
            name = self._name(schema, tries)
            if name not in made:
                made[name] = self.value(self._below(schema, name, further), depth + 1)
        return dict(list(made.items())[: max(schema.get("maxProperties", len(made)), len(required))])

    def _name(self, schema: Mapping[str, Any], number: int) -> str:
        """A name for a further property."""
        if "propertyNames" in schema:
            return str(self.value(merged({"type": "string"}, schema["propertyNames"])))
        if (patterns := schema.get("patternProperties")) and schema.get("additionalProperties") is False:
            return sample(self.dice.choice(list(patterns)), self.dice)
        return "answer" if number == 1 else f"more_{number}"

    def _below(self, schema: Mapping[str, Any], name: str, further: Json) -> Json:
        """The schema of a property that is not declared by name."""
        patterns = schema.get("patternProperties") or {}
        return next((below for pattern, below in patterns.items() if re.search(pattern, name)), further)

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Json]:
        first, rest = schema.get("prefixItems") or [], schema.get("items", True)
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        if rest is False:
            most = min(most, len(first))
        usual = max(1, len(first)) if depth < SHALLOW else 0
        count = int(
            min(most, max(least, usual) + (self.dice.randrange(3) if depth < SHALLOW and rest is not False else 0))
        )
        made: list[Json] = []
        seen: set[bytes] = set()
        for index in range(count):
            below = first[index] if index < len(first) else rest
            if index == len(first) and "contains" in schema:
                below = merged(below if isinstance(below, Mapping) else {}, schema["contains"])
            for _ in range(20):
                item = self.value(below, depth + 1)
                if not schema.get("uniqueItems") or canonical(item) not in seen:
                    seen.add(canonical(item))
                    made.append(item)
                    break
        return made

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> int | float:
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        low = above if low is None or (above is not None and above > low) else low
        high = below if high is None or (below is not None and below < high) else high
        low = (min(0, high - SPAN) if high is not None else 0) if low is None else low
        high = (low + SPAN if low > 0 else max(SPAN, low + SPAN)) if high is None else high
        step = schema.get("multipleOf") or (1 if whole else None)
        if whole and isinstance(step, float) and not step.is_integer():
            step = step * 10 ** len(str(step).partition(".")[2])
        if step is None:
            return self._between(low, high, above=above, below=below)
        first, last = math.ceil(low / step), math.floor(high / step)
        first += above is not None and first * step <= above
        last -= below is not None and last * step >= below
        if first > last:
            raise Unsatisfiable(f"no multiple of {step} lies between {low} and {high}")
        for _ in range(30):
            value = self.dice.randint(first, last) * step
            if not isinstance(step, float) or (value / step).is_integer():
                return int(value) if whole else value
        return first * step

    def _between(self, low: float, high: float, *, above: float | None, below: float | None) -> float:
        if low > high or (low == high and (above == low or below == low)):
            raise Unsatisfiable(f"no number lies between {low} and {high}")
        for digits in (2, 6, 15):
            value = round(self.dice.uniform(low, high), digits)
            if low <= value <= high and value not in (above, below):
                return value
        return low + (high - low) / 2

    def _text(self, schema: Mapping[str, Any]) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        pattern = schema.get("pattern") or FORMATS.get(str(schema.get("format")))
        if pattern is not None:
            for reach in range(3, 40, 4):
                try:
                    text = sample(pattern, self.dice, reach=reach)
                except (re.error, OverflowError) as error:
                    raise Unsatisfiable(f"the pattern {pattern!r}: {error}") from error
                if least <= len(text) <= most and re.search(pattern, text):
                    return text
            raise Unsatisfiable(f"no text of {least} to {most} characters was found for {pattern!r}")
        start = self.dice.randrange(len(self.words))
        text = " ".join(self.words[start : start + self.dice.randint(1, 4)])
        while len(text) < least:
            text = f"{text} {self.dice.choice(self.words)}"
        return text if len(text) <= most else text[: int(most)]


def merged(schema: Mapping[str, Any], other: Json) -> Mapping[str, Any]:
    """One schema that asks for what both ask for, as far as keywords can be joined one by one."""
    if other is True:
        return schema
    if not isinstance(other, Mapping):
        raise Unsatisfiable("the schema allows no value")
    whole = {**schema, **other}
    for name in set(schema) & set(other):
        mine, theirs = schema[name], other[name]
        match name:
            case "properties" | "patternProperties" | "$defs":
                both = set(mine) & set(theirs)
                whole[name] = {**mine, **theirs} | {each: {"allOf": [mine[each], theirs[each]]} for each in both}
            case "required":
                whole[name] = [*mine, *(each for each in theirs if each not in mine)]
            case "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties":
                whole[name] = max(mine, theirs)
            case "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties":
                whole[name] = min(mine, theirs)
            case "enum":
                whole[name] = [each for each in mine if each in theirs]
            case "type":
                whole[name] = _common(mine, theirs)
            case "anyOf" | "oneOf" | "allOf":
                whole[name] = mine
                whole["allOf"] = [*whole.get("allOf", ()), {name: theirs}] if name != "allOf" else [*mine, *theirs]
    return whole


def _common(mine: Json, theirs: Json) -> Json:
    """The types that both allow; an integer is a number."""
    ours, others = _listed(mine), _listed(theirs)
    both = [kind for kind in ours if kind in others or (kind == "integer" and "number" in others)]
    both += [kind for kind in others if kind == "integer" and "number" in ours and kind not in both]
    if not both:
        raise Unsatisfiable(f"nothing is both {mine} and {theirs}")
    return both if len(both) > 1 else both[0]


def _listed(kind: Json) -> list[str]:
    return [kind] if isinstance(kind, str) else list(kind)


def _some(values: Iterable[Any], name: str) -> Sequence[Any]:
    found = list(values)
    if not found:
        raise Unsatisfiable(f"{name} is empty")
    return found
