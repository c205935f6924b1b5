"""What the walks share: a JupyterLab for a process of tests, a browser for each file, a page for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.laboratory import Laboratory, laboratory
from tests.browser.walking import Visit, chromium, launched, photographs, visiting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one file of tests: while Playwright is open an event loop runs in its thread, which others cannot bear."""
    if chromium() is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = launched(playwright)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """A page that reaches the loopback alone; its pictures go where TOOLKIT_PHOTOGRAPHS says."""
    with visiting(browser, photographs(tmp_path)) as opened:
        yield opened


@pytest.fixture(scope="session")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("lab") / "notebooks") as found:
        yield found


@pytest.fixture
def lab(_lab: Laboratory) -> Iterator[Laboratory]:
    """JupyterLab over a folder; each test writes notebooks of its own into it, and leaves no kernel behind."""
    yield _lab
    _lab.end_kernels()
