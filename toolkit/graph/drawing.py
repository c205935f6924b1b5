"""A workflow as a picture: Mermaid text, and SVG drawn here so that a notebook without a network shows it.

In: a workflow, or the graph that a run keeps of it, and figures to be written on its steps. Out: text. Columns stand
left, each step right of what it needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from toolkit.colours import GREEN, ORANGE, PURPLE, SKY, VERMILION

if TYPE_CHECKING:
    from toolkit.graph.steps import Step
    from toolkit.graph.workflow import Workflow

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 40, 56, 18, 14
FIGURED_WIDTH, FIGURED_HEIGHT, FIGURED_GAP = 178, 109, 40
_LIGHT = "55"
FILL = {
    "column": "#8883", "tool": SKY + _LIGHT, "asks": ORANGE + _LIGHT, "reduces": PURPLE + _LIGHT,
    "workflow": GREEN + _LIGHT,
}  # fmt: skip
FAULT = VERMILION
SHRINKS = ' style="max-width:100%;height:auto"'


@dataclass(frozen=True)
class Node:
    """A step as the graph has it. `kind` is a key of FILL, `says` its router or what it does; `inner` a workflow's own
    graph."""

    name: str
    kind: str
    says: str
    needs: tuple[str, ...]
    inner: Graph | None = None


@dataclass(frozen=True)
class Graph:
    """A workflow's columns and steps, in the order in which they run. It is kept with each run, as JSON."""

    workflow: str
    columns: tuple[str, ...]
    nodes: tuple[Node, ...]

    @classmethod
    def of(cls, workflow: Workflow) -> Graph:
        """The graph of a workflow."""
        nodes = (
            Node(step.name, _kind(step), _subtitle(step), tuple(step.needs),
                 None if step.inner is None else cls.of(step.inner))
            for step in workflow.order
        )  # fmt: skip
        return cls(workflow.name, tuple(workflow.columns), tuple(nodes))

    @classmethod
    def parsed(cls, kept: Mapping[str, Any]) -> Graph:
        """The graph that a run kept. Raises KeyError where it is none."""
        nodes = (
            Node(each["name"], each["kind"], each["says"], tuple(each["needs"]),
                 None if each.get("inner") is None else cls.parsed(each["inner"]))
            for each in kept["nodes"]
        )  # fmt: skip
        return cls(kept["workflow"], tuple(kept["columns"]), tuple(nodes))

    @property
    def kept(self) -> dict[str, Any]:
        """As JSON, to be kept with a run."""
        nodes = [
            {"name": node.name, "kind": node.kind, "says": node.says, "needs": list(node.needs),
             **({} if node.inner is None else {"inner": node.inner.kept})}
            for node in self.nodes
        ]  # fmt: skip
        return {"workflow": self.workflow, "columns": list(self.columns), "nodes": nodes}

    @property
    def edges(self) -> list[tuple[str, str]]:
        known = {*self.columns, *(node.name for node in self.nodes)}
        return [(name, node.name) for node in self.nodes for name in node.needs if name in known]


@dataclass(frozen=True)
class Figures:
    """What is written on a step: lines of text, of which `faults` stand out, and shares by (name, share, colour)."""

    lines: tuple[str, ...] = ()
    faults: str = ""
    mix: tuple[tuple[str, float, str], ...] = ()


def mermaid(workflow: Workflow) -> str:
    """The graph in Mermaid's language: columns as stadiums, asking steps as boxes, tools as subroutines."""
    lines = ["flowchart LR"]
    lines += [f"  {_id(name)}([{escape(name)}])" for name in workflow.columns]
    for step in workflow.order:
        label = f"{escape(step.name)}<br/><small>{escape(_subtitle(step)).replace('&#x27;', '')}</small>"
        shape = ('["', '"]') if step.asks else ('[["', '"]]')
        lines.append(f"  {_id(step.name)}{shape[0]}{label}{shape[1]}")
    lines += [f"  {_id(source)} --> {_id(target)}" for source, target in Graph.of(workflow).edges]
    return "\n".join(lines)


def svg(workflow: Workflow) -> str:
    """The graph as SVG, in colours that read on light and dark."""
    return drawn(Graph.of(workflow))


def drawn(graph: Graph, figures: Mapping[str, Figures] | None = None) -> str:
    """A graph as SVG; with figures, by step, its boxes are larger. Without, it shrinks to its page."""
    size = (BOX_WIDTH, BOX_HEIGHT) if figures is None else (FIGURED_WIDTH, FIGURED_HEIGHT)
    gap = GAP_X if figures is None else FIGURED_GAP
    place, width, height = _placed(graph, size, gap)
    below = height - MARGIN / 2  # where arrows go that would pass through a box
    if any(_passes(place[source], place[target], size, gap) for source, target in graph.edges):
        height += MARGIN / 2
    tip = "tip" if figures is None else "figured-tip"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12"{SHRINKS if figures is None else ""}>',
        f'<defs><marker id="{tip}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#888"/></marker></defs>',
    ]
    parts += [
        _around(place[source], place[target], size, tip, gap=gap, below=below)
        if _passes(place[source], place[target], size, gap)
        else _arrow(place[source], place[target], size, tip)
        for source, target in graph.edges
    ]
    nodes = {node.name: node for node in graph.nodes}
    parts += [_box(name, place[name], nodes.get(name), size, (figures or {}).get(name)) for name in place]
    return "".join([*parts, "</svg>"])


