"""How every chart looks, and how a notebook shows it. One theme for light and dark.

A chart has no background of its own. Its text is of a grey that reads on white (4.5 to 1) and on JupyterLab's dark page
(4.2 to 1); that holds for pictures too. Alive, in a notebook, text takes the colour of the page instead. On the right
there is room for letters that are wider where an SVG is opened than where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolkit.charts.pictures import smaller

INK = "#767676"
FAINT = "rgba(128,128,128,0.2)"
WIDTH = 500
ROW_HEIGHT = 28
LABEL_PIXELS = 300
NAME_PIXELS = 230
SENTENCE_CHARACTERS = 96
PICTURE_SCALE = 1.6
LIVE = "application/vnd.vegalite.v5+json"
"""What JupyterLab 4 draws. Altair's own announces version 6, of which JupyterLab 4 shows the picture alone."""

_TEXT = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif",
    "padding": {"left": 5, "top": 5, "right": 24, "bottom": 5},
    "view": {"stroke": None},
    "axis": {
        **_TEXT, "labelLimit": LABEL_PIXELS, "titleLimit": 700, "gridColor": FAINT, "domainColor": INK,
        "tickColor": INK, "labelOverlap": "greedy", "labelSeparation": 8,
    },
    "legend": {**_TEXT, "labelLimit": LABEL_PIXELS, "symbolSize": 90, "orient": "bottom", "columns": 3},
    "header": {**_TEXT, "labelLimit": LABEL_PIXELS},
    "title": {
        "color": INK, "subtitleColor": INK, "fontSize": 14, "fontWeight": 600, "anchor": "start", "limit": 860,
        "subtitleFontSize": 12,
    },
    "text": {"color": INK, "fontSize": 12},
}  # fmt: skip


def altair_() -> Any:
    """Altair, which shows charts of a notebook both alive and as a picture, so that any viewer shows them."""
    import altair

    if altair.renderers.active in ("", "default"):
        altair.renderers.register("toolkit", shown)
        altair.renderers.enable("toolkit")
    return altair


def finished(chart: Any) -> Any:
    """The chart with the theme on it."""
    return chart.configure(**CONFIG)


def frame(rows: Sequence[dict[str, Any]]) -> Any:
    """Rows as a DataFrame."""
    from pandas import DataFrame

    return DataFrame(list(rows))


def sentence(told: str) -> Any:
    """Instead of a chart that would be empty: why it is, and what to do, in lines that are not cut off."""
    import textwrap

    altair = altair_()
    lines = textwrap.wrap(told, SENTENCE_CHARACTERS) or ["There is nothing to draw."]
    rows = frame([{"line": line, "at": place} for place, line in enumerate(lines)])
    text = (
        altair.Chart(rows)
        .mark_text(align="left", baseline="top", color=INK, fontSize=13)
        .encode(
            text="line:N",
            x=altair.value(0),
            y=altair.Y("at:Q", axis=None, scale=altair.Scale(domain=[0, len(lines)], reverse=True)),
        )
        .properties(width=640, height=20 * len(lines), description=" ".join(lines))
    )
    return finished(text)


def loose(**more: Any) -> Any:
    """An axis that need not begin at zero."""
    return altair_().Scale(zero=False, nice=True, **more)


def shown(spec: dict[str, Any], **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a notebook keeps of a chart: alive for JupyterLab, a picture for whoever draws none, words for the rest."""
    import base64

    import vl_convert

    picture = smaller(vl_convert.vegalite_to_png(spec, scale=PICTURE_SCALE))
    live = of_the_page({**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"})
    actions = {"export": True, "source": False, "compiled": False, "editor": False}
    return (
        {LIVE: live, "image/png": base64.b64encode(picture).decode(), "text/plain": in_words(spec)},
        {LIVE: {"embed_options": {"renderer": "svg", "actions": actions}}},
    )


def in_words(spec: Mapping[str, Any]) -> str:
    """A chart where no picture can be: what it is of, or the sentence that stands in its place."""
    if told := spec.get("description"):
        return str(told)
    return f"[chart: {_title(spec) or _axes(spec) or 'untitled'}] .save('chart.png') keeps it as a picture"


def of_the_page(told: Any) -> Any:
    """The specification with text in the colour of the page that it stands on; data stay as they are."""
    if isinstance(told, dict):
        return {name: value if name in ("data", "datasets") else of_the_page(value) for name, value in told.items()}
    if isinstance(told, list):
        return [of_the_page(each) for each in told]
    return "currentColor" if told == INK else told


def _title(spec: Mapping[str, Any]) -> str:
    """The first title in a chart and the charts of which it is made."""
    told = spec.get("title")
    text = told.get("text") if isinstance(told, dict) else told
    if text:
        return " ".join(text) if isinstance(text, list) else str(text)
    return next(filter(None, map(_title, _parts(spec))), "")


def _axes(spec: Mapping[str, Any]) -> str:
    """What is drawn over what, by the titles of the axes."""
    encoding = spec.get("encoding", {})
    named = [str(encoding[axis]["title"]) for axis in ("y", "x") if encoding.get(axis, {}).get("title")]
    return " over ".join(named) or next(filter(None, map(_axes, _parts(spec))), "")


def _parts(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in ("layer", "hconcat", "vconcat", "concat"):
        yield from spec.get(name, ())
    if "spec" in spec:
        yield spec["spec"]
