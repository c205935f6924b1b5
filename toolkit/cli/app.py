"""The commands under one roof: global options, and how whatever goes wrong ends."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from toolkit.cli import (
    batch,
    budget,
    compare,
    demo,
    fake,
    gate,
    health,
    inbox,
    lab,
    looking,
    plan,
    prices,
    retention,
    steering,
    taking,
    telemetry,
    up,
)
from toolkit.cli.ending import BROKEN, explain


class Commands(TyperGroup):
    """Turns errors into one sentence and an exit code; `--debug` may stand anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--debug" in args:
            args = ["--debug", *(arg for arg in args if arg != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort, *BROKEN):  # the first: a command mistyped
            raise
        except Exception as error:
            raise typer.Exit(explain(error, debug=bool(ctx.params.get("debug")))) from None


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all went well (rows may be parked or set aside) · 1 it ran, but rows or steps failed · "
    "2 nothing could run · 70 a bug in toolkit · 130 interrupted.",
)


@app.callback()
def toolkit(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Dataflow orchestration of AI models: routed, recorded, resumable, compared."""


for name, command in (
    ("demo", demo.demo),
    ("run", batch.run),
    ("resume", batch.resume),
    ("pause", steering.pause),
    ("cancel", steering.cancel),
    ("fork", batch.fork),
    ("retry", batch.retry),
    ("up", up.up),
    ("lab", lab.lab),
    ("plan", plan.plan),
    ("budget", budget.budget),
    ("runs", looking.runs),
    ("show", looking.show),
    ("sql", looking.sql),
    ("compare", compare.compare),
    ("gate", gate.gate),
    ("prices", prices.prices),
    ("fake", fake.fake),
    ("doctor", health.doctor),
    ("telemetry", telemetry.telemetry),
    ("snapshot", taking.snapshot),
    ("export", taking.export),
    ("prune", retention.prune),
    ("erase", retention.erase),
    ("version", health.version),
):
    app.command(name)(command)
app.add_typer(inbox.inbox, name="inbox")
