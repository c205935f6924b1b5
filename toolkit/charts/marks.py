"""Which colour, shape and label each of several names gets in a chart. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.colours import PALETTE

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

LABEL_CHARACTERS = 44


def colours_of(names: Sequence[str]) -> list[str]:
    """A colour for each name; beyond seven they begin anew, and shapes tell apart."""
    return [PALETTE[place % len(PALETTE)] for place in range(len(names))]


def shapes_of(names: Sequence[str]) -> list[str]:
    """A shape for each name, so that no two of 42 names have both colour and shape in common."""
    return [SHAPES[place % len(SHAPES)] for place in range(len(names))]


def labels_of(names: Sequence[str], *, most: int = LABEL_CHARACTERS) -> dict[str, str]:
    """What each name is called on an axis: long ones lose their middle, and stay apart from each other."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        short = " ".join(name.split()) or "(no name)"
        if len(short) > most:
            short = f"{short[: most * 2 // 3]}…{short[len(short) - most // 3 + 1 :]}"
        taken, number = short, 2
        while taken in found.values():
            taken, number = f"{short} ({number})", number + 1
        found[name] = taken
    return found
