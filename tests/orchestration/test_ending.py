"""Nothing that `toolkit up` starts outlives it, whatever it dies of."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

PARENT = """
import os, subprocess, sys, time
from toolkit.guarding import ROLE, SERVER, guarded

SLOW = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(time.sleep(1))); time.sleep(600)"
with guarded():
    child = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLOW!r}]); time.sleep(600)"
    started = [
        subprocess.Popen([sys.executable, "-c", child], start_new_session=True),
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, ROLE: SERVER}),
    ]
    time.sleep(1.5)
    print(*(process.pid for process in started), flush=True)
    if sys.argv[1] == "stays":
        time.sleep(600)
"""


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that the parent has started, with their children."""
    assert process.stdout is not None
    first = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    found = [*first, *(child for each in first for child in each.children(recursive=True))]
    assert len(found) == 3
    return found


def gone(processes: list[psutil.Process], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "ends by itself"])
def test_all_that_was_started_ends_with_the_process_that_started_it(tmp_path: Path, how: str) -> None:
    code = tmp_path / "parent.py"
    code.write_text(PARENT)
    stays = "stays" if how == "killed" else "goes"
    process = subprocess.Popen([sys.executable, str(code), stays], stdout=subprocess.PIPE, text=True)
    try:
        started = family(process)
        if how == "killed":
            process.kill()
        assert gone(started, seconds=20)
    finally:
        process.kill()
        process.wait()
