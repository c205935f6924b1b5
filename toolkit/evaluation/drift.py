"""`drift`: what changed, and when: quality, cost, time, failures and routing of a step, and the inputs themselves.

    history ─▶ a value per signal and day ─▶ a detector each, that share one rate of false alarms ─▶ Drift

A drop in quality is told on record, once, by the event `toolkit.quality.dropped`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from typing import Any, Literal, get_args

import numpy as np
import orjson
from numpy.typing import NDArray

from toolkit.errors import RunError
from toolkit.evaluation.comparing import record_of
from toolkit.evaluation.inputs import language, missing_share, terms, text_of, unseen_share, vocabulary
from toolkit.evaluation.monitoring import DAYS_A_YEAR, Change, Detector
from toolkit.evaluation.reading import grader_named
from toolkit.ledger import History, Journal, event_entry
from toolkit.ledger.views import drift as asked
from toolkit.records import Event, now

Floats = NDArray[np.float64]
Every = Literal["day", "week"]
DROPPED = "toolkit.quality.dropped"
LEARNING_DAYS = 14
"""The days whose words count as known."""
FEWEST_DAYS = 10


@dataclass(frozen=True, eq=False)
class Signal:
    """A series: `days` (T,), `values` (T,) or shares (T, k) of the `parts`, and how many `rows` made each. `fault` says
    why it cannot be watched, whatever is there of it."""

    name: str
    unit: str
    days: tuple[date, ...] = field(repr=False)
    values: Floats = field(repr=False)
    rows: tuple[int, ...] = field(repr=False)
    parts: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Drifted:
    """A signal and what became of it; `why_not` says why it could not be watched."""

    signal: Signal
    changes: tuple[Change, ...] = ()
    why_not: str = ""

    @property
    def dropped(self) -> tuple[Change, ...]:
        """The changes for the worse of a quality."""
        return tuple(each for each in self.changes if each.after < each.before)


@dataclass(frozen=True)
class Drift:
    """What changed at a step. `rate` is the chance of any false alarm, of all signals together, in a year."""

    step: str
    signals: tuple[Drifted, ...]
    rate: float
    every: Every

    @property
    def sentence(self) -> str:
        """What changed, when, and from what to what; and what could not be watched."""
        told = [
            f"{each.signal.name} {_how(each.signal, change)} since {each.signal.days[change.start]} "
            f"(told on {each.signal.days[change.alarm]})"
            for each in self.signals
            for change in each.changes
        ]
        blind = [f"{each.signal.name} ({each.why_not})" for each in self.signals if each.why_not]
        watched = len(self.signals) - len(blind)
        if not watched:
            return f"Nothing at {self.step} could be watched: {self.signals[0].why_not}."
        rate = f"{watched} signals watched, at most {100 * self.rate:g} % of years with a false alarm"
        said = f"{'; '.join(told)} ({rate})." if told else f"Nothing at {self.step} surely changed ({rate})."
        return f"{said} Not watched: {', '.join(blind)}." if blind else said

    def frame(self) -> Any:
        """A DataFrame with a row per change, and one for each signal without."""
        from pandas import DataFrame

        return DataFrame([row for each in self.signals for row in _rows(each)])

    def days(self) -> Any:
        """A DataFrame with a row per signal and day; of shares, one per part."""
        from pandas import DataFrame, to_datetime

        told = DataFrame(
            [
                {"signal": name, "unit": each.signal.unit, "day": day, "value": float(value), "rows": rows}
                for each in self.signals
                for name, column in _columns(each.signal)
                for day, value, rows in zip(each.signal.days, column, each.signal.rows, strict=True)
            ],
            columns=["signal", "unit", "day", "value", "rows"],
        )
        return told.assign(day=to_datetime(told.day))

    def plot(self) -> Any:
        """Each signal by day, with its changes, in Altair."""
        from toolkit.charts import drift as chart

        return chart(self)

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(self.sentence)}</p>{self.frame().to_html(index=False, na_rep='')}"


def drift(
    recorded: Any,
    *,
    step: str,
    quality: str | None = None,
    inputs: bool = True,
    rate: float = 0.05,
    every: Every = "day",
    record: bool = False,
) -> Drift:
    """What changed at a step, by all that is on record. May be asked every day: `rate` holds for a whole year of that.

    `quality` is a grader (without it: the lowest grade), `every` is "week" where days of the week differ, `record` puts
    a drop in quality on record as the event `toolkit.quality.dropped`. Raises RunError where the step is not there.
    """
    if every not in (known := get_args(Every)):
        raise RunError(f"every is {' or '.join(map(repr, known))}, not {every!r}")
    if not 0 < rate < 1:
        raise RunError(f"the rate of false alarms lies between 0 and 1, as 0.05 does, not {rate}")
    history, _ = record_of(recorded)
    signals = [*_of_step(history, step, quality), *(_of_inputs(history, step) if inputs else ())]
    watched = [_by_week(each) for each in signals] if every == "week" else signals
    able = [each for each in watched if len(each.days) >= FEWEST_DAYS and not each.fault]
    periods = DAYS_A_YEAR if every == "day" else 53
    found = []
    for signal in watched:
        if signal not in able:
            found.append(Drifted(signal, (), signal.fault or _too_few(signal, every)))
            continue
        detector = Detector(rate / len(able), periods, seed=_seed(signal.name))
        found.append(Drifted(signal, detector.changes(signal.values)))
    result = Drift(step, tuple(found), rate, every)
    if record:
        tell(history, result)
    return result


def tell(history: History, found: Drift) -> int:
    """Put drops in quality on record as events, each once; how many are new."""
    known = {
        (about.get("step"), about.get("signal"), about.get("since"))
        for (told,) in history.sql(asked.DROPS_TOLD, {"name": DROPPED})
        for about in (orjson.loads(told),)
    }
    new = []
    for each in found.signals:
        for change in each.dropped if each.signal.name == "quality" else ():
            about = {
                "step": found.step, "signal": each.signal.name, "since": str(each.signal.days[change.start]),
                "told_on": str(each.signal.days[change.alarm]), "before": change.before, "after": change.after,
                "rate_of_false_alarms": found.rate,
            }  # fmt: skip
            if (about["step"], about["signal"], about["since"]) in known:
                continue
            runs = history.sql(asked.RUN_OF_DAY, {"day": each.signal.days[change.alarm], "step": found.step}).rows
            new.append(event_entry(Event(DROPPED, runs[0][0] if runs else "", now(), about)))
    if new:
        with Journal.open(history.home) as journal:
            journal.write(*new)
            journal.flush()
    return len(new)


# ------------------------------------------------------------------------------------------------------------ signals
def _of_step(history: History, step: str, quality: str | None) -> list[Signal]:
    named = history.sql(asked.STEPS_NAMED, {"step": step}).column("step")
    if len(named) != 1:
        known = f"it is there as {' and '.join(named)}; name one of them" if named else "there is no answer of it"
        raise RunError(f"cannot watch step {step!r}: {known}")
    days = history.sql(asked.DAILY_STEPS, {"step": step}).rows
    graded: list[tuple[date, float | None, int]] = [(day, value, n) for day, _, value, n, *_ in days]
    if quality is not None:
        grader, fault = grader_named(history, step, quality)
        if fault:
            raise RunError(fault)
        graded = list(history.sql(asked.DAILY_GRADES, {"step": step, "grader": grader}).rows)
    fault = _judged_by_others(history, step) if quality is None else ""
    mix: dict[date, dict[str, int]] = {}
    for day, model, count in history.sql(asked.DAILY_MIX, {"step": step}):
        mix.setdefault(day, {})[model] = count
    return [
        replace(_series("quality", "0 to 1", graded), fault=fault),
        _series("cost", "USD an answer", [(d, None if unknown else cost, n) for d, n, _, _, cost, unknown, *_ in days]),
        _series("seconds", "s an answer", [(d, seconds, n) for d, n, _, _, _, _, seconds, _ in days]),
        _series("failures", "share", [(day[0], day[-1], day[1]) for day in days]),
        _shares("routing mix", mix),
    ]


def _judged_by_others(history: History, step: str) -> str:
    """Since when other graders judge than before: the lowest of more grades is lower, though nothing is worse."""
    before: tuple[str, ...] | None = None
    for day, graders in history.sql(asked.DAILY_GRADERS, {"step": step}):
        if before is not None and tuple(graders) != before:
            return (
                f"from {day} on answers are judged by other graders; name one of them, by its whole label, as quality"
            )
        before = tuple(graders)
    return ""


def _of_inputs(history: History, step: str) -> list[Signal]:
    told: dict[date, list[Mapping[str, Any]]] = {}
    for day, fields in history.sql(asked.DAILY_ROWS, {"step": step}):
        told.setdefault(day, []).append(orjson.loads(fields))
    columns = sorted({column for rows in told.values() for fields in rows for column in fields})
    texts = {day: [text_of(fields) for fields in rows] for day, rows in told.items()}
    early = vocabulary(text for day in list(texts)[:LEARNING_DAYS] for text in texts[day])
    later = list(texts)[LEARNING_DAYS:]
    languages = {day: Counter(map(language, listed)) for day, listed in texts.items()}

    def mean(values: Mapping[date, Sequence[float]]) -> list[tuple[date, float | None, int]]:
        return [(day, float(np.mean(each)), len(each)) for day, each in values.items() if each]

    return [
        _series(
            "length of inputs",
            "log of words",
            mean({d: [float(np.log1p(len(terms(t)))) for t in x] for d, x in texts.items()}),
        ),
        _series("missing fields", "share", mean({d: [missing_share(f, columns) for f in x] for d, x in told.items()})),
        _series("unseen terms", "share", mean({d: [unseen_share(t, early) for t in texts[d]] for d in later})),
        _shares("language", languages),
    ]


def _series(name: str, unit: str, told: Sequence[tuple[date, float | None, int]]) -> Signal:
    known = [(day, value, n) for day, value, n in told if value is not None and np.isfinite(value)]
    return Signal(
        name, unit, tuple(day for day, _, _ in known), np.array([v for _, v, _ in known], dtype=np.float64),
        tuple(n for _, _, n in known),
    )  # fmt: skip


def _shares(name: str, counts: Mapping[date, Mapping[str, int]]) -> Signal:
    parts = tuple(sorted({part for each in counts.values() for part in each}))
    totals = [sum(each.values()) for each in counts.values()]
    table = np.array([[each.get(part, 0) for part in parts] for each in counts.values()], dtype=np.float64)
    shares = table.reshape(len(counts), len(parts)) / np.array(totals or [1])[:, None] if counts else np.zeros((0, 1))
    return Signal(name, "share", tuple(counts), shares, tuple(totals), parts)


def _by_week(signal: Signal) -> Signal:
    """Means of the days of each week, under its Monday."""
    weeks: dict[date, list[int]] = {}
    for place, day in enumerate(signal.days):
        weeks.setdefault(date.fromordinal(day.toordinal() - day.weekday()), []).append(place)
    rows = np.array(signal.rows, dtype=np.float64)
    values = [np.average(signal.values[at], axis=0, weights=rows[at]) for at in weeks.values()]
    stacked = np.array(values, dtype=np.float64) if values else signal.values
    totals = tuple(int(rows[at].sum()) for at in weeks.values())
    return replace(signal, days=tuple(weeks), values=stacked, rows=totals)


# -------------------------------------------------------------------------------------------------------------- words
def _seed(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")


def _how(signal: Signal, change: Change) -> str:
    if signal.parts:
        return f"moved by {100 * change.after:.0f} points of share"
    word = "rose" if change.after > change.before else "fell"
    return f"{word} from {change.before:.4g} to {change.after:.4g} ({signal.unit})"


def _too_few(signal: Signal, every: Every) -> str:
    had = f"{len(signal.days)} {every}s are too few" if signal.days else f"no {every} has any"
    return f"{had}; {FEWEST_DAYS} are needed"


def _rows(each: Drifted) -> list[dict[str, Any]]:
    base = {"signal": each.signal.name, "unit": each.signal.unit, "periods": len(each.signal.days)}
    nothing = {"alarm_on": None, "changed_on": None, "direction": None, "before": None, "after": None, "evidence": None}
    if not each.changes:
        return [{**base, **nothing, "why_not": each.why_not or None}]
    return [
        {
            **base,
            "alarm_on": each.signal.days[change.alarm],
            "changed_on": each.signal.days[change.start],
            "direction": "moved" if each.signal.parts else "up" if change.after > change.before else "down",
            "before": None if each.signal.parts else change.before,
            "after": change.after,
            "evidence": change.evidence,
            "why_not": None,
        }
        for change in each.changes
    ]


def _columns(signal: Signal) -> list[tuple[str, Floats]]:
    if not signal.parts:
        return [(signal.name, signal.values)]
    return [(f"{signal.name}: {part}", signal.values[:, place]) for place, part in enumerate(signal.parts)]
