"""A row under way, and how it ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.records import Answer, Json, RowRecord, RowStatus


@dataclass
class RowState:
    """A row under way: its raw fields, the typed ones where its rows have a type, the answers so far by step, and all
    that each step has asked."""

    row_id: str
    fields: Mapping[str, Json]
    typed: Any = None
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: defaultdict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def column(self, name: str) -> Any:
        return getattr(self.typed, name) if self.typed is not None else self.fields[name]

    def has(self, name: str) -> bool:
        return name in self.fields if self.typed is None else hasattr(self.typed, name)


def row_record(
    state: RowState, *, run_id: str, index: int, seconds: float, parent: tuple[str, str] | None = None
) -> RowRecord:
    """How a row ended: failed where a step failed, else parked where one waits for a person, else answered."""
    status: RowStatus = "answered"
    reason = ""
    for wanted in ("failed", "parked"):
        worst = next((a for a in state.answers.values() if a.status == wanted), None)
        if worst is not None:
            status = "failed" if wanted == "failed" else "parked"
            reason = f"{worst.place.step.rsplit('/', 1)[-1]}: {worst.reason}"
            break
    return RowRecord(
        run_id=run_id,
        row_id=state.row_id,
        index=index,
        status=status,
        fields=state.fields,
        reason=reason,
        seconds=seconds,
        cost_usd=total_cost(state.answers.values()),
        parent_row_id=parent[0] if parent else None,
        parent_step=parent[1] if parent else None,
    )


def total_cost(answers: Iterable[Answer]) -> float | None:
    """What the answers cost together, in US dollars; None where one's cost is unknown."""
    costs = [answer.cost_usd for answer in answers]
    return None if None in costs else sum(cost or 0.0 for cost in costs)
