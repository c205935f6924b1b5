"""A workflow as a picture: Mermaid text, and SVG drawn here so that a notebook without a network shows it.

In: a workflow. Out: text. Columns stand left, each step right of what it needs.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.steps import Step
    from toolkit.workflow import Workflow

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 40, 56, 18, 14
FILL = {"column": "#8883", "tool": "#56b4e955", "asks": "#e69f0055", "reduces": "#cc79a755", "workflow": "#009e7355"}


def mermaid(workflow: Workflow) -> str:
    """The graph in Mermaid's language: columns as stadiums, asking steps as boxes, tools as subroutines."""
    lines = ["flowchart LR"]
    lines += [f"  {_id(name)}([{escape(name)}])" for name in workflow.columns]
    for step in workflow.order:
        label = f"{escape(step.name)}<br/><small>{escape(_subtitle(step)).replace('&#x27;', '')}</small>"
        shape = ('["', '"]') if step.asks else ('[["', '"]]')
        lines.append(f"  {_id(step.name)}{shape[0]}{label}{shape[1]}")
    lines += [f"  {_id(source)} --> {_id(target)}" for source, target in _edges(workflow)]
    return "\n".join(lines)


def svg(workflow: Workflow) -> str:
    """The graph as SVG, in colours that read on light and dark."""
    depth: dict[str, int] = dict.fromkeys(workflow.columns, 0)
    for step in workflow.order:
        depth[step.name] = 1 + max((depth[name] for name in step.needs if name in depth), default=0)
    shelves: dict[int, list[str]] = {}
    for name, level in depth.items():
        shelves.setdefault(level, []).append(name)
    tallest = max(map(len, shelves.values()))
    place = {}
    for level, names in shelves.items():
        top = (tallest - len(names)) * (BOX_HEIGHT + GAP_Y) / 2
        for i, name in enumerate(names):
            place[name] = (MARGIN + level * (BOX_WIDTH + GAP_X), MARGIN + top + i * (BOX_HEIGHT + GAP_Y))
    width = 2 * MARGIN + (max(shelves) + 1) * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#888"/></marker></defs>',
    ]
    parts += [_arrow(place[source], place[target]) for source, target in _edges(workflow)]
    steps = workflow.by_name
    parts += [_box(name, place[name], steps.get(name)) for name in place]
    return "".join([*parts, "</svg>"])


def _id(name: str) -> str:
    """A name that Mermaid takes for no word of its own language (`end` would end the chart)."""
    return re.sub(r"\W", "_", name) + "_"


def _edges(workflow: Workflow) -> list[tuple[str, str]]:
    known = {*workflow.by_name, *workflow.columns}
    return [(name, step.name) for step in workflow.order for name in step.needs if name in known]


def _subtitle(step: Step) -> str:
    if step.inner is not None:
        return "workflow" if step.each is None else f"workflow for each of {step.each[0]}"
    if step.route is not None:
        return repr(step.route)
    return "sees the whole batch" if step.reduces else "tool"


def _kind(step: Step | None) -> str:
    if step is None:
        return "column"
    if step.inner is not None:
        return "workflow"
    return "reduces" if step.reduces else "asks" if step.asks else "tool"


def _box(name: str, at: tuple[float, float], step: Step | None) -> str:
    x, y = at
    subtitle = "column" if step is None else _subtitle(step)
    shown = subtitle if len(subtitle) <= 25 else subtitle[:24] + "…"
    return (
        f'<g><title>{escape(subtitle)}</title><rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7" '
        f'fill="{FILL[_kind(step)]}" stroke="#888"/>'
        f'<g text-anchor="middle" fill="currentColor">'
        f'<text x="{x + BOX_WIDTH / 2}" y="{y + 17}" font-weight="600">{escape(name)}</text>'
        f'<text x="{x + BOX_WIDTH / 2}" y="{y + 32}" font-size="9.5" opacity=".75">{escape(shown)}</text></g></g>'
    )


def _arrow(source: tuple[float, float], target: tuple[float, float]) -> str:
    x1, y1 = source[0] + BOX_WIDTH, source[1] + BOX_HEIGHT / 2
    x2, y2 = target[0], target[1] + BOX_HEIGHT / 2
    bend = max(24, (x2 - x1) / 2)
    return (
        f'<path d="M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2 - 2},{y2}" fill="none" stroke="#888" '
        'stroke-width="1.2" marker-end="url(#tip)"/>'
    )
