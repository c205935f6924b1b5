"""Calling a step's own function: whatever it raises becomes a StepError that says where."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

from toolkit.errors import StepError, ToolkitError
from toolkit.records import Request
from toolkit.steps import Step


def run_function(step: Step, values: Mapping[str, Any]) -> Any:
    try:
        return step.function(**values)
    except ToolkitError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(step, error) from error


async def run_tool(step: Step, values: Mapping[str, Any]) -> Any:
    """A tool may wait for the world: an async one is awaited, a plain one runs in a thread."""
    try:
        if inspect.iscoroutinefunction(step.function):
            return await step.function(**values)
        if inspect.isgeneratorfunction(step.function):
            return step.function(**values)
        result = await asyncio.to_thread(step.function, **values)
        return await result if inspect.isawaitable(result) else result
    except ToolkitError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(step, error) from error


def raised(step: Step, error: BaseException) -> StepError:
    trace, where = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_name == step.function.__name__:
            where = f" (line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]})"
        trace = trace.tb_next
    return StepError(f"step {step.name!r} raised {type(error).__name__}: {error}{where}")


def are_requests(result: Any) -> bool:
    return isinstance(result, list | tuple) and bool(result) and all(isinstance(item, Request) for item in result)
