"""How figures of the record are told: a table for people beside the same for machines, and on what machine it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evals.performance.results import surroundings

FOLDER = Path(__file__).parent
PACKAGES = ("toolkit", "duckdb", "orjson", "sqlalchemy")


@dataclass(frozen=True)
class Figure:
    """One figure: what it is, its number and unit, and what it should be (`aim`), where there is an aim.

    `more_is_better` tells on which side of the aim it should lie.
    """

    name: str
    what: str
    number: float
    unit: str
    aim: float | None = None
    more_is_better: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        if self.aim is None:
            return None
        return self.number >= self.aim if self.more_is_better else self.number <= self.aim

    @property
    def told(self) -> dict[str, Any]:
        """The record with what follows from it."""
        return {**asdict(self), "met": self.met}


def figures_table(figures: Sequence[Figure]) -> str:
    """Figures as a table in Markdown."""
    words = {True: "yes", False: "**no**", None: ""}
    lines = [("what", "measured", "aim", "met")]
    lines += [(f.what, _shown(f.number, f.unit), _aim(f), words[f.met]) for f in figures]
    return table(lines)


def table(lines: Sequence[Sequence[str]]) -> str:
    """Lines as a table in Markdown, the first one its head; all columns but the first to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    joined = [
        "| "
        + " | ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        + " |"
        for line in lines
    ]
    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([joined[0], rule, *joined[1:]])


def where() -> dict[str, Any]:
    """When and on what it was measured, with the versions that matter here."""
    about = surroundings()
    return {**about, "versions": {name: about["versions"][name] for name in PACKAGES}}


def footer(about: dict[str, Any]) -> str:
    """The same in one sentence."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{about['processor']}, {about['cores']} cores (load {about['load']} at the start), {about['system']}, "
        f"Python {about['python']}, {about['measured_at'][:10]}. {versions}."
    )


def write(name: str, text: str, told: dict[str, Any]) -> None:
    """`name.md` and `name.json` beside this module."""
    (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    (FOLDER / f"{name}.json").write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _aim(figure: Figure) -> str:
    if figure.aim is None:
        return ""
    return f"{'≥' if figure.more_is_better else '≤'} {_shown(figure.aim, figure.unit)}"


def _shown(number: float, unit: str) -> str:
    text = f"{number:,.0f}" if number >= 1_000 else f"{number:.3g}"
    return f"{text} {unit}".rstrip()
