"""Charts of the record, in Altair: colours that colour-blind readers tell apart, units on every axis.

In: a `History` and what to look at. Out: `altair.Chart`, which a notebook shows and `.save("name.svg")` keeps.
"""

from __future__ import annotations

from typing import Any

from toolkit.errors import RunError
from toolkit.ledger import History
from toolkit.ledger.views import questions

BLUE, ORANGE, GREEN, PURPLE, VERMILION, GREY = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#8c8c8c"
"""After Okabe and Ito, Color Universal Design (2008)."""

PHASES = {"waiting": GREY, "service": BLUE, "failed": VERMILION, "tool": GREEN, "reused": PURPLE}


def timeline(history: History, run_id: str, row_id: str) -> Any:
    """One row of a run: each step's attempts from left to right, waiting apart from service.

    A bar is an attempt (or a tool step's work); its tooltip tells model, reason, cost and error. Raises RunError where
    there is no such row.
    """
    altair = _altair()
    bars = _bars(history, run_id, row_id)
    frame = _frame(bars)
    order = list(dict.fromkeys(bar["step"] for bar in sorted(bars, key=lambda bar: bar["from"])))
    return (
        altair.Chart(frame, title=f"Row {row_id} of {run_id}")
        .mark_bar(size=16)
        .encode(
            x=altair.X("from:Q", title="milliseconds since the row began"),
            x2="to:Q",
            y=altair.Y("step:N", sort=order, title=None),
            color=altair.Color(
                "phase:N", title=None, scale=altair.Scale(domain=list(PHASES), range=list(PHASES.values()))
            ),
            tooltip=["step", "phase", "model", "milliseconds", "why", "cost_usd", "error"],
        )
        .properties(width=620, height={"step": 26})
    )


def costs(history: History, run_id: str | None = None) -> Any:
    """What each step cost, by the model that was asked."""
    altair = _altair()
    frame = history.sql(questions.STEP_COSTS, run_id=run_id).df()
    return (
        altair.Chart(frame, title="Cost by step and model")
        .mark_bar()
        .encode(
            x=altair.X("cost_usd:Q", title="cost (USD)"),
            y=altair.Y("step:N", title=None, sort="-x"),
            color=altair.Color(
                "model:N", title="model", scale=altair.Scale(range=[BLUE, ORANGE, GREEN, PURPLE, VERMILION, GREY])
            ),
            tooltip=["step", "model", "calls", altair.Tooltip("cost_usd:Q", format=".6f")],
        )
        .properties(width=620, height={"step": 26})
    )


def _altair() -> Any:
    """Altair, whose charts a notebook keeps both alive and as a picture, so that any viewer shows them."""
    import altair
    from altair.utils.mimebundle import spec_to_mimebundle

    def both(spec: dict[str, Any], **_: Any) -> Any:
        alive = {f"application/vnd.vegalite.v{altair.SCHEMA_VERSION.lstrip('v').split('.')[0]}+json": spec}
        still = spec_to_mimebundle(spec, format="png", mode="vega-lite", scale_factor=2)
        return ({**alive, **still[0]}, still[1]) if isinstance(still, tuple) else {**alive, **still}

    if altair.renderers.active in ("", "default"):
        altair.renderers.register("toolkit", both)
        altair.renderers.enable("toolkit")
    return altair


def _bars(history: History, run_id: str, row_id: str) -> list[dict[str, Any]]:
    attempts = history.sql(questions.ROW_ATTEMPTS, {"row": row_id}, run_id=run_id)
    others = history.sql(questions.ROW_OTHER_ANSWERS, {"row": row_id}, run_id=run_id)
    bars = []
    for step, model, why, began, wait, service, cost, error in attempts:
        told = {"step": step, "model": model, "why": why, "cost_usd": cost, "error": error}
        bars.append({**told, "phase": "waiting", "from": began, "to": began + wait * 1000})
        phase = "failed" if error else "service"
        bars.append({**told, "phase": phase, "from": began + wait * 1000, "to": began + (wait + service) * 1000})
    for step, source, began, seconds in others:
        told = {"step": step, "model": None, "why": f"reused from {source}" if source else "tool", "cost_usd": 0.0}
        phase = "reused" if source else "tool"
        bars.append({**told, "error": None, "phase": phase, "from": began, "to": began + seconds * 1000})
    if not bars:
        raise RunError(f"run {run_id} has no row {row_id!r} on record; `select row_id, status from rows` lists them")
    first = min(bar["from"] for bar in bars)
    for bar in bars:
        bar["from"], bar["to"] = bar["from"] - first, bar["to"] - first
        bar["milliseconds"] = round(bar["to"] - bar["from"], 2)
        bar["step"] = bar["step"].split("/", 1)[-1]
    return bars


def _frame(bars: list[dict[str, Any]]) -> Any:
    from pandas import DataFrame

    return DataFrame(bars)
