"""What a suite demands of a judge: so much agreement with the truth, and so little bias. In: a run. Out: each demand
and how it ended.

[[judges]]
name = "critic"
step = "triage"
judge = "Pointwise('…', shows=('ticket',), scale='pass/fail')"
by = "critic"                            # the member of the fleet that judges
truth = "Exact('intent', of='intent')"   # a grader; or people = "Person('lena')", whose labels are on record
agreed = 0.8                             # share of the answers on which both agree, at least
kappa = 0.4                              # agreement beyond chance, at least
bias = 0.05                              # the judge's mean less the truth's, at most, up or down
sure = true                              # the whole interval has to meet it (the default), or the estimate alone
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.evaluation.calibrating import calibrated
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.judging import judge_run
from toolkit.fleet import Fleet
from toolkit.grading import Grader
from toolkit.grading.judges import Judge
from toolkit.ledger import History

Told = tuple[str, bool, str]
"""A demand's name, whether it is met, and the numbers."""


@dataclass(frozen=True)
class JudgeCheck:
    """One judge, held against a grader that knows the truth, or against people's labels."""

    name: str
    step: str
    judge: Judge
    by: str
    truth: Grader | None = None
    people: str | None = None
    agreed: float | None = None
    kappa: float | None = None
    bias: float | None = None
    sure: bool = True


def held_against(check: JudgeCheck, history: History, run: str, fleet: Fleet) -> Iterator[Told]:
    """Have the judge judge what it has not judged of the run yet, and see each demand. Raises RunError."""
    judge_run(run, check.judge, fleet=fleet, by=check.by, step=check.step, home=history.home)
    truth = None if check.truth is None else repr(check.truth)
    found = calibrated(history, check.judge, step=check.step, runs=(run,), people=check.people, truth=truth).agreement
    for name, least, measure in (("agreed", check.agreed, found.agreed), ("kappa", check.kappa, found.kappa)):
        if least is not None:
            yield f"{check.name}: {name}", *_at_least(least, measure, sure=check.sure)
    if check.bias is not None:
        yield f"{check.name}: bias", *_near_zero(check.bias, found.bias, sure=check.sure)


def _at_least(least: float, found: Estimate | Refusal, *, sure: bool) -> tuple[bool, str]:
    if isinstance(found, Refusal):
        return False, f"it cannot be judged: {found.reason}"
    return (found.low if sure else found.value) >= least, f"{_numbers(found)}, at least {least:g} is wanted{_how(sure)}"


def _near_zero(most: float, found: Estimate | Refusal | None, *, sure: bool) -> tuple[bool, str]:
    if not isinstance(found, Estimate):
        return False, f"it cannot be judged: {'labels have no mean' if found is None else found.reason}"
    far = max(abs(found.low), abs(found.high)) if sure else abs(found.value)
    return far <= most, f"{_numbers(found)}, at most {most:g} up or down is wanted{_how(sure)}"


def _numbers(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}] over {found.n:,} answers"


def _how(sure: bool) -> str:
    return " of the whole interval" if sure else ""
