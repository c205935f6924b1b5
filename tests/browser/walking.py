"""A person's way through a page: Chromium without a window, a page that reaches the loopback alone, photographs of it.

In: Debian's Chromium, driven by Playwright. Out: `Visit`, a page with what it was refused and where its pictures go.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Playwright, Route

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
PHOTOGRAPHS = "TOOLKIT_PHOTOGRAPHS"
SIZE = (1280, 900)
PATIENCE_SECONDS = 60.0

Scheme = Literal["light", "dark"]


def chromium() -> str | None:
    """The browser on this machine, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def launched(playwright: Playwright) -> Browser:
    """A browser of our own, which ends with Playwright."""
    return playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])


@dataclass
class Visit:
    """One page of a browser. `refused` are the addresses off this machine that it asked for, and did not get."""

    page: Page
    folder: Path
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def photograph(self, name: str, *, of: str | None = None, whole: bool = False) -> Path:
        """A picture `name`.png of what is to be seen, of the whole page, or of the first element that `of` selects."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.png"
        if of is None:
            self.page.screenshot(path=path, full_page=whole, animations="disabled")
        else:
            self.page.locator(of).first.screenshot(path=path, animations="disabled")
        return path

    def resize(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})


@contextmanager
def visiting(browser: Browser, folder: Path, *, scheme: Scheme = "light") -> Iterator[Visit]:
    """A page of its own that is refused every request which does not go to the loopback."""
    width, height = SIZE
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    visit = Visit(context.new_page(), folder)

    def guard(route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.scheme in ("data", "blob") or url.hostname in LOOPBACK:
            route.continue_()
        else:
            visit.refused.append(route.request.url)
            route.abort("internetdisconnected")

    context.route("**/*", guard)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    try:
        yield visit
    finally:
        context.close()


def photographs(otherwise: Path) -> Path:
    """Where pictures go: the folder that TOOLKIT_PHOTOGRAPHS names, or the other one."""
    return Path(os.environ.get(PHOTOGRAPHS) or otherwise)
