"""Those who wait until their entries are durable: coroutines and threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass
class Waiter:
    """Who waits for a ticket: a future of an event loop, or a thread at an event."""

    ticket: int
    loop: asyncio.AbstractEventLoop | None
    done: asyncio.Future[None] | threading.Event


def wake(ready: Iterable[Waiter]) -> None:
    """Wake waiters: one call into each event loop, however many wait there."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in ready:
        if isinstance(waiter.done, threading.Event):
            waiter.done.set()
        elif waiter.loop is not None:
            loops.setdefault(waiter.loop, []).append(waiter.done)
    for loop, futures in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, futures)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _settle(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
