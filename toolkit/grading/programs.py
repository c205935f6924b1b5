"""Code that runs: the answer is a program, and the row holds the tests that it has to pass.

The program runs in a process of its own, with limits on time, memory and files, an empty environment and an empty
folder. That keeps accidents in; it is NO SANDBOX: the process may read what its user may read, and reach the network.
Grade programs that nobody has read in a container or a virtual machine without network.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from toolkit.grading.grader import Case, Grader, assertion, ungraded, words
from toolkit.records import Grade

_FENCE = re.compile(r"\s*```+[^\S\n]*([\w+#-]*)")
_PYTHON = ("python", "py", "python3", "py3")
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_MOST_BYTES = 1_000_000

_CHILD = """
import os, sys
seconds, megabytes, most = map(int, sys.argv[1:4])
try:
    import resource
    for limit, value in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, megabytes << 20),
                         (resource.RLIMIT_FSIZE, most), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))
except (ImportError, ValueError, OSError):
    pass
passed, done = sys.stdin.read().encode(), os.dup(1)
os.dup2(2, 1)
told = {"__name__": "answer"}
for name in ("answer.py", "tests.py"):
    with open(name, encoding="utf-8") as file:
        exec(compile(file.read(), name, "exec"), told)
os.write(done, passed)
"""


@dataclass(frozen=True)
class Passes(Grader):
    """The answer is Python that the tests in the column `expects` (Python too: assertions, say) run through.

    Of an answer with fences the Python between them counts, or what says no language. Tests that only define something
    test nothing, and give no grade: call them in the end. `seconds` of time and `memory_mb` of memory are allowed. It
    blocks while the program runs, so grade finished runs with it (`grade_run`), not the steps of a run under way. NO
    SANDBOX.
    """

    expects: str
    of: str | None = None
    seconds: int = 5
    memory_mb: int = 512

    def __post_init__(self) -> None:
        if self.seconds < 1 or self.memory_mb < 64:
            raise ValueError(f"{self!r} allows too little: at least 1 second and 64 MB")

    def grade(self, case: Case) -> Grade | None:
        tests = case.fields.get(self.expects)
        if not isinstance(tests, str) or not tests.strip():
            return None
        if _runs_nothing(tests):
            return ungraded(self, "the tests only define something, and call nothing: have them call it in the end")
        fault = _fault(_program(words(case.value, self.of)), tests, self.seconds, self.memory_mb)
        return assertion(self, fault is None, fault or "the tests passed")


def _program(answer: str) -> str:
    """The Python of an answer: between fences that say so, else between fences that say nothing, else all of it."""
    blocks: list[tuple[str, list[str]]] = []
    is_open = False
    for line in answer.splitlines():
        if found := _FENCE.match(line):
            if not is_open:
                blocks.append((found[1].lower(), []))
            is_open = not is_open
        elif is_open:
            blocks[-1][1].append(line)
    for wanted in (_PYTHON, ("",)):
        if fitting := ["\n".join(lines) for language, lines in blocks if language in wanted]:
            return "\n".join(fitting)
    return answer


def _runs_nothing(tests: str) -> bool:
    try:
        body = ast.parse(tests).body
    except (SyntaxError, ValueError):
        return False
    return all(
        isinstance(each, _DEFINES) or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in body
    )


def _fault(program: str, tests: str, seconds: int, memory_mb: int) -> str | None:
    """What went wrong, None where the tests came to their end: told by a word that the program does not know."""
    word = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        for name, text in (("answer.py", program), ("tests.py", tests)):
            Path(folder, name).write_text(text, encoding="utf-8", errors="replace")
        said, complaints = Path(folder, "said"), Path(folder, "complaints")
        with said.open("wb") as out, complaints.open("wb") as err:
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", _CHILD, str(seconds), str(memory_mb), str(_MOST_BYTES)],
                cwd=folder, env={}, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
            try:
                child.communicate(word.encode(), timeout=seconds + 1)
            except subprocess.TimeoutExpired:
                return f"it ran longer than {seconds} s"
            finally:
                _end(child)
        if word in said.read_text(errors="replace"):
            return None
        if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"it ran longer than {seconds} s, or out of memory"
        lines = complaints.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"it ended before the tests did (exit code {child.returncode})"


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the program and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
