"""A text that a regular expression matches. Pure; the caller checks it, as look-around is not followed."""

from __future__ import annotations

import re
from importlib import import_module
from random import Random
from typing import Any

_PARSER: Any = import_module("re._parser")
_WORDS = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_WORD": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
    "CATEGORY_SPACE": " ",
}
_PRINTABLE = "".join(map(chr, range(32, 127)))


def sample(pattern: str, dice: Random, *, reach: int = 3) -> str:
    """A text for `pattern`; what may be repeated is, at most `reach` times more than it must. Raises re.error."""
    return _Sampler(dice, reach).text(_PARSER.parse(pattern))


class _Sampler:
    def __init__(self, dice: Random, reach: int) -> None:
        self.dice = dice
        self.reach = reach
        self.groups: dict[int, str] = {}

    def text(self, parsed: Any) -> str:
        return "".join(self._one(str(op), value) for op, value in parsed)

    def _one(self, op: str, value: Any) -> str:
        match op:
            case "LITERAL":
                return chr(value)
            case "NOT_LITERAL":
                return self.dice.choice(_PRINTABLE.replace(chr(value), ""))
            case "ANY":
                return self.dice.choice("abcdefghij0123456789")
            case "IN":
                return self.dice.choice(_allowed(value))
            case "BRANCH":
                return self.text(self.dice.choice(value[1]))
            case "SUBPATTERN":
                found = self.text(value[3])
                if value[0] is not None:
                    self.groups[value[0]] = found
                return found
            case "ATOMIC_GROUP":
                return self.text(value)
            case "GROUPREF":
                return self.groups.get(value, "")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, repeated = value
                count = self.dice.randint(least, min(int(most), least + self.reach))
                return "".join(self.text(repeated) for _ in range(count))
            case _:
                return ""  # places (^, $, \b) and look-around take no room


def _allowed(items: Any) -> str:
    """The characters of a class such as [a-z_], out of what can be printed where it is a negated one."""
    found: set[str] = set()
    negated = False
    for op, value in items:
        match str(op):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found.add(chr(value))
            case "RANGE":
                found.update(map(chr, range(value[0], min(value[1], value[0] + 200) + 1)))
            case "CATEGORY":
                name = str(value)
                inner = _WORDS.get(name.replace("_NOT_", "_"), "")
                found.update(set(_PRINTABLE) - set(inner) if "_NOT_" in name else inner)
    chosen = set(_PRINTABLE) - found if negated else found
    if not chosen:
        raise re.error("no character fits a class of the pattern")
    return "".join(sorted(chosen))
