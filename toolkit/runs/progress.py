"""A run's progress where somebody watches: a live line in a terminal, a line that redraws itself in a notebook.

In: a `Running`. Out: nothing but what is seen. It reads the progress and never touches the run.
"""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from toolkit.colours import BLUE, ORANGE, PURPLE, VERMILION

if TYPE_CHECKING:
    from toolkit.runs.running import Progress, Running

EVERY_SECONDS = 0.2
LOG_EVERY_SECONDS = 10.0
COLOURS = {"answered": BLUE, "parked": ORANGE, "failed": VERMILION, "set aside": PURPLE}


def watch(running: Running, *, show: bool | None = None) -> None:
    """Until the run is over, show where it stands: live in a terminal or a notebook, else a line now and then."""
    screen = _screen(show)
    future = running._future
    assert future is not None
    try:
        while not future.done():
            screen.show(running)
            _pause(future)
        screen.show(running)
    finally:
        screen.close()


def line(progress: Progress) -> str:
    """The progress in one line of text."""
    p = progress
    total = f"/{p.total:,}" if p.total is not None else ""
    parts = ["paused"] if p.is_paused else []
    parts += [f"{p.done:,}{total} rows", f"{p.in_flight} in flight"]
    if p.parked:
        parts.append(f"{p.parked:,} parked")
    if p.failed:
        parts.append(f"{p.failed:,} failed")
    if p.set_aside:
        parts.append(f"{p.set_aside:,} set aside")
    if p.elsewhere:
        parts.append(f"{p.elsewhere:,} by other processes")
    parts.append(f"{p.tally.calls:,} calls" + (f", {p.tally.reused:,} reused" if p.tally.reused else ""))
    parts.append(f"{p.tally.cost_usd:.4f} USD" + (f" + {p.tally.unpriced:,} unpriced" if p.tally.unpriced else ""))
    if p.tally.budget is not None:
        parts.append(f"budget {p.tally.budget}")
    if p.ended is not None:
        parts.append(f"in {duration(p.seconds)}")
    elif p.seconds_left is not None:
        parts.append(f"{duration(p.seconds_left)} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


# ------------------------------------------------------------------------------------------------------------ screens
class _Screen(Protocol):
    def show(self, running: Running) -> None: ...

    def close(self) -> None: ...


def _screen(show: bool | None) -> _Screen:
    if show is False:
        return _Silent()
    if _in_notebook():
        return _Notebook()
    if sys.stderr.isatty():
        return _Terminal()
    return _Log() if show else _Silent()


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell: Any = get_ipython()
    return shell is not None and "ZMQ" in type(shell).__name__


def _pause(future: Any) -> None:
    from concurrent.futures import wait

    wait([future], timeout=EVERY_SECONDS)


class _Silent:
    def show(self, running: Running) -> None:
        return None

    def close(self) -> None:
        return None


class _Terminal:
    """A bar and the line, redrawn in place on the error stream."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # What the workflow prints goes above the bar, but where stdout is a file it stays what it is.
        stdout = sys.stdout.isatty()
        self._live = Live(console=Console(stderr=True), refresh_per_second=8, transient=False, redirect_stdout=stdout)
        self._live.start()

    def show(self, running: Running) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        p = running.progress
        bar = ProgressBar(total=p.total, completed=p.done, width=40, pulse=p.total is None)
        told = Text(line(p), no_wrap=True, overflow="ellipsis")
        screen = Table.grid()
        screen.add_row(bar)
        screen.add_row(told.append(f"  {running.id}", style="dim"))
        self._live.update(screen)

    def close(self) -> None:
        self._live.stop()


class _Notebook:
    """One output that is replaced, so that the stored notebook keeps its last state."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, running: Running) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(_Bar(running), display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(_Bar(running))

    def close(self) -> None:
        return None


class _Bar:
    """The progress as HTML, and as text where there is none."""

    def __init__(self, running: Running) -> None:
        self.text = f"{running.id}: {line(running.progress)}"
        p = running.progress
        ended = p.done - p.parked - p.failed - p.set_aside
        self.total = p.total
        self.parts = {"answered": ended, "parked": p.parked, "failed": p.failed, "set aside": p.set_aside}

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        bar = "".join(
            f'<div title="{count:,} {name}" '
            f'style="width:{100 * count / self.total:.1f}%;background:{COLOURS[name]}"></div>'
            for name, count in self.parts.items()
            if self.total and count
        )
        return (
            '<div style="font-family:system-ui,sans-serif;font-size:13px;max-width:720px">'
            f'<div style="display:flex;height:8px;border-radius:4px;overflow:hidden;background:#8884">{bar}</div>'
            f'<div style="margin-top:4px;opacity:.85">{escape(self.text)}</div></div>'
        )


class _Log:
    """A line now and then, where the output goes to a file."""

    def __init__(self) -> None:
        self._next = time.monotonic()

    def show(self, running: Running) -> None:
        if time.monotonic() >= self._next or running.is_finished:
            self._next = time.monotonic() + LOG_EVERY_SECONDS
            print(f"{running.id}: {line(running.progress)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        return None
