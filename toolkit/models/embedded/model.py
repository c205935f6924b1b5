"""`Embedded`, what the models here share: loading once, off the event loop, and turning surprises into CallErrors."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from toolkit.errors import CallError, InvalidRequest
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request, canonical

FURTHER = ("training", "examples", "concepts", "hints", "synonyms")
"""Settings that name files which a model can do without."""


class Embedded:
    """A model in this process. Subclasses say which files they need, how to `load`, and how to `answer`."""

    files: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        further = (setting for setting in FURTHER if setting in spec.settings)
        self._paths = {setting: spec.path(setting) for setting in (*self.files, *further)}
        self._loaded = False
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read and train what answering needs; called once, before the first answer."""

    def answer(self, request: Request) -> Reply:
        """The reply to a request. Raises InvalidRequest for what this model cannot do."""
        raise NotImplementedError

    async def send(self, request: Request) -> Reply:
        """The reply. Its service time is the model's own work: neither its loading nor its turn on the event loop."""
        try:
            if not self._loaded:
                await asyncio.to_thread(self._load_once)
            began = time.perf_counter()
            reply = self.answer(request)
            return replace(reply, service_seconds=time.perf_counter() - began)
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

    def fingerprint(self) -> bytes:
        """What the model is made of: its settings, and when its files were last written."""
        written = {setting: path.stat().st_mtime_ns for setting, path in self._paths.items()}
        return canonical({"settings": dict(self.spec.settings), "written": written})

    def chat_only(self, request: Request) -> None:
        """Refuse what is no chat request."""
        if request.operation != "chat":
            raise InvalidRequest(f"{self.spec.name} answers chat requests, not {request.operation}")


def one_thread() -> AbstractContextManager[Any]:
    """Keeps linear algebra on one thread meanwhile: on small matrices more threads only wait for each other."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits
