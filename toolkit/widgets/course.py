"""One row in time: what was done for it, step by step, as stretches on lanes. Pure: a `SeenRow` in, a `Course` out.

    triage   ┆waiting┆ service ✕  ┆waiting┆ ↻ service      a lane is a step; what overlaps gets a lane of its own
    passages                                   ⚙

Stretches of time in which nothing happens, such as a night that a person took to answer, are folded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from toolkit.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from toolkit.ledger.reading.showing import Record, SeenRow

FOLDED_SECONDS = 1.0
FOLDED_SHARE = 0.35
"""Nothing happening is folded where it takes longer than both this and this share of all that happens."""
FOLD_SHARE = 0.1
MOST_LANES = 60


@dataclass(frozen=True)
class Kind:
    """What a stretch is: told apart by its colour, by its mark and in words."""

    mark: str
    colour: str
    meaning: str


KINDS = {
    "waiting": Kind("", GREY, "waiting: for a free place, for a model to load, or before another try"),
    "service": Kind("", BLUE, "service: the first that was asked"),
    "retry": Kind("↻", SKY, "retry of the same model"),
    "repair": Kind("✎", SKY, "repair: the model is shown its fault"),
    "escalation": Kind("▲", ORANGE, "escalation to a stronger one"),
    "fallback": Kind("⤵", PURPLE, "fallback to another one"),
    "hedge": Kind("⑂", ORANGE, "hedge: a second one beside a slow one"),
    "tool": Kind("⚙", GREEN, "work of a tool"),
    "unasked": Kind("∅", GREY, "nobody could be asked"),
    "workflow": Kind("▦", GREEN, "a nested workflow"),
    "reused": Kind("◆", PURPLE, "reused: answered before"),
    "person": Kind("☻", ORANGE, "waiting for a person"),
}
FAILED = Kind("✕", VERMILION, "failed")


@dataclass(frozen=True)
class Stretch:
    """A stretch of a lane, in seconds since the row began. `about` names the part of the row that it opens."""

    step: str
    kind: str
    began: float
    ended: float
    told: str
    about: str
    failed: bool = False
    lane: int = 0


@dataclass(frozen=True)
class Course:
    """What is drawn: stretches on lanes, the lanes' names, and what was folded, as (from, until) in seconds.

    `hidden` counts lanes for which there was no room.
    """

    stretches: tuple[Stretch, ...]
    lanes: tuple[str, ...]
    folds: tuple[tuple[float, float], ...]
    seconds: float
    hidden: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that there are, in the order of `KINDS`."""
        there = {each.kind for each in self.stretches}
        return tuple(kind for kind in KINDS if kind in there)

    @property
    def shown_seconds(self) -> float:
        """How much time the picture is wide, where a fold is `FOLD_SHARE` of the rest."""
        open_seconds = self.seconds - sum(until - since for since, until in self.folds)
        return max(1e-6, open_seconds * (1 + FOLD_SHARE * len(self.folds)))

    def place(self, seconds: float) -> float:
        """Where that moment stands, from 0 to 1."""
        open_seconds = self.seconds - sum(until - since for since, until in self.folds)
        folded, taken = FOLD_SHARE * open_seconds, 0.0
        for since, until in self.folds:
            if seconds <= since:
                break
            part = min(1.0, (seconds - since) / (until - since))
            taken += part * (until - since - folded)
        return min(1.0, max(0.0, (seconds - taken) / self.shown_seconds))


def course_of(seen: SeenRow) -> Course:
    """The course of a row; without stretches where nothing was asked for it."""
    found = [*_tried(seen), *_answered(seen), *_asked(seen)]
    if not found:
        return Course((), (), (), 0.0)
    first = min(began for began, _, _ in found)
    placed = [
        replace(stretch, began=(began - first).total_seconds(), ended=(ended - first).total_seconds())
        for began, ended, stretch in found
    ]
    laid, lanes = _laid(sorted(placed, key=lambda each: (each.began, each.ended)))
    shown = tuple(each for each in laid if each.lane < MOST_LANES)
    seconds = max(each.ended for each in placed)
    return Course(shown, lanes[:MOST_LANES], _folds(placed), max(seconds, 1e-6), max(0, len(lanes) - MOST_LANES))


def kind_of(attempt: Record) -> str:
    """What kind of move an attempt was, by what its policy said of it."""
    if attempt["operation_name"] == "execute_tool":
        return "tool"
    why = attempt["why"] or ""
    by_words = {"retry": "retry", "repair": "repair", "escalated": "escalation", "fallback": "fallback",
                "hedge": "hedge", "fitted smaller": "retry"}  # fmt: skip
    return next((kind for words, kind in by_words.items() if why.startswith(words)), "service")


