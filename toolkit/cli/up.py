"""`toolkit up`: Prefect's server and the deployments of `prefect.yaml`, in one process tree on 127.0.0.1."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

PORT = 4200


def up(
    file: Annotated[Path, typer.Option("--file", help="The deployments.")] = Path("prefect.yaml"),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of the server that is started.")] = PORT,
    database: Annotated[
        str | None,
        typer.Option("--database", help="Of Prefect's own data, e.g. postgresql+asyncpg://…; without it SQLite."),
    ] = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Flow runs under way at the same time.")] = 4,
) -> None:
    """Start Prefect's server, serve the deployments, and say where to click; Ctrl-C ends all of it.

    Where PREFECT_API_URL names a server, the deployments are served there and none is started.
    """
    began = time.monotonic()
    from prefect.settings import get_current_settings

    from toolkit.orchestration.deploying import deployments
    from toolkit.orchestration.serving import serve
    from toolkit.orchestration.standing import running_server

    made = deployments(file)
    if database:
        os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
    with ExitStack() as stack:
        url = get_current_settings().api.url or stack.enter_context(running_server(port))
        serve(made, at_once=at_once, ready=lambda: _say(url, made, seconds=time.monotonic() - began))
    print("stopped; runs that were under way go on with: toolkit resume latest", file=sys.stderr, flush=True)


def _say(url: str, made: list[RunnerDeployment], *, seconds: float) -> None:
    ui = url.removesuffix("/api")
    print(f"ready after {seconds:.0f} s: {ui}/deployments", flush=True)
    names = [f"{deployment.flow_name}/{deployment.name}" for deployment in made]
    for name, deployment in zip(names, made, strict=True):
        when = ", ".join(map(_when, deployment.schedules or ())) or "when somebody asks"
        print(f"  {name:<{max(map(len, names))}}  {when}", flush=True)
    print(f"Click Run there, or type: PREFECT_API_URL={url} prefect deployment run '{names[0]}'", flush=True)
    print("Ctrl-C ends the server and all it runs.", flush=True)


def _when(schedule: object) -> str:
    told = getattr(schedule, "schedule", schedule)
    cron, interval = getattr(told, "cron", None), getattr(told, "interval", None)
    return f"at {cron} (cron)" if cron else f"every {interval}" if interval else "on a schedule"
