"""Chromium without a window, driven by its DevTools protocol: open a page, ask it, photograph it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket  # comes with JupyterLab's server

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = (1100, 900)


def chromium() -> str | None:
    """The browser on this machine, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """The one page of a browser."""

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(url, timeout=60, suppress_origin=True)
        self._asked = 0
        self.tell("Page.enable")

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol, and its result. Raises RuntimeError where it is refused."""
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        while True:
            came = json.loads(self._socket.recv())
            if came.get("id") == self._asked:
                if "error" in came:
                    raise RuntimeError(f"{method}: {came['error']}")
                return dict(came["result"])

    def ask(self, script: str) -> Any:
        """The value of an expression of JavaScript, awaited."""
        told = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{script}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def until(self, script: str, *, seconds: float = 90.0) -> Any:
        """The first value of it that is true. Raises TimeoutError."""
        by = time.monotonic() + seconds
        while time.monotonic() < by:
            try:
                if found := self.ask(f"(() => {{ try {{ return {script} }} catch {{ return null }} }})()"):
                    return found
            except RuntimeError:  # the page is being loaded
                pass
            time.sleep(0.3)
        raise TimeoutError(f"not true within {seconds:.0f} s: {script}")

    def photograph(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))
        return path

    def close(self) -> None:
        self._socket.close()


@contextmanager
def page() -> Iterator[Page]:
    """A page in a browser of its own, which ends with it."""
    program = chromium()
    assert program is not None, "there is no Chromium on this machine"
    with tempfile.TemporaryDirectory(prefix="toolkit-browser-", ignore_cleanup_errors=True) as folder:
        size = ",".join(map(str, SIZE))
        flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
        command = [program, *flags, f"--window-size={size}", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
        process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            opened = Page(_address(Path(folder) / "DevToolsActivePort"))
            try:
                yield opened
            finally:
                opened.close()
        finally:
            process.terminate()
            process.wait(20)


def _address(file: Path) -> str:
    by = time.monotonic() + 60
    while time.monotonic() < by:
        if file.exists() and (lines := file.read_text().split()):
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as told:
                pages = [each for each in json.load(told) if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.2)
    raise TimeoutError("Chromium did not start within 60 s")
