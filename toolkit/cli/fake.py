"""`toolkit fake`: models on the loopback with the latency, limits, costs and faults one asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def fake(
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file; what is given here wins.")] = None,
    models: Annotated[
        str | None, typer.Option("--models", help="Names with commas between; NAME=FAULT is one that always fails so.")
    ] = None,
    latency: Annotated[float | None, typer.Option("--latency", min=0, help="Seconds to an answer, the median.")] = None,
    spread: Annotated[float | None, typer.Option("--spread", min=0, help="Deviation of latency's logarithm.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option("--tokens-per-second", min=0.001, help="The speed of streams.")
    ] = None,
    faults: Annotated[
        str | None, typer.Option("--faults", help="Kinds and rates, e.g. '429:0.1, 500:0.05, cut_stream:0.02'.")
    ] = None,
    outages: Annotated[
        str | None, typer.Option("--outages", help="Seconds of being dead: '30-60', or of each 90: '0-30/90=refused'.")
    ] = None,
    requests_per_minute: Annotated[float | None, typer.Option("--requests-per-minute", min=0.001)] = None,
    tokens_per_minute: Annotated[float | None, typer.Option("--tokens-per-minute", min=0.001)] = None,
    window: Annotated[int | None, typer.Option("--window", min=1, help="Tokens that a prompt may have.")] = None,
    quality: Annotated[
        float | None, typer.Option("--quality", min=0, max=1, help="Probability that a typed answer is right.")
    ] = None,
    tools: Annotated[
        str | None, typer.Option("--tools", help="When tools are called: never, sometimes, first-turn or always.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="What --fleet writes: openai, anthropic or both.")
    ] = None,
    script: Annotated[
        Path | None, typer.Option("--script", help="Answers by pattern: JSON lines of match and answer.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="What all chance comes from.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Listen with a wrong certificate too.")] = False,
    fleet: Annotated[Path | None, typer.Option("--fleet", help="Write a models.toml of these models here.")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="Append a JSON line for each call to this file.")] = None,
    counts: Annotated[Path | None, typer.Option("--counts", help="Write the counts to this file at the end.")] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help="List the kinds of faults, and end.")] = False,
    parent: Annotated[bool, typer.Option("--parent", help="End when standard input ends.")] = False,
) -> None:
    """Serve fake models of OpenAI's and Anthropic's dialect on the loopback, to rehearse on before money is spent.

    Prints one line with the URL once it listens; ends on SIGTERM or SIGINT. GET /fake/counts tells what was asked.
    """
    from toolkit.fake import KINDS, serve

    if kinds:
        for name, kind in KINDS.items():
            typer.echo(f"{name:<18}{kind.what}")
        return
    for_all = {
        "latency_seconds": latency,
        "latency_spread": spread,
        "tokens_per_second": tokens_per_second,
        "faults": faults,
        "outages": outages,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "window": window,
        "quality": quality,
        "tools": tools,
        "provider": provider,
    }
    for_server = {"seed": seed, "port": port, "script": script, "fleet": fleet, "log": log, "counts": counts}
    given = {name: str(value) if isinstance(value, Path) else value for name, value in for_server.items()}
    serve(
        _settings(config, models, _given(for_all), _given({**given, "tls": tls or None})),
        ends_with_parent=parent,
    )


def _settings(config: Path | None, models: str | None, for_all: dict[str, Any], for_server: dict[str, Any]) -> Any:
    """The file's settings with the options' over them."""
    from toolkit.errors import SetupError
    from toolkit.fake import from_file, settings

    where = "options" if config is None else str(config)
    told = {} if config is None else from_file(config)
    tables = dict(told.get("models") or {})
    for name, _, fault in (word.strip().partition("=") for word in (models or "").split(",") if word.strip()):
        tables[name] = {**tables.get(name, {}), **({"faults": fault} if fault else {})}
    if not tables:
        raise SetupError("no model to serve; name some with --models small,large or in a file with --config")
    always = {word.partition("=")[0].strip() for word in (models or "").split(",") if "=" in word}
    over = {
        name: {**table, **{key: value for key, value in for_all.items() if key != "faults" or name not in always}}
        for name, table in tables.items()
        if isinstance(table, dict)
    }
    return settings({**told, **for_server, "models": {**tables, **over}}, where=where)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
