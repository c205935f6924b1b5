"""How good the support workflow's answers are, by the truth in `requests.jsonl`. Where a row tells none, no grade.

Figures are honest for the rows of the part `test` alone: the embedded models are trained and tuned on the part `train`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from toolkit.grading import Case, Contains, Exact, Grader
from toolkit.records import Grade, Json


@dataclass(frozen=True)
class Recall(Grader):
    """The share of the ids in the column `expects` that are among the items found, each of which has its id in `of`."""

    expects: str
    of: str = "id"

    def grade(self, case: Case) -> Grade | None:
        wanted = set(map(str, case.fields.get(self.expects) or ()))
        if not wanted or not isinstance(case.value, list):
            return None
        found = {str(item.get(self.of)) for item in case.value if isinstance(item, Mapping)}
        missed = sorted(wanted - found)
        return Grade(
            repr(self),
            "score",
            len(wanted & found) / len(wanted),
            reason=f"missed {', '.join(missed)}" if missed else "",
        )


@dataclass(frozen=True)
class SameRows(Grader):
    """The rows found are those of the column `expects` (a list of lists), no more and no fewer.

    Their order does not count, nor do names and order of columns, nor columns beyond those of the truth; numbers count
    to two decimals.
    """

    expects: str

    def grade(self, case: Case) -> Grade | None:
        truth = case.fields.get(self.expects)
        if truth is None or not isinstance(case.value, list):
            return None
        left = [_cells(list(item.values()) if isinstance(item, Mapping) else item) for item in case.value]
        missing = 0
        for wanted in map(_cells, truth):
            match = next((given for given in left if wanted <= given), None)
            if match is None:
                missing += 1
            else:
                left.remove(match)
        reason = f"{missing} of {len(truth)} rows missing, {len(left)} not expected" if missing or left else ""
        return Grade(repr(self), "assertion", float(not reason), reason=reason)


CHECKS: Mapping[str, Sequence[Grader]] = {
    "triage": (Exact("intent", of="intent"), Exact("urgent", of="urgent")),
    "entities": (Exact("order_id", of="order_id"), Exact("amount", of="amount"), Exact("date", of="date")),
    "passages": (Recall("passages"),),
    "facts": (SameRows("facts"),),
    "reply": (Contains("answer", of="answer"),),
}


# ----------------------------------------------------------------------------------------------------------- helpers
def _cells(values: Sequence[Json]) -> Counter[str]:
    return Counter(map(_cell, values))


def _cell(value: Json) -> str:
    """A value as text that is alike where values are: a column of lists may bring its cells as JSON text."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return str(value)
    return f"{value:.2f}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
