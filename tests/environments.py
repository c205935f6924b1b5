"""Environments of their own for programs that tests speak to: names, versions and hashes from a lock, nothing of ours.

TOOLKIT_ENVIRONMENTS names a folder to keep them in; without it each run of the tests makes them anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path


def installed(lock: Path, folder: Path) -> Path:
    """The interpreter of an environment with what the lock names; `folder` is where it is made if none is kept."""
    root = Path(os.environ.get("TOOLKIT_ENVIRONMENTS") or folder)
    home = root / sha256(lock.read_bytes()).hexdigest()[:16]
    python = home / "bin" / "python"
    if (home / "whole").exists():
        return python
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    venv.create(home, with_pip=uv is None, clear=True)
    with_pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    install = [uv, "pip", "install", "--quiet", "--python", str(python)] if uv else with_pip
    done = subprocess.run(
        [*install, "--require-hashes", "-r", str(lock)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{lock.name} could not be installed: {done.stderr[-3000:]}"
    (home / "whole").touch()
    return python
