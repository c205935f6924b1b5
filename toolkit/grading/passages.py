"""Passages: what was retrieved, and whether an answer rests on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.grading.grader import Case, Grader, listed, normalised, picked, score, ungraded, words
from toolkit.records import Grade, Json


@dataclass(frozen=True)
class Grounded(Grader):
    """The share of the answer's words that stand in the inputs named: 1 is an answer that invents nothing.

    Inputs are what the step was made of, columns of the row among it. Where one is not there, nothing is graded.
    """

    sources: tuple[str, ...]
    of: str | None = None

    def grade(self, case: Case) -> Grade:
        if missing := [name for name in self.sources if name not in case.inputs]:
            return ungraded(self, f"there is no input {missing[0]!r}; there is {', '.join(case.inputs) or 'none'}")
        said = set(normalised(words(case.value, self.of)).split())
        if not said:
            return score(self, 0.0, "the answer is empty")
        known = set(normalised(" ".join(str(case.inputs[name]) for name in self.sources)).split())
        strange = sorted(said - known)[:5]
        share = len(said & known) / len(said)
        reason = f"not in the sources: {', '.join(strange)}" if strange else "every word is in the sources"
        return score(self, share, reason)


@dataclass(frozen=True)
class Recall(Grader):
    """The share of the relevant passages, listed in the column `expects`, that are among the first `k` retrieved.

    The answer (or its `of` field) is a list, the best first, of ids or of objects that carry theirs as `id`.
    """

    expects: str
    k: int = 10
    of: str | None = None
    id: str = "id"

    def __post_init__(self) -> None:
        _check_depth(self.k)

    def grade(self, case: Case) -> Grade | None:
        gains = _gains(case.fields.get(self.expects), self.id)
        if not gains:
            return None
        got = _ids(picked(case.value, self.of), self.id, first=self.k)
        found = sum(name in gains for name in got)
        missing = [name for name in gains if name not in got][:5]
        reason = f"{found} of {len(gains)} in the first {self.k}"
        return score(self, found / len(gains), f"{reason}; missing {', '.join(missing)}" if missing else reason)


@dataclass(frozen=True)
class NDCG(Grader):
    """How well the first `k` retrieved are ordered: 1 is the best possible order.

    The column `expects` lists the relevant passages, or maps each to its gain. The answer is as for `Recall`. Source:
    Järvelin & Kekäläinen (2002), gains as they are, discounted by the logarithm to base 2 of the rank plus 1.
    """

    expects: str
    k: int = 10
    of: str | None = None
    id: str = "id"

    def __post_init__(self) -> None:
        _check_depth(self.k)

    def grade(self, case: Case) -> Grade | None:
        gains = _gains(case.fields.get(self.expects), self.id)
        best = _discounted(sorted(gains.values(), reverse=True)[: self.k])
        if best <= 0:
            return None
        got = _ids(picked(case.value, self.of), self.id, first=self.k)
        ranks = [str(rank) for rank, name in enumerate(got, start=1) if name in gains]
        reason = f"relevant at rank {', '.join(ranks[:10])}" if ranks else f"none relevant in the first {self.k}"
        return score(self, _discounted([gains.get(name, 0.0) for name in got]) / best, reason)


def grounded(*sources: str, of: str | None = None) -> Grounded:
    """`Grounded` in the inputs named."""
    return Grounded(sources, of)


def _check_depth(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k is how many of the retrieved count, a whole number of at least 1, not {k!r}")


def _ids(value: Json, id: str, *, first: int | None = None) -> list[str]:
    """The ids of the first so many in the order given, each once: what is retrieved twice takes a place, and is no
    second find."""
    names = (item.get(id) if isinstance(item, Mapping) else item for item in listed(value)[:first])
    return list(dict.fromkeys(str(name) for name in names if name is not None))


def _gains(truth: Json, id: str) -> dict[str, float]:
    """Id → gain of what is relevant; a gain that is no number is none."""
    if isinstance(truth, Mapping):
        numbers = ((name, gain) for name, gain in truth.items() if isinstance(gain, int | float))
        return {str(name): float(gain) for name, gain in numbers if 0 < gain < math.inf}
    return dict.fromkeys(_ids(truth, id), 1.0)


def _discounted(gains: list[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
