"""Nothing is left behind: a guard that outlives its process, and ends all that process had started.

    guarded() ─▶ every process started within it carries a mark ─▶ the guard ends those once the block is over,
                                                                   or its process is gone, by whatever death

The guard waits at the end of a pipe whose other end only the guarded process holds: the operating system closes that
one even on kill -9. It finds the marked processes by their environment, and ends them by their ids: flow runs first,
which stop between two attempts, then the server that they report to.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex

import psutil

MARK, ROLE = "TOOLKIT_UP", "TOOLKIT_UP_ROLE"
SERVER = "server"
GRACE_SECONDS = 15.0
PACE_SECONDS = 0.1


@contextmanager
def guarded() -> Iterator[None]:
    """All that is started in the block ends with it, at the latest; and with this process, however that ends."""
    mark = token_hex(8)
    read, write = os.pipe()
    guard = subprocess.Popen(
        [sys.executable, "-m", __name__, mark],
        stdin=read,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # deaf to a terminal's Ctrl-C and to its closing
        close_fds=True,
    )
    os.close(read)
    os.set_inheritable(write, False)
    os.environ[MARK] = mark
    try:
        yield
    finally:
        del os.environ[MARK]
        os.close(write)
        guard.wait(timeout=4 * GRACE_SECONDS)


def keep_guard(mark: str) -> None:
    """Wait until whoever holds the other end of standard input is gone, then end all that carries the mark."""
    while os.read(0, 1024):
        pass
    end(mark, servers=False)
    end(mark, servers=True)


def end(mark: str, *, servers: bool) -> None:
    """Ask the marked processes to end, wait for them, and kill those that will not."""
    begun, asked = time.monotonic(), set[int]()
    while found := _marked(mark, servers=servers):
        waited = time.monotonic() - begun
        if waited > 2 * GRACE_SECONDS:
            return
        for process in found:
            with suppress(psutil.Error):
                if waited > GRACE_SECONDS:
                    process.kill()
                elif process.pid not in asked:
                    asked.add(process.pid)
                    process.terminate()
        time.sleep(PACE_SECONDS)


def _marked(mark: str, *, servers: bool) -> list[psutil.Process]:
    """The living processes that were started with the mark: the servers among them, or the others."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            began_with = process.environ()
            if began_with.get(MARK) == mark and (began_with.get(ROLE) == SERVER) == servers:
                found.append(process)
    return found


if __name__ == "__main__":
    keep_guard(sys.argv[1])
