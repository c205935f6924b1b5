"""A row in time, and what steps cost, out of the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolkit.charts.marks import labels_of
from toolkit.charts.theme import LABEL_PIXELS, ROW_HEIGHT, WIDTH, altair_, finished, frame, sentence
from toolkit.colours import BLUE, GREEN, GREY, PALETTE, PURPLE, VERMILION
from toolkit.errors import RunError
from toolkit.ledger import History
from toolkit.ledger.views import questions

PHASES = {"waiting": GREY, "service": BLUE, "failed": VERMILION, "tool": GREEN, "reused": PURPLE}
MOST_MODELS = len(PALETTE) - 1
"""Models with a colour of their own; the rest share the last."""


def timeline(history: History, run_id: str, row_id: str) -> Any:
    """One row of a run: each step's attempts from left to right, waiting apart from service.

    A bar is an attempt (or a tool step's work); its tooltip tells model, reason, cost and error. Raises RunError where
    there is no such row.
    """
    altair = altair_()
    bars = _bars(history, run_id, row_id)
    order = list(dict.fromkeys(bar["step"] for bar in sorted(bars, key=lambda bar: bar["from"])))
    used = [phase for phase in PHASES if any(bar["phase"] == phase for bar in bars)]
    longest = max(bar["to"] for bar in bars)
    scale, unit = (1000.0, "seconds") if longest >= 10_000 else (1.0, "milliseconds")
    placed = [{**bar, "begin": bar["from"] / scale, "end": bar["to"] / scale} for bar in bars]
    colour = altair.Color(
        "phase:N", title=None, scale=altair.Scale(domain=used, range=[PHASES[phase] for phase in used])
    )
    tips = [
        "step", "phase", altair.Tooltip("model", title="model"),
        altair.Tooltip("milliseconds", title="time (ms)"), altair.Tooltip("why", title="why"),
        altair.Tooltip("cost_usd", title="cost (USD)"), altair.Tooltip("error", title="error"),
    ]  # fmt: skip
    chart = (
        altair.Chart(frame(placed), title=altair.Title(f"Row {row_id}", subtitle=f"of {run_id}"))
        .mark_bar(size=16, minBandSize=2)
        .encode(
            x=altair.X("begin:Q", title=f"{unit} since the row began", scale=altair.Scale(nice=True)),
            x2="end:Q",
            y=altair.Y("step:N", sort=order, title=None, axis=altair.Axis(labelLimit=LABEL_PIXELS)),
            color=colour,
            stroke=colour,
            tooltip=tips,
        )
        .properties(width=WIDTH, height={"step": ROW_HEIGHT})
    )
    return finished(chart)


def costs(history: History, run_id: str | None = None) -> Any:
    """What each step cost, by the model that was asked: the six dearest by name, all others together.

    A sentence where no call has a known cost.
    """
    altair = altair_()
    table = history.sql(questions.STEP_COSTS, run_id=run_id)
    told = [dict(zip(("step", "model", "cost_usd", "calls"), row, strict=True)) for row in table]
    where = f"run {run_id}" if run_id else "this record"
    if not told:
        return sentence(f"No call of {where} has a known cost: give its models a price in models.toml.")
    if not any(each["cost_usd"] for each in told):
        calls = sum(each["calls"] for each in told)
        return sentence(f"All {calls:,} calls of {where} cost nothing, by the prices of its models.")
    rows, names = _by_model(told)
    total = sum(each["cost_usd"] for each in told)
    short = labels_of([str(each["step"]) for each in rows])
    named = [{**each, "step": short[str(each["step"])]} for each in rows]
    chart = (
        altair.Chart(
            frame(named),
            title=altair.Title("Cost by step and model", subtitle=f"{total:,.6g} USD in all, {where}"),
        )
        .mark_bar()
        .encode(
            x=altair.X("cost_usd:Q", title="cost (USD)"),
            y=altair.Y("step:N", title=None, sort="-x", axis=altair.Axis(labelLimit=LABEL_PIXELS)),
            color=altair.Color(
                "model:N",
                title="model",
                sort=names,
                scale=altair.Scale(domain=names, range=list(PALETTE[: len(names)])),
            ),
            order=altair.Order("place:Q"),
            tooltip=[
                "step", "model", altair.Tooltip("calls:Q", format=",", title="calls of known cost"),
                altair.Tooltip("cost_usd:Q", format=".6f", title="cost (USD)"),
            ],
        )
        .properties(width=WIDTH, height={"step": ROW_HEIGHT})
    )  # fmt: skip
    return finished(chart)


# ------------------------------------------------------------------------------------------------------------ helpers
def _by_model(told: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows with the place of their model, the dearest first; models beyond the palette as one."""
    spent: dict[str, float] = {}
    for each in told:
        spent[each["model"]] = spent.get(each["model"], 0.0) + each["cost_usd"]
    ranked = sorted(spent, key=lambda model: (-spent[model], model))
    kept = ranked if len(ranked) <= MOST_MODELS + 1 else ranked[:MOST_MODELS]
    rest = f"{len(ranked) - len(kept)} other models"
    short = labels_of(kept)
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for each in told:
        name = short.get(each["model"], rest)
        row = merged.setdefault(
            (each["step"], name), {"step": each["step"], "model": name, "cost_usd": 0.0, "calls": 0}
        )
        row["cost_usd"] += each["cost_usd"]
        row["calls"] += each["calls"]
    names = [*short.values(), *([rest] if len(kept) < len(ranked) else [])]
    return [{**row, "place": names.index(row["model"])} for row in merged.values()], names


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
