"""`toolkit lab`: which folder is opened, what JupyterLab is told, and that it comes up and goes away."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import Desk
from toolkit.cli.lab import SHIPPED, arguments, found
from toolkit.errors import RunError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_shipped_notebooks_are_copied_where_there_are_none(tmp_path: Path) -> None:
    opened = found(None, shipped=SHIPPED)
    assert opened == tmp_path / "notebooks"
    assert {path.name for path in opened.iterdir()} == {path.name for path in SHIPPED.glob("*.ipynb")}


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "notebooks" / "mine.ipynb"
    mine.parent.mkdir()
    mine.write_text("{}")
    assert found(None, shipped=SHIPPED) == mine.parent
    assert list(mine.parent.iterdir()) == [mine]
    assert found(Path("notebooks"), shipped=SHIPPED) == mine.parent


def test_without_any_notebooks_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="ships no notebooks"):
        found(None, shipped=tmp_path / "nowhere")
    (tmp_path / "notebooks").write_text("")
    with pytest.raises(RunError, match="is a file"):
        found(None, shipped=SHIPPED)


@pytest.mark.slow
def test_a_folder_that_is_not_there_is_an_error_of_the_command(desk: Desk) -> None:
    ended = desk.toolkit("lab", "nowhere")
    assert ended.code == 2
    assert ended.sentence.startswith("toolkit: there is no folder nowhere")


def test_jupyterlab_listens_on_the_loopback_alone(tmp_path: Path) -> None:
    assert "--ServerApp.ip=127.0.0.1" in arguments(tmp_path, port=8888, browser=True)


@pytest.mark.slow
def test_it_serves_the_folder_and_ends_with_one_interrupt(desk: Desk) -> None:
    (desk.folder / "notebooks").mkdir()
    (desk.folder / "notebooks" / "mine.ipynb").write_text("{}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    desk.environment["JUPYTER_TOKEN"] = "test"
    with (desk.folder / "log").open("w") as log:
        process = subprocess.Popen(
            desk.command("lab", "--no-browser", "--port", str(port)),
            cwd=desk.folder,
            env={**os.environ, **desk.surroundings},
            stdout=log,
            stderr=log,
        )
        try:
            by = time.monotonic() + 120
            told = b""
            while not told and time.monotonic() < by and process.poll() is None:
                with contextlib.suppress(urllib.error.URLError):
                    url = f"http://127.0.0.1:{port}/api/contents?token=test"
                    told = urllib.request.urlopen(url).read()
                time.sleep(0.2)
            assert b'"mine.ipynb"' in told, (desk.folder / "log").read_text()
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/lab?token=test").read().decode()
            disabled = page.partition('"disabledExtensions"')[2].partition("}")[0]
            assert "apputils-extension:announcements" in disabled, "it would ask whether to fetch news"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
