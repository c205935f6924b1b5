"""`gate`: a suite run and held against its targets and a baseline; it passes, or says what got worse and by how much.

suite ─▶ a run of it (or one on record) ─▶ grades ─▶ targets; the same rows of the baseline ─▶ Gated
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from toolkit.asking.settings import DEFAULT_HOME
from toolkit.evaluation.comparison import Comparison, compared
from toolkit.evaluation.estimates import Refusal
from toolkit.evaluation.judge_checks import held_against
from toolkit.evaluation.pairs import Difference, verdict
from toolkit.evaluation.quality import grade_run
from toolkit.evaluation.reading import columns_of, runs_named, scored_runs
from toolkit.evaluation.suites import Check, Suite, load_suite
from toolkit.fleet import Fleet
from toolkit.ledger import History
from toolkit.ledger.views import evaluations

Ended = Literal["passed", "failed"]


@dataclass(frozen=True)
class Judged:
    """One demand and how it ended, in words."""

    name: str
    ended: Ended
    why: str


@dataclass(frozen=True)
class Gated:
    """All demands of a suite on a run. A demand that cannot be judged has failed: nothing says that it holds."""

    suite: str
    run: str
    baseline: str | None
    judged: tuple[Judged, ...]

    @property
    def passes(self) -> bool:
        return all(each.ended == "passed" for each in self.judged)

    @property
    def sentence(self) -> str:
        """Whether it passes, and if not, why."""
        against = f" against {self.baseline}" if self.baseline else ""
        failed = [each for each in self.judged if each.ended == "failed"]
        if not failed:
            return f"{self.suite}: {self.run} passes all {len(self.judged)} checks{against}."
        reasons = "; ".join(f"{each.name}: {each.why}" for each in failed)
        return f"{self.suite}: {self.run} fails {len(failed)} of {len(self.judged)} checks{against}: {reasons}."

    def __repr__(self) -> str:
        return self.sentence


def gate(
    suite: Suite | Path | str,
    *,
    baseline: str | None = None,
    run: str | None = None,
    home: Path | str = DEFAULT_HOME,
    level: float = 0.95,
) -> Gated:
    """Run the suite, everything asked anew, and judge it; with `run` that one on record is judged, and nothing runs.

    `baseline` names a run in the same home, over the same rows. All comparisons are corrected for each other. Raises
    RunError where the suite or a run cannot be used.
    """
    suite = suite if isinstance(suite, Suite) else load_suite(suite)
    history = History(home)
    before = None if baseline is None else runs_named(history, (baseline,))[0]
    if run is None:
        made = suite.workflow.run(suite.rows, Fleet.load(suite.fleet), home=home, fresh=True, seed=suite.seed)
        name = made.id
    else:
        (name,) = runs_named(history, (run,))
    for each in (name, before):
        if each is not None:
            grade_run(home, each, suite.graders)
    judged = [*_targets(suite, history, name)]
    if suite.judges:
        fleet = Fleet.load(suite.fleet)
        found = [each for check in suite.judges for each in held_against(check, history, name, fleet)]
        judged += [Judged(what, "passed" if met else "failed", told) for what, met, told in found]
    if before is not None:
        judged += _regressions(suite, history, before, name, level=level)
    return Gated(suite.name, name, before, tuple(judged))


# ----------------------------------------------------------------------------------------------------------- targets
def _targets(suite: Suite, history: History, run: str) -> Iterator[Judged]:
    for check in suite.checks:
        if check.least is None:
            continue
        yield _target(check, check.least, _scores(history, run, step=check.step, grader=repr(check.grader)))
    ((rows, failed),) = history.sql(evaluations.RUN_AS_A_WHOLE, {"run": run}).rows
    limits = suite.limits
    if limits.failed is not None:
        share = failed / rows if rows else 1.0
        told = f"{failed:,} of {rows:,} rows failed, at most {100 * limits.failed:g} % may"
        yield Judged("failed rows", "passed" if share <= limits.failed else "failed", told)
    if limits.cost_usd is not None:
        yield _costs(limits.cost_usd, _scores(history, run)["cost_usd"], rows=rows)


def _target(check: Check, least: float, scores: Mapping[str, Any]) -> Judged:
    """The mean grade of the answers that stand in the end; one that failed has none, and counts as 0."""
    quality = np.ma.filled(scores["quality"].astype(np.float64), np.nan)
    failures = int(np.ma.filled(scores["failed"], False).sum())
    known = quality[np.isfinite(quality)]
    if len(known) == failures:
        return Judged(check.name, "failed", f"no answer was graded{f', and {failures:,} failed' if failures else ''}")
    more = [f"{failures:,} failed, and count as 0"] if failures else []
    if ungraded := len(quality) - len(known):
        more.append(f"{ungraded:,} more have no grade")
    told = f"{known.mean():.3f} over {len(known):,} rows" + (f" ({'; '.join(more)})" if more else "")
    ended: Ended = "passed" if known.mean() >= least else "failed"
    return Judged(check.name, ended, f"{told}, at least {least:g} is wanted")


def _costs(most: float, cost: Any, *, rows: int) -> Judged:
    """What the run's answers cost a row; of a reused one what it cost where it was given."""
    if unknown := int(np.ma.getmaskarray(cost).sum()):
        return Judged("cost", "failed", f"the cost of {unknown:,} rows is unknown; give the prices of the models")
    mean = float(np.ma.filled(cost.astype(np.float64), 0.0).sum()) / max(rows, 1)
    ended: Ended = "passed" if mean <= most else "failed"
    return Judged("cost", ended, f"{mean:.6f} USD a row, at most {most:g} is wanted")


