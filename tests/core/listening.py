"""A server on the loopback that keeps every body it is sent: it answers by a function, or hands on to a fake server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson

from toolkit import Fleet, ModelSpec

Answer = Callable[[str, dict[str, Any]], tuple[str, bytes]]
"""Path and body of a call → content type and body of its answer."""
CAN = frozenset({"chat", "json", "tools"})


@dataclass
class Ear:
    """What was heard: the bodies as JSON, and as the bytes that came, in the order of their coming."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def model(self, name: str, dialect: str, **options: Any) -> ModelSpec:
        """A member of a fleet that is reached here."""
        return ModelSpec(name, dialect, name, endpoint=f"{self.url}/v1", capabilities=CAN, settings=options)

    def fleet(self, **dialects: str) -> Fleet:
        return Fleet({name: self.model(name, dialect) for name, dialect in dialects.items()})


@contextlib.contextmanager
def listening(answer: Answer) -> Iterator[Ear]:
    """The server, for as long as the context lasts."""
    ear = Ear()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            ear.raw.append(raw)
            ear.bodies.append(orjson.loads(raw))
            kind, body = answer(self.path, ear.bodies[-1])
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    ear.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield ear
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handing_on_to(url: str) -> Answer:
    """Answers as the server at `url` (which ends in /v1) does."""

    def answer(path: str, body: dict[str, Any]) -> tuple[str, bytes]:
        told = httpx.post(url.removesuffix("/v1") + path, json=body, timeout=20, trust_env=False)
        told.raise_for_status()
        return told.headers["content-type"], told.content

    return answer
