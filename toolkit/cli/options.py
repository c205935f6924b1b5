"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path,
    typer.Option("--home", envvar="TOOLKIT_HOME", help="The folder with journal and history."),
]
DEFAULT_HOME = Path(".toolkit")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
InFlight = Annotated[int, typer.Option("--in-flight", min=1, help="Rows under way at once.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name, cut short if you like, or `latest`.")]
