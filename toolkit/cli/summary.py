"""A run on one screen: steps and models, how good, what went wrong, what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.cli.questions import records
from toolkit.cli.tables import Record, console, count, grader_name, seconds, short, state, table, usd
from toolkit.ledger.views import questions
from toolkit.messages import sections

if TYPE_CHECKING:
    from toolkit.ledger.reading.history import History

EXAMPLES = 5
TEST_SPLIT = "test"
STEP_COLUMNS = ("step", "model", "calls", "errors", "answers", "p50 s", "p95 s", "USD", ">quality (n)")


def show_run(history: History, run_id: str) -> None:
    """Print it."""
    out = console()
    found = history.sql(questions.RUNS, run_id=run_id)
    run = records(found)[0]
    out.print(_headline(run))
    for sentence in _settings(history, run_id):
        out.print(sentence, markup=False)
    print_steps(history, run_id)
    print_problems(history, run_id)
    print_waiting(history, run_id)
    if found.note:
        out.print(f"note: {found.note}", markup=False)
    if run["status"] not in ("running", "finished") or state(run) != run["status"]:
        from toolkit.runs.run_names import going_on

        out.print(f"to go on: {going_on(run_id, history.home)}", markup=False)


def print_steps(history: History, run_id: str, *, title: str = "") -> None:
    """A line per step and model. Where rows have a column `split` with a part `test`, quality is that part's alone."""
    steps = records(history.sql(questions.STEPS, run_id=run_id))
    splits: dict[str | None, int] = dict(history.sql(questions.SPLITS, run_id=run_id).rows)
    tested = TEST_SPLIT if TEST_SPLIT in splits and len(splits) > 1 else None
    graded = records(history.sql(questions.QUALITY, {"split": tested}, run_id=run_id))
    quality = _quality(graded)
    reused = any(step["reused"] for step in steps)
    columns = (*STEP_COLUMNS[:5], "reused", *STEP_COLUMNS[5:]) if reused else STEP_COLUMNS
    console().print(table(title, columns, [_step_cells(step, quality, reused=reused) for step in steps], words=2))
    if graded and tested:
        console().print(
            f"Quality is that of the {splits[tested]:,} rows of the part {tested!r} alone, as models may have been "
            f"trained on the other {sum(splits.values()) - splits[tested]:,}; (n) counts answers that have a truth."
        )


def print_problems(history: History, run_id: str) -> None:
    """What failed, was parked or was set aside, and why; and the errors of attempts, mended or not."""
    problems = records(history.sql(questions.PROBLEMS, run_id=run_id))
    if problems:
        cells = [_problem_cells(problem) for problem in problems]
        console().print(table("Problems", ("ended", "step", "times", ">why, e.g.", ">rows, e.g."), cells, words=2))
    errors = records(history.sql(questions.ERRORS, run_id=run_id))
    if errors:
        columns = ("error", "step", "model", "attempts", "rows", ">last message")
        cells = [
            (
                e["error_type"],
                e["step"],
                e["model"],
                count(e["attempts"]),
                count(e["rows_affected"]),
                short(e["last_message"], 160),
            )
            for e in errors
        ]
        console().print(table("Errors of attempts", columns, cells, words=3))


def print_waiting(history: History, run_id: str) -> None:
    """A few of the questions that wait for a person."""
    waiting = records(history.sql(questions.WAITING, run_id=run_id))
    if not waiting:
        return
    cells = [
        (w["row_id"], w["step"], short(w["why"], 60), short(asked(w["question"]), 110)) for w in waiting[:EXAMPLES]
    ]
    title = f"Waiting for a person: {len(waiting):,}" + (f", the first {EXAMPLES}" if len(waiting) > EXAMPLES else "")
    console().print(table(title, ("row", "step", ">why", ">question"), cells, words=2))


def asked(question: str) -> str:
    """The data of a question, without the words that are the same for each."""
    found = sections(question)
    return " · ".join(found.values()) if found else question


def _headline(run: Record) -> str:
    rows = f"{count(run['answered'])} answered, {count(run['parked'])} parked, {count(run['failed'])} failed"
    return (
        f"[bold]{run['run_id']}[/bold] ({run['origin']}): {state(run)}, {count(run['rows_total'])} rows: {rows}, "
        f"{count(run['set_aside'])} set aside · {count(run['attempts'])} calls, {count(run['errors'])} errors · "
        f"{usd(run['cost_usd'])} USD · {seconds(run['seconds'])} s"
    )


def _settings(history: History, run_id: str) -> Sequence[str]:
    import orjson

    settings = orjson.loads(history.sql(questions.SETTINGS, run_id=run_id).rows[0][0] or "{}")
    job = settings.get("job") or {}
    told = {"rows": job.get("rows") or settings.get("source"), "fleet": job.get("fleet"), "router": job.get("router")}
    return [f"  {name:<7}{short(value, 160)}" for name, value in told.items() if value]


def _quality(graded: Sequence[Record]) -> Mapping[tuple[str, Any], str]:
    by_place: dict[tuple[str, Any], list[str]] = {}
    for grade in graded:
        told = f"{grader_name(grade['grader'])} {grade['mean']:.3f} ({grade['n']})"
        by_place.setdefault((grade["step"], grade["model"]), []).append(told)
    return {place: "\n".join(told) for place, told in by_place.items()}


def _step_cells(step: Record, quality: Mapping[tuple[str, Any], str], *, reused: bool) -> Sequence[str]:
    return (
        step["step"],
        step["model"] or "",
        count(step["calls"]) if step["model"] else "",
        count(step["errors"]) if step["model"] else "",
        count(step["answers"]),
        *((count(step["reused"]),) if reused else ()),
        seconds(step["p50_seconds"]) if step["model"] else "",
        seconds(step["p95_seconds"]) if step["model"] else "",
        usd(step["cost_usd"], unpriced=step["unpriced"]) if step["model"] else "",
        quality.get((step["step"], step["model"]), ""),
    )


def _problem_cells(problem: Record) -> Sequence[str]:
    ended = problem["status"].replace("_", " ")
    return (
        ended,
        problem["step"],
        count(problem["times"]),
        short(problem["reason"], 240),
        ", ".join(problem["examples"]),
    )
