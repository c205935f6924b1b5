"""The graph of a run's workflow with the figures of that run: calls, failures, cost, median time, who answered.

Pure: a `SeenRun` in, SVG and text out. A run that kept no graph, as it is older, is drawn by what its decisions say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from toolkit.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from toolkit.graph.drawing import Figures, Graph, Node, drawn
from toolkit.ledger.reading.showing import Record, SeenRun
from toolkit.widgets.course import short_step
from toolkit.widgets.markup import details, faint
from toolkit.widgets.telling import duration_of

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)


def graph_of(seen: SeenRun) -> Graph:
    """The graph that the run kept; without one, its steps as they were first answered and the edges that are known."""
    kept = (orjson.loads(seen.run["settings"] or "{}") or {}).get("graph")
    if kept is not None:
        return Graph.parsed(kept)
    workflow = seen.run["workflow"]
    names = [short_step(step) for step in seen.order if step.count("/") == 1]
    needs: dict[str, list[str]] = {name: [] for name in names}
    for step, source in seen.edges:
        if short_step(step) in needs:
            needs[short_step(step)].append(source)
    columns = dict.fromkeys(source for sources in needs.values() for source in sources if source not in needs)
    asked = {each["step"] for each in seen.served}
    nodes = (
        Node(name, "asks" if f"{workflow}/{name}" in asked else "tool", "as recorded", tuple(needs[name]))
        for name in names
    )
    return Graph(workflow, tuple(columns), tuple(nodes))


def html(seen: SeenRun) -> str:
    """The graph, with those of nested workflows below it."""
    graph, colours = graph_of(seen), _colours(seen)
    if not graph.nodes:
        return faint("no step has been answered yet")
    whole = drawn(graph, _figures(seen, graph, graph.workflow, colours))
    inner = "".join(
        details(
            f"nested workflow {inner.workflow}",
            _scrolled(drawn(inner, _figures(seen, inner, path, colours))),
        )
        for path, inner in _nested(graph, graph.workflow)
    )
    return _scrolled(whole) + inner


def text(seen: SeenRun) -> Iterator[str]:
    """A line for each step: the same figures."""
    graph = graph_of(seen)
    found = _figures(seen, graph, graph.workflow, _colours(seen))
    width = max((len(node.name) for node in graph.nodes), default=0)
    for node in graph.nodes:
        figures = found[node.name]
        mix = ", ".join(f"{name} {share:.0%}" for name, share, _ in figures.mix)
        told = " · ".join(filter(None, (*figures.lines, figures.faults, mix)))
        yield f"  {node.name:<{width}}  {told or 'nothing yet'}"


# ------------------------------------------------------------------------------------------------------------ helpers
def _scrolled(picture: str) -> str:
    return f'<div style="overflow-x:auto">{picture}</div>'


def _colours(seen: SeenRun) -> Mapping[str, str]:
    """A colour for each model, the same at every step."""
    models = dict.fromkeys(each["model"] for each in seen.served)
    return {model: COLOURS[place] if place < len(COLOURS) else GREY for place, model in enumerate(models)}


def _figures(seen: SeenRun, graph: Graph, path: str, colours: Mapping[str, str]) -> dict[str, Figures]:
    by_step = {each["step"]: each for each in seen.figures}
    return {
        node.name: _of_node(seen, node, by_step, place=f"{path}/{node.name}", path=path, colours=colours)
        for node in graph.nodes
    }


def _of_node(
    seen: SeenRun, node: Node, by_step: Mapping[str, Record], *, place: str, path: str, colours: Mapping[str, str]
) -> Figures:
    """The figures of a step; those of a nested workflow are the sums of its steps."""
    own = by_step.get(place)
    below = (place + "/",) if node.inner is None else (f"{path}/{node.inner.workflow}/", place + "/")
    parts = [each for step, each in by_step.items() if step == place or step.startswith(below)]
    if not parts:
        return Figures()
    calls, errors = (sum(each[name] for each in parts) for name in ("calls", "errors"))
    costs = [each["cost_usd"] for each in parts if each["cost_usd"] is not None]
    answers = own["answered"] if own else 0
    median = own["p50_seconds"] if own and node.inner is None else None
    shares = [each for each in seen.served if each["step"] == place or each["step"].startswith(below)]
    whole = sum(each["answers"] for each in shares) or 1
    counts: dict[str, int] = {}
    for each in shares:
        counts[each["model"]] = counts.get(each["model"], 0) + each["answers"]
    first = f"{calls:,} calls" if calls else f"{answers:,} done"
    reused = f"{own['reused']:,} reused" if own and own["reused"] else ""
    second = [
        _usd(sum(costs)) if costs and sum(costs) else "",
        f"{duration_of(median)} median" if median else "",
        reused if not costs else "",
    ]
    ended = {name: own[name] for name in ("failed", "parked", "skipped") if own and own[name]}
    faults = [f"{errors:,} failed" if errors else f"{ended['failed']:,} failed" if "failed" in ended else ""]
    faults += [f"{count:,} {name}" for name, count in ended.items() if name != "failed"]
    told = ", ".join(filter(None, faults))
    is_fault = bool(errors or "failed" in ended)
    lines = (first if is_fault or not told else f"{first}, {told}", " · ".join(filter(None, second)))
    mix = tuple((model, count / whole, colours[model]) for model, count in counts.items())
    return Figures(tuple(filter(None, lines)), told if is_fault else "", mix)


def _usd(cost: float) -> str:
    return f"{cost:.6f} USD" if cost < 0.01 else f"{cost:,.4f} USD" if cost < 100 else f"{cost:,.0f} USD"


def _nested(graph: Graph, path: str) -> Iterator[tuple[str, Graph]]:
    for node in graph.nodes:
        if node.inner is not None:
            inner = f"{path}/{node.inner.workflow}"
            yield inner, node.inner
            yield from _nested(node.inner, inner)
