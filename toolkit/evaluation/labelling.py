"""Finished answers labelled by a person: the questions of a judging run in which the judge is that person.

    run(s), rubric ─▶ `ask` ─▶ questions in the inbox, a sample by chance ─▶ verdicts ─▶ `record` ─▶ grades

It is `judge_run` and `judge_pairs` with a person as the judge, question by question: so labels are answers of the
inbox, durable at once, and become the grades that `calibrated` reads. Asked again with the same arguments it goes on
where it was, in any process. A verdict can be taken back until it is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import RunError
from toolkit.evaluation.agreement import Agreement, agreement
from toolkit.evaluation.judging import NAME, PAIR, Judged, JudgedPairs, home_of, judge_pairs, judge_run
from toolkit.fleet import Fleet
from toolkit.grading.judges import Pairwise, Pointwise, preferred_once
from toolkit.ledger import History, Journal, Review
from toolkit.ledger.views import judgements, questions
from toolkit.models.spec import ModelSpec
from toolkit.people.inbox import Inbox
from toolkit.records import Json, content_hash
from toolkit.runs.run_names import chosen
from toolkit.runs.running import Running

OWN_WORD = "Confidence()"
Verdict = Mapping[str, Json]


@dataclass(frozen=True)
class Item:
    """An answer, or a pair of them, to be labelled: the fields shown, the answers in the order shown, and who knows."""

    review: Review
    about: Mapping[str, Json]
    answers: tuple[Json, ...]
    swapped: bool = False

    @property
    def name(self) -> str:
        """The name of its row in the judging run."""
        return self.review.place.row_id


@dataclass(frozen=True)
class Labelling:
    """What a person is to label. `items` are in an order by chance, the same for everybody; `asked` is what came of
    asking."""

    judge: Pointwise | Pairwise
    by: str
    step: str
    runs: tuple[str, ...]
    sample: int | None
    seed: int
    home: Path
    asked: Judged
    items: tuple[Item, ...]

    @property
    def run_id(self) -> str | None:
        """The judging run, None where there is nothing to ask."""
        return None if self.asked.running is None else self.asked.running.id

    @property
    def alike(self) -> int:
        """How many pairs have the same answer twice: nobody is asked about those."""
        return self.asked.alike if isinstance(self.asked, JudgedPairs) else 0

    def verdicts(self) -> dict[str, Verdict]:
        """What the person has said so far, by the item's name."""
        return {each.name: each.review.value for each in _items(self, open_too=False)}

    def label(self, item: Item, verdict: Verdict) -> None:
        """Put a verdict on record, as an answer of the inbox. Raises InboxError."""
        Inbox(self.home).answer(item.review, verdict, by=self.by, is_label=False)

    def take_back(self, item: Item) -> None:
        """Take a verdict back that is not recorded as a grade yet. Raises InboxError."""
        Inbox(self.home).take_back(item.review, by=self.by)

    def record(self) -> int:
        """Make grades of the verdicts, so that `calibrated` and `compare` see them; how many are new."""
        return _asked(self, run_id=self.run_id).grades if self.run_id is not None else 0

    def worth(self, item: Item, verdict: Verdict) -> float | None:
        """A verdict as a number from 0 to 1; of a pair, how much better the first run is."""
        if isinstance(self.judge, Pairwise):
            return preferred_once(verdict, swapped=item.swapped).value
        return self.judge.grade(verdict).value

    def others(self) -> dict[str, dict[str, float]]:
        """What every other grader, a person or a judge, has said of the same run's answers: by grader, by item."""
        pair = PAIR.search(self.asked.grader)
        params = {"run": self.runs[0], "step": self.step, "pair": pair[0] if pair else ""}
        found: dict[str, dict[str, float]] = {}
        mine = f"Person({self.by!r})" + params["pair"]
        told = History(self.home).sql(judgements.EVERY_GRADER, params)
        for run_id, row_id, turn, repeat, grader, value in told:
            if grader not in (mine, OWN_WORD):
                found.setdefault(grader, {})[_named(run_id, row_id, turn, repeat)] = value
        return found

    def agreements(
        self, verdicts: Mapping[str, Verdict], others: Mapping[str, Mapping[str, float]]
    ) -> dict[str, Agreement]:
        """This person beside each of the others, over the answers that both have graded; by the grader's name."""
        given = {item.name: self.worth(item, verdicts[item.name]) for item in self.items if item.name in verdicts}
        shared = {grader: [name for name in given if name in known] for grader, known in others.items()}
        return {
            grader: agreement([others[grader][name] for name in names], [given[name] for name in names])
            for grader, names in shared.items()
            if names
        }


