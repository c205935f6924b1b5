"""A fake server as a process of its own, for tests and notebooks: started, asked for its counts, ended."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import orjson

from toolkit.errors import SetupError
from toolkit.fake.profiles import Settings
from toolkit.fake.reading import told
from toolkit.records import Json

ENDING_SECONDS = 5.0
ANSWER_SECONDS = 30.0
DIRECTLY = build_opener(ProxyHandler({}))
"""The loopback is reached without a proxy, whatever the environment says."""


@dataclass(frozen=True)
class Running:
    """A server in another process. `url` ends in /v1."""

    url: str
    process: subprocess.Popen[str]

    def endpoint(self, model: str) -> str:
        """Where a model is reached: its own port, where it has one."""
        return str(self.counts()["models"][model]["endpoint"])

    def counts(self) -> dict[str, Json]:
        """Totals by model, as `GET /fake/counts` tells them."""
        return self._asked("/fake/counts")

    def requests(self, since: int = 0) -> dict[str, Json]:
        """The calls one by one, from number `since` on."""
        return self._asked(f"/fake/requests?since={since}")

    def reset(self) -> None:
        """As if just started."""
        self._asked("/fake/reset", method="POST")

    def _asked(self, path: str, *, method: str = "GET") -> dict[str, Json]:
        origin = self.url.removesuffix("/v1")
        with DIRECTLY.open(Request(origin + path, method=method), timeout=ANSWER_SECONDS) as response:
            found: dict[str, Json] = orjson.loads(response.read())
        return found


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """A server in a process of its own, for as long as the context lasts; it ends with this process too.

    Raises SetupError where it does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "fake.json"
        config.write_bytes(orjson.dumps(told(settings)))
        command = [sys.executable, "-m", "toolkit.fake", str(config)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                line = process.stdout.readline()
                if not line:
                    raise SetupError(f"the fake server did not start: {process.stderr.read().strip()[-1000:]}")
                yield Running(line.split(" on ", 1)[1].split()[0], process)
            finally:
                process.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(ENDING_SECONDS)
                process.kill()
