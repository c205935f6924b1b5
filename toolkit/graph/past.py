"""What a forked run takes of the run that it was forked from: the answers of the steps that the fork leaves alone.

In: run, row and step. Out: the value that the earlier run recorded there, as an answer of this run. It is looked up by
its place and not by its key: so it is the same whatever prompt, router or model that step has by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.errors import WorkflowError
from toolkit.graph.workflow import Workflow
from toolkit.ledger import Journal
from toolkit.records import Answer, Json, Place, answer_key, canonical

SETTING = "fork"
"""The setting of a run that says from which run it was forked, and at which step."""


@dataclass(frozen=True)
class Fork:
    """The run that a run was forked from, the name of its workflow, and the step from which on all runs anew."""

    run_id: str
    workflow: str
    at: str

    @property
    def told(self) -> dict[str, Json]:
        """What the run's settings keep of it."""
        return {SETTING: {"run_id": self.run_id, "workflow": self.workflow, "at": self.at}}

    @classmethod
    def of(cls, settings: Mapping[str, Json]) -> Fork | None:
        """The fork that a run's settings tell of."""
        told = settings.get(SETTING)
        return cls(**told) if isinstance(told, dict) else None


def anew(workflow: Workflow, at: str) -> frozenset[str]:
    """The steps that run anew: that one, what rests on it, and what sees the whole batch. Raises WorkflowError."""
    if at not in workflow.by_name:
        raise WorkflowError(f"workflow {workflow.name!r} has no step {at!r}; it has {', '.join(workflow.by_name)}")
    found = {at, *(step.name for step in workflow.reducing)}
    for step in workflow.order:
        if any(name in found for name in step.needs):
            found.add(step.name)
    return frozenset(found)


@dataclass
class Past:
    """An earlier run, as far as a run takes its answers. Values of a step are read when its first answer is wanted."""

    fork: Fork
    journal: Journal
    steps: frozenset[str]
    _values: dict[str, Mapping[str, Json]] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Json], workflow: Workflow, journal: Journal) -> Past | None:
        """What a run with these settings takes of another; None for a run that is no fork."""
        fork = Fork.of(settings)
        if fork is None:
            return None
        return cls(fork, journal, frozenset(workflow.by_name) - anew(workflow, fork.at))

    def answer(self, place: Place) -> Answer | None:
        """The answer that the earlier run has of this row and step; None where it has none, or where all is to be anew.

        Its key stands for the run that it is of and what it says, so that no request is ever answered by it.
        """
        name = place.step.rpartition("/")[2]
        if name not in self.steps:
            return None
        if name not in self._values:
            self._values[name] = dict(self.journal.step_values(self.fork.run_id, f"{self.fork.workflow}/{name}"))
        if place.row_id not in self._values[name]:
            return None
        value = self._values[name][place.row_id]
        key = answer_key(place.step, canonical(value), f"taken from {self.fork.run_id}")
        return Answer(place, key, "answered", value=value, reused_from=self.fork.run_id)
