"""`toolkit lab`: the notebooks in JupyterLab, on this machine alone."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

NAME = "notebooks"
SHIPPED = Path(__file__).parents[2] / NAME
"""Where they are in a checkout; an installed package has none."""
QUIET = Path(__file__).parent
"""Its `labconfig` keeps JupyterLab from asking whether to fetch news."""


def lab(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="The notebooks; without it `notebooks` of the working directory."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="The first to try; the next free one is taken.")
    ] = 8888,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Open the notebooks in JupyterLab on 127.0.0.1; Ctrl-C ends it.

    Where the working directory has no folder `notebooks`, the shipped ones are copied there first. A folder that is
    there is used as it is.
    """
    opened = found(folder, shipped=SHIPPED)
    from jupyterlab.labapp import main  # type: ignore[import-untyped]

    print(f"opening {opened}; Ctrl-C ends JupyterLab and its kernels", file=sys.stderr, flush=True)
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(
        filter(None, [os.environ.get("JUPYTER_CONFIG_PATH"), str(QUIET)])
    )
    main(arguments(opened, port=port, browser=browser))


def found(folder: Path | None, *, shipped: Path) -> Path:
    """The folder to open, made of the shipped notebooks where there is none. Raises RunError where it cannot be."""
    from toolkit.errors import RunError

    if folder is not None:
        if not folder.is_dir():
            raise RunError(f"there is no folder {folder}; without a folder, {NAME} of the working directory is opened")
        return folder.resolve()
    here = Path.cwd() / NAME
    if here.is_dir():
        return here
    notebooks = sorted(shipped.glob("*.ipynb"))
    if here.exists():
        raise RunError(f"{here} is a file; give the folder of your notebooks: toolkit lab FOLDER")
    if not notebooks:
        raise RunError(f"there is no folder {here}, and this installation ships no notebooks; make one, or give yours")
    here.mkdir()
    for notebook in notebooks:
        shutil.copyfile(notebook, here / notebook.name)
    return here


def arguments(folder: Path, *, port: int, browser: bool) -> list[str]:
    """What JupyterLab is told: bound to the loopback, asks nobody for news or newer versions, ends without asking."""
    return [
        str(folder),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.answer_yes=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        # Whoever is root here, as in a container, gets no more rights by a notebook than by a shell.
        "--ServerApp.allow_root=True",
    ]
