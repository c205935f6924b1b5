"""The nightly gate: which run to hold a suite against, what goes on record of how it ended, and the page that tells it.

toolkit.gate.passed, toolkit.gate.failed     how it ended, on record and in Prefect
toolkit.quality.dropped                      a demand on quality that no longer holds, for automations to act on
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ToolkitError
from toolkit.evaluation.comparing import compare
from toolkit.evaluation.drift import DROPPED
from toolkit.evaluation.gate import Gated, Judged
from toolkit.evaluation.suites import Suite
from toolkit.ledger import History, Journal
from toolkit.ledger.entries import event_entry
from toolkit.ledger.homes import has_journal
from toolkit.ledger.views import following
from toolkit.orchestration.passing_on import Happened, emit
from toolkit.orchestration.picturing import drawn
from toolkit.orchestration.plainly import tabled
from toolkit.records import Event, now

PASSED, FAILED = "toolkit.gate.passed", "toolkit.gate.failed"
NONE = "none"


@dataclass(frozen=True)
class Against:
    """What a suite is held against; `run_id` is None where there are targets alone, and `sentence` says why."""

    run_id: str | None
    sentence: str


def baseline_of(suite: str, wanted: str, *, home: Path | str) -> Against:
    """The run that is named; else the last one of this suite that passed."""
    if wanted == NONE:
        return Against(None, "held against the suite's targets alone, as was asked")
    if wanted:
        return Against(wanted, f"held against {wanted}, as was asked")
    if has_journal(home):
        for run_id, at in History(home).sql(following.PASSED, {"suite": suite}):
            return Against(run_id, f"held against {run_id}, the last that passed, on {at:%Y-%m-%d %H:%M}")
    return Against(
        None, f"no run of {suite!r} has passed yet: held against its targets alone, the next against this one"
    )


def settled(suite: Suite, found: Gated, *, home: Path | str) -> None:
    """Put on record, and tell Prefect, how the gate ended."""
    told = {"suite": suite.name, "baseline": found.baseline, "reason": found.sentence}
    names = [PASSED if found.passes else FAILED]
    dropped = [each.name for each in found.judged if each.ended == "failed" and _of_quality(suite, each)]
    events = [Event(name, found.run, now(), told) for name in names]
    if dropped:
        events.append(Event(DROPPED, found.run, now(), {**told, "checks": dropped}))
    with Journal.open(home) as journal:
        journal.write(*map(event_entry, events))
    for event in events:
        emit(Happened(event, suite.workflow.name))


def report(suite: Suite, found: Gated, against: Against, *, home: Path | str) -> str:
    """The page of a gate: the verdict, each demand, and where the runs differ."""
    marks = {"passed": "✓", "failed": "✗"}
    rows = [(marks[each.ended], each.name, each.why) for each in found.judged]
    verdict = "passed" if found.passes else "failed"
    pictures = [_picture(suite, check.name, found, home=home) for check in suite.checks] if found.baseline else []
    again = f"toolkit gate SUITE --run {found.run}" + (f" --baseline {found.baseline}" if found.baseline else "")
    return "\n\n".join(
        [
            f"# {suite.name}: {verdict}",
            found.sentence,
            f"Run `{found.run}`, {against.sentence}.",
            tabled(("", "demand", "what was found"), rows),
            *pictures,
            f"## Ask again\n\n```\n{again} --home {Path(home).resolve()}\n```",
        ]
    )


def _picture(suite: Suite, name: str, found: Gated, *, home: Path | str) -> str:
    """Where this run differs from the baseline by one check, drawn; only of checks that failed, or of the first."""
    failed = [each.name.removesuffix(AGAINST) for each in found.judged if each.ended == "failed"]
    check = next(check for check in suite.checks if check.name == name)
    if name not in (failed or [suite.checks[0].name]) or found.baseline is None:
        return ""
    try:
        compared = compare(History(home), runs=[found.baseline, found.run], step=check.step, quality=repr(check.grader))
    except (ToolkitError, ValueError) as error:
        return f"*No picture of {name}: {error}*"
    return f"## {name}\n\n{compared.sentence}\n\n{drawn(compared.plot(), f'differences in {name}')}"


AGAINST = " against the baseline"


def _of_quality(suite: Suite, judged: Judged) -> bool:
    """Whether it is one of the suite's checks, and no limit on cost or failed rows."""
    return judged.name.removesuffix(AGAINST) in {check.name for check in suite.checks}
