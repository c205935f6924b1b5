"""JupyterLab as `toolkit lab` opens it, and a notebook in it: its cells, its theme, its kernel.

In: a folder, and the sources of cells. Out: `Laboratory`, a server that ends with its block; `Notebook`, an open one.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nbformat
from playwright.sync_api import Locator

from tests.browser.walking import Visit

ROOT = Path(__file__).parents[2]
START_UP_SECONDS = 120.0
OPENED = "[...(window.jupyterapp?.shell.widgets('main') ?? [])].find(each => each.sessionContext)"
HUSHED = ".Toastify, .jp-toastContainer { display: none }"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


@dataclass(frozen=True)
class Laboratory:
    """A JupyterLab on the loopback over `folder`."""

    folder: Path
    url: str
    token: str

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """A notebook of code cells in the folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.folder / f"{name}.ipynb"
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
        return path

    def open(self, visit: Visit, name: str) -> Notebook:
        """That notebook on the page, alone, with its kernel ready, in the light theme whoever left which before."""
        visit.page.goto(f"{self.url}/lab/tree/{name}.ipynb?token={self.token}&reset")
        opened = Notebook(visit)
        opened.settle()
        opened.theme("light")
        return opened

    def end_kernels(self) -> None:
        """Shut down every kernel, as a person does who closes notebooks."""
        with httpx.Client(base_url=self.url, params={"token": self.token}, timeout=30) as api:
            for kernel in api.get("/api/kernels").json():
                api.delete(f"/api/kernels/{kernel['id']}")


@dataclass(frozen=True)
class Notebook:
    """A notebook that is open in JupyterLab."""

    visit: Visit

    def settle(self) -> None:
        """Wait until it has its kernel, and give it the page to itself."""
        page = self.visit.page
        page.wait_for_function(f"() => {OPENED}?.sessionContext.session?.kernel?.status === 'idle'", timeout=90_000)
        page.evaluate(f"() => {{ jupyterapp.shell.activateById({OPENED}.id); jupyterapp.shell.collapseLeft() }}")
        page.add_style_tag(content=HUSHED)

    def command(self, name: str, **arguments: Any) -> None:
        """A command of JupyterLab, to its end."""
        self.visit.page.evaluate("([name, given]) => jupyterapp.commands.execute(name, given)", [name, arguments])

    def run(self, *, wait: bool = True) -> None:
        """Run all cells; without `wait` it returns as soon as they are under way."""
        if wait:
            self.command("notebook:run-all-cells")
        else:
            self.visit.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")

    def theme(self, name: str) -> None:
        """JupyterLab's own light or dark theme."""
        self.command("apputils:change-theme", theme=THEMES[name])
        self.visit.page.wait_for_function(
            f"() => document.body.dataset.jpThemeLight === '{'true' if name == 'light' else 'false'}'"
        )
        self.visit.page.wait_for_timeout(500)

    def reload(self) -> None:
        """Reload the page, as a person does who closed it and comes back."""
        self.command("docmanager:save")
        self.visit.page.reload()
        self.settle()

    def restart_kernel(self) -> None:
        """Restart the kernel; what is shown stays."""
        self.visit.page.evaluate(f"() => {OPENED}.sessionContext.session.kernel.restart()")
        self.settle()

    def cell(self, number: int) -> Locator:
        """The code cell of that number, from 0."""
        return self.visit.page.locator(".jp-CodeCell").nth(number)

    def output(self, number: int) -> Locator:
        """What the code cell of that number shows."""
        return self.cell(number).locator(".jp-OutputArea-output").first


@contextmanager
def laboratory(folder: Path, **environment: str) -> Iterator[Laboratory]:
    """JupyterLab over a folder, with an empty configuration of its own; it ends with all its kernels."""
    config = folder.parent / f"{folder.name}-config"
    config.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    exposed = {"LabApp": {"expose_app_in_browser": True}}
    (config / "jupyter_lab_config.json").write_text(json.dumps(exposed))
    port, token = _free_port(), secrets.token_hex(8)
    own = {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTERLAB_SETTINGS_DIR": str(config / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(config / "workspaces"),
        "JUPYTER_TOKEN": token,
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    command = [sys.executable, "-m", "toolkit.cli", "lab", str(folder), "--no-browser", "--port", str(port)]
    with (config / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **own}, cwd=ROOT, stdout=log, stderr=log)
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/api/status?token={token}", process, config / "lab.log")
            yield Laboratory(folder, f"http://127.0.0.1:{port}", token)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    by = time.monotonic() + START_UP_SECONDS
    while time.monotonic() < by:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise TimeoutError(f"JupyterLab did not start within {START_UP_SECONDS:.0f} s: {log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
