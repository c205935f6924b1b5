"""A run of the support desk in a receiver that is not ours: Phoenix, installed here and started on the loopback.

It parses OTLP by itself and is asked for what it has stored. It takes traces and no metrics.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.telemetry.lock_receiver import LOCK, WITH_HASHES, here
from toolkit.errors import RateLimited
from toolkit.examples.support import FLEET, REQUESTS
from toolkit.examples.support.workflow import support
from toolkit.fleet import Fleet
from toolkit.ledger.reading.history import History
from toolkit.records import Reply, Request
from toolkit.telemetry import export
from toolkit.telemetry.conventions import conventions
from toolkit.telemetry.facts import Window
from toolkit.telemetry.points import metrics
from toolkit.telemetry.spans import span_id_of, trace_id_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROWS = 12


@dataclass(frozen=True)
class Phoenix:
    """The receiver, and what it tells of the spans it stored."""

    endpoint: str

    def get(self, path: str, **query: object) -> Any:
        with urllib.request.urlopen(f"{self.endpoint}{path}?{urllib.parse.urlencode(query)}", timeout=30) as response:
            return json.load(response)

    def spans(self) -> list[dict[str, Any]]:
        """All spans, in the form of OTLP as JSON, attributes as a mapping."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = {"limit": 500} | ({"cursor": cursor} if cursor else {})
            page = self.get("/v1/projects/default/spans/otlpv1", **query)
            found += [span | {"attributes": _attributes(span["attributes"])} for span in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def settled(self, count: int) -> list[dict[str, Any]]:
        """All spans, once there are `count`: what was accepted is stored a moment later."""
        deadline = time.monotonic() + 60
        while len(found := self.spans()) < count and time.monotonic() < deadline:
            time.sleep(0.5)
        return found


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The receiver in an environment of its own, from names, versions and hashes."""
    folder = tmp_path_factory.mktemp("receiver")
    wanted = folder / "requirements.txt"
    pins = LOCK.read_text(encoding="utf-8")
    with_hashes = here() == WITH_HASHES
    wanted.write_text(pins if with_hashes else re.sub(r" --hash=\S+", "", pins), encoding="utf-8")
    strict = ["--require-hashes"] if with_hashes else []
    subprocess.run([sys.executable, "-m", "venv", folder / "v"], check=True)
    python = folder / "v" / "bin" / "python"
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    install = [uv, "pip", "install", "--quiet", "--python", str(python)] if uv else pip
    whole = [*install, "--no-deps", *strict, "-r", str(wanted)]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return python.with_name("phoenix")


@pytest.fixture(scope="session")
def phoenix(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    folder = tmp_path_factory.mktemp("phoenix")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PHOENIX_"))} | {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(ports[0]),
        "PHOENIX_GRPC_PORT": str(ports[1]),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    log = (folder / "log").open("wb")
    process = subprocess.Popen([installed, "serve"], env=environment, stdout=log, stderr=subprocess.STDOUT)
    made = Phoenix(f"http://127.0.0.1:{ports[0]}")
    deadline = time.monotonic() + 180
    while True:
        try:
            made.get("/v1/projects")
            break
        except (OSError, urllib.error.URLError):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.5)
    yield made
    process.terminate()
    process.wait(timeout=60)
    log.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The support desk over a few tickets, whose small model is busy when it is first asked."""
    home = tmp_path_factory.mktemp("support")
    fleet = Fleet.load(FLEET)
    spec, small, moments = fleet["small"], fleet.open("small"), iter([True])

    async def busy_at_first(request: Request) -> Reply:
        if next(moments, False):
            raise RateLimited("one moment please", retry_after=0.01)
        return await small.send(request)

    fields = {"capabilities": spec.capabilities, "window": spec.window, "price": spec.price, "model": spec.model}
    support.run(str(REQUESTS), fleet.with_function("small", busy_at_first, **fields), home=home, limit=ROWS)
    return home


@dataclass(frozen=True)
class Stored:
    """What was exported, by the record and by the receiver."""

    history: History
    run_id: str
    spans: list[dict[str, Any]]

    def of(self, name: str, value: object) -> list[dict[str, Any]]:
        """The spans that have that attribute."""
        return [span for span in self.spans if span["attributes"].get(name) == value]

    def span(self, span_id: int) -> dict[str, Any]:
        (found,) = [span for span in self.spans if span["span_id"] == f"{span_id:016x}"]
        return found


@pytest.fixture(scope="session")
def stored(phoenix: Phoenix, home: Path) -> Stored:
    history = History(home)
    run_id = history.sql("select id from runs").rows[0][0]
    told = export(history, run_id=run_id, endpoint=phoenix.endpoint, with_metrics=False)
    assert (told.rows, told.runs, told.spans.refused) == (ROWS, 1, 0)
    again = export(history, run_id=run_id, endpoint=phoenix.endpoint, with_metrics=False)
    assert again == told
    return Stored(history, run_id, phoenix.settled(told.spans.accepted))


def _attributes(listed: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes of OTLP as JSON: name → value."""
    found = {}
    for each in listed:
        given = {kind: value for kind, value in each["value"].items() if value is not None}
        found[each["key"]] = int(given["int_value"]) if "int_value" in given else next(iter(given.values()), None)
    return found


def _ns(stamp: object) -> int:
    return int(str(stamp))


# --------------------------------------------------------------------------------------------------------------- tests
def test_all_that_was_sent_is_stored_once_though_it_was_sent_twice(stored: Stored) -> None:
    expected: list[int] = []
    export(
        stored.history,
        run_id=stored.run_id,
        dry_run=True,
        sample=lambda spans: expected.extend(s.span_id for s in spans),
    )
    assert sorted(span["span_id"] for span in stored.spans) == sorted(f"{each:016x}" for each in expected)


def test_every_attempt_on_record_is_stored_with_its_usage_cost_and_times(stored: Stored) -> None:
    recorded = stored.history.sql(
        "select id, operation_name, request_model, provider_name, input_tokens, output_tokens, cost_usd, error_type, "
        "epoch_us(started_at), service_seconds from attempts"
    ).rows
    assert len(recorded) > ROWS
    for id, operation, model, provider, input_tokens, output_tokens, cost_usd, error, started_us, seconds in recorded:
        (span,) = stored.of("toolkit.attempt_id", id)
        known = span["attributes"]
        assert span["name"] == f"{operation} {model}"
        assert (known["gen_ai.operation.name"], known["gen_ai.provider.name"]) == (operation, provider)
        assert known.get("gen_ai.usage.input_tokens") == input_tokens
        assert known.get("gen_ai.usage.output_tokens") == output_tokens
        assert known.get("toolkit.cost_usd") == cost_usd
        assert known.get("error.type") == error
        assert abs(_ns(span["start_time_unix_nano"]) - started_us * 1_000) < 1_000
        lasted = _ns(span["end_time_unix_nano"]) - _ns(span["start_time_unix_nano"])
        assert abs(lasted - seconds * 1e9) < 2_000  # it keeps microseconds


def test_rows_steps_and_attempts_stand_below_each_other(stored: Stored) -> None:
    by_id = {span["span_id"]: span for span in stored.spans}
    rows = stored.history.sql("select row_id from rows").column("row_id")
    for row_id in rows:
        root = stored.span(span_id_of(stored.run_id, row_id))
        assert root["name"] == "invoke_workflow support"
        assert root["trace_id"] == f"{trace_id_of(stored.run_id, row_id):032x}"
        assert not root["parent_span_id"]
    for attempt in [span for span in stored.spans if "toolkit.attempt_id" in span["attributes"]]:
        step = by_id[attempt["parent_span_id"]]
        assert step["name"] == attempt["attributes"]["toolkit.step"].split("/")[-1]
        assert by_id[step["parent_span_id"]]["name"] in ("invoke_workflow support", "run support")
        assert step["trace_id"] == attempt["trace_id"] == by_id[step["parent_span_id"]]["trace_id"]
    assert stored.of("gen_ai.tool.name", "passages")[0]["name"] == "execute_tool passages"


def test_the_failed_attempt_is_stored_as_an_error_and_its_retry_beside_it(stored: Stored) -> None:
    (failed,) = stored.of("error.type", "rate_limited")
    assert "ERROR" in str(failed["status"]["code"]) or failed["status"]["code"] == 2
    beside = [span for span in stored.spans if span["parent_span_id"] == failed["parent_span_id"]]
    retried = next(span for span in beside if span["attributes"]["toolkit.number"] == 2)
    assert retried["attributes"]["toolkit.why"] == "retry 1 after rate_limited"


def test_an_escalation_is_stored_with_its_reason(stored: Stored) -> None:
    escalated = [s for s in stored.spans if str(s["attributes"].get("toolkit.why", "")).startswith("escalated: small")]
    count = stored.history.sql("select count(*) from attempts where why like 'escalated: small%'").rows[0][0]
    assert len(escalated) == count > 0
    step = stored.span(int(escalated[0]["parent_span_id"], 16))["attributes"]
    assert step["toolkit.route.router"] == "Explore(Ladder('small', 'large', 'person'), rate=0.1)"


def test_no_ticket_has_left_the_record(stored: Stored) -> None:
    tickets = stored.history.sql("select fields ->> 'ticket' from rows").rows
    everything = json.dumps(stored.spans, ensure_ascii=False)
    assert not [ticket for (ticket,) in tickets if ticket in everything]


def test_a_receiver_without_metrics_is_said_to_have_none(phoenix: Phoenix, home: Path) -> None:
    history = History(home)
    told = export(history, run_id="latest", endpoint=phoenix.endpoint)
    points = sum(len(metric.points) for metric in metrics(history, Window(), conventions()))
    assert (told.spans.refused, told.points.accepted, told.points.refused) == (0, 0, points)
    assert "takes no metrics" in told.points.why
