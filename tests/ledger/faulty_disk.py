"""A folder on a disk that can be filled, made read-only and mended.

A small file system of its own where one can be mounted; elsewhere a limit on the size of files, and another user's
rights, stand in for it.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


class Disk:
    """`folder` is what lies on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        raise NotImplementedError

    def protect(self) -> None:
        raise NotImplementedError

    def mend(self) -> None:
        raise NotImplementedError


class MountedDisk(Disk):
    """A file system in memory."""

    def fill(self) -> None:
        with (self.folder / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def protect(self) -> None:
        _mount("-o", "remount,ro", str(self.folder))

    def mend(self) -> None:
        _mount("-o", "remount,rw", str(self.folder))
        (self.folder / "filler").unlink(missing_ok=True)


class LimitedDisk(Disk):
    """No file may outgrow the largest there is; only its owner may write, which we are not while it is protected."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._user = os.geteuid()

    def fill(self) -> None:
        sizes = [path.stat().st_size for path in self.folder.rglob("*") if path.is_file()]
        resource.setrlimit(resource.RLIMIT_FSIZE, (max([65_536, *sizes]), self._limits[1]))

    def protect(self) -> None:
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if self._user == 0:
            os.seteuid(NOBODY)

    def mend(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
        os.seteuid(self._user)
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def kinds() -> list[str]:
    """The kinds of disks that this machine can make."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            _mount("-t", "tmpfs", "-o", "size=1m", "none", folder)
        except (OSError, subprocess.CalledProcessError):
            return ["limited"]
        subprocess.run(["umount", folder], check=True)
    return ["mounted", "limited"]


@contextmanager
def disk(kind: str) -> Iterator[Disk]:
    """A disk of that kind, gone afterwards."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    made: Disk = MountedDisk(folder) if kind == "mounted" else LimitedDisk(folder)
    try:
        if kind == "mounted":
            _mount("-t", "tmpfs", "-o", "size=24m", "none", str(folder))
        yield made
    finally:
        made.mend()
        if kind == "mounted":
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder)
