"""Tools that a model may call: plain typed functions, and the schema of their arguments. Pure; nothing is called here.

In: a function, or a `ToolSpec` with the function that serves it. Out: a `Tool`, whose `spec` goes to the models and
whose `arguments` says what of a call may reach the function.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NotRequired, overload

from toolkit.errors import CallError, WorkflowError
from toolkit.messages import ToolSpec
from toolkit.prompts.outputs import Output

RUN_PARAMETER = "run"
"""A parameter of this name is given the `About` of the run: no step's output, and nothing that a model may say."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolFailed(CallError):
    """A call of a tool that gave no result: the model is told why, and may go on."""

    error_type: ClassVar[str] = "tool_failed"


@dataclass(frozen=True)
class Tool:
    """A tool of a step. Calling it calls its function, so that it can be tested as what it is.

    `acts` marks one with effects in the world: it waits until all before it is durable, and no run acts on what a model
    said in another run. After `timeout_seconds` the model is told so; what a plain function does meanwhile goes on.
    `sees_run`: its function has a parameter `run`.
    """

    spec: ToolSpec
    function: Callable[..., Any]
    acts: bool = False
    timeout_seconds: float | None = None
    sees_run: bool = False
    _reader: Output = field(default_factory=Output, repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self.spec.name

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function's types. Raises InvalidOutput saying what does not fit the schema."""
        checked = self._reader.check(dict(given))
        return dict(self._reader.revive(checked))


@overload
def tool(
    function: Callable[..., Any],
    /,
    *,
    acts: bool = False,
    timeout_seconds: float | None = None,
    name: str | None = None,
) -> Tool: ...
@overload
def tool(
    spec: ToolSpec, served_by: Callable[..., Any], /, *, acts: bool = False, timeout_seconds: float | None = None
) -> Tool: ...
@overload
def tool(
    *, acts: bool = False, timeout_seconds: float | None = None, name: str | None = None
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | ToolSpec | None = None,
    served_by: Callable[..., Any] | None = None,
    /,
    *,
    acts: bool = False,
    timeout_seconds: float | None = None,
    name: str | None = None,
) -> Any:
    """A tool made of a function: its name, docstring and parameters are what a model is told.

    A parameter `run` is the run's metadata and is hidden from the model. `tool(spec, function)` takes a ready spec.
    Raises WorkflowError where a model could not be told of it. Serves as a decorator too.
    """
    if function is None:
        return lambda decorated: tool(decorated, acts=acts, timeout_seconds=timeout_seconds, name=name)
    if not isinstance(function, ToolSpec):
        return _of_function(function, acts=acts, timeout_seconds=timeout_seconds, name=name)
    if served_by is None:
        raise WorkflowError(f"the tool {function.name!r} has no function; write tool(spec, function)")
    return _of_spec(function, served_by, acts=acts, timeout_seconds=timeout_seconds)


def tools_of(given: Iterable[Any]) -> tuple[Tool, ...]:
    """The tools that a step declares: functions, tools, and pairs of a spec and a function. Raises WorkflowError."""
    made = tuple(_tool_of(each) for each in given)
    names = [each.name for each in made]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise WorkflowError(f"two tools are named {twice!r}; a model could not tell them apart")
    return made


# ----------------------------------------------------------------------------------------------------------- helpers
def _tool_of(given: Any) -> Tool:
    if isinstance(given, Tool):
        return given
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], ToolSpec):
        return _of_spec(*given)
    if callable(given):
        return _of_function(given)
    raise WorkflowError(f"{given!r} is no tool; give a function, tool(function, …) or (ToolSpec, function)")


def _of_function(
    function: Callable[..., Any], *, acts: bool = False, timeout_seconds: float | None = None, name: str | None = None
) -> Tool:
    called = name or getattr(function, "__name__", None)
    if not isinstance(called, str):
        raise WorkflowError(f"{function!r} has no name; give the tool one: tool(function, name='…')")
    parameters = _parameters(function, called)
    reader = _reader(_typed_dict(function, called, parameters), called)
    spec = ToolSpec(called, inspect.getdoc(function) or "", _told(reader, parameters))
    return _checked(Tool(spec, function, acts, timeout_seconds, RUN_PARAMETER in parameters, reader))


def _of_spec(
    spec: ToolSpec, function: Callable[..., Any], *, acts: bool = False, timeout_seconds: float | None = None
) -> Tool:
    """Whether the function takes what the spec says is the author's word."""
    reader = _reader({"type": "object", **spec.parameters}, spec.name)
    sees_run = RUN_PARAMETER in _parameters(function, spec.name)
    return _checked(Tool(spec, function, acts, timeout_seconds, sees_run, reader))


def _checked(made: Tool) -> Tool:
    if not _NAME.fullmatch(made.name):
        raise WorkflowError(f"a tool's name is 1 to 64 letters of A-Z, a-z, 0-9, _ and -, not {made.name!r}")
    return made


def _parameters(function: Callable[..., Any], name: str) -> dict[str, inspect.Parameter]:
    try:
        found = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"tool {name!r} is no function whose parameters can be read: {function!r}") from error
    return dict(found)


def _typed_dict(function: Callable[..., Any], name: str, parameters: Mapping[str, inspect.Parameter]) -> Any:
    """The parameters as a type that pydantic knows: no argument but these, those with a default may be left out."""
    from pydantic import ConfigDict
    from typing_extensions import TypedDict, get_type_hints  # of the typing module only from Python 3.12 on

    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise WorkflowError(f"the types of tool {name!r} cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    for parameter in parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise WorkflowError(f"tool {name!r}: a model cannot fill {parameter}; give every argument a name")
        if parameter.name == RUN_PARAMETER:
            continue
        if parameter.name not in hints:
            raise WorkflowError(f"tool {name!r}: parameter {parameter.name!r} has no type; a model must be told one")
        hint = hints[parameter.name]
        fields[parameter.name] = hint if parameter.default is parameter.empty else NotRequired[hint]
    build: Any = TypedDict
    made = build(name, fields)
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    return made


def _reader(declared: Any, name: str) -> Output:
    try:
        return Output.of(declared)
    except Exception as error:
        raise WorkflowError(f"the arguments of tool {name!r} have no JSON schema: {error}") from error


def _told(reader: Output, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The schema as a model is told it: without the type's own title, and with the defaults that JSON can hold."""
    schema = {key: value for key, value in (reader.schema or {}).items() if key not in ("title", "description")}
    properties = {}
    for name, told in schema.get("properties", {}).items():
        about = {key: value for key, value in told.items() if key != "title"}
        default = parameters[name].default
        if default is not inspect.Parameter.empty and isinstance(default, str | int | float | bool):
            about["default"] = default
        properties[name] = about
    return {**schema, "properties": properties}
