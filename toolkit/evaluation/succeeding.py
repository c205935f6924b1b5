"""A router learned anew from the history, and whether it takes the place of the one that serves.

    history ─▶ graded attempts of a step ─▶ four fifths ─▶ challenger
                                         └─▶ one fifth, never learned from ─▶ challenger against champion ─▶ Succession

Which requests are held out is said by the hash of their text alone, so no router of any night has learned from them.
Where every model answered all of those, the two are matched on the answers. Where not, as in any history of real work,
their difference is estimated from the probabilities on record (doubly robust, `toolkit.evaluation.offpolicy`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import RunError
from toolkit.evaluation.challenge import LEAST_ROWS, match
from toolkit.evaluation.counterfactual import aimed, logged_of, reward_fault
from toolkit.evaluation.decisions import Decided, decided
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.experience import experience
from toolkit.evaluation.offpolicy import difference
from toolkit.evaluation.outcomes import Outcomes, folds_of
from toolkit.evaluation.reading import runs_named
from toolkit.ledger import History
from toolkit.routing.learned import TASK_FIELD, Learned
from toolkit.routing.learning import Examples

SALT = 7
HELD = 0


@dataclass(frozen=True)
class Succession:
    """A challenger, what it learned from, and whether it replaces the champion; `why` says it with its numbers.

    `champion` is None where there was none: the first router is as good as its card says, and abstains where it does
    not know.
    """

    step: str
    champion: Learned | None
    challenger: Learned
    replaces: bool
    why: str
    learned_from: int
    held_out: int

    @property
    def sentence(self) -> str:
        return f"{self.step}: {self.why}"


def challenged(
    history: History,
    step: str,
    *,
    champion: Learned | None = None,
    worth: float | None = None,
    task: str = TASK_FIELD,
    margin: float = 0.0,
) -> Succession:
    """Learn from all graded attempts of a step, but for the fifth that is held out, and hold it against the champion.

    The challenger has the champion's aim; `worth` (quality per US dollar) is that of a first one. It replaces the
    champion where it did better on what was held out, quality net of cost, and is surely no worse than `margin`. Raises
    RunError where nothing is graded, or there is too little to learn from or to tell by.
    """
    try:
        examples = experience(history, step, task=task)
        held = held_out(examples.texts)
        taught = of_rows(examples, ~held)
        aims = {"worth": worth} if champion is None else _aims(champion)
        challenger = Learned.fit(taught, **aims, task=task)
    except ValueError as error:
        raise RunError(f"a router for {step!r} cannot be learned from this history: {error}") from error
    if champion is None:
        return Succession(
            step, None, challenger, True, "there was no router before: the first one takes its place",
            len(taught.texts), int(held.sum()),
        )  # fmt: skip
    replaces, why, n = _judged(history, step, champion, challenger, examples=examples, held=held, margin=margin)
    return Succession(step, champion, challenger, replaces, why, len(taught.texts), n)


def held_out(texts: tuple[str, ...]) -> NDArray[np.bool_]:
    """(n,) which of the requests nobody learns from: the same ones every night."""
    held: NDArray[np.bool_] = folds_of([f"{SALT} {text}" for text in texts]) == HELD
    return held


def of_rows(examples: Examples, rows: NDArray[np.bool_]) -> Examples:
    """Those rows of the examples, and the models of which anything is known in them."""
    at = np.flatnonzero(rows)
    known = np.asarray(np.isfinite(examples.quality[at]).any(axis=0) & np.isfinite(examples.cost[at]).any(axis=0))
    return Examples(
        tuple(examples.texts[n] for n in at),
        tuple(examples.tasks[n] for n in at),
        tuple(model for model, there in zip(examples.models, known, strict=True) if there),
        examples.quality[at][:, known],
        examples.cost[at][:, known],
    )


# ------------------------------------------------------------------------------------------------------------ judging
def _judged(
    history: History,
    step: str,
    champion: Learned,
    challenger: Learned,
    *,
    examples: Examples,
    held: NDArray[np.bool_],
    margin: float,
) -> tuple[bool, str, int]:
    """Whether the challenger replaces the champion, why, and on how many requests that rests."""
    complete = held & np.isfinite(examples.quality).all(axis=1) & np.isfinite(examples.cost).all(axis=1)
    wanted = {*champion.knowledge.models, *challenger.knowledge.models}
    if complete.sum() == held.sum() >= LEAST_ROWS and wanted <= set(examples.models):
        found = match(champion, challenger, _outcomes(examples, held), margin=margin)
        return found.replaces, str(found), found.queries
    return _estimated(history, step, champion, challenger, margin=margin)


def _estimated(
    history: History, step: str, champion: Learned, challenger: Learned, *, margin: float
) -> tuple[bool, str, int]:
    told = _held_decisions(decided(history, step, runs=runs_named(history, (), step=step)))
    stays = f"the champion stays, as history cannot tell on the {told.n:,} decisions held out: "
    if told.n < LEAST_ROWS:
        return False, f"{stays}at least {LEAST_ROWS} are needed", told.n
    if fault := reward_fault(told, told.reward, "quality") or reward_fault(told, told.cost, "cost"):
        return False, stays + fault, told.n
    try:
        (new, past), (old, _) = aimed(told, challenger), aimed(told, champion)
    except (RunError, ValueError) as error:
        return False, f"{stays}{error}", told.n
    price = challenger.price
    net = told.reward - price * told.cost
    rows = np.isfinite(net)
    logged = logged_of(told, past, net, rows, "quality")
    paid = price * float(told.cost[rows].max(initial=0.0))
    logged = replace(logged, bounds=(-paid, 1.0))
    found = difference(logged, new[rows], old[rows])
    if isinstance(found, Refusal):
        return False, stays + found.reason, told.n
    replaces = found.value > 0 and found.low >= -margin
    verdict = "the challenger replaces the champion" if replaces else "the champion stays"
    numbers = f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    told_by = f"in quality net of cost, estimated from {int(rows.sum()):,} decisions held out (margin {margin:g})"
    return replaces, f"{verdict}: {numbers} {told_by}", int(rows.sum())


def _held_decisions(found: Decided) -> Decided:
    texts = tuple("" if each.request is None else each.request.text for each in found.decisions)
    at = np.flatnonzero(held_out(texts) & np.array([bool(text) for text in texts], dtype=bool))
    return replace(
        found,
        decisions=tuple(found.decisions[n] for n in at),
        choice=found.choice[at],
        probabilities=found.probabilities[at],
        reward=found.reward[at],
        cost=found.cost[at],
        clusters=None if found.clusters is None else found.clusters[at],
    )


def _outcomes(examples: Examples, rows: NDArray[np.bool_]) -> Outcomes:
    at = np.flatnonzero(rows)
    texts = tuple(examples.texts[n] for n in at)
    return Outcomes(
        "held out", tuple(map(str, at)), texts, tuple(examples.tasks[n] for n in at), examples.models,
        examples.quality[at], examples.cost[at], folds_of(texts),
    )  # fmt: skip


def _aims(router: Learned) -> dict[str, float | None]:
    return {"worth": router.worth, "budget_usd": router.budget_usd, "floor": router.floor}
