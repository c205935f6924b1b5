"""A step: a plain function and how its requests are to be answered. Parameter names are the edges of the graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

from toolkit.context import Fit, Keep
from toolkit.errors import WorkflowError
from toolkit.grading import Grader
from toolkit.policies import Policy
from toolkit.prompts.outputs import Output
from toolkit.prompts.tools import Tool, tools_of
from toolkit.records import Json
from toolkit.routing.router import Router

if TYPE_CHECKING:
    from toolkit.graph.workflow import Workflow

MOST_TURNS = 8
"""How often a step with tools may ask for one row, where it does not say."""


@dataclass(frozen=True, slots=True)
class About:
    """Run metadata, for a step or a tool that asks for it by naming a parameter `run`.

    `call_id` stands for one call of a tool: the same whenever that call is made again, say after a kill.
    """

    run_id: str
    row_id: str
    workflow: str
    settings: Mapping[str, Json]
    call_id: str | None = None


@dataclass(frozen=True)
class Step:
    """One step of a workflow. Calling it calls its function, so that it can be tested as what it is.

    `needs` are its parameters; those in `optional` have a default, used where the step of that name was skipped.
    `reduces` marks a step that sees the whole batch: each parameter is then the list of that name's values over all
    answered rows. `acts` marks a tool step with effects in the world: it waits until all before it is durable. `tools`
    are functions that the model may call, in at most `max_turns` turns. `inner` is the workflow that this step runs,
    once or, with `each`, for every item of a list.
    """

    name: str
    function: Callable[..., Any]
    needs: tuple[str, ...]
    optional: Mapping[str, Any] = field(default_factory=dict)
    route: Router | None = None
    policy: Policy | None = None
    output: Any = None
    grade: tuple[Grader, ...] = ()
    fit: Fit = field(default_factory=Keep)
    capabilities: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    reduces: bool = False
    acts: bool = False
    tools: tuple[Tool, ...] = ()
    max_turns: int = MOST_TURNS
    inner: Workflow | None = None
    each: tuple[str, str] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def asks(self) -> bool:
        """Whether it has a route, and so may return requests."""
        return self.route is not None

    def reader(self) -> Output:
        """How its answers are read. Raises WorkflowError where the declared type cannot be used."""
        try:
            return Output.of(self.output)
        except Exception as error:
            raise WorkflowError(
                f"step {self.name!r}: output={self.output!r} is no type that can be read ({error})"
            ) from error

    def with_route(self, route: Router) -> Step:
        return replace(self, route=route)


@overload
def step(function: Callable[..., Any], /) -> Step: ...
@overload
def step(
    *,
    route: Router | None = None,
    policy: Policy | None = None,
    output: Any = None,
    grade: Grader | tuple[Grader, ...] = (),
    fit: Fit | None = None,
    needs: tuple[str, ...] = (),
    max_output_tokens: int | None = None,
    reduces: bool = False,
    acts: bool = False,
    tools: Iterable[Any] = (),
    max_turns: int = MOST_TURNS,
    name: str | None = None,
) -> Callable[[Callable[..., Any]], Step]: ...


def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    route: Router | None = None,
    policy: Policy | None = None,
    output: Any = None,
    grade: Grader | tuple[Grader, ...] = (),
    fit: Fit | None = None,
    needs: tuple[str, ...] = (),
    max_output_tokens: int | None = None,
    reduces: bool = False,
    acts: bool = False,
    tools: Iterable[Any] = (),
    max_turns: int = MOST_TURNS,
    name: str | None = None,
) -> Any:
    """Make a step of a function.

    The function returns a request or a list of requests (then `route` says who answers), a value (a tool step), a
    `Skip`; or it is a generator that yields requests and is sent replies. `output` is the type that an answer must
    satisfy, `grade` judges it, `needs` are capabilities that a model must have beyond those the request implies.
    `tools` are typed functions (or `tool(…)`, or pairs of a ToolSpec and a function) that the model may call before it
    answers; a step whose model still calls them in turn `max_turns` fails.
    """
    if function is None:
        return lambda decorated: step_of(
            decorated,
            name=name or name_of(decorated),
            route=route,
            policy=policy,
            output=output,
            grade=grade if isinstance(grade, tuple) else (grade,),
            fit=fit or Keep(),
            capabilities=needs,
            max_output_tokens=max_output_tokens,
            reduces=reduces,
            acts=acts,
            tools=tools_of(tools),
            max_turns=max_turns,
        )
    return step_of(function, name=name_of(function))


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function. Raises WorkflowError where it has none, as a partial has."""
    found = getattr(function, "__name__", None)
    if not isinstance(found, str):
        raise WorkflowError(f"{function!r} has no name; give the step one: step(name='…')")
    return found


def step_of(function: Callable[..., Any], *, name: str, **options: Any) -> Step:
    """The step that a function and its options make; reads the edges off the signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"step {name!r} is no function whose parameters can be read: {function!r}") from error
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise WorkflowError(f"step {name!r}: parameter {parameter} cannot be an edge; name what the step needs")
    return Step(
        name=name,
        function=function,
        needs=tuple(parameter.name for parameter in parameters),
        optional={p.name: p.default for p in parameters if p.default is not p.empty},
        **options,
    )
