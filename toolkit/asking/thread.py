"""The loop thread: one event loop in the background, so that scripts and notebooks drive the async core alike.

A notebook's own loop is busy running the cell; a script has none. Both hand their coroutines to this one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

TOOL_THREADS = 64

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the loop thread; the future is its result."""
    return asyncio.run_coroutine_threadsafe(work, running_loop())


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop of the loop thread, started on first use; a daemon, so that it holds nobody up at exit."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _loop.set_default_executor(ThreadPoolExecutor(TOOL_THREADS, thread_name_prefix="toolkit-tool"))
            _thread = threading.Thread(target=_loop.run_forever, name="toolkit-loop", daemon=True)
            _thread.start()
    return _loop
