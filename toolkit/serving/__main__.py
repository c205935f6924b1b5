"""`python -m toolkit.serving`: serve a models.toml until SIGTERM or SIGINT; exit code 2 where nothing can be served."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from toolkit.errors import SetupError
from toolkit.fleet import Fleet
from toolkit.serving.server import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m toolkit.serving", description="Serve a fleet's models over HTTP.")
    parser.add_argument("--fleet", type=Path, required=True, help="models.toml")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    given = parser.parse_args()
    try:
        serve(Fleet.load(given.fleet), given.port)
    except (SetupError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
