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
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ToolkitError
from toolkit.ledger.reading.history import History
from toolkit.widgets import telling
from toolkit.widgets.standing import Standing, standing_of

if TYPE_CHECKING:
    from toolkit.running import Running

EVERY_SECONDS = 1.0
SHARE_OF_TIME = 0.1
"""The most of the time that reading may take: of a large record it reads less often."""
KEPT_EVERY_SECONDS = 15.0
"""How often the notebook's own copy is renewed, which is what is saved with it and shown where there are no widgets."""


def watch(run: Running | str = "latest", *, home: Path | str | None = None) -> Watch:
    """A run to look at: its handle, or its name, which may be cut short; `home` is that of the record.

    Raises RunError where there is no such run.
    """
    if not isinstance(run, str):
        return Watch(run.history, run.id, running=run)
    from toolkit.cli.options import DEFAULT_HOME
    from toolkit.cli.questions import named

    history = History(home or os.environ.get("TOOLKIT_HOME") or DEFAULT_HOME)
    return Watch(history, named(history, run))


class Watch:
    """What shows a run. `running` is its handle where this process has it, so that it can be cancelled."""

    def __init__(self, history: History, run_id: str, *, running: Running | None = None) -> None:
        self.history = history
        self.run_id = run_id
        self.standing: Standing = standing_of(history, run_id)
        self._running = running
        self._shown: _Shown | None = None
        self._stop = threading.Event()

    def look(self) -> Standing:
        """Where the run stands now."""
        self.standing = standing_of(self.history, self.run_id)
        return self.standing

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

        if not _has_kernel():
            print(repr(self))
        elif self.look().is_over:
            display(_still(self.standing), raw=True)  # type: ignore[no-untyped-call]
        else:
            self._shown = _Shown(self.standing, self._running)
            threading.Thread(target=self._follow, name=f"watch {self.run_id}", daemon=True).start()

    def _follow(self) -> None:
        """Read and show until the run is over."""
        pause, kept_at = EVERY_SECONDS, time.monotonic()
        assert self._shown is not None
        while not self._stop.wait(pause):
            began = time.thread_time()
            try:
                standing = self.look()
            except ToolkitError as error:  # a record that cannot be read now may be readable in a moment
                self._shown.complain(str(error))
                continue
            pause = max(EVERY_SECONDS, (time.thread_time() - began) / SHARE_OF_TIME)
            self._shown.show(standing)
            if standing.is_over:
                self._shown.end(standing)
                return
            if time.monotonic() - kept_at >= KEPT_EVERY_SECONDS:
                kept_at = time.monotonic()
                self._shown.keep(standing)


class _Shown:
    """A widget on a page: the standing, and a button that cancels."""

    def __init__(self, standing: Standing, running: Running | None) -> None:
        from IPython.display import display
        from ipywidgets import HTML, Button, Layout, VBox

        self._running = running
        self._picture = HTML(telling.html(standing), layout=Layout(margin="0"))
        self._button = Button(description="Cancel", layout=Layout(width="auto", align_self="flex-start"))
        self._button.on_click(self._cancel)
        self._widget = VBox([self._picture, self._button], layout=Layout(overflow="hidden"))
        self._allow(standing)
        self._handle: Any = display(self._bundle(standing), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def show(self, standing: Standing) -> None:
        self._picture.value = telling.html(standing)
        self._allow(standing)

    def complain(self, told: str) -> None:
        self._button.tooltip = told

    def keep(self, standing: Standing) -> None:
        """Renew the notebook's own copy."""
        self._handle.update(self._bundle(standing), raw=True)

    def end(self, standing: Standing) -> None:
        """Give way to a picture that needs no kernel. The widget stays where a page was reloaded and shows it still."""
        self._button.layout.display = "none"
        self._handle.update(_still(standing), raw=True)

    def _bundle(self, standing: Standing) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        return {**_still(standing), "application/vnd.jupyter.widget-view+json": view}

    def _allow(self, standing: Standing) -> None:
        """Who may cancel: the process whose handle of the run we have."""
        if self._button.description != "Cancel":
            return
        self._button.disabled = self._running is None
        if self._running is not None:
            self._button.tooltip = "No further row begins, and what is under way ends its attempt; it can be resumed."
        elif standing.is_here:
            self._button.tooltip = "It runs in this kernel: its handle, the value of start(), has the button."
        else:
            self._button.tooltip = f"It runs in {telling.where(standing) or 'another process'}: stop it there."

    def _cancel(self, _: Any) -> None:
        assert self._running is not None
        self._button.description, self._button.disabled = "Stopping …", True
        self._running.cancel()


def _still(standing: Standing) -> dict[str, Any]:
    return {"text/plain": telling.text(standing), "text/html": telling.html(standing)}


def _has_kernel() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
