"""A suite: cases, graders and target numbers in a TOML file that a person can edit. In: the file. Out: `Suite`.

name = "support desk"
workflow = "support"                          # as `toolkit run` takes it; files are found beside the suite
fleet = "models.toml"
rows = "requests.jsonl"                       # or cases in the suite itself: [[cases]]
where = "split = 'test'"                      # which of the rows, in SQL

[[checks]]
name = "intent"
step = "triage"
grader = "Exact('intent', of='intent')"       # or package.module:Grader('…') for one of your own
least = 0.60                                  # the mean grade has to reach this
margin = 0.05                                 # worse than the baseline by more than this is a regression

[[judges]]                                    # demands on a judge: see `toolkit.evaluation.judge_checks`

[limits]                                      # of the whole run
failed = 0.02                                 # share of rows that may fail
cost_usd = 0.001                              # a row, on average
dearer = 0.2                                  # than the baseline, as a share of its cost
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from toolkit import grading
from toolkit.errors import RunError, ToolkitError
from toolkit.evaluation.judge_checks import JudgeCheck
from toolkit.grading import Grader
from toolkit.grading.judges import Judge
from toolkit.graph.workflow import Workflow
from toolkit.records import Json
from toolkit.rows import DUCKDB_READERS
from toolkit.runs.loading import load_workflow

Proof = Literal["worse", "no worse"]


@dataclass(frozen=True)
class Check:
    """One demand on the answers of a step.

    With the proof "worse" it fails where the numbers show that it got worse, by more than the margin; with "no worse"
    it passes only where they show that it did not.
    """

    name: str
    step: str
    grader: Grader
    least: float | None = None
    margin: float | None = None
    proof: Proof = "worse"


@dataclass(frozen=True)
class Limits:
    """Demands on the run as a whole; None: no demand."""

    failed: float | None = None
    cost_usd: float | None = None
    dearer: float | None = None


@dataclass(frozen=True)
class Suite:
    """A workflow, its rows and fleet, and what is demanded of the answers."""

    name: str
    workflow: Workflow
    rows: Any
    fleet: Path
    checks: tuple[Check, ...]
    judges: tuple[JudgeCheck, ...] = ()
    limits: Limits = Limits()
    seed: int = 0

    @property
    def graders(self) -> dict[str, tuple[Grader, ...]]:
        """Step → its graders."""
        found: dict[str, tuple[Grader, ...]] = {}
        truths = [(each.step, each.truth) for each in self.judges if each.truth is not None]
        for step, grader in [*((check.step, check.grader) for check in self.checks), *truths]:
            found[step] = tuple(dict.fromkeys((*found.get(step, ()), grader)))
        return found


def load_suite(path: Path | str) -> Suite:
    """Read a suite. Raises RunError saying which entry of the file cannot be used, and why."""
    path = Path(path)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"there is no suite {path}; a suite is a TOML file, see docs/evaluation.md") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"cannot read the suite {path}: {error}") from error
    known = {"name", "workflow", "rows", "where", "cases", "fleet", "seed", "checks", "judges", "limits"}
    _only(told, known, str(path))
    for needed in ("workflow", "fleet"):
        if not isinstance(told.get(needed), str):
            raise RunError(f"{path} needs {needed!r}, a text")
    for each in ("checks", "judges", "cases"):
        if not _is_tables(told.get(each, [])):
            raise RunError(f"{path}: {each} are tables, each headed [[{each}]]")
    if not told.get("checks") and not told.get("judges"):
        raise RunError(f"{path} demands nothing: it needs [[checks]] or [[judges]]")
    if not isinstance(told.get("limits", {}), Mapping):
        raise RunError(f"{path}: limits is a table, headed [limits]")
    seed = told.get("seed", 0)
    if not isinstance(seed, int):
        raise RunError(f"{path}: seed is a whole number, not {seed!r}")
    limits = told.get("limits", {})
    _only(limits, {each.name for each in fields(Limits)}, f"{path}: [limits]")
    return Suite(
        name=str(told.get("name", path.stem)),
        workflow=load_workflow(_beside(path, str(told["workflow"]))),
        rows=_rows(told, path),
        fleet=path.parent / str(told["fleet"]),
        checks=tuple(_check(each, f"{path}: [[checks]] {n}") for n, each in enumerate(told.get("checks", ()), start=1)),
        judges=tuple(_judge(each, f"{path}: [[judges]] {n}") for n, each in enumerate(told.get("judges", ()), start=1)),
        limits=Limits(**{name: _number(value, f"{path}: limits.{name}") for name, value in limits.items()}),
        seed=seed,
    )


def parse_grader(text: str) -> Grader:
    """The grader that a call builds: one of `toolkit.grading`, or `package.module:Name(…)`. Raises RunError."""
    found = _built(text, "grader")
    if not isinstance(found, Grader):
        raise RunError(f"{text!r} is no grader")
    if found.names():
        raise RunError(f"the grader {text!r} asks a model; write it as a judge, under [[judges]]")
    return found


def parse_judge(text: str) -> Judge:
    """As `parse_grader`, a judge: `Pointwise('…', shows=('ticket',))`."""
    found = _built(text, "judge")
    if not isinstance(found, Judge):
        raise RunError(f"{text!r} is no judge, such as Pointwise('…')")
    return found


# ----------------------------------------------------------------------------------------------------------- helpers
def _built(text: str, kind: str) -> Any:
    where, _, call = text.rpartition(":") if ":" in text.split("(", 1)[0] else ("", "", text)
    try:
        node = ast.parse(call.strip(), mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise TypeError("it is no call such as Exact('label')")
        made = getattr(import_module(where) if where else grading, node.func.id)
        options = {each.arg: ast.literal_eval(each.value) for each in node.keywords if each.arg is not None}
        found = made(*map(ast.literal_eval, node.args), **options)
    except (SyntaxError, ValueError, TypeError, AttributeError, ImportError, ToolkitError) as error:
        raise RunError(f"cannot build the {kind} {text!r}: {error}") from error
    return found


def _is_tables(told: Json) -> bool:
    return isinstance(told, list) and all(isinstance(each, Mapping) for each in told)


def _judge(told: Mapping[str, Json], where: str) -> JudgeCheck:
    _only(told, {each.name for each in fields(JudgeCheck)}, where)
    for needed in ("step", "judge", "by"):
        if not isinstance(told.get(needed), str):
            raise RunError(f"{where} needs {needed!r}")
    truth, people = told.get("truth"), told.get("people")
    if (truth is None) == (people is None) or not isinstance(truth or people, str):
        raise RunError(f"{where} needs either 'truth', a grader that knows it, or 'people', whose labels are on record")
    demands = {name: told[name] for name in ("agreed", "kappa", "bias") if name in told}
    if not demands:
        raise RunError(f"{where} demands nothing: give 'agreed', 'kappa' or 'bias'")
    sure = told.get("sure", True)
    if not isinstance(sure, bool):
        raise RunError(f"{where}: sure is true or false, not {sure!r}")
    return JudgeCheck(
        name=str(told.get("name", told["by"])),
        step=told["step"],
        judge=parse_judge(told["judge"]),
        by=told["by"],
        truth=None if truth is None else parse_grader(truth),
        people=people,
        sure=sure,
        **{name: _number(value, f"{where}: {name}") for name, value in demands.items()},
    )


def _check(told: Mapping[str, Json], where: str) -> Check:
    _only(told, {each.name for each in fields(Check)}, where)
    for needed in ("step", "grader"):
        if not isinstance(told.get(needed), str):
            raise RunError(f"{where} needs {needed!r}")
    proof = told.get("proof", "worse")
    if proof not in ("worse", "no worse"):
        raise RunError(f"{where}: proof is 'worse' or 'no worse', not {proof!r}")
    least, margin = (told.get(name) for name in ("least", "margin"))
    if least is None and margin is None:
        raise RunError(f"{where} demands nothing: give 'least', 'margin' or both")
    if proof == "no worse" and not margin:
        raise RunError(f"{where}: to be shown no worse needs a margin above 0")
    return Check(
        name=str(told.get("name", told["grader"])),
        step=told["step"],
        grader=parse_grader(told["grader"]),
        least=None if least is None else _number(least, f"{where}: least"),
        margin=None if margin is None else _number(margin, f"{where}: margin"),
        proof="no worse" if proof == "no worse" else "worse",
    )


def _rows(told: Mapping[str, Json], path: Path) -> Any:
    if cases := told.get("cases"):
        if "rows" in told:
            raise RunError(f"{path} has both rows and cases; give one of them")
        return [{"id": f"case-{n}", **case} for n, case in enumerate(cases)]
    if "rows" not in told:
        raise RunError(f"{path} needs 'rows' (a file, or a SELECT), or [[cases]]")
    rows, where = str(told["rows"]), told.get("where")
    file = path.parent / rows
    if not file.exists():
        return rows
    if where is None:
        return file
    reader = DUCKDB_READERS.get(file.suffix.lower())
    if reader is None:
        raise RunError(f"{path}: 'where' wants rows out of {', '.join(DUCKDB_READERS)}, not {file.name}")
    return f"select * from {reader.format(path=str(file.resolve()).replace(chr(39), chr(39) * 2))} where {where}"


def _beside(path: Path, reference: str) -> str:
    """A workflow's file is found beside the suite; a module where Python finds it."""
    file, _, name = reference.partition(":")
    if not file.endswith(".py"):
        return reference
    return f"{path.parent / file}:{name}" if name else str(path.parent / file)


def _number(value: Json, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise RunError(f"{where} is a number from 0 up, not {value!r}")
    return float(value)


def _only(told: Mapping[str, Json], known: set[str], where: str) -> None:
    if unknown := sorted(set(told) - known):
        raise RunError(f"{where} has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}")
