"""`toolkit up`: Prefect's server and the deployments of `prefect.yaml`, in one process tree on 127.0.0.1."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.errors import SetupError

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

PORT = 4200


def up(
    file: Annotated[Path, typer.Option("--file", help="The deployments.")] = Path("prefect.yaml"),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of the server that is started.")] = PORT,
    database: Annotated[
        str | None,
        typer.Option("--database", help="Of Prefect's own data: postgresql://user@host/name; without it SQLite."),
    ] = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Flow runs under way at the same time.")] = 4,
) -> None:
    """Start Prefect's server, serve the deployments, and say where to click; Ctrl-C ends all of it.

    Where PREFECT_API_URL names a server, the deployments are served there and none is started.
    """
    began = time.monotonic()
    from prefect.settings import get_current_settings

    from toolkit.guarding import guarded
    from toolkit.orchestration.database import database_url
    from toolkit.orchestration.deploying import deployments, listed
    from toolkit.orchestration.server import check_answers
    from toolkit.orchestration.serving import serve
    from toolkit.orchestration.standing import running_server

    there = get_current_settings().api.url
    if there and database:
        raise SetupError(
            f"PREFECT_API_URL names the server at {there}, which has its own database; unset it to start one with "
            "--database"
        )
    if there:
        check_answers(there)
    kept = database_url(database) if database else None
    listed(file)
    made: list[RunnerDeployment] = []
    _end_by_any_signal()
    with guarded(), ExitStack() as stack:

        def make() -> None:
            made.extend(deployments(file))

        if there:
            make()
        url = there or stack.enter_context(running_server(port, database=kept, meanwhile=make))
        serve(made, at_once=at_once, ready=lambda: _say(url, made, seconds=time.monotonic() - began))
    print("stopped; runs that were under way go on with: toolkit resume latest", file=sys.stderr, flush=True)


def _end_by_any_signal() -> None:
    """SIGTERM and a terminal that is closed end it as Ctrl-C does, in the background too; nohup means what it says."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: signal.raise_signal(signal.SIGINT))


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
    when = f"at {cron} (cron)" if cron else f"every {interval}" if interval else "on a schedule"
    return when if getattr(schedule, "active", True) is not False else f"{when}, paused"
