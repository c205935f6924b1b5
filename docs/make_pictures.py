"""The pictures of the documents, taken anew: by the walks of tests/browser through JupyterLab and Prefect's UI.

python docs/make_pictures.py       # some minutes; needs Chromium. What the walks saw goes to docs/pictures
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"


def wanted() -> set[str]:
    """The names of the pictures that README and docs show."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    return {name for page in pages for name in re.findall(r"pictures/([\w-]+)\.png", page.read_text(encoding="utf-8"))}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="toolkit-pictures-") as folder:
        walks = [sys.executable, "-m", "pytest", "tests/browser"]
        done = subprocess.run(walks, cwd=ROOT, env={**os.environ, "TOOLKIT_PHOTOGRAPHS": folder}, check=False)
        if done.returncode:
            return done.returncode
        missing = sorted(name for name in wanted() if not (Path(folder) / f"{name}.png").exists())
        if missing:
            print(f"no walk takes these pictures: {', '.join(missing)}", file=sys.stderr)
            return 1
        PICTURES.mkdir(exist_ok=True)
        for name in sorted(wanted()):
            shutil.copyfile(Path(folder) / f"{name}.png", PICTURES / f"{name}.png")
            print(PICTURES.relative_to(ROOT) / f"{name}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
