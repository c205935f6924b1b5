"""A finished run judged by a model: an ordinary run of its own, so that its calls are routed, recorded, charged, kept
within budgets, resumed and reused like any other.

    run, judge ─▶ rows of answers ─▶ workflow "judging", step "judge" ─▶ verdicts ─▶ grades of the run's answers

A grade's `graded_by` is the model that judged, "person" where people did. Its `id` begins with the ids of the judge's
attempts, joined by `+` and ended by a dot, by which its cost is found; its `attempt_id` is that of the judged answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from toolkit.asking.settings import DEFAULT_HOME
from toolkit.errors import RunError
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.pairs import Difference, paired
from toolkit.fleet import Fleet
from toolkit.grading.grader import picked
from toolkit.grading.judges import Judge, Pairwise, Preference, preference, preferred_once
from toolkit.graph.steps import step_of
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Entry, History, Journal, grade_entry
from toolkit.ledger.views import judgements, questions
from toolkit.policies import Policy, Repair, Retry
from toolkit.records import Grade, Json, Place, Request, content_hash
from toolkit.routing import Fixed
from toolkit.routing.router import Router
from toolkit.runs.run_names import chosen
from toolkit.runs.running import Running

NAME = "judging"
PAIR = re.compile(r" of \S+ and \S+$")
Of = tuple[str, str, int, int]
"""Row, step, turn and repeat of a judged answer."""


@dataclass(frozen=True)
class Judged:
    """What came of judging: how many `grades` are new, how many answers `unjudged`, for want of a verdict (the judge
    failed, or it is a person's turn). `cost_usd` is what it cost now, 0 where nothing had to be asked."""

    grader: str
    grades: int
    unjudged: int
    running: Running | None

    @property
    def cost_usd(self) -> float:
        return 0.0 if self.running is None else self.running.progress.tally.cost_usd


@dataclass(frozen=True)
class JudgedPairs(Judged):
    """Pairs judged. `preferred` is how much better the first run is, from -1 (never) to 1 (always), over the pairs that
    have a verdict; `to_first_place` how much the judge leans to whatever stands first, 0 for not at all; `disagreed`
    counts pairs of which either order named another winner: they are ties, as are the `alike`, whose answers are the
    same."""

    preferred: Difference | Refusal
    to_first_place: Difference | Refusal
    disagreed: int
    alike: int


@dataclass(frozen=True)
class Told:
    """A recorded answer: where it stands, who gave it, what it says, and the fields of its row."""

    place: Place
    attempt_id: str | None
    model: str | None
    value: Json
    fields: Mapping[str, Json]

    @property
    def of(self) -> Of:
        return self.place.row_id, self.place.step, self.place.turn, self.place.repeat


def judge_run(
    run: Running | str,
    judge: Judge,
    *,
    fleet: Fleet,
    by: Router | str,
    step: str,
    sample: int | None = None,
    policy: Policy | None = None,
    home: Path | str | None = None,
    **options: Any,
) -> Judged:
    """Have the answers of a step judged by the model (or router) `by`, and record the grades.

    `sample` judges that many answers, picked by chance (and `seed`): what people are to label. `options` are those of
    any run (budget, in_flight, fresh, run_id …). Judging again asks only for what has no grade of this judge yet;
    `fresh=True` asks all anew. Where `by` is a person the rows are parked: when they are answered, judge again with
    `run_id=` of the judging run. Raises RunError where a run, step or field is not there, and what ends any run.
    """
    history = History(home_of(home, run))
    answers = sampled(answers_of(history, run, step), sample, seed=options.get("seed", 0))
    if not (options.keys() & {"fresh", "run_id"} or _persons(by, fleet)):
        done = history.sql(judgements.JUDGED_BY, {"grader": repr(judge)}, run_id=answers[0].place.run_id)
        known = set(done.rows)
        answers = [each for each in answers if each.of not in known]
    rows = {name_of(each): _row(each, judge, answer=each) for each in answers}

    def asked(answer: Json, about: Mapping[str, Json]) -> Request:
        return judge.request(answer, about)

    running, verdicts = _run({"judge": asked}, judge, rows, by, fleet, policy, history, options)
    pairs = [(each, verdicts.get(name_of(each), {}).get("judge")) for each in answers]
    graded = [_entry(judge.grade(said.value), each, (said,), fleet) for each, said in pairs if said is not None]
    return Judged(repr(judge), _written(graded, history), len(answers) - len(graded), running)


def judge_pairs(
    run: Running | str,
    judge: Pairwise,
    *,
    against: Running | str,
    fleet: Fleet,
    by: Router | str,
    step: str,
    sample: int | None = None,
    policy: Policy | None = None,
    home: Path | str | None = None,
    **options: Any,
) -> JudgedPairs:
    """Have each answer of a step held against the answer of another run to the same row, in both orders.

    A person is asked about a pair once, in an order by chance.

    Pairs are rows with the same id and fields in both runs. Answers that are the same are a tie, and nobody is asked.
    Both runs get grades, 1 where theirs won, 0 where it lost, 0.5 for a tie, so that `compare` with
    `quality="Pairwise"` tells the same. The other arguments are those of `judge_run`; what was asked before is reused.
    """
    history, seed = History(home_of(home, run)), options.get("seed", 0)
    pairs = _pairs(history, run, against, step=step, sample=sample, seed=seed)
    grader = f"{judge!r} of {pairs[0][0].place.run_id} and {pairs[0][1].place.run_id}"
    rows = {name_of(a): _row(a, judge, first=a, second=b) for a, b in pairs if _shown(a, judge) != _shown(b, judge)}
    once = bool(_persons(by, fleet))
    if once:
        rows = {name: {**row, "swapped": is_swapped(name, seed=seed)} for name, row in rows.items()}
    running, verdicts = _run(_asking(judge, once=once), judge, rows, by, fleet, policy, history, options)
    graded, values, leans = [], [], []
    for first, second in pairs:
        said = verdicts.get(name_of(first), {})
        found = _preferred(said, rows.get(name_of(first)), once=once)
        if found is None:
            continue
        values.append(found.value)
        leans += [found.to_first_place] if said else []
        for each, worth in ((first, found.value), (second, 1 - found.value)):
            graded.append(_entry(Grade(grader, "score", worth, reason=found.reason), each, tuple(said.values()), fleet))
    won, lean = np.array(values), np.array(leans)
    return JudgedPairs(
        grader,
        _written(graded, history),
        len(pairs) - len(values),
        running,
        preferred=paired(won, 1 - won),
        to_first_place=paired((1 + lean) / 2, (1 - lean) / 2),
        disagreed=0 if once else int((np.abs(lean) == 1).sum()),
        alike=len(pairs) - len(rows),
    )


def _pairs(
    history: History, run: Running | str, against: Running | str, *, step: str, sample: int | None, seed: int
) -> list[tuple[Told, Told]]:
    """Answers to the same row in both runs, or a sample of them. Raises RunError where there are none."""
    others = {each.of: each for each in answers_of(history, against, step)}
    firsts = answers_of(history, run, step)
    alike = [each for each in firsts if each.of in others and each.fields == others[each.of].fields]
    if not alike:
        raise RunError(f"the two runs have no row in common, with the same id and fields, at step {step!r}")
    return [(each, others[each.of]) for each in sampled(alike, sample, seed=seed)]


def _asking(judge: Pairwise, *, once: bool) -> dict[str, Any]:
    """The steps that ask about a pair: in both orders, or once in the order that the row tells."""

    def asked(first: Json, second: Json, about: Mapping[str, Json]) -> Request:
        return judge.request(first, second, about)

    def swapped(first: Json, second: Json, about: Mapping[str, Json]) -> Request:
        return judge.request(second, first, about)

    def by_chance(first: Json, second: Json, about: Mapping[str, Json], swapped: bool) -> Request:
        return judge.request(*((second, first) if swapped else (first, second)), about)

    return {"judge": by_chance} if once else {"judge": asked, "swapped": swapped}


def _preferred(said: Mapping[str, Any], row: Mapping[str, Json] | None, *, once: bool) -> Preference | None:
    """What the verdicts on a pair come to: a tie where nobody was asked (no `row`), None where a verdict is missing."""
    if row is None:
        return Preference(0.5, 0.0, "the same answer")
    if len(said) < (1 if once else 2):
        return None
    if once:
        return preferred_once(said["judge"].value, swapped=bool(row["swapped"]))
    return preference(said["judge"].value, said["swapped"].value)


# ------------------------------------------------------------------------------------------------------------- reading
def home_of(home: Path | str | None, run: Running | str) -> Path:
    return Path(home or (run.settings.home if isinstance(run, Running) else DEFAULT_HOME))


def answers_of(history: History, run: Running | str, step: str | None) -> list[Told]:
    """The answers of a run, at one step. Raises RunError where there is none."""
    workflows: dict[str, str] = dict(history.sql(questions.WORKFLOWS).rows)
    name = run.id if isinstance(run, Running) else chosen(run, tuple(workflows), home=history.home)
    fields = {row_id: orjson.loads(told) for row_id, told in history.sql(questions.ROW_FIELDS, run_id=name)}
    found = [
        Told(Place(*place), attempt_id, model, orjson.loads(value or "null"), fields[place[1]])
        for *place, attempt_id, model, value in history.sql(questions.ANSWERED, run_id=name)
        if place[1] in fields
    ]
    if step is None:
        return found
    wanted = f"{workflows[name]}/{step}"
    if not (there := [each for each in found if each.place.step in (step, wanted)]):
        known = ", ".join(sorted({each.place.step.split("/", 1)[-1] for each in found})) or "none"
        raise RunError(f"run {name} has no answers of step {step!r} on record; it has {known}")
    return there


def sampled(answers: Sequence[Told], sample: int | None, *, seed: int) -> list[Told]:
    """That many of them, by a chance that the seed and the place determine."""
    if sample is None:
        return list(answers)
    if sample < 1:
        raise RunError(f"sample is how many answers to judge, at least 1, not {sample}")
    drawn = sorted(answers, key=lambda each: content_hash(f"{seed}/{each.of}".encode()))[:sample]
    kept = {each.of for each in drawn}
    return [each for each in answers if each.of in kept]


def is_swapped(name: str, *, seed: int) -> bool:
    """Whether a person sees the second answer of that pair first: by a chance that the seed and the pair determine."""
    return int(content_hash(f"{seed}/{name}/order".encode())[:8], 16) % 2 == 1


def _shown(answer: Told, judge: Judge | Pairwise) -> Json:
    return picked(answer.value, judge.of)


def name_of(answer: Told) -> str:
    place = answer.place
    more = f"/{place.turn}.{place.repeat}" if place.turn or place.repeat else ""
    return f"{place.run_id}/{place.row_id}{more}"


def _row(of: Told, judge: Judge | Pairwise, **shown: Told) -> dict[str, Json]:
    """The row in which an answer, or a pair, is judged. Raises RunError where its row lacks a field to be shown."""
    if missing := [name for name in judge.shows if name not in of.fields]:
        known = ", ".join(of.fields)
        raise RunError(f"the judge is to be shown {missing[0]!r}, and row {of.place.row_id} has {known}")
    about = {name: of.fields[name] for name in judge.shows}
    told = {name: _shown(each, judge) for name, each in shown.items()}
    models = ", ".join(str(each.model) for each in shown.values())
    return {"id": name_of(of), **told, "about": about, "step": of.place.step, "models": models}


# -------------------------------------------------------------------------------------------------------------- acting
def _run(
    functions: Mapping[str, Any], judge: Judge | Pairwise, rows: Mapping[str, dict[str, Json]],
    by: Router | str, fleet: Fleet, policy: Policy | None, history: History, options: Mapping[str, Any],
) -> tuple[Running | None, dict[str, dict[str, Told]]]:  # fmt: skip
    """The judging run, and its verdicts by row and step."""
    if not rows:
        return None, {}
    route = Fixed(by) if isinstance(by, str) else by
    policy = policy or Retry(2) | Repair(1)
    steps = [step_of(each, name=name, route=route, output=judge.output) for name, each in functions.items()]
    running = Workflow(NAME, steps, policy=policy).start(list(rows.values()), fleet, home=history.home, **options)
    running.wait(show=False if _persons(by, fleet) else None)
    verdicts: dict[str, dict[str, Told]] = {}
    for each in answers_of(history, running, None):
        verdicts.setdefault(each.place.row_id, {})[each.place.step.rsplit("/", 1)[-1]] = each
    return running, verdicts


def _persons(by: Router | str, fleet: Fleet) -> list[str]:
    """The people who may be asked, and have a grader's name of their own."""
    names = (by,) if isinstance(by, str) else by.names() or ()
    return [name for name in names if name in fleet.persons]


def _entry(grade: Grade, judged: Told, verdicts: Sequence[Told], fleet: Fleet) -> Entry:
    """A grade of the judged answer, by whoever gave the verdicts; by code where nobody had to."""
    models = list(dict.fromkeys(each.model for each in verdicts if each.model))
    persons = [name for name in models if name in fleet.persons]
    if persons:  # with the pair of runs, where it is one: labels of pairs are none of single answers
        pair = PAIR.search(grade.grader)
        grade = replace(grade, grader=f"Person({persons[0]!r})" + (pair[0] if pair else ""), graded_by="person")
    elif models:
        grade = replace(grade, graded_by=", ".join(models))
    asked = "+".join(each.attempt_id or each.place.run_id for each in verdicts) or "none"
    about = content_hash(f"{judged.place.run_id}/{judged.of}/{judged.attempt_id}/{grade.grader}".encode())
    return grade_entry(f"{asked}.{about}", grade, judged.place, attempt_id=judged.attempt_id, model=judged.model)


def _written(entries: Sequence[Entry], history: History) -> int:
    """Put grades on record that are not there yet; how many."""
    known = set(history.sql(questions.GRADE_IDS).column("id"))
    new = [entry for entry in entries if entry.id not in known]
    with Journal.open(history.home) as journal:
        journal.write(*new)
        journal.flush()
    return len(new)