# ------------------------------------------------------------------------------------------------------------ helpers
Size = tuple[float, float]


def _placed(graph: Graph, size: Size, gap: float) -> tuple[dict[str, Size], float, float]:
    """Where each box stands, and how large the picture is."""
    depth: dict[str, int] = dict.fromkeys(graph.columns, 0)
    for node in graph.nodes:
        depth[node.name] = 1 + max((depth[name] for name in node.needs if name in depth), default=0)
    shelves: dict[int, list[str]] = {}
    for name, level in depth.items():
        shelves.setdefault(level, []).append(name)
    levels = sorted(shelves)
    tallest = max(map(len, shelves.values()), default=0)
    place = {}
    for column, level in enumerate(levels):
        names = shelves[level]
        top = (tallest - len(names)) * (size[1] + GAP_Y) / 2
        for i, name in enumerate(names):
            place[name] = (MARGIN + column * (size[0] + gap), MARGIN + top + i * (size[1] + GAP_Y))
    width = 2 * MARGIN + len(levels) * (size[0] + gap) - gap
    return place, width, 2 * MARGIN + tallest * (size[1] + GAP_Y) - GAP_Y


def _id(name: str) -> str:
    """A name that Mermaid takes for no word of its own language (`end` would end the chart)."""
    return re.sub(r"\W", "_", name) + "_"


def _subtitle(step: Step) -> str:
    if step.inner is not None:
        return "workflow" if step.each is None else f"workflow for each of {step.each[0]}"
    if step.route is not None:
        return repr(step.route)
    return "sees the whole batch" if step.reduces else "tool"


def _kind(step: Step) -> str:
    if step.inner is not None:
        return "workflow"
    return "reduces" if step.reduces else "asks" if step.asks else "tool"


def _box(name: str, at: Size, node: Node | None, size: Size, figures: Figures | None) -> str:
    (x, y), (width, height) = at, size
    subtitle = "column" if node is None else node.says
    if node is None and size != (BOX_WIDTH, BOX_HEIGHT):  # a column has no figures, and needs no room for them
        y, height = y + (height - BOX_HEIGHT) / 2, BOX_HEIGHT
    shown = _cut(subtitle, width / 6)
    written = "" if figures is None else _written(figures, (x, y + 36), width)
    return (
        f'<g><title>{escape(subtitle)}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" '
        f'fill="{FILL["column" if node is None else node.kind]}" stroke="#888"/>'
        f'<g text-anchor="middle" fill="currentColor">'
        f'<text x="{x + width / 2}" y="{y + 17}" font-weight="600">{escape(_cut(name, width / 7))}</text>'
        f'<text x="{x + width / 2}" y="{y + 32}" font-size="9.5" opacity=".75">{escape(shown)}</text></g>{written}</g>'
    )


def _written(figures: Figures, at: Size, width: float) -> str:
    """Lines of figures, and below them who answered: a bar of shares with the names in words."""
    (x, y), parts = at, []
    for number, line in enumerate(figures.lines):
        parts.append(f'<text x="{x + 8}" y="{y + 12 + 13 * number}" font-size="10">{escape(line)}</text>')
    if figures.faults:
        mark = f'<tspan fill="{FAULT}" font-weight="600">✕</tspan> {escape(figures.faults)}'
        parts.append(f'<text x="{x + 8}" y="{y + 12 + 13 * len(figures.lines)}" font-size="10">{mark}</text>')
    left, room = x + 8, width - 16
    for name, share, colour in figures.mix:
        wide = round(room * share, 2)
        parts.append(
            f'<rect x="{left:.2f}" y="{y + 45}" width="{wide}" height="6" fill="{colour}">'
            f"<title>{escape(name)}: {share:.0%} of answers</title></rect>"
        )
        left += wide
    if figures.mix:
        told = _cut(", ".join(f"{name} {share:.0%}" for name, share, _ in figures.mix), room / 5)
        parts.append(f'<text x="{x + 8}" y="{y + 64}" font-size="10" opacity=".85">{escape(told)}</text>')
    return f'<g fill="currentColor">{"".join(parts)}</g>'


def _passes(source: Size, target: Size, size: Size, gap: float) -> bool:
    """Whether there are boxes of other steps between the two."""
    return target[0] - source[0] > size[0] + gap + 1


def _around(source: Size, target: Size, size: Size, tip: str, *, gap: float, below: float) -> str:
    """An arrow below the boxes that stand between."""
    x1, y1 = source[0] + size[0], source[1] + size[1] / 2
    x2, y2, half = target[0], target[1] + size[1] / 2, gap / 2
    return (
        f'<path d="M{x1},{y1} C{x1 + half},{y1} {x1 + half},{below} {x1 + gap},{below} H{x2 - gap} '
        f'C{x2 - half},{below} {x2 - half},{y2} {x2 - 2},{y2}" fill="none" stroke="#888" stroke-width="1.2" '
        f'marker-end="url(#{tip})"/>'
    )


def _arrow(source: Size, target: Size, size: Size, tip: str) -> str:
    x1, y1 = source[0] + size[0], source[1] + size[1] / 2
    x2, y2 = target[0], target[1] + size[1] / 2
    bend = max(24, (x2 - x1) / 2)
    return (
        f'<path d="M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2 - 2},{y2}" fill="none" stroke="#888" '
        f'stroke-width="1.2" marker-end="url(#{tip})"/>'
    )


def _cut(text: str, most: float) -> str:
    return text if len(text) <= most else text[: int(most) - 1] + "…"
