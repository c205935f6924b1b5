"""The table of docs/errors.md, row by row: each fault over HTTP on the loopback, through a run, against the record.

A batch for each dialect, whole and streamed: a workflow of one step whose rows meet one fault each.
"""

from __future__ import annotations

import math
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

import toolkit as tk
from toolkit import fake
from toolkit.errors import CallError
from toolkit.fake.kinds import KINDS, PORT_KINDS
from toolkit.fake.tls import wrong_certificate
from toolkit.messages import ToolSpec
from toolkit.models.spec import ModelSpec

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
DIALECTS = ("openai", "anthropic")
MODES = ("whole", "streamed")
POLICY = tk.Retry(1, base=0.01) | tk.Repair(1) | tk.Fallback()
IMPATIENT = ("silent", "connect_timeout", "drip")
RETRY_AFTER_SECONDS = 0.2
CLOCKS_SECONDS = 0.01
"""By how much the wall's clock and the one that measures waiting may come apart."""
OURS = ("429_long", "dns", "wrong_certificate", "no_tls", "early_end", "cut_text", "tool", "alone")
"""Faults that are provoked here and not by the fake server."""
BEGINS = {
    "openai": b'data: {"id": "c", "choices": [{"index": 0, "delta": {"content": "half"}}]}\n\n',
    "anthropic": b'data: {"type": "message_start", "message": {"usage": {"input_tokens": 5}}}\n\n',
}


# ----------------------------------------------------------------------------------------------------------- the table
@dataclass(frozen=True)
class Row:
    """One row of the document; `where` are the dialects and modes that it speaks of."""

    fault: str
    by: str
    where: frozenset[str]
    error_types: frozenset[str]
    then: tuple[str, ...]
    says: str
    kept: frozenset[str]

    def covers(self, dialect: str, mode: str) -> bool:
        return {dialect, mode} <= self.where


def words(cell: str) -> frozenset[str]:
    return frozenset(filter(None, (word.strip().lower() for word in cell.split(","))))


def table() -> tuple[Row, ...]:
    rows = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or len(cells) != 7 or cells[1] == "by":
            continue
        fault, by, where, error_type, then, says, kept = cells
        told = words(where) - {"all"}
        scope = [set(group) & told or set(group) for group in (DIALECTS, MODES)]
        types = frozenset(re.findall(r"`(\w+)`", error_type))
        assert types or error_type == "none", line
        moves = tuple(move.strip() for move in then.split(","))
        rows.append(
            Row(
                fault,
                by.strip("`"),
                frozenset.union(*map(frozenset, scope)),
                types,
                moves,
                says.strip("`"),
                words(kept),
            )
        )
    return tuple(rows)


ROWS = table()
CASES = [
    (row, dialect, mode) for row in ROWS for dialect, mode in product(DIALECTS, MODES) if row.covers(dialect, mode)
]


def test_every_fault_has_one_row_in_each_dialect_whole_and_streamed() -> None:
    told = [(row.by, dialect, mode) for row, dialect, mode in CASES]
    wanted = [*product(KINDS, DIALECTS, MODES), *product(OURS, DIALECTS, MODES)]
    only_streamed = [("early_end", dialect, "whole") for dialect in DIALECTS]
    assert sorted(told) == sorted(set(wanted) - set(only_streamed))


def test_what_is_retried_is_what_may_pass_by_itself() -> None:
    transient = {kind.error_type: kind.transient for kind in CallError.__subclasses__()}
    for row in ROWS:
        for error_type in row.error_types:
            assert transient[error_type] == ("retry" in row.then) or row.by == "429_long", row


# ------------------------------------------------------------------------------------------------------------ the runs
class Answer(BaseModel):
    n: int


LOOK_UP = ToolSpec("look_up", "Finds it.", {"type": "object", "properties": {"n": {"type": "integer"}}})
STEPS: Mapping[str, tuple[str, ...]] = {"typed": ("schema_violation", "length"), "calling": ("bad_arguments",)}
"""Faults that only some steps can meet; all others meet a step whose answer is free text."""


@dataclass(frozen=True)
class Told:
    """What the record says of one row: its attempts at whoever is faulty, all its moves, and how it ended."""

    attempts: tuple[Mapping[str, Any], ...]
    status: str
    reason: str
    requests: int | None

    @property
    def first(self) -> Mapping[str, Any]:
        return self.attempts[0]

    @property
    def moves(self) -> tuple[str, ...]:
        if not self.attempts:
            return ("row failed",)
        after = tuple(re.split(r"\W", attempt["why"])[0] for attempt in self.attempts[1:])
        return (*after, *(() if self.status == "answered" else ("row failed",))) or ("taken",)


