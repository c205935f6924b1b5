"""A run's widget in a real JupyterLab, in a real browser: it lives, survives a reload of the page, and cancels.

    python -m evals.notebooks [FOLDER]      # about a minute; photographs go to FOLDER (default: a temporary one)

JupyterLab is started by `toolkit lab`. Each step that fails raises; the last line says what was seen.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from evals.notebooks.browser import Page, page

ROOT = Path(__file__).resolve().parents[2]
CELL = """
import asyncio
import toolkit as tk
from toolkit.errors import Unavailable

@tk.step
async def order(ticket: str) -> str:
    await asyncio.sleep(0.8)
    if ticket.endswith("5"):
        raise ValueError(f"there is no such order: {ticket}")
    return ticket

@tk.step(route=tk.Ladder("small", "person"), policy=tk.Retry(1, base=0.1) | tk.Escalate(below=0.5) | tk.Fallback())
def reply(order: str):
    return tk.prompt("Answer.", ticket=order)

def small(request):
    if "13" in request.text:
        raise Unavailable("HTTP 503: the fake is tired")
    return "fine"

rows = [{"id": f"t{n:03}", "ticket": f"number {n}"} for n in range(900)]
person = tk.ModelSpec(name="person", provider="person", model="person")
fleet = tk.Fleet({"person": person}).with_function("small", small)
run = tk.Workflow("desk", [order, reply]).start(rows, fleet, in_flight=12, budget="5 USD; ceiling: 0.001 USD")
run
""".strip()
TOLD = "document.querySelector('.jp-OutputArea .widget-html [role=img]').getAttribute('aria-label')"
OPENED = "[...jupyterapp.shell.widgets('main')].find(each => each.sessionContext)"
BUTTON = "document.querySelector('.jp-OutputArea .jupyter-button')"
SHOWN = "document.querySelector('.jp-OutputArea [role=img]').parentElement.innerText"


def main() -> None:
    photographs = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="toolkit-photographs-"))
    photographs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="toolkit-lab-") as folder, laboratory(Path(folder)) as url, page() as seen:
        seen.tell("Page.navigate", url=f"{url}&reset")
        ready(seen)
        seen.ask("jupyterapp.commands.execute('notebook:run-all-cells')")
        first = seen.until(TOLD)
        later = seen.until(f"{TOLD} != {json.dumps(first)} && {TOLD}")
        time.sleep(3)
        seen.photograph(photographs / "light.png")
        seen.ask(f"{OPENED}.context.save()")
        seen.ask("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        time.sleep(2)
        seen.photograph(photographs / "dark.png")
        seen.ask("window.isOld = true")
        seen.tell("Page.reload")
        ready(seen)
        reloaded = seen.until(TOLD)
        alive = seen.until(f"{TOLD} != {json.dumps(reloaded)} && {TOLD}")
        seen.ask(f"{BUTTON}.click()")
        ended = seen.until(f"{SHOWN}.includes('cancelled') && {SHOWN}")
        time.sleep(1)
        seen.photograph(photographs / "cancelled.png")
    print(f"first {first!r}, then {later!r}; after a reload {reloaded!r}, then {alive!r}; cancelled: {ended!r}")
    print(f"photographs: {photographs}")


def ready(seen: Page) -> None:
    """Until the notebook has its kernel; then it is the one that commands are for, and has the page to itself."""
    seen.until(f"!window.isOld && {OPENED}.sessionContext.session.kernel.status == 'idle'", seconds=60)
    seen.ask(f"jupyterapp.shell.activateById({OPENED}.id)")
    seen.ask("jupyterapp.shell.collapseLeft()")
    hidden = ".Toastify, .jp-toastContainer { display: none }"
    seen.ask(f"document.head.appendChild(document.createElement('style')).textContent = {json.dumps(hidden)}")


@contextmanager
def laboratory(folder: Path) -> Iterator[str]:
    """JupyterLab over a folder with one notebook; the notebook's address. It ends with all its kernels."""
    cell = nbformat.v4.new_code_cell(CELL, metadata={"jupyter": {"source_hidden": True}})  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "watched.ipynb")  # type: ignore[no-untyped-call]
    (folder / "config").mkdir()
    exposed = {"LabApp": {"expose_app_in_browser": True}}
    (folder / "config" / "jupyter_lab_config.json").write_text(json.dumps(exposed))
    port, token = _free_port(), secrets.token_hex(8)
    own = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_TOKEN": token, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "toolkit.cli", "lab", str(folder), "--no-browser", "--port", str(port)]
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
        try:
            _answers(f"http://127.0.0.1:{port}/api/status?token={token}", process)
            yield f"http://127.0.0.1:{port}/lab/tree/watched.ipynb?token={token}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _answers(url: str, process: subprocess.Popen[bytes]) -> None:
    by = time.monotonic() + 90
    while time.monotonic() < by:
        assert process.poll() is None, "JupyterLab ended"
        try:
            with urllib.request.urlopen(url):
                return
        except urllib.error.URLError:
            time.sleep(0.3)
    raise TimeoutError("JupyterLab did not start within 90 s")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
