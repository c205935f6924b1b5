"""A run, watched: a widget that reads the record once a second until the run is over.

    run = workflow.start(rows, fleet)
    run                                   # in a notebook: the widget
    tk.watch("latest")                    # a run of any process, on the same record

What is shown comes from the record and not from memory, so it is the same in the process that runs it, in another, and
after a reload of the page. Without widgets the same is shown as HTML or text. Once the run is over the widget gives way
to what it showed last, which needs no kernel any more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.asking.steering import steer
from toolkit.errors import RunError, ToolkitError
from toolkit.ledger.reading.history import History
from toolkit.ledger.writing.wishes import Wish
from toolkit.widgets import telling
from toolkit.widgets.standing import Standing, standing_of
from toolkit.widgets.surroundings import has_kernel

if TYPE_CHECKING:
    from toolkit.runs.running import Running

EVERY_SECONDS = 1.0
SHARE_OF_TIME = 0.1
"""The most of the time that reading may take: of a large record it reads less often."""
KEPT_EVERY_SECONDS = 15.0
"""How often the notebook's own copy is renewed, which is what is saved with it and shown where there are no widgets."""


def watch(run: Running | str = "latest", *, home: Path | str | None = None) -> Watch:
    """A run to look at: its handle, or its name, which may be cut short; `home` is that of the record.

    Raises RunError where there is no such run.
    """
    history, run_id = found_run(run, home=home)
    return Watch(history, run_id, running=None if isinstance(run, str) else run)


def found_run(run: Running | str, *, home: Path | str | None = None) -> tuple[History, str]:
    """The record and the whole name of a run: of its handle, or its name in `home`. Raises RunError."""
    if not isinstance(run, str):
        if not hasattr(run, "history"):
            raise RunError(f"give a run or its name, not {type(run).__name__}")
        return run.history, run.id
    from toolkit.asking.settings import DEFAULT_HOME
    from toolkit.runs.run_names import named

    history = History(home or os.environ.get("TOOLKIT_HOME") or DEFAULT_HOME)
    return history, named(history, run)


class Watch:
    """What shows a run. `running` is its handle where this process has it, which is quicker to hear than the record."""

    def __init__(self, history: History, run_id: str, *, running: Running | None = None) -> None:
        self.history = history
        self.run_id = run_id
        self.standing: Standing = standing_of(history, run_id)
        self._running = running
        self._stop = threading.Event()

    def look(self) -> Standing:
        """Where the run stands now."""
        self.standing = standing_of(self.history, self.run_id)
        return self.standing

    def pause(self) -> None:
        """No further row, step or attempt begins, wherever it runs. Raises RunError where nobody works on it."""
        self._steer("pause")

    def go_on(self) -> None:
        """Go on after a pause."""
        self._steer(None)

    def cancel(self) -> None:
        """Stop it between attempts, in whichever process it runs; it can be resumed."""
        self._steer("cancel")

    def close(self) -> None:
        """Stop reading; what is shown stays as it is."""
        self._stop.set()

    def __repr__(self) -> str:
        return telling.text(self.look())

    def _repr_html_(self) -> str:
        return telling.html(self.look())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return _still(self.look())

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not has_kernel():
            print(repr(self))
        elif self.look().is_over:
            display(_still(self.standing), raw=True)  # type: ignore[no-untyped-call]
        else:
            shown = _Shown(self.standing, self._steer)
            threading.Thread(target=self._follow, args=(shown,), name=f"watch {self.run_id}", daemon=True).start()

    def _steer(self, wish: Wish | None) -> None:
        steer(self.history.home, self.run_id, wish)
        if self._running is not None:
            self._running.steering.hear(wish)

    def _follow(self, shown: _Shown) -> None:
        """Read and show until the run is over, in the cell that asked for it: others have followers of their own."""
        pause, kept_at = EVERY_SECONDS, time.monotonic()
        while not self._stop.wait(pause):
            began = time.thread_time()
            try:
                standing = self.look()
            except Exception as error:  # a record that cannot be read now may be readable in a moment
                shown.complain(str(error))
                continue
            pause = max(EVERY_SECONDS, (time.thread_time() - began) / SHARE_OF_TIME)
            shown.show(standing)
            if standing.is_over:
                shown.end(standing)
                return
            if time.monotonic() - kept_at >= KEPT_EVERY_SECONDS:
                kept_at = time.monotonic()
                shown.keep(standing)


class _Shown:
    """A widget on a page: the standing, and buttons that pause and cancel. `act` does what they say."""

    def __init__(self, standing: Standing, act: Callable[[Wish | None], None]) -> None:
        from IPython.display import display
        from ipywidgets import HTML, Button, HBox, Layout, VBox

        self._act = act
        self._is_paused = standing.is_paused
        self._picture = HTML(telling.html(standing), layout=Layout(margin="0"))
        self._pause = Button(description="Pause", layout=Layout(width="auto"))
        self._cancel = Button(description="Cancel", layout=Layout(width="auto"))
        self._told = HTML("", layout=Layout(margin="0 8px"))
        self._pause.on_click(lambda _: self._do(None if self._is_paused else "pause"))
        self._cancel.on_click(lambda _: self._do("cancel"))
        self._buttons = HBox([self._pause, self._cancel, self._told], layout=Layout(align_items="center"))
        self._widget = VBox([self._picture, self._buttons], layout=Layout(overflow="hidden"))
        self._allow(standing)
        self._handle: Any = display(self._bundle(standing), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def show(self, standing: Standing) -> None:
        self._picture.value = telling.html(standing)
        self._allow(standing)

    def complain(self, told: str) -> None:
        self._told.value = f'<span style="opacity:.8">{escape(told)}</span>' if told else ""

    def keep(self, standing: Standing) -> None:
        """Renew the notebook's own copy."""
        self._handle.update(self._bundle(standing), raw=True)

    def end(self, standing: Standing) -> None:
        """Give way to a picture that needs no kernel. The widget stays where a page was reloaded and shows it still."""
        self._buttons.layout.display = "none"
        self._handle.update(_still(standing), raw=True)

    def _bundle(self, standing: Standing) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        return {**_still(standing), "application/vnd.jupyter.widget-view+json": view}

    def _allow(self, standing: Standing) -> None:
        """What the buttons say and whether they can be pressed: where nobody works on the run, nobody would hear."""
        self._is_paused = standing.is_paused
        self._pause.description = "Resume" if standing.is_paused else "Pause"
        self._cancel.description = "Stopping …" if standing.is_stopping else "Cancel"
        deaf = not standing.workers or standing.is_stopping
        self._pause.disabled = self._cancel.disabled = deaf
        where = telling.where(standing) or "nobody is known to work on it"
        self._pause.tooltip = (
            f"Rows and attempts begin again ({where})."
            if standing.is_paused
            else f"No further row or attempt begins, and what is under way ends ({where})."
        )
        self._cancel.tooltip = f"The same, for good: it can be resumed later ({where})."

    def _do(self, wish: Wish | None) -> None:
        self._pause.disabled = self._cancel.disabled = True
        try:
            self._act(wish)
            self.complain("")
        except ToolkitError as error:
            self.complain(str(error))


def _still(standing: Standing) -> dict[str, Any]:
    return {"text/plain": telling.text(standing), "text/html": telling.html(standing)}
