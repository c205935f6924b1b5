"""Somebody labels finished answers, one after the other. No widget: actions in, what is to be shown out.

Who gave an answer is not shown, and which of a pair comes first is drawn by chance.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from toolkit.errors import InboxError
from toolkit.evaluation.agreement import Agreement
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.labelling import Item, Labelling, Verdict
from toolkit.grading.judges import NOTHING, Pairwise
from toolkit.records import Json
from toolkit.widgets.review_view import MOST_CHARACTERS, readable

MOST_GRADERS = 6
Plain = dict[str, Any]
MARKS = {"pair": ("first", "second", "tie"), "pass/fail": (True, False), "1-5": (1, 2, 3, 4, 5)}


class LabelDesk:
    """A labelling as its person works through it."""

    def __init__(self, labelling: Labelling) -> None:
        self.labelling = labelling
        self.kind = "pair" if isinstance(labelling.judge, Pairwise) else labelling.judge.scale
        self._verdicts: dict[str, Verdict] = dict(labelling.verdicts())
        self._recorded = set(self._verdicts)
        self._given: list[Item] = []
        self._skipped: set[str] = set()
        self._said = {"kind": "", "text": ""}
        self._others = labelling.others()
        self._agreements: dict[str, Agreement] = {}
        self._began, self._last = time.monotonic(), time.monotonic()
        self._item = self._next()
        self._compare()

    # --------------------------------------------------------------------------------------------------------- looking
    @property
    def done(self) -> int:
        """How many have a label."""
        return sum(item.name in self._verdicts for item in self.labelling.items)

    @property
    def unrecorded(self) -> int:
        """How many of them are no grades yet, and can be taken back."""
        return len(self._verdicts.keys() - self._recorded)

    @property
    def agreements(self) -> Mapping[str, Agreement]:
        """This person beside every other grader of the same answers, as of the last label."""
        return self._agreements

    def say(self, text: str, *, kind: str = "error") -> None:
        """A sentence for the person at the desk."""
        self._said = {"kind": kind, "text": text}

    def state(self) -> Plain:
        """All that the page shows."""
        labelling, item = self.labelling, self._item
        minutes = max(self._last - self._began, 1.0) / 60
        given = len(self._given)
        return {
            "headline": headline(self),
            "rubric": labelling.judge.rubric,
            "kind": self.kind,
            "at": 1000 * datetime.now(UTC).timestamp(),
            "by": labelling.by,
            "done": self.done,
            "total": len(labelling.items),
            "skipped": len(self._skipped - self._verdicts.keys()),
            "per_minute": given / minutes if given > 1 else None,
            "unrecorded": self.unrecorded,
            "undo": bool(self._given),
            "item": None if item is None else _shown(item),
            "agreements": [told(name, found) for name, found in list(self._agreements.items())[:MOST_GRADERS]],
            "advice": self._advice(),
            "said": dict(self._said),
        }

    # ---------------------------------------------------------------------------------------------------------- acting
    def do(self, told: Mapping[str, Any]) -> None:
        """Carry out {do: look | label | skip | undo | record, …}."""
        what = told.get("do")
        if what != "look":
            self.say("", kind="")
        match what:
            case "look":
                pass
            case "label":
                self._label(told)
            case "skip":
                self._skipped.add(self._meant(told).name)
                self._item = self._next()
            case "undo":
                self._undo()
            case "record":
                self._record()
            case _:
                raise InboxError(f"nobody can {what!r} at this desk")

    def _label(self, told: Mapping[str, Any]) -> None:
        item, mark = self._meant(told), told.get("mark")
        if isinstance(mark, float) and mark.is_integer():
            mark = int(mark)
        if not any(mark == each and isinstance(mark, bool) == isinstance(each, bool) for each in MARKS[self.kind]):
            raise InboxError(f"a label here is one of {', '.join(map(str, MARKS[self.kind]))}, not {mark!r}")
        name = {"pair": "better", "pass/fail": "passed", "1-5": "score"}[self.kind]
        verdict = {"reason": str(told.get("note") or ""), name: mark}
        self.labelling.label(item, verdict)
        self._verdicts[item.name] = verdict
        self._given.append(item)
        self._last = time.monotonic()
        self._item = self._next()
        self._compare()

    def _undo(self) -> None:
        if not self._given:
            raise InboxError("there is no label to take back: what is recorded stays")
        item = self._given[-1]
        self.labelling.take_back(item)
        self._given.pop()
        self._verdicts.pop(item.name, None)
        self._item = item
        self._compare()

    def _record(self) -> None:
        new = self.labelling.record()
        self._recorded = set(self._verdicts)
        self._given.clear()
        self._others = self.labelling.others()
        self._compare()
        self.say(f"{new:,} label{'s are' if new != 1 else ' is'} on record as grades now", kind="done")

    # --------------------------------------------------------------------------------------------------------- helpers
    def _meant(self, told: Mapping[str, Any]) -> Item:
        found = next((item for item in self.labelling.items if item.name == told.get("name")), None)
        if found is None:
            raise InboxError("there is no such answer here to be labelled")
        return found

    def _next(self) -> Item | None:
        left = [item for item in self.labelling.items if item.name not in self._verdicts]
        fresh = [item for item in left if item.name not in self._skipped]
        if not fresh and left:
            self._skipped.clear()
        return next(iter(fresh or left), None)

    def _compare(self) -> None:
        self._agreements = self.labelling.agreements(self._verdicts, self._others)

    def _advice(self) -> list[str]:
        if not self.labelling.items:
            return ["there is nothing to label: the answers are the same in both runs, or none was given"]
        if self._item is not None:
            return []
        if self.unrecorded:
            return ["all are labelled: r records them as grades, u takes the last one back"]
        return ["all are labelled, and on record as grades"]


def headline(desk: LabelDesk) -> str:
    """What is labelled, by whom, how far it is."""
    labelling = desk.labelling
    what = f"step {labelling.step} of {' and '.join(labelling.runs)}"
    alike = f"; {labelling.alike:,} more have the same answer twice and count as ties" if labelling.alike else ""
    return f"{labelling.by} labels {what}: {desk.done:,} of {len(labelling.items):,}{alike}"


def told(grader: str, found: Agreement) -> Plain:
    """An agreement in words and figures: the share agreed and kappa, each with its interval."""
    return {
        "name": _short(grader),
        "n": found.n,
        "agreed": _figure(found.agreed, percent=True),
        "kappa": _figure(found.kappa),
        "bias": "" if found.bias is None or isinstance(found.bias, Refusal) else f"{found.bias.value:+.2f}",
        "why": found.agreed.reason if isinstance(found.agreed, Refusal) else _reason(found.kappa),
    }


def _shown(item: Item) -> Plain:
    return {
        "name": item.name,
        "about": [{"name": name, "text": _text(value)} for name, value in item.about.items()],
        "answers": [_text(answer) for answer in item.answers],
    }


def _figure(found: Estimate | Refusal, *, percent: bool = False) -> str:
    if isinstance(found, Refusal):
        return ""
    if percent:
        return f"{100 * found.value:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _reason(found: Estimate | Refusal) -> str:
    return found.reason if isinstance(found, Refusal) else ""


def _short(grader: str) -> str:
    """A grader's name without the words of its rubric."""
    if grader.startswith("Person("):
        return grader.partition("(")[2].partition(")")[0].strip("'\"")
    return grader if len(grader) < 40 else grader[:37] + "…"


def _text(value: Json) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        return NOTHING
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return readable(text)[:MOST_CHARACTERS]
