"""`compare`: runs, or routers by what is on record, held against each other row by row.

history ─▶ scores of the same rows ─▶ Comparison: a sentence, a DataFrame, a chart, the rows that changed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import RunError
from toolkit.evaluation.comparison import Comparison, compared
from toolkit.evaluation.reading import beside, runs_named, scored_runs
from toolkit.evaluation.scored import Scored
from toolkit.ledger import History

if TYPE_CHECKING:
    from toolkit.fleet import Fleet
    from toolkit.routing.router import Router

Recorded = Any
"""A history, the folder of one, a run, or several runs of one history."""


def compare(
    recorded: Recorded | Mapping[str, Any] | Scored,
    *,
    step: str | None = None,
    runs: Sequence[Any] = (),
    routers: Sequence[Router] | Mapping[str, Router] = (),
    quality: str | None = None,
    cluster: str | None = None,
    segment: str | None = None,
    margin: float | None = None,
    level: float = 0.95,
    failed: float = 0.0,
    fleet: Fleet | None = None,
) -> Comparison:
    """Runs over the same rows compared, each with the first; or `routers`, by the answers that the record has.

    `recorded` is a history, its folder, or runs; `{"cheap": run, "dear": other}` gives them names to be told by. Rows
    are paired by id, and only where their fields agree. `step` names the step whose answers count (without it: the
    whole row); `quality` is a grader's label or its beginning (without it: the lowest grade of each answer, but not the
    model's own confidence). `cluster` and `segment` name fields of the row: rows of one customer, say, and languages.
    `margin` is how much worse in quality still counts as no worse. An answer that failed has the quality `failed`.

    Routers are compared by the answers on record where it has those of all models for every request that they would
    route; else by what history allows to infer (`toolkit.evaluation.counterfactual`), or it is said why it does not.
    Sources of the numbers: `toolkit.evaluation.pairs`. Raises RunError where a run, step, grader or field is not there.
    """
    if isinstance(recorded, Scored):
        return compared(recorded, margin=margin, level=level)
    called = tuple(map(str, recorded)) if isinstance(recorded, Mapping) else ()
    recorded = list(recorded.values()) if isinstance(recorded, Mapping) else recorded
    history, given = record_of(recorded)
    if routers:
        from toolkit.evaluation.routers import compared_routers

        if step is None:
            raise RunError("routers are compared at one step: name it, as in step='triage'")
        if segment is not None:
            raise RunError("routers are not compared by segment; replay each (tk.replay), and compare the replays")
        named = routers if isinstance(routers, Mapping) else {repr(router): router for router in routers}
        return compared_routers(
            history, named, step=step, runs=runs_named(history, names_of(runs) or given, step=step), quality=quality,
            cluster=cluster, margin=margin, level=level, failed=failed, fleet=fleet,
        )  # fmt: skip
    given_as = recorded if isinstance(recorded, Sequence) and not isinstance(recorded, str) and not runs else ()
    if len({str(each.history.home) for each in given_as}) > 1:
        apart = [(each.history, names_of([each])) for each in given_as]
    else:
        apart = [(history, runs_named(history, names_of(runs) or given, step=step))]
    names = [name for _, listed in apart for name in listed]
    if len(set(names)) < 2:
        if len(names) > 1:
            raise RunError(f"there is nothing to compare: all names are of one run, {names[0]}; name another beside it")
        raise RunError(
            f"there is nothing to compare: {'one run' if names else 'no run'} of {step or 'this workflow'} is on "
            "record; name two runs, or routers"
        )
    if len(set(names)) < len(names) and len(apart) == 1:
        raise RunError(f"a run is named twice: {next(name for name in names if names.count(name) > 1)}")
    tables = [
        scored_runs(each, listed, step=step, quality=quality, cluster=cluster, segment=segment, failed=failed)
        for each, listed in apart
    ]
    if called:
        told = dict(zip(names, called, strict=True))
        tables = [replace(each, contenders=tuple(told[run] for run in each.contenders)) for each in tables]
    return compared(beside(tables), margin=margin, level=level)


def record_of(recorded: Recorded) -> tuple[History, tuple[str, ...]]:
    """The history, and the runs that it was given by."""
    if isinstance(recorded, History):
        return recorded, ()
    if isinstance(recorded, str | Path):
        return History(recorded), ()
    listed = list(recorded) if isinstance(recorded, Sequence) else [recorded]
    if not listed:
        raise RunError("there is nothing to compare: the list of runs is empty")
    if all(isinstance(each, str) for each in listed):
        raise RunError(f"names of runs want their record: give the folder of it first, and runs={listed!r}")
    if not all(hasattr(each, "history") for each in listed):
        raise RunError(f"give a History, the folder of one, or runs of it, not {type(recorded).__name__}")
    return listed[0].history, names_of(listed)


def names_of(runs: Sequence[Any]) -> tuple[str, ...]:
    """The names of runs, however they are given."""
    return tuple(run if isinstance(run, str) else str(getattr(run, "id", None) or run.run_id) for run in runs)
