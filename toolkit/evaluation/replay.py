"""`replay`: past rows through another router or policy, by the very same loop, over the answers that are on record.

    a run on record ─▶ its rows, its seed ─▶ the workflow with other routes or policies, over a fleet played back
                    ─▶ Replay: what was reused, what is missing and its price, and a run like any other

Nothing is asked unless it is said so, and then only what is missing. A replay has a record of its own, so that what it
plays back is not counted as spent. Tool steps run again; those that act do not: their value comes from the record.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from toolkit.errors import RunError, WorkflowError
from toolkit.evaluation.comparing import record_of
from toolkit.evaluation.playback import MARK, NotOnRecord, Playback, Played, outcomes_of
from toolkit.evaluation.reading import runs_named
from toolkit.fleet import Fleet
from toolkit.graph.steps import About, Step
from toolkit.graph.workflow import Workflow
from toolkit.ledger import History
from toolkit.ledger.views import evaluations
from toolkit.policies import Policy
from toolkit.prompts.tools import RUN_PARAMETER
from toolkit.routing.router import Router
from toolkit.runs.running import Running

if TYPE_CHECKING:
    from toolkit.evaluation.comparison import Comparison

FOLDER = "replays"


@dataclass(frozen=True)
class Missing:
    """Answers of a model that are not on record: how many requests, and what they would cost (None where unknown)."""

    model: str
    requests: int
    cost_usd: float | None


@dataclass(frozen=True, eq=False)
class Replay:
    """A replay and its record. `run` is its run; `incomplete` are the rows for which an answer is missing.

    What lies behind a missing answer is not known before that is there: `missing` counts what is missing first.
    """

    run: Running
    original: str
    source: History
    reused: int
    rows: int
    missing: tuple[Missing, ...]
    incomplete: tuple[str, ...]
    asked: bool
    _folder: Any = field(default=None, repr=False)

    @property
    def history(self) -> History:
        """The record of the replay."""
        return self.run.history

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def is_complete(self) -> bool:
        """Whether every answer was there in the end."""
        return not self.incomplete

    @property
    def cost_usd(self) -> float | None:
        """What asking for the missing answers costs, by their prompts and the price book; None where a price is not
        known."""
        costs = [each.cost_usd for each in self.missing]
        return None if None in costs else sum(cost or 0.0 for cost in costs)

    @property
    def sentence(self) -> str:
        """What was reused, what is missing, and what that costs."""
        told = f"{self.rows:,} rows of {self.original} replayed: {self.reused:,} answers were on record"
        if not self.missing:
            return f"{told}, none is missing."
        requests = sum(each.requests for each in self.missing)
        by_model = ", ".join(f"{each.requests:,} of {each.model}" for each in self.missing)
        cost = "at a price that is not known" if self.cost_usd is None else f"for about {self.cost_usd:.4f} USD"
        if self.asked:
            return f"{told}, {requests:,} were not and were asked for ({by_model})."
        return (
            f"{told}, {requests:,} are not ({by_model}) and can be had {cost}, and whatever they lead to; "
            f"{len(self.incomplete):,} rows have no answer until then."
        )

    def compare(self, **options: Any) -> Comparison:
        """The replay against the run that it replays; the options are those of `compare`.

        Raises RunError where rows are incomplete: those left over would not speak for the rest.
        """
        from toolkit.evaluation.comparing import compare

        if not self.is_complete:
            raise RunError(f"{len(self.incomplete):,} rows are incomplete; replay with ask_missing=True first")
        return compare([_Original(self.original, self.source), self], **options)

    def __repr__(self) -> str:
        return f"<replay: {self.sentence}>"


@dataclass(frozen=True)
class _Original:
    """The run that was replayed, as `compare` wants it."""

    id: str
    history: History


def replay(
    recorded: Any,
    workflow: Workflow,
    fleet: Fleet,
    *,
    run: str = "latest",
    routes: Router | Mapping[str, Router] | None = None,
    policy: Policy | Mapping[str, Policy] | None = None,
    seed: int | None = None,
    ask_missing: bool = False,
    home: Path | str | None = None,
    **options: Any,
) -> Replay:
    """The rows of a run on record through `workflow`, with other `routes` or `policy` (for all steps, or by step).

    `seed` is that of the run unless given, so that chance falls as it did. Nobody is asked: a row whose answer is not
    on record fails with that reason, and the replay tells how many, and for what price they are to be had. With
    `ask_missing` they are asked of `fleet`, then and there. The replay's own record is in `home`; without it in a
    folder that goes away with the replay or, where something is asked and paid for, in `replays` beside the history.
    `options` are those of `Workflow.run`. Raises RunError where there is no such run, or it is one of another workflow.
    """
    history, given = record_of(recorded)
    (name,) = runs_named(history, given[:1] or (run,))
    ((of, its_seed),) = history.sql(evaluations.RUN_TOLD, {"run": name}).rows
    if of != workflow.name:
        raise RunError(f"run {name} is one of workflow {of!r}, not of {workflow.name!r}")
    rows = [_row(row_id, fields, workflow) for row_id, fields in history.sql(evaluations.ROWS_TOLD, {"run": name}).rows]
    if not rows:
        raise RunError(f"run {name} has no rows on record to replay")
    changed = _changed(workflow, routes, policy)
    changed = _without_acts(changed, _values(history, name), path=changed.name)
    folder, place = _home(history, home, ask_missing=ask_missing)
    played = Played(outcomes_of(history, name))
    running = changed.run(
        rows,
        Playback.over(fleet, played, ask_missing=ask_missing),
        **{"seed": int(its_seed or 0) if seed is None else seed, "redact": None, **options, "home": place},
    )
    incomplete = running.history.sql(evaluations.NOT_ON_RECORD, {"mark": MARK}, run_id=running.id).column("row_id")
    return Replay(
        running, name, history, played.reused, len(rows), _missing(played), tuple(incomplete), ask_missing, folder
    )


# ----------------------------------------------------------------------------------------------------------- helpers
def _row(row_id: str, fields: str | None, workflow: Workflow) -> dict[str, Any]:
    if fields is None:
        raise RunError(f"what row {row_id} said is not on record any more: it was pruned or erased")
    told: dict[str, Any] = orjson.loads(fields)
    return told if told.get(workflow.row_id) not in (None, "") else {**told, workflow.row_id: row_id}


def _changed(
    workflow: Workflow,
    routes: Router | Mapping[str, Router] | None,
    policy: Policy | Mapping[str, Policy] | None,
) -> Workflow:
    if routes is not None:
        workflow = workflow.with_routes(routes)
    if policy is None:
        return workflow
    if isinstance(policy, Mapping) and (unknown := sorted(set(policy) - set(workflow.by_name))):
        raise WorkflowError(
            f"workflow {workflow.name!r} has no step {unknown[0]!r}; it has {', '.join(workflow.by_name)}"
        )
    return _with_policy(workflow, policy)


def _with_policy(workflow: Workflow, policy: Policy | Mapping[str, Policy]) -> Workflow:
    def of(step: Step) -> Step:
        if step.inner is not None and isinstance(policy, Policy):
            return replace(step, inner=_with_policy(step.inner, policy))
        found = policy if isinstance(policy, Policy) else policy.get(step.name)
        return replace(step, policy=found) if step.asks and found is not None else step

    return replaced(workflow, [of(step) for step in workflow.steps])


def replaced(workflow: Workflow, steps: list[Step]) -> Workflow:
    """The workflow with these steps for its own."""
    return Workflow(workflow.name, steps, rows=workflow.rows, policy=workflow.policy, row_id=workflow.row_id)


def _without_acts(workflow: Workflow, values: Mapping[tuple[str, str], Any], *, path: str) -> Workflow:
    """Steps that act give what they gave. Raises WorkflowError where a model may call a tool that acts."""

    def of(step: Step) -> Step:
        if any(tool.acts for tool in step.tools):
            raise WorkflowError(
                f"step {step.name!r} has tools that act; a replay would act again, and so there is none"
            )
        if step.inner is not None:
            return replace(step, inner=_without_acts(step.inner, values, path=f"{path}/{step.inner.name}"))
        return _recorded(step, values, f"{path}/{step.name}") if step.acts else step

    return replaced(workflow, [of(step) for step in workflow.steps])


def _recorded(step: Step, values: Mapping[tuple[str, str], Any], name: str) -> Step:
    def value(run: About, **_: Any) -> Any:
        if (run.row_id, name) not in values:
            raise NotOnRecord(f"what {step.name} did for row {run.row_id} {MARK}, and a replay does not act")
        return values[run.row_id, name]

    needs = tuple(dict.fromkeys((*step.needs, RUN_PARAMETER)))
    return replace(step, function=value, needs=needs, acts=False, tools=())


def _values(history: History, run_id: str) -> dict[tuple[str, str], Any]:
    found = history.sql(evaluations.VALUES_TOLD, {"run": run_id}).rows
    return {(row_id, step): orjson.loads(value or "null") for row_id, step, value in found}


def _home(history: History, home: Path | str | None, *, ask_missing: bool) -> tuple[Any, Path]:
    """What keeps the folder, and the folder."""
    if home is not None:
        if Path(home).resolve() == history.home.resolve():
            raise RunError("a replay wants a record of its own: what it plays back would be counted as spent")
        return None, Path(home)
    if ask_missing:
        return None, history.home / FOLDER
    kept = tempfile.TemporaryDirectory(prefix="toolkit-replay-", ignore_cleanup_errors=True)
    return kept, Path(kept.name)


def _missing(played: Played) -> tuple[Missing, ...]:
    by_model: dict[str, list[float | None]] = {}
    for (model, _), cost in played.missing.items():
        by_model.setdefault(model, []).append(cost)
    return tuple(
        Missing(model, len(costs), None if None in costs else sum(cost or 0.0 for cost in costs))
        for model, costs in sorted(by_model.items())
    )
