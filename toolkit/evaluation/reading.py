"""How the rows of runs were answered, side by side, out of the history: what `compare` compares.

In: a history and the names of runs. Out: `Scored`, with what cannot be compared told by its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import LedgerError, RunError
from toolkit.evaluation.scored import Origin, Scored
from toolkit.ledger import History
from toolkit.ledger.reading import tail
from toolkit.ledger.views import evaluations, questions
from toolkit.runs.run_names import chosen

Floats = NDArray[np.float64]
MOST_JUDGED_OTHERWISE = 0.05
DIFFERENT_GRADERS = "answers were judged by different graders; name one of them, by its whole label, as quality"


def columns_of(history: History, query: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a query as arrays, masked where they are NULL: without a tuple for each of many rows."""
    import duckdb

    try:
        with history.laid_over(tail.tables_in(query), needed=tail.views_in(query)) as shown:
            return dict(shown.connection.execute(query, used(query, params)).fetchnumpy())
    except duckdb.Error as error:
        raise LedgerError(f"the record in {history.home} cannot be evaluated: {error}") from error


def used(query: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a query names."""
    return {name: value for name, value in params.items() if f"${name}" in query}


def path_of(field: str | None) -> str | None:
    """Where a field is within the row's JSON. Raises RunError for a name that no path can hold."""
    if field is not None and '"' in field:
        raise RunError(f"a field to group rows by must have no quotation mark in its name, as {field!r} has")
    return None if field is None else f'$."{field}"'


def runs_named(history: History, runs: Sequence[str], *, step: str | None = None) -> tuple[str, ...]:
    """The whole names of runs, in the order given; all that answered the step where none is named."""
    if runs:
        names = history.sql(questions.RUN_NAMES).column("id")
        return tuple(chosen(run, names, home=history.home) for run in runs)
    return tuple(history.sql(evaluations.RUNS_OF_STEP, {"step": step}).column("id"))


def grader_named(history: History, step: str | None, quality: str | None) -> tuple[str | None, str | None]:
    """The grader meant by `quality`, its whole label or the only one that begins so; and why it cannot be used."""
    found = history.sql(evaluations.GRADERS, {"step": step}).rows
    names = [name for name, *_ in found]
    where = f"step {step!r}" if step else "the record"
    if quality is None:
        judged = [each for each in found if each[0] != evaluations.OWN_WORD]
        if not judged:
            return None, f"{where} has no grades: give the step a grader, or grade its runs"
        label, used_graders = None, judged
    else:
        fitting = [name for name in names if name == quality] or [name for name in names if name.startswith(quality)]
        if len(fitting) != 1:
            known = ", ".join(names) or "none"
            raise RunError(f"{len(fitting) or 'no'} graders of {where} go by {quality!r}; it has {known}")
        label, used_graders = fitting[0], [each for each in found if each[0] == fitting[0]]
    if bad := [(name, count) for name, _, count in used_graders if count]:
        return label, f"{bad[0][1]:,} grades by {bad[0][0]} are no numbers (NaN or infinite): grade those rows again"
    return label, None


def scored_runs(
    history: History,
    runs: Sequence[str],
    *,
    step: str | None = None,
    quality: str | None = None,
    cluster: str | None = None,
    segment: str | None = None,
    failed: float = 0.0,
    names: Sequence[str] = (),
) -> Scored:
    """Rows by runs. Raises RunError where a run, the step or the grader is not there."""
    grader, fault = grader_named(history, step, quality)
    _check_step(history, runs, step)
    told = columns_of(
        history,
        evaluations.side_by_side(len(runs)),
        {
            "step": step, "runs": list(runs), "grader": grader, "failed": failed,
            "cluster": path_of(cluster), "segment": path_of(segment),
        },
    )  # fmt: skip
    tables = {name: _table(told, name, len(runs)) for name in ("quality", "cost_usd", "seconds")}
    broke = np.column_stack([np.ma.filled(told[f"failed_{n}"], False).astype(bool) for n in range(len(runs))])
    differs = np.ma.filled(told["differs"], False).astype(bool)
    for table in tables.values():
        table[differs] = np.nan
    graders = np.column_stack([np.ma.filled(told[f"graders_{n}"], 0).astype(np.uint64) for n in range(len(runs))])
    faults = _judged_alike({} if fault is None else {"quality": fault}, graders)
    known, graded = tables["quality"], _graded_by_another(tables["quality"], broke)
    known[broke & ~graded] = np.nan
    clusters = None if cluster is None else _codes(told["cluster"])
    if cluster is not None and np.ma.getmaskarray(told["cluster"]).all():
        raise RunError(f"no row has a field {cluster!r} to cluster by")
    if segment is not None and np.ma.getmaskarray(told["segment"]).all():
        raise RunError(f"no row has a field {segment!r} to tell segments by")
    return Scored(
        tuple(names or runs),
        known,
        _unpriced(tables["cost_usd"], known),
        tables["seconds"],
        row_ids=told["row_id"].tolist(),
        clusters=clusters,
        segments=None if segment is None else np.ma.filled(told["segment"], "unknown").astype(object),
        segment=segment or "",
        prints=np.ma.filled(told["given"], 0),
        graders=graders,
        faults=faults,
        notes=tuple(_notes(told, differs, broke, known, runs=len(runs), failed=failed)),
        origins=tuple(Origin(history.home, run) for run in runs),
    )


def beside(tables: Sequence[Scored]) -> Scored:
    """Scores out of several records as one table: rows of the same id that say the same."""
    if len(tables) == 1:
        return tables[0]
    places = [{row_id: n for n, row_id in enumerate(table.row_ids or ())} for table in tables]
    shared = [row_id for row_id in places[0] if all(row_id in place for place in places[1:])]
    at = [np.array([place[row_id] for row_id in shared], dtype=np.int64) for place in places]
    prints = np.column_stack([np.asarray(table.prints)[rows] for table, rows in zip(tables, at, strict=True)])
    differs = np.asarray((prints != prints[:, [0]]).any(axis=1))

    def of(name: str) -> Floats:
        stacked: Floats = np.hstack([getattr(table, name)[rows] for table, rows in zip(tables, at, strict=True)])
        stacked[differs] = np.nan
        return stacked

    first, rows = tables[0], at[0]
    notes = [note for table in tables for note in table.notes]
    if alone := len({row_id for place in places for row_id in place}) - len(shared):
        notes.append(f"{alone:,} rows are not in all runs, and are left out")
    if differing := int(differs.sum()):
        notes.append(f"{differing:,} rows have one id and different fields in the runs, and are left out")
    quality = of("quality")
    notes += _graded_in_some(quality)
    graders = np.hstack([np.asarray(table.graders)[rows] for table, rows in zip(tables, at, strict=True)])
    graders[differs] = 0
    return Scored(
        tuple(name for table in tables for name in table.contenders),
        quality,
        _unpriced(of("cost"), quality),
        of("seconds"),
        row_ids=shared,
        clusters=None if first.clusters is None else first.clusters[rows],
        segments=None if first.segments is None else first.segments[rows],
        segment=first.segment,
        graders=graders,
        faults=_judged_alike({name: why for table in tables for name, why in table.faults.items()}, graders),
        notes=tuple(notes),
        origins=tuple(origin for table in tables for origin in table.origins),
    )


# ----------------------------------------------------------------------------------------------------------- helpers
def _check_step(history: History, runs: Sequence[str], step: str | None) -> None:
    """Raises RunError where no run has the step, or one has several of that name."""
    if step is None:
        return
    told = history.sql(evaluations.STEPS_OF_RUNS, {"runs": list(runs)}).rows
    meant: dict[str, list[str]] = {}
    for run_id, name in told:
        if name == step or name.endswith(f"/{step}"):
            meant.setdefault(run_id, []).append(name)
    if not meant:
        known = ", ".join(dict.fromkeys(name.split("/", 1)[-1] for _, name in told)) or "none"
        raise RunError(f"these runs have no answers of step {step!r}; they have {known}")
    if several := next((names for names in meant.values() if len(names) > 1), None):
        raise RunError(f"a run has several steps {step!r}: name one of {', '.join(several)}")


def judged_by_same(quality: Floats, graders: NDArray[np.uint64]) -> bool:
    """Whether the same graders judged (n,) answers. A few that others judged, as where a judge could not say, become
    NaN."""
    judged, counts = np.unique(graders[graders != 0], return_counts=True)
    if len(judged) < 2:
        return True
    others = (graders != 0) & (graders != judged[counts.argmax()])
    if others.sum() > MOST_JUDGED_OTHERWISE * counts.sum():
        return False
    quality[others] = np.nan
    return True


def _judged_alike(faults: Mapping[str, str], graders: NDArray[np.uint64]) -> dict[str, str]:
    """The faults, with one more where a row's answers were not judged by the same graders: (n, k), 0 by nobody."""
    least = np.where(graders == 0, np.iinfo(np.uint64).max, graders).min(axis=1, initial=np.iinfo(np.uint64).max)
    if "quality" in faults or not ((graders != 0) & (graders != least[:, None])).any():
        return dict(faults)
    return {**faults, "quality": DIFFERENT_GRADERS}


def _table(told: Mapping[str, Any], name: str, runs: int) -> Floats:
    columns = [np.ma.filled(told[f"{name}_{n}"].astype(np.float64), np.nan) for n in range(runs)]
    return np.column_stack(columns)


def _graded_by_another(quality: Floats, broke: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n, k) whether another contender's answer was graded, so that the row has a truth; all of them failed: so too."""
    graded = np.isfinite(quality) & ~broke
    rows = np.asarray(graded.any(axis=1)) | np.asarray(broke.all(axis=1))
    return np.repeat(rows[:, None], broke.shape[1], axis=1)


def _unpriced(cost: Floats, quality: Floats) -> Floats:
    """Costs of the rows whose quality is compared, so that both speak of the same rows; of all where none is."""
    known = np.asarray(np.isfinite(quality).all(axis=1))
    return np.where(known[:, None], cost, np.nan) if known.any() else cost


def _codes(column: Any) -> NDArray[np.int64]:
    """(n,) a number for each value; a row without one stands for itself."""
    mask = np.ma.getmaskarray(column)
    values, codes = np.unique(np.where(mask, "", np.ma.filled(column, "")).astype(str), return_inverse=True)
    return np.where(mask, len(values) + np.arange(len(codes)), codes).astype(np.int64)


def _graded_in_some(quality: Floats) -> list[str]:
    """A note on (n, k) grades of which a row has some alone."""
    graded = np.isfinite(quality)
    some = int((graded.any(axis=1) & ~graded.all(axis=1)).sum())
    return (
        [f"{some:,} rows have a grade in some of the runs alone, and are left out where it is missing"] if some else []
    )


def _notes(
    told: Mapping[str, Any], differs: NDArray[np.bool_], broke: NDArray[np.bool_], quality: Floats, *, runs: int,
    failed: float,
) -> list[str]:  # fmt: skip
    n = len(differs)
    notes = []
    if alone := int((np.asarray(told["runs"]) < runs).sum()):
        notes.append(f"{alone:,} of {n:,} rows are not in all runs, and are left out")
    if differing := int(differs.sum()):
        notes.append(f"{differing:,} rows have one id and different fields in the runs, and are left out")
    if failures := int((broke & np.isfinite(quality)).sum()):
        notes.append(f"{failures:,} answers failed, and count with quality {failed:g}")
    if parked := int(np.sum(told["parked"])):
        notes.append(f"{parked:,} answers wait for a person, and are left out")
    graded, settled = np.isfinite(quality), (np.asarray(told["runs"]) == runs) & (np.asarray(told["parked"]) == 0)
    notes += _graded_in_some(quality[settled])
    if ungraded := int((~graded.any(axis=1)).sum()):
        notes.append(f"{ungraded:,} rows have no grade at all, and are left out")
    return notes
