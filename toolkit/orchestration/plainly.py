"""Flows beside the batch: their errors as one sentence in state and log, their pages as artifacts.

In: a function that does the work of a flow run. Out: the same, which gives Prefect a state in place of a trace.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from toolkit.errors import BudgetReached, Stopped, ToolkitError
from toolkit.ledger.homes import has_journal
from toolkit.orchestration.reporting import artifact_key, now_and_here

P = ParamSpec("P")


def plainly(work: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """What stops the work as foreseen becomes the state of the flow run, with its one sentence, and is logged so.

    The types of its parameters are resolved here, where the names of the work's own module are known: Prefect would
    look for them in this one.
    """

    @wraps(work)
    def plain(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return work(*args, **kwargs)
        except BudgetReached as reached:
            get_run_logger().warning("%s", reached)
            return failed(reached, name="Budget reached")
        except Stopped as stopped:
            get_run_logger().warning("%s", stopped)
            return Cancelled(message=str(stopped), data=stopped)
        except ToolkitError as error:
            get_run_logger().error("%s", error)
            return failed(error)

    plain.__annotations__ = inspect.get_annotations(work, eval_str=True)
    vars(plain)["__signature__"] = inspect.signature(work, eval_str=True)
    return plain


def failed(error: ToolkitError, *, name: str | None = None) -> State[Any]:
    """The state of a flow run that ends with an error that a person can mend. Who called the flow gets the error.

    Where Prefect runs the flow as a process, that is Prefect's engine, which would log it again with a long trace.
    """
    logging.getLogger("prefect.engine").addFilter(_is_unforeseen)
    return Failed(name=name, message=str(error), data=error)


def _is_unforeseen(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], ToolkitError))


def nothing_yet(home: str) -> State[Any] | None:
    """The state of a flow run that finds nothing on record in its home, which is no fault; else None."""
    if has_journal(home):
        return None
    told = f"nothing is on record in {home} yet: run a batch with this home first"
    get_run_logger().info("%s", told)
    return Completed(message=told)


def page(key: str, markdown: str, *, description: str) -> None:
    """A page of Markdown among the artifacts of the flow run."""
    now_and_here(create_markdown_artifact, markdown=markdown, key=artifact_key(key), description=description)


def tabled(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown; what is in it stays in its cell."""

    def cell(value: object) -> str:
        return " ".join(str(value).replace("|", "\\|").split())

    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)