def part_of(record: Record) -> str:
    """The part of a row to which a record belongs: a step, one of its turns and repeats."""
    return f"{record['step']} {record['turn']} {record['repeat']}"


def short_step(step: str) -> str:
    """A step without the workflow that it is of."""
    return step.split("/", 1)[-1]


# ------------------------------------------------------------------------------------------------------------ helpers
Found = tuple[datetime, datetime, Stretch]


def _tried(seen: SeenRow) -> Iterator[Found]:
    for attempt in seen.attempts:
        wait, service = attempt["wait_seconds"] or 0.0, attempt["service_seconds"] or 0.0
        began = attempt["started_at"]
        sent, kind = began + timedelta(seconds=wait), kind_of(attempt)
        about = str(attempt["id"])
        who = f"{short_step(attempt['step'])}: attempt {attempt['number']}, {attempt['model']}, {attempt['why']}"
        if wait >= 0.0005:
            yield began, sent, _stretch(attempt, "waiting", f"{who}: waited {wait:.3f} s", about)
        failed = attempt["error_type"] is not None
        told = f"{who}: {service:.3f} s" + (f", {attempt['error_type']}: {attempt['error_message']}" if failed else "")
        yield sent, sent + timedelta(seconds=service), replace(_stretch(attempt, kind, told, about), failed=failed)


def _answered(seen: SeenRow) -> Iterator[Found]:
    """What has no attempt of this row: work of tools, nested workflows, and what was answered before."""
    tried = {part_of(attempt) for attempt in seen.attempts}
    nested = {child["parent_step"] for child in seen.children}
    decided = {part_of(decision) for decision in seen.decisions}
    for answer in seen.answers:
        name, at, about = short_step(answer["step"]), answer["answered_at"], part_of(answer)
        if answer["reused_from"]:
            yield at, at, _stretch(answer, "reused", f"{name}: as answered in {answer['reused_from']}", about)
        elif answer["status"] in ("answered", "failed") and part_of(answer) not in tried:
            kind = "workflow" if answer["step"] in nested else "unasked" if about in decided else "tool"
            seconds = answer["seconds"] or 0.0
            failed = answer["status"] == "failed"
            if failed and not seconds:  # it was never begun, for want of what it needs
                continue
            told = f"{name}: {KINDS[kind].meaning}, {seconds:.3f} s" + (f", {answer['reason']}" if failed else "")
            stretch = replace(_stretch(answer, kind, told, about), failed=failed)
            yield at - timedelta(seconds=seconds), at, stretch


def _asked(seen: SeenRow) -> Iterator[Found]:
    for review in seen.reviews:
        until = review["answered_at"] or (seen.as_of if review["status"] == "open" else review["asked_at"])
        told = f"{short_step(review['step'])}: {review['person']} is asked, {review['status']}"
        yield review["asked_at"], max(until, review["asked_at"]), _stretch(review, "person", told, part_of(review))


def _stretch(record: Record, kind: str, told: str, about: str) -> Stretch:
    return Stretch(record["step"], kind, 0.0, 0.0, told, about)


def _laid(stretches: Sequence[Stretch]) -> tuple[list[Stretch], tuple[str, ...]]:
    """Each stretch on a lane of its step: the attempt's own where it has one, else the first that is free by then."""
    free: dict[str, list[tuple[float, str]]] = {}
    laid: list[tuple[Stretch, int]] = []
    for each in stretches:
        lanes = free.setdefault(each.step, [])
        own = (n for n, (until, about) in enumerate(lanes) if until <= each.began + 1e-4 or about == each.about)
        place = next(own, len(lanes))
        if place == len(lanes):
            lanes.append((0.0, ""))
        lanes[place] = (max(each.ended, lanes[place][0]), each.about)
        laid.append((each, place))
    before, names, offset = {}, list[str](), 0
    for step, lanes in free.items():
        before[step] = offset
        offset += len(lanes)
        names += [short_step(step), *("" for _ in lanes[1:])]
    return [replace(each, lane=before[each.step] + place) for each, place in laid], tuple(names)


def _folds(stretches: Sequence[Stretch]) -> tuple[tuple[float, float], ...]:
    """Where nothing is done for long; waiting for a person is nothing done."""
    busy = sorted((s.began, s.ended) for s in stretches if s.kind != "person")
    if not busy:
        return ()
    worked = sum(ended - began for began, ended in busy)
    busy = sorted([*busy, *((s.ended, s.ended) for s in stretches if s.kind == "person")])
    least, folds, until = max(FOLDED_SECONDS, FOLDED_SHARE * worked), [], busy[0][1]
    for began, ended in busy[1:]:
        if began - until > least:
            folds.append((until, began))
        until = max(until, ended)
    return tuple(folds)
