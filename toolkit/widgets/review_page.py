"""A page for people within a notebook: a widget whose state is made here, and what a person does there, carried out.

    desk.state() ─▶ trait `state` ─▶ the page ─▶ message {do: …} ─▶ desk.do(message) ─▶ desk.state()

A desk knows nothing of widgets. Messages are carried out one after the other; what goes wrong is told on the page.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from toolkit.errors import ToolkitError, sentence

STATIC = Path(__file__).parent / "static"
SHARED = "people"
Plain = dict[str, Any]


class Desk(Protocol):
    """What a page shows, and what is done at it."""

    def state(self) -> Plain:
        """All that the page shows, as JSON can hold it."""

    def do(self, told: Mapping[str, Any]) -> None:
        """Carry out what a person does. Raises ToolkitError, which is shown."""

    def say(self, text: str, *, kind: str = "error") -> None:
        """Show a sentence with the next state."""


class Page:
    """A widget over a desk: `script` names its module in `static/`."""

    def __init__(self, desk: Desk, script: str) -> None:
        self._desk = desk
        self._one = threading.Lock()
        self.widget = _class_of(script)(state=desk.state())
        self.widget.on_msg(self._hear)

    @property
    def view(self) -> Plain:
        """What stands for the widget in the output of a cell."""
        return {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}

    def close(self) -> None:
        """Take the widget off every page."""
        self.widget.close()

    def _hear(self, widget: Any, told: Any, _buffers: Any) -> None:
        if not isinstance(told, dict):
            return
        with self._one:  # a kernel may hear messages on several threads
            try:
                self._desk.do(told)
            except ToolkitError as error:
                self._desk.say(sentence(error))
            except Exception as error:  # nobody reads a kernel's log: it is told where it happened
                self._desk.say(f"that went wrong, and nothing was changed by it: {type(error).__name__}: {error}")
            widget.state = self._desk.state()
            widget.send({"done": told.get("number", 0)})


def shown(still: Plain, page: Any) -> None:
    """Show a page in the output of the cell, with text and HTML for where there are no widgets; print the text
    where there is no kernel. `page` makes the Page."""
    if not has_kernel():
        print(still["text/plain"])
        return
    from IPython.display import display

    bundle = {**still, "application/vnd.jupyter.widget-view+json": page().view}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def has_kernel() -> bool:
    """Whether somebody may look at this in a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


@cache
def _class_of(script: str) -> Any:
    import anywidget
    import traitlets

    def source(kind: str) -> str:
        files = (STATIC / f"{name}.{kind}" for name in (SHARED, script))
        return "\n".join(file.read_text(encoding="utf-8") for file in files if file.exists())

    state = traitlets.Dict().tag(sync=True)
    draft = traitlets.Dict().tag(sync=True)
    parts = {"_esm": source("js"), "_css": source("css"), "state": state, "draft": draft}
    return type(script.title(), (anywidget.AnyWidget,), parts)
