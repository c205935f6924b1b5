"""Calling the functions of a workflow's author: whatever a step's own raises becomes a StepError that says where."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from toolkit.errors import StepError, ToolkitError
from toolkit.graph.steps import Step
from toolkit.records import Request

T = TypeVar("T")


def run_function(step: Step, values: Mapping[str, Any]) -> Any:
    try:
        return step.function(**values)
    except ToolkitError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(step, error) from error


async def run_tool(step: Step, values: Mapping[str, Any]) -> Any:
    """A tool step's value."""
    try:
        return await called(step.function, values)
    except ToolkitError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(step, error) from error


async def called(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """What a function gives that may wait for the world: an async one is awaited, a plain one runs in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(**values)
    if inspect.isgeneratorfunction(function):
        return function(**values)
    result = await asyncio.to_thread(function, **values)
    return await result if inspect.isawaitable(result) else result


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, when all are over: where one raises, the others are waited for, and then the first is raised."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]


def raised(step: Step, error: BaseException) -> StepError:
    trace, where = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_name == step.function.__name__:
            where = f" (line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]})"
        trace = trace.tb_next
    return StepError(f"step {step.name!r} raised {type(error).__name__}: {error}{where}")


def are_requests(result: Any) -> bool:
    return isinstance(result, list | tuple) and bool(result) and all(isinstance(item, Request) for item in result)