def ask(
    runs: tuple[Running | str, ...],
    judge: Pointwise | Pairwise,
    *,
    by: str,
    step: str,
    sample: int | None = None,
    seed: int = 0,
    home: Path | str | None = None,
) -> Labelling:
    """Ask that person about the answers of a step of one run, or about pairs of two; `sample` of them, by chance.

    What was asked before with the same arguments goes on. Raises RunError where a run, step or field is not there, or
    where one run is given for pairs, or two for single answers.
    """
    wanted = 2 if isinstance(judge, Pairwise) else 1
    if len(runs) != wanted:
        pairs = "pairs are answers of two runs" if wanted == 2 else "single answers are those of one run"
        raise RunError(f"{pairs}, and {len(runs)} are given; a rubric for two runs is Pairwise, for one Pointwise")
    folder = home_of(home, runs[0])
    known = tuple(History(folder).sql(questions.RUN_NAMES).column("id"))
    names = tuple(run.id if isinstance(run, Running) else chosen(run, known, home=folder) for run in runs)
    begun = Labelling(judge, by, step, names, sample, seed, folder, Judged(repr(judge), 0, 0, None), ())
    asked = _asked(begun, run_id=_before(begun))
    begun = Labelling(judge, by, step, names, sample, seed, folder, asked, ())
    return Labelling(judge, by, step, names, sample, seed, folder, asked, tuple(_items(begun)))


# ----------------------------------------------------------------------------------------------------------- helpers
def _asked(labelling: Labelling, *, run_id: str | None) -> Judged:
    """The judging run, begun or gone on with; its verdicts become grades."""
    person = ModelSpec(labelling.by, "person", labelling.by, capabilities=frozenset({"*"}))
    options: dict[str, Any] = {
        "fleet": Fleet({labelling.by: person}),
        "by": labelling.by,
        "step": labelling.step,
        "sample": labelling.sample,
        "seed": labelling.seed,
        "home": labelling.home,
        "told": {"labelling": _about(labelling)},
    }
    if run_id is not None:
        options["run_id"] = run_id
    if isinstance(labelling.judge, Pairwise):
        return judge_pairs(labelling.runs[0], labelling.judge, against=labelling.runs[1], **options)
    return judge_run(labelling.runs[0], labelling.judge, **options)


def _about(labelling: Labelling) -> dict[str, Json]:
    """What tells one labelling from another."""
    return {
        "judge": repr(labelling.judge),
        "by": labelling.by,
        "step": labelling.step,
        "runs": list(labelling.runs),
        "sample": labelling.sample,
        "seed": labelling.seed,
    }


def _before(labelling: Labelling) -> str | None:
    """The judging run that asked the same before."""
    with Journal.open(labelling.home) as journal:
        runs = [run for run in journal.runs() if run.workflow == NAME]
    return next((run.id for run in runs if run.settings.get("labelling") == _about(labelling)), None)


def _items(labelling: Labelling, *, open_too: bool = True) -> list[Item]:
    """The questions of the judging run, with what they are about."""
    if labelling.run_id is None:
        return []
    with Journal.open(labelling.home) as journal:
        reviews = journal.reviews(labelling.run_id)
        fields = dict(journal.row_fields(labelling.run_id))
    found = []
    for review in sorted(reviews, key=lambda each: content_hash(f"{labelling.seed}/{each.place.row_id}".encode())):
        row = fields.get(review.place.row_id)
        if row is None or (review.status != "answered" and not open_too):
            continue
        shown = [row[name] for name in ("answer", "first", "second") if name in row]
        swapped = bool(row.get("swapped"))
        answers = tuple(reversed(shown)) if swapped else tuple(shown)
        found.append(Item(review, row.get("about") or {}, answers, swapped))
    return found


def _named(run_id: str, row_id: str, turn: int, repeat: int) -> str:
    more = f"/{turn}.{repeat}" if turn or repeat else ""
    return f"{run_id}/{row_id}{more}"
