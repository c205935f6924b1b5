"""The command line: `toolkit --help` lists its commands.

Each command is a few lines over the layers below; what it needs is imported when it runs.
"""

from __future__ import annotations


def main() -> None:
    """The command `toolkit`."""
    from toolkit.cli.app import app

    app(prog_name="toolkit")
