"""Secrets planted wherever one can enter a run, a workflow that meets all of them, and a search through what it leaves.

It is imported by tests, and by the notebook that one of them runs: the planted values are in no file that is searched.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb

import toolkit as tk
from toolkit.grading import Case, Grader
from toolkit.records import Grade
from toolkit.runs.running import Running

CANARIES = {
    "key in a row": "sk-proj-CanaryRow0123456789abcdef",
    "card in a row": "4929 4212 3460 0821",
    "card read as a number": "5555341244441115",
    "e-mail in a row": "canary.row@mail.example",
    "phone in a row": "+49 171 5550143",
    "row's id": "canary.id@mail.example",
    "column named api_key": 'plain canary "column" wörds',
    "tool's value by name": "plain canary tool words",
    "tool's value by shape": "ghp_CanaryTool0123456789abcdefghij",
    "text of an exception": "AKIACANARYEXCEPTN001",
    "reason to skip": "glpat-CanarySkip0123456789",
    "reply of a function": "xoxb-424242424242-CanaryFunction",
    "reply over HTTP": "hf_CanaryHttpReply0123456789ab",
    "reply's JSON by name": "plain canary reply words",
    "key of the fleet, echoed": "loopback-canary-of-no-shape",
    "words of the workflow's author": "gsk_CanaryInstruction0123456789",
    "reason of a grade": "npm_CanaryGrader0123456789abcd",
    "batch's value": "r8_CanaryReduced0123456789abcd",
    "password in the query of the rows": "canarypassword77",
}
KEY_ENV = "TOOLKIT_TEST_CANARY_KEY"
ENDPOINT = "TOOLKIT_TEST_CANARY_ENDPOINT"


class Quotes(Grader):
    """A grader that says too much."""

    def grade(self, case: Case) -> Grade | None:
        return Grade("Quotes()", "score", 1.0, reason=f"looked up with {CANARIES['reason of a grade']}")

    def __repr__(self) -> str:
        return "Quotes()"


@tk.step
def looked_up(ticket: str) -> dict[str, str]:
    return {"password": CANARIES["tool's value by name"], "note": "see " + CANARIES["tool's value by shape"]}


@tk.step
def broken(ticket: str) -> str:
    raise OSError(f"refused for {CANARIES['text of an exception']}")


@tk.step
def left_out(ticket: str) -> tk.Skip:
    return tk.Skip(f"no access with {CANARIES['reason to skip']}")


@tk.step(route=tk.Fixed("small"), grade=Quotes())
def reply(ticket: str, looked_up: dict[str, str]) -> tk.Request:
    instruction = "Answer; your key is " + CANARIES["words of the workflow's author"]
    return tk.prompt(instruction, ticket=ticket, looked_up=looked_up)


@tk.step(route=tk.Fixed("far"), policy=tk.Once())
def far_reply(ticket: str, reply: str) -> tk.Request:
    return tk.prompt("Answer from afar.", ticket=ticket, reply=reply)


@tk.step(route=tk.Fixed("shut"), policy=tk.Repair(1))
def refused(ticket: str) -> tk.Request:
    return tk.prompt("Answer in vain.", ticket=ticket)


@tk.step(reduces=True)
def digest(far_reply: list[str]) -> dict[str, Any]:
    return {"told": far_reply, "signed": CANARIES["batch's value"]}


workflow = tk.Workflow("canary", [looked_up, broken, left_out, reply, far_reply, refused, digest])


def rows(folder: Path) -> str:
    """A query over a file of rows in that folder, with a password in it."""
    row = {
        "id": CANARIES["row's id"],
        "ticket": "Mine: {}, {}, {} or {}".format(
            *(CANARIES[f"{what} in a row"] for what in ("key", "card", "e-mail", "phone"))
        ),
        "api_key": CANARIES["column named api_key"],
        "number": int(CANARIES["card read as a number"]),
    }
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps({**row, "id": f"{at}{row['id']}"}) for at in range(2)))
    url = f"postgres://joe:{CANARIES['password in the query of the rows']}@db.example/x"
    return f"select * from '{path}' where id <> '{url}'"


def fleet() -> tk.Fleet:
    """A function, a model over HTTP that says secrets, and one that refuses and echoes the key."""
    endpoint = os.environ[ENDPOINT]
    found = tk.Fleet.of(
        tk.ModelSpec("far", "openai", "far", endpoint=f"{endpoint}/v1", key_env=KEY_ENV),
        tk.ModelSpec("shut", "openai", "shut", endpoint=f"{endpoint}/shut/v1", key_env=KEY_ENV),
    )
    price = tk.ModelSpec("x", "function", "x").price
    return found.with_function("small", lambda _: f"I am {CANARIES['reply of a function']}", price=price)


def run(home: Path, rows: str, redact: tk.Redact | None) -> Running:
    return workflow.run(rows, fleet(), home=home, redact=redact)


# ----------------------------------------------------------------------------------------------------------- the server
class Talks(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that keeps nothing to itself."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path.startswith("/shut"):
            words = f"Incorrect API key provided: {self.headers['authorization'].removeprefix('Bearer ')}"
            self._say(401, {"error": {"code": "invalid_api_key", "message": words}})
            return
        secret = json.dumps({"client_secret": CANARIES["reply's JSON by name"]})
        content = f"from afar {CANARIES['reply over HTTP']} {secret}"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        self._say(200, {"id": "r", "model": "far", "choices": [choice], "usage": {"prompt_tokens": 9}})

    def _say(self, status: int, told: Mapping[str, Any]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def talking() -> Iterator[str]:
    """The server while the block runs; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Talks)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