class EndsEarly(BaseHTTPRequestHandler):
    """Streams half an answer of either dialect, and ends in good order."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = BEGINS["anthropic" if self.path.endswith("messages") else "openai"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


@contextmanager
def ending_early(context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The endpoint of such a server, under TLS where a context is given."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EndsEarly) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def provider(dialect: str, mode: str, *, kind: str, endpoint: str) -> ModelSpec:
    seconds = 0.3 if kind in IMPATIENT else 60.0
    settings = {"stream": mode == "streamed"}
    model = f"{kind} {dialect} {mode}"
    return ModelSpec(kind, dialect, model, endpoint=endpoint, timeout_seconds=seconds, settings=settings)


def batch(kinds: tuple[str, ...], function: Callable[..., Any], *, fleet: tk.Fleet, home: Path, **options: Any) -> Any:
    """A run of one step over rows of which each meets its own fault first, and a model that is well as a fallback."""
    rules = [tk.Rule(tk.Ladder(kind, "well"), field="fault", value=kind) for kind in kinds]
    step = tk.step(route=tk.Rules(*rules, otherwise=tk.Fixed("well")), policy=POLICY, **options)(function)
    rows = [{"id": kind, "fault": kind, "ticket": f"Where is my parcel? ({kind})"} for kind in kinds]
    return tk.Workflow("faults", [step]).run(rows, fleet, home=home)


def plain(ticket: str) -> Any:
    return tk.prompt("Answer.", ticket=ticket)


def with_a_tool(ticket: str) -> Any:
    return tk.prompt("Answer.", ticket=ticket).with_options(tools=(LOOK_UP,))


def told(run: Any, *, kinds: tuple[str, ...], requests: Callable[[str], int | None]) -> dict[str, Told]:
    attempts = run.sql("select * from attempts order by row_id, number")
    found = [dict(zip(attempts.columns, row, strict=True)) for row in attempts.rows]
    ends = {
        row_id: (status, reason) for row_id, status, reason in run.sql("select row_id, status, reason from rows").rows
    }
    return {
        kind: Told(tuple(each for each in found if each["row_id"] == kind), *ends[kind], requests(kind))
        for kind in kinds
    }


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Told]:
    """What the record says of each fault, by fault, dialect and mode."""
    common = {"retry_after_seconds": RETRY_AFTER_SECONDS, "drip_seconds": 0.05, "shut_seconds": 600}
    served = {kind: {**common, "faults": kind} for kind in KINDS} | {
        "429_long": {"faults": "429", "retry_after_seconds": 600},
        "cut_text": {"faults": "length"},
    }
    models = {
        f"{kind} {dialect} {mode}": profile
        for (kind, profile), dialect, mode in product(served.items(), DIALECTS, MODES)
    }
    found: dict[tuple[str, str, str], Told] = {}
    with ExitStack() as stack:
        server = stack.enter_context(fake.running(fake.settings({"models": {**models, "well": {}}})))
        early, untrusted = (stack.enter_context(ending_early(context)) for context in (None, wrong_certificate()))
        ours = {
            "dns": "http://no-such-host.invalid/v1",
            "wrong_certificate": untrusted,
            "no_tls": early.replace("http:", "https:"),
            "early_end": early,
        }
        listed = server.counts()["models"]
        for dialect, mode in product(DIALECTS, MODES):
            endpoints = {kind: listed[f"{kind} {dialect} {mode}"]["endpoint"] for kind in served} | ours
            specs = [provider(dialect, mode, kind=kind, endpoint=endpoint) for kind, endpoint in endpoints.items()]
            fleet = tk.Fleet.of(*specs, ModelSpec("well", "openai", "well", endpoint=server.url))
            special = {kind for kinds in STEPS.values() for kind in kinds}
            free = tuple(kind for kind in endpoints if kind not in special and (kind, mode) != ("early_end", "whole"))
            for kinds, function, options in (
                (free, plain, {}),
                (STEPS["typed"], plain, {"output": Answer}),
                (STEPS["calling"], with_a_tool, {}),
            ):
                home = tmp_path_factory.mktemp("run")
                run = batch(kinds, function, fleet=fleet, home=home, **options)
                counts = server.counts()["models"]

                def requests(
                    kind: str, told: Mapping[str, Any] = counts, suffix: str = f"{dialect} {mode}"
                ) -> int | None:
                    return None if kind in (*PORT_KINDS, *ours) else int(told[f"{kind} {suffix}"]["requests"])

                found |= {
                    (kind, dialect, mode): each for kind, each in told(run, kinds=kinds, requests=requests).items()
                }
            found["tool", dialect, mode] = met_by_a_tool(fleet, tmp_path_factory.mktemp("run"))
            found["alone", dialect, mode] = met_alone(fleet["400"], tmp_path_factory.mktemp("run"))
    return found


def met_by_a_tool(fleet: tk.Fleet, home: Path) -> Told:
    @tk.step
    def look_up(ticket: str) -> str:
        raise ValueError(f"no such parcel in {ticket}")

    rows = [{"id": "tool", "ticket": "L-1"}]
    run = tk.Workflow("tools", [look_up]).run(rows, fleet, home=home)
    return told(run, kinds=("tool",), requests=lambda _: None)["tool"]


def met_alone(spec: ModelSpec, home: Path) -> Told:
    step = tk.step(route=tk.Fixed(spec.name), policy=POLICY)(plain)
    rows = [{"id": "alone", "ticket": "Where is it?"}]
    run = tk.Workflow("alone", [step]).run(rows, tk.Fleet.of(spec), home=home)
    return told(run, kinds=("alone",), requests=lambda _: None)["alone"]


# ------------------------------------------------------------------------------------------------------------ the proof
@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "dialect", "mode"), CASES, ids=[f"{row.by}-{dialect}-{mode}" for row, dialect, mode in CASES]
)
def test_the_record_says_what_the_row_says(
    row: Row, dialect: str, mode: str, record: Mapping[tuple[str, str, str], Told]
) -> None:
    met = record[row.by, dialect, mode]
    assert met.moves == row.then, met
    assert met.status == ("failed" if "row failed" in row.then else "answered")
    if not met.attempts:
        assert row.by == "tool"
        assert row.says in met.reason
        return
    of_faulty = [attempt for attempt in met.attempts if attempt["model"] != "well"]
    for attempt in of_faulty:
        assert {attempt["error_type"]} - {None} <= row.error_types
        assert row.says in (attempt["error_message"] or "")
    first = met.first
    assert first["error_type"] in (row.error_types or {None})
    assert (first["input_tokens"] is not None and first["output_tokens"] is not None) == ("tokens" in row.kept)
    assert (first["output_hash"] is not None) == ("answer" in row.kept)
    assert (first["finish_reasons"] == ["length"]) == (row.by in ("length", "cut_text"))
    if met.requests is not None:
        assert met.requests <= len(of_faulty), "somebody beside the policy asked again"
        assert met.requests == len(of_faulty) or row.by in IMPATIENT, "where one may be too late to be sent at all"


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "mode"), [*product(DIALECTS, MODES)])
def test_the_next_attempt_waits_as_long_as_the_provider_asks(
    dialect: str, mode: str, record: Mapping[tuple[str, str, str], Told]
) -> None:
    pairs = {row.by: record[row.by, dialect, mode].attempts[:2] for row in ROWS if "wait" in row.kept}
    assert set(pairs) == {"429", "429_date"}
    assert pairs["429"][1]["wait_seconds"] >= RETRY_AFTER_SECONDS
    first, again = pairs["429_date"]
    told = math.floor(first["started_at"].timestamp() + RETRY_AFTER_SECONDS + 1)  # a date has whole seconds
    assert again["started_at"].timestamp() + again["wait_seconds"] >= told - CLOCKS_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "mode"), [*product(DIALECTS, MODES)])
def test_every_other_row_of_the_batch_is_answered(
    dialect: str, mode: str, record: Mapping[tuple[str, str, str], Told]
) -> None:
    ends = {by: met.status for (by, d, m), met in record.items() if (d, m) == (dialect, mode)}
    assert {by for by, status in ends.items() if status != "answered"} == {"tool", "alone"}


MEMORY = """
import asyncio, resource, sys
from toolkit.errors import InvalidResponse
from toolkit.messages import Message, Text
from toolkit.models import openai
from toolkit.models.http import HttpModel
from toolkit.models.spec import ModelSpec
from toolkit.records import Request

async def ask(endpoint, model):
    far = HttpModel(ModelSpec("far", "openai", model, endpoint=endpoint), openai)
    try:
        await far.send(Request(messages=(Message("user", (Text("Hi"),)),)))
    except InvalidResponse:
        return
    finally:
        await far.close()
    raise SystemExit("a reply came back")

asyncio.run(ask(sys.argv[1], "wrong"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for model in sys.argv[2:]:
    for _ in range(2):
        asyncio.run(ask(sys.argv[1], model))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_a_body_of_a_gibibyte_or_without_end_costs_less_than_100_mb() -> None:
    models = {"huge": {"faults": "huge"}, "endless": {"faults": "endless"}, "wrong": {"faults": "html_200"}}
    with fake.running(fake.settings({"models": models})) as server:
        command = [sys.executable, "-c", MEMORY, server.url, "huge", "endless"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 100_000, f"{done.stdout} KiB more"
        assert {name: each["requests"] for name, each in server.counts()["models"].items()} == {
            "huge": 2, "endless": 2, "wrong": 1,
        }  # fmt: skip


def test_the_bytes_that_begin_a_stream_are_of_their_dialect() -> None:
    for body in BEGINS.values():
        assert orjson.loads(body.removeprefix(b"data: "))
