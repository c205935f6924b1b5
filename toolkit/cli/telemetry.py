"""`toolkit telemetry`: the record to an OpenTelemetry receiver, once or as runs go on."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.ending import FAILED, complain
from toolkit.cli.options import DEFAULT_HOME, Home
from toolkit.errors import SetupError

if TYPE_CHECKING:
    from toolkit.telemetry import Told
    from toolkit.telemetry.span import Span

EVERY_SECONDS = 0.2
LOG_EVERY_SECONDS = 10.0
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def telemetry(
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="This run: its name, cut short, or `latest`.")] = "",
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="All that ended since: 30m, 24h, 7d, or a date.")
    ] = "",
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Send what ends from now on, until Ctrl-C; go on where the last one stopped."),
    ] = False,
    endpoint: Annotated[
        str,
        typer.Option(
            "--endpoint", help="The receiver's base address; default: OTEL_EXPORTER_OTLP_ENDPOINT, or port 4318."
        ),
    ] = "",
    conventions: Annotated[
        str, typer.Option("--conventions", help="Whose names: 1.41, or genai-0.1 for the newer ones.")
    ] = "1.41",
    content: Annotated[
        bool, typer.Option("--content", help="Send prompts, outputs, values and reasons too; without it none leaves.")
    ] = False,
    no_metrics: Annotated[bool, typer.Option("--no-metrics", help="Spans alone.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing; show a row's spans and how many all are.")
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Send spans and metrics of what is on record to an OpenTelemetry receiver (OTLP over HTTP).

    A row is a trace: its steps, and below them the attempts with usage, cost and errors. Keys and other headers come
    from OTEL_EXPORTER_OTLP_HEADERS. Exit code 0: all was accepted; 1: some was refused; 2: nothing could be sent.
    """
    from toolkit.ledger.reading.history import History
    from toolkit.runs.run_names import check_record
    from toolkit.telemetry import export

    if follow and (run or dry_run):
        raise SetupError("--follow sends what ends from now on; it goes with neither --run nor --dry-run")
    if run and since:
        raise SetupError("give --run or --since, not both")
    if not follow:
        check_record(home)
    history, moment = History(home), _moment(since) if since else None
    if follow:
        told = _followed(history, moment, endpoint, version=conventions, content=content, with_metrics=not no_metrics)
    else:
        shown = _Shown()
        told = export(
            history,
            run_id=run or None,
            since=moment,
            endpoint=endpoint or None,
            version=conventions,
            content=content,
            with_metrics=not no_metrics,
            dry_run=dry_run,
            progress=_progress(),
            sample=shown,
        )
    print(_sentence(told, dry_run=dry_run))
    for refused in (told.spans, told.points):
        if refused.refused:
            complain(refused.why)
    if told.refused:
        raise typer.Exit(FAILED)


# -------------------------------------------------------------------------------------------------------------- follow
def _followed(
    history: object, since: datetime | None, endpoint: str, *, version: str, content: bool, with_metrics: bool
) -> Told:
    """Follow on a thread of its own, so that Ctrl-C is heard at once; what is under way is sent to its end."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    from toolkit.ledger.reading.history import History
    from toolkit.telemetry import follow

    assert isinstance(history, History)
    stop = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="telemetry") as pool:
        future = pool.submit(
            follow,
            history,
            stop=stop,
            since=since,
            endpoint=endpoint or None,
            version=version,
            content=content,
            with_metrics=with_metrics,
            progress=_progress(),
            complain=complain,
        )
        complain("following; stop with Ctrl-C")
        try:
            return future.result()
        except KeyboardInterrupt:
            stop.set()
            return future.result()
        finally:
            stop.set()


# ---------------------------------------------------------------------------------------------------------------- tell
def _moment(since: str) -> datetime:
    """`24h` ago, or a date. Raises SetupError where it is neither."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", since.strip()):
        try:
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: float(found[1])})
        except OverflowError:
            raise SetupError(f"--since {since!r} is longer ago than there are dates; give a date") from None
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise SetupError(f"--since {since!r} is neither like 30m, 24h or 7d nor a date like 2026-03-01T09:00") from None
    return moment if moment.tzinfo else moment.astimezone()


def _sentence(told: Told, *, dry_run: bool) -> str:
    """What was done, in one line."""
    what = f"{told.rows:,} rows and {told.runs:,} runs: {told.spans.accepted:,} spans"
    if dry_run:
        return f"{what} and {told.points.accepted:,} metric points would be sent"
    parts = [f"{what} accepted", f"{told.points.accepted:,} metric points accepted"]
    if told.refused:
        parts.append(f"{told.spans.refused:,} spans and {told.points.refused:,} metric points refused")
    return ", ".join(parts)


def _progress() -> Callable[[Told], None]:
    """A line that counts: redrawn in a terminal, else written now and then."""
    live = sys.stderr.isatty()
    every = EVERY_SECONDS if live else LOG_EVERY_SECONDS
    last = time.monotonic()

    def show(told: Told) -> None:
        nonlocal last
        if time.monotonic() - last < every:
            return
        last = time.monotonic()
        line = f"{told.rows:,} rows, {told.spans.accepted:,} spans accepted, {told.spans.refused:,} refused"
        print(f"\r{line} " if live else line, end="" if live else "\n", file=sys.stderr, flush=True)

    return show


class _Shown:
    """The first spans of a dry run, as an outline."""

    def __init__(self) -> None:
        self.is_done = False

    def __call__(self, spans: Sequence[Span]) -> None:
        if self.is_done:
            return
        self.is_done = True
        first = [span for span in spans if span.trace_id == spans[0].trace_id]
        depth: dict[int | None, int] = {}
        for span in first:
            depth[span.span_id] = depth.get(span.parent_id, -1) + 1
            failed = f"  ERROR {span.error_type}" if span.error_type else ""
            print(f"{'  ' * depth[span.span_id]}{span.name}  {(span.end_ns - span.start_ns) / 1e6:,.1f} ms{failed}")
