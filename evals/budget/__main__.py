"""`python -m evals.budget`: budgets under 4 processes of 64 calls each, with faults and kills. Writes results.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evals.budget.killing import FAULTS, Trial, Verdict, tried
from evals.performance.results import surroundings

FOLDER = Path(__file__).parent
RUN_CAP = "0.60 USD"
TRIALS = (
    *(Trial(RUN_CAP, 4_000, seed=seed) for seed in (1, 2, 3)),
    Trial(RUN_CAP, 4_000, kills=0, seed=4),
    Trial(RUN_CAP, 4_000, kills=0, faults="", seed=5),
    Trial("day: 0.60 USD; model large: 0.10 USD", 4_000, seed=6),
    Trial("0.60 USD; model small: 0.20 USD", 4_000, seed=7),
    Trial("0.06 USD", 4_000, seed=8),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.budget", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small trial, and no file is written")
    quick = parser.parse_args().quick
    trials = (Trial("0.05 USD", 400, processes=2, in_flight=16, kills=3),) if quick else TRIALS
    about, verdicts = surroundings(), []
    for trial in trials:
        verdicts.append(tried(trial))
        print(_row(verdicts[-1]), flush=True)
    text = _report(verdicts, about)
    print(text)
    if not quick:
        (FOLDER / "results.md").write_text(text)
    sys.exit(any(verdict.violations for verdict in verdicts))


def _row(found: Verdict) -> str:
    trial = found.trial
    return (
        f"| {trial.budget} | {trial.processes} × {trial.in_flight} | {found.kills} "
        f"| {'yes' if trial.faults else 'no'} | {found.calls:,} | {found.charged_usd:.4f} | {found.spent_usd:.4f} "
        f"| {found.charged_share:.1%} | {found.kept_share:.2%} | {found.looks} | {len(found.violations)} |"
    )


def _report(verdicts: list[Verdict], about: dict[str, object]) -> str:
    violations = [f"* {sentence}" for verdict in verdicts for sentence in verdict.violations]
    lines = [
        "# Whether budgets hold",
        "",
        f"Processes at one run, each with that many calls in flight, against `toolkit fake` with the faults "
        f"`{FAULTS}`; "
        "hedged after 0.6 s, retried once, then the dearer model. A process is killed (`kill -9`) every 0.2 to 1 s and "
        "begun again. Ten times a second, after each kill and at the end, once the dead are reconciled, two accounts "
        "are compared: what the server charged by its own count, and what the journal keeps as spent and held back. It "
        "is a violation if either passes a cap, or the first the second. `python -m evals.budget` measures again.",
        "",
        "| budget | processes × calls | kills | faults | calls | charged USD | counted as spent USD "
        "| most charged, of a cap | most kept, of a cap | looks | violations |",
        "|---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
        *map(_row, verdicts),
        "",
        *violations,
        "More is counted as spent than was charged: calls that timed out, broke off or were cut off by a kill count "
        "with all that was held back for them, as nobody can know what they cost. Without faults and "
        "kills a budget is used up but for less than one call.",
        "",
        f"{about['processor']}, {about['cores']} cores (load {about['load']} at the start), {about['system']}, "
        f"Python {about['python']}, {str(about['measured_at'])[:10]}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
