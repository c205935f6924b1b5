"""Which process holds something, so that others can tell when it is gone. Text in, text out; it reads `/proc`."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

PROC = Path("/proc")


@cache
def _machine() -> str:
    try:
        booted = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        booted = ""
    return f"{socket.gethostname()} {booted}".strip()


def this_process() -> str:
    """This process, as others can find it: machine and boot, number, and when it began, in ticks since the boot."""
    return f"{_machine()} | {os.getpid()} | {_began(os.getpid()) or ''}"


def is_gone(holder: str) -> bool | None:
    """Whether a process has ended; None where that cannot be told from here, as it ran on another machine."""
    machine, _, rest = holder.partition(" | ")
    pid, _, began = rest.partition(" | ")
    if not pid.isdecimal() or machine.split()[:1] != _machine().split()[:1] or not PROC.exists():
        return None
    return machine != _machine() or _began(int(pid)) != (began or None)


def _began(pid: int) -> str | None:
    """When a process began; None where there is none, or nothing but its number is left."""
    try:
        told = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if told[0] in "ZX" else told[19]