def _scores(history: History, run: str, *, step: str | None = None, grader: str | None = None) -> dict[str, Any]:
    """How the rows of the run were answered, as columns."""
    given = {"runs": [run], "step": step, "grader": grader, "failed": 0.0, "cluster": None, "segment": None}
    return columns_of(history, evaluations.SCORES, given)


# ------------------------------------------------------------------------------------------------------- regressions
def _regressions(suite: Suite, history: History, before: str, after: str, *, level: float) -> list[Judged]:
    checks = [check for check in suite.checks if check.margin is not None]
    demands = len(checks) + (suite.limits.dearer is not None)
    strict = 1 - (1 - level) / max(demands, 1)
    judged = [_regression(check, _compared(history, check, before, after, level=strict)) for check in checks]
    if suite.limits.dearer is not None:
        judged.append(_dearer(suite, history, before, after, level=strict))
    return judged


def _compared(history: History, check: Check, before: str, after: str, *, level: float) -> Comparison:
    found = scored_runs(
        history, (before, after), step=check.step, quality=repr(check.grader), names=("the baseline", "this run")
    )
    return compared(found, margin=check.margin, level=level, measures=("quality",), replicates=2)


def _regression(check: Check, found: Comparison) -> Judged:
    name, result, margin = f"{check.name} against the baseline", found.of("this run"), check.margin or 0.0
    if isinstance(result, Refusal):
        if "tells nothing apart" in result.reason:
            return Judged(name, "passed", f"unchanged: {result.reason}")
        return Judged(name, "failed", f"it cannot be judged: {result.reason}")
    said = verdict(result, margin=margin)
    numbers = _numbers(result)
    if check.proof == "no worse":
        shown = result.at_once[0] > -margin
        why = f"{numbers}; it is {'' if shown else 'not '}shown to be no worse by more than {margin:g}"
        return Judged(name, "passed" if shown else "failed", why)
    if said == "worse" and result.value < -margin:
        return Judged(name, "failed", f"worse by more than {margin:g}: {numbers}")
    return Judged(name, "passed", numbers)


def _dearer(suite: Suite, history: History, before: str, after: str, *, level: float) -> Judged:
    share = suite.limits.dearer or 0.0
    found = scored_runs(history, (before, after), names=("the baseline", "this run"), quality=None)
    ran = compared(found, level=level, measures=("cost",), replicates=2)
    result = ran.of("this run", "cost")
    name = "cost against the baseline"
    if isinstance(result, Refusal):
        return Judged(name, "failed", f"it cannot be judged: {result.reason}")
    assert found.cost is not None
    known = found.cost[(found.cost == found.cost).all(axis=1)]
    allowed = share * float(known[:, 0].mean())
    told = f"{result.value:+.6f} USD a row [{result.low:+.6f}, {result.high:+.6f}]; {100 * share:g} % more may be"
    return Judged(name, "failed" if result.value > allowed and result.low > 0 else "passed", told)


def _numbers(result: Difference) -> str:
    return f"{result.value:+.3f} [{result.low:+.3f}, {result.high:+.3f}] over {result.n:,} rows"