# ----------------------------------------------------------------------------------------------------------- the search
@dataclass(frozen=True)
class Left:
    """Everything that a run left: name → bytes."""

    pieces: Mapping[str, bytes]

    @classmethod
    def of(cls, *folders: Path, told: str = "") -> Left:
        """All files of these folders, raw and, where a format may hide a text, also as the text of all their tables."""
        pieces = {"what was printed and logged": told.encode()}
        for folder in folders:
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                pieces[str(path)] = path.read_bytes()
                pieces |= {f"{path}, table {at}": table for at, table in enumerate(_tables(path))}
        return cls(pieces)

    def leaks(self) -> dict[str, list[str]]:
        """What was planted and is there → where."""
        found = {}
        for what, canary in CANARIES.items():
            forms = set(_forms(canary))
            where = [name for name, piece in self.pieces.items() if any(form in piece for form in forms)]
            if where:
                found[what] = where
        return found


def _forms(canary: str) -> Iterator[bytes]:
    """A text as it is, as JSON with and without escapes, twice in JSON, and within base64 at any place."""
    for text in {canary, canary.replace(" ", "") if canary.replace(" ", "").isdigit() else canary}:
        for told in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            yield told.encode()
            yield json.dumps(told)[1:-1].encode()
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + text.encode())
            yield encoded[4 if shift else 0 : -4]


def _tables(path: Path) -> Iterable[bytes]:
    head = path.read_bytes()[:16]
    if head.startswith(b"SQLite format 3"):
        return [_sqlite(path)]
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            names = connection.execute("select table_name from duckdb_tables()").fetchall()
            return [_rows(connection.execute(f'from "{name}"').fetchall()) for (name,) in names]
    if path.suffix == ".parquet":
        with duckdb.connect() as connection:
            return [_rows(connection.execute(f"from read_parquet('{path}')").fetchall())]
    return []


def _sqlite(path: Path) -> bytes:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        return b"\n".join(_rows(connection.execute(f'select * from "{name}"').fetchall()) for (name,) in names)


def _rows(found: list[tuple[Any, ...]]) -> bytes:
    cells = (cell if isinstance(cell, bytes) else str(cell).encode() for row in found for cell in row)
    return b"\n".join(cells)
