"""`python -m toolkit.fake FILE`: serve the settings of a file until standard input ends; for `starting`."""

from __future__ import annotations

import sys
from pathlib import Path

from toolkit.errors import SetupError
from toolkit.fake.reading import from_file, settings
from toolkit.fake.server import serve


def main() -> int:
    path = Path(sys.argv[1])
    try:
        serve(settings(from_file(path), where=str(path)), ends_with_parent=True)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
