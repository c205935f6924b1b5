"""Writes receiver.lock: names, versions and hashes of a real receiver, for CPython 3.11 on x86-64 Linux alone.

With the hashes for every platform it would be ten times as long; elsewhere the tests install the same versions without.
Run by hand, with uv at hand, where another version is wanted:

    python -m tests.telemetry.lock_receiver
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECEIVER = "arize-phoenix"
LOCK = Path(__file__).with_name("receiver.lock")
HEAD = "# A real OTLP receiver for the tests. Made by: python -m tests.telemetry.lock_receiver\n"
WITH_HASHES = ("CPython", "3.11", "Linux", "x86_64")


def here() -> tuple[str, ...]:
    """What `WITH_HASHES` would have to be for this interpreter."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return platform.python_implementation(), version, platform.system(), platform.machine()


def lock(resolved: str) -> str:
    """The lock of a resolution in the format of pylock.toml."""
    packages = sorted(tomllib.loads(resolved)["packages"], key=lambda package: str(package["name"]))
    return HEAD + "".join(map(_line, packages))


def _line(package: Mapping[str, Any]) -> str:
    files = package.get("wheels") or [package["sdist"]]
    hashes = sorted({file["hashes"]["sha256"] for file in files})
    return f"{package['name']}=={package['version']}" + "".join(f" --hash=sha256:{each}" for each in hashes) + "\n"


def main() -> None:
    assert here() == WITH_HASHES, f"resolve it on {' '.join(WITH_HASHES)}"
    command = ["uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--format", "pylock.toml", "-"]
    done = subprocess.run(command, input=RECEIVER, capture_output=True, text=True, check=True)
    LOCK.write_text(lock(done.stdout), encoding="utf-8")


if __name__ == "__main__":
    main()
