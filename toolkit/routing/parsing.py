"""A router out of text: where configuration and the command line are read, strings become objects, once.

Fixed('large')      Ladder('small', 'large')      Explore(Ladder('small', 'large'), rate=0.2)      cheapest      large
Learned('routers/triage', worth=40)
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from toolkit.errors import FleetError
from toolkit.routing.explore import Explore
from toolkit.routing.learned import Learned
from toolkit.routing.router import Router
from toolkit.routing.rules import Rule, Rules
from toolkit.routing.simple import Cheapest, Fixed, Ladder, Uniform

NAMES: Mapping[str, Any] = {
    "Cheapest": Cheapest,
    "Explore": Explore,
    "Fixed": Fixed,
    "Ladder": Ladder,
    "Learned": Learned,
    "Rule": Rule,
    "Rules": Rules,
    "Uniform": Uniform,
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
            return NAMES[name](*map(_build, node.args), **given)
        case ast.Constant():
            return node.value
        case ast.Tuple() | ast.List():
            kind = tuple if isinstance(node, ast.Tuple) else list
            return kind(map(_build, node.elts))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name):
            raise KeyError(name)
    raise ValueError(f"{ast.unparse(node)} has no place in a router")


def _what_there_is(models: Collection[str]) -> str:
    of_fleet = f", or a model of the fleet ({', '.join(models)})" if models else ""
    return f"a router is {', '.join(f'{name}(…)' for name in NAMES if name != 'Rule')}{of_fleet}"
