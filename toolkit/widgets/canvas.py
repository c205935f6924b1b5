"""What is drawn on a page by `static/record.js`: parts of markup that Python makes, and the wishes that come back.

`Shown` is the part of a view that knows where it is shown: as a widget in a notebook, as HTML or as text elsewhere. The
widget's saved state holds the markup itself, so that it can be read without a kernel.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.widgets.markup import faint
from toolkit.widgets.surroundings import has_kernel

STATIC = Path(__file__).parent / "static"


class Shown:
    """Base of views: a subclass says its `html`, its `text`, the `parts` of its widget, and what `asked` does."""

    def __init__(self) -> None:
        self._canvas: Any = None

    @property
    def html(self) -> str:
        """All of it, as HTML without a script."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """All of it, for a terminal."""
        raise NotImplementedError

    def parts(self) -> dict[str, str]:
        """The markup of the widget's parts, by the names of `static/record.js`: head, controls, list, row."""
        raise NotImplementedError

    def asked(self, wish: dict[str, Any]) -> None:
        """Do what somebody wishes on the page: a row to open, a page of rows. Then `refresh`."""
        raise NotImplementedError

    @property
    def widget(self) -> Any:
        """The widget, made once: an `ipywidgets.DOMWidget`, to be shown or put into a box."""
        if self._canvas is None:
            self._canvas = canvas()(**self.parts())
            self._canvas.observe(self._heard, names="wish")
        return self._canvas

    def refresh(self) -> None:
        """Bring what is shown up to date."""
        if self._canvas is not None:
            with self._canvas.hold_sync():
                for name, markup in self.parts().items():
                    setattr(self._canvas, name, markup)
                self._canvas.fault = ""

    def _heard(self, change: Any) -> None:
        try:
            self.asked(dict(change["new"] or {}))
        except ToolkitError as error:
            self._canvas.fault = faint(str(error))

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        still: dict[str, Any] = {"text/plain": self.text, "text/html": self.html}
        if has_kernel():
            view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
            still["application/vnd.jupyter.widget-view+json"] = view
        return still


@cache
def canvas() -> Any:
    """The widget's class; anywidget is loaded here and not before."""
    import anywidget
    import traitlets

    class Canvas(anywidget.AnyWidget):
        _esm = STATIC / "record.js"
        _css = STATIC / "record.css"
        head = traitlets.Unicode("").tag(sync=True)
        controls = traitlets.Unicode("").tag(sync=True)
        list = traitlets.Unicode("").tag(sync=True)
        row = traitlets.Unicode("").tag(sync=True)
        fault = traitlets.Unicode("").tag(sync=True)
        wish = traitlets.Dict({}).tag(sync=True)

    return Canvas
