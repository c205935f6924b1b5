"""`Embedded`, what the six models share: loading once, off the event loop, and turning surprises into CallErrors."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from toolkit.errors import CallError, InvalidRequest
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request


class Embedded:
    """A model in this process. Subclasses say which files they need, how to `load`, and how to `answer`."""

    files: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._paths = {setting: spec.path(setting) for setting in self.files}
        self._loaded = False
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read and train what answering needs; called once, before the first answer."""

    def answer(self, request: Request) -> Reply:
        """The reply to a request. Raises InvalidRequest for what this model cannot do."""
        raise NotImplementedError

    async def send(self, request: Request) -> Reply:
        try:
            if not self._loaded:
                await asyncio.to_thread(self._load_once)
            return self.answer(request)
        except CallError:
            raise
        except Exception as error:
            raise InvalidRequest(f"{self.spec.name} failed on this request: {type(error).__name__}: {error}") from error

    async def close(self) -> None:
        return None

    def _load_once(self) -> None:
        with self._lock:
            if not self._loaded:
                self.load()
                self._loaded = True

    def chat_only(self, request: Request) -> None:
        """Refuse what is no chat request."""
        if request.operation != "chat":
            raise InvalidRequest(f"{self.spec.name} answers chat requests, not {request.operation}")


def one_thread() -> AbstractContextManager[Any]:
    """Keeps linear algebra on one thread meanwhile: on small matrices more threads only wait for each other."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
