"""A router out of text: where configuration and the command line are read, strings become objects, once.

Fixed('large')      Ladder('small', 'large')      Explore(Ladder('small', 'large'), rate=0.2)      cheapest      large
Learned('routers/triage', worth=40)      Fixed('small').where(max_usd=0.01) | Fixed('large')

Packages add routers through the entry point group `toolkit.routers`: a class, or what `tk.router` made of a function.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from toolkit.errors import FleetError
from toolkit.routing.explore import Explore
from toolkit.routing.fastest import Balanced, Fastest
from toolkit.routing.judge import Judge
from toolkit.routing.learned import Learned
from toolkit.routing.router import Router
from toolkit.routing.rules import Rule, Rules
from toolkit.routing.shadow import Shadow
from toolkit.routing.similarity import Similarity
from toolkit.routing.simple import Cheapest, Fixed, Ladder, Uniform
from toolkit.routing.split import Split, Sticky
from toolkit.routing.thompson import Thompson
from toolkit.routing.where import Where

ENTRY_POINTS = "toolkit.routers"
NAMES: Mapping[str, Any] = {
    "Balanced": Balanced,
    "Cheapest": Cheapest,
    "Explore": Explore,
    "Fastest": Fastest,
    "Fixed": Fixed,
    "Judge": Judge,
    "Ladder": Ladder,
    "Learned": Learned,
    "Rule": Rule,
    "Rules": Rules,
    "Shadow": Shadow,
    "Similarity": Similarity,
    "Split": Split,
    "Sticky": Sticky,
    "Thompson": Thompson,
    "Uniform": Uniform,
    "Where": Where,
}


def parse_router(text: str, models: Collection[str] = ()) -> Router:
    """The router that `text` builds: the call that is its `repr`, a router's name in any case, or a model's name.

    Raises FleetError naming what is unknown and what there is.
    """
    text = text.strip()
    if text in models:
        return Fixed(text)
    by_lower = {name.lower(): name for name in NAMES}
    if text.lower() in by_lower and text.lower() in ("cheapest", "uniform"):
        made: Router = NAMES[by_lower[text.lower()]]()
        return made
    try:
        router = _build(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise FleetError(f"cannot read the router {text!r}: {error.msg}; {_what_there_is(models)}") from None
    except (TypeError, ValueError) as error:
        raise FleetError(f"cannot build the router {text!r}: {error}") from None
    except KeyError as error:
        unknown = str(error.args[0])
        if unknown in models:
            raise FleetError(f"in the router {text!r}, write the model's name in quotes: {unknown!r}") from None
        if unknown in NAMES:
            raise FleetError(
                f"the router {unknown} wants its parts in brackets, e.g. Ladder('small', 'large')"
            ) from None
        near = get_close_matches(unknown, [*NAMES, *models], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise FleetError(f"there is no router or model {unknown!r}; {hint}{_what_there_is(models)}") from None
    if not isinstance(router, Router):
        raise FleetError(f"{text!r} is no router; {_what_there_is(models)}")
    return router


def parse_routers(text: str, models: Collection[str] = ()) -> Router | dict[str, Router]:
    """As `parse_router`, or routers by step: `triage=Fixed('large'); reply=cheapest`."""
    parts = [part.strip() for part in text.split(";") if part.strip()]
    by_step = {}
    for part in parts:
        step, found, router = part.partition("=")
        if not found or not step.strip().isidentifier() or "(" in step:
            if len(parts) > 1:
                raise FleetError(f"{part!r} is not of the form step=router, as its neighbours are")
            return parse_router(part, models)
        by_step[step.strip()] = parse_router(router, models)
    if not by_step:
        raise FleetError(f"the router is empty; {_what_there_is(models)}")
    return by_step


def _build(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            given = {keyword.arg: _build(keyword.value) for keyword in node.keywords if keyword.arg is not None}
            return _named(name)(*map(_build, node.args), **given)
        case ast.Call(func=ast.Attribute(value=base, attr="where"), args=[]):
            given = {keyword.arg: _build(keyword.value) for keyword in node.keywords if keyword.arg is not None}
            return _router(base).where(**given)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _router(left) | _router(right)
        case ast.Constant():
            return node.value
        case ast.Tuple() | ast.List():
            kind = tuple if isinstance(node, ast.Tuple) else list
            return kind(map(_build, node.elts))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name):
            if name not in NAMES and isinstance(found := _named(name), Router):
                return found
            raise KeyError(name)
    raise ValueError(f"{ast.unparse(node)} has no place in a router")


def _router(node: ast.expr) -> Router:
    built = _build(node)
    if not isinstance(built, Router):
        raise TypeError(f"{ast.unparse(node)} is no router")
    return built


def _named(name: str) -> Any:
    """What makes routers of that name: of the toolkit, else of a package. Raises KeyError where there is none."""
    if name in NAMES:
        return NAMES[name]
    for point in entry_points(group=ENTRY_POINTS, name=name):
        return point.load()
    raise KeyError(name)


def _what_there_is(models: Collection[str]) -> str:
    of_fleet = f", or a model of the fleet ({', '.join(models)})" if models else ""
    names = [*NAMES, *sorted(point.name for point in entry_points(group=ENTRY_POINTS))]
    return f"a router is {', '.join(f'{name}(…)' for name in names if name != 'Rule')}{of_fleet}"
