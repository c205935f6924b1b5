"""Long requests are kept in pieces, each once, and are whole again wherever they are read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.ledger_samples import attempt, place
from toolkit.ledger import History, Journal, attempt_entries
from toolkit.ledger.documents import CHUNK, MARK, PIECES, TEXT_BYTES, WHOLE_BYTES, join, split
from toolkit.ledger.entries import request_entries
from toolkit.ledger.recording import Recorder
from toolkit.messages import Data, Message, Text, ToolCall
from toolkit.records import Request, content_hash

ODD = 'quotes " and \\ and \n and \x00 and \x7f and é and 🙂 and </tag> and {"$pieces":["=x"]} and "[' + "0" * 32 + '"'
LONG = st.text(st.sampled_from('ab "\\\n\x01é🙂[=0'), max_size=40).map(lambda text: text * 40)
PARTS = st.one_of(
    st.builds(Text, LONG | st.text(max_size=30)),
    st.builds(Data, st.just("ticket"), LONG),
    st.builds(ToolCall, st.just("1"), st.just("search"), st.dictionaries(st.text(max_size=5), LONG, max_size=2)),
)
MESSAGES = st.builds(Message, st.sampled_from(["system", "user"]), st.lists(PARTS, max_size=3).map(tuple))
REQUESTS = st.builds(
    Request,
    messages=st.lists(MESSAGES, max_size=3 * CHUNK).map(tuple),
    inputs=st.lists(LONG, max_size=3 * CHUNK).map(tuple),
    output_schema=st.none() | st.just({"$ref": "#/x", "enum": ["a"] * 300, "about": ODD * 20}),
    temperature=st.none() | st.floats(0, 2),
)


def conversation(turns: int, size: int) -> list[Request]:
    """The requests of a conversation: each sends all that was said before, and two new texts of half that size."""
    said: list[Message] = []
    requests = []
    for turn in range(turns):
        said.append(Message("user", (Text(f"question {turn} " + "q" * (size // 2)),)))
        requests.append(Request(tuple(said)))
        said.append(Message("assistant", (Text(f"answer {turn} " + "a" * (size // 2)),)))
    return requests


def kept(requests: list[Request]) -> dict[str, bytes]:
    """All contents of these requests, each once."""
    contents: dict[str, bytes] = {}
    for request in requests:
        contents |= split(request.canonical())
    return contents


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_a_request_is_the_same_when_it_was_split_and_joined(request: Request) -> None:
    body = request.canonical()
    contents = split(body)
    assert next(iter(contents)) == content_hash(body)
    assert join(contents[content_hash(body)], contents.__getitem__) == body


def test_a_short_request_is_kept_as_it_is() -> None:
    body = Request((Message("user", (Text("x" * (WHOLE_BYTES - 100)),)),)).canonical()
    assert len(body) < WHOLE_BYTES
    assert split(body) == {content_hash(body): body}


def test_a_long_text_is_kept_under_its_own_hash_as_it_reads() -> None:
    handbook = "Parcels take three days.\n" * 100
    body = Request((Message("user", (Data("handbook", handbook), Text("How long?"))),)).canonical()
    contents = split(body)
    assert contents[content_hash(handbook.encode())] == handbook.encode()
    assert len(contents[content_hash(body)]) < TEXT_BYTES


def test_the_same_passages_for_many_rows_are_kept_once() -> None:
    handbook = "Parcels take three days.\n" * 400
    requests = [Request((Message("user", (Data("handbook", handbook), Text(f"Row {n}?"))),)) for n in range(100)]
    assert sum(map(len, kept(requests).values())) < len(handbook) + 100 * TEXT_BYTES


@pytest.mark.slow
@pytest.mark.parametrize(("turns", "size", "most"), [(100, 2000, 2.0), (100, 1100, 2.5), (300, 2000, 3.5)])
def test_a_conversation_is_kept_in_about_the_size_of_what_was_said(turns: int, size: int, most: float) -> None:
    requests = conversation(turns, size)
    contents = kept(requests)
    said = len(requests[-1].canonical())
    assert sum(map(len, contents.values())) < most * said
    for request in requests:
        body = request.canonical()
        assert join(contents[content_hash(body)], contents.__getitem__) == body


def test_the_files_of_a_conversation_grow_with_what_is_new(tmp_path: Path) -> None:
    requests = conversation(100, 2000)
    with Journal.open(tmp_path, merges=False) as journal:
        for request in requests:
            journal.write(*request_entries(request.canonical()))
        journal.flush()
        assert _bytes("contents", tmp_path) < 3 * 200_000
        journal.merge()
        size = sum(file.stat().st_size for file in tmp_path.glob("history.duckdb*"))
    whole = sum(len(request.canonical()) for request in requests)
    assert whole > 10_000_000 and size < 4_000_000  # of which the tables take 3 MB when they are empty


def _bytes(table: str, home: Path) -> int:
    with closing(sqlite3.connect(home / "journal.db")) as connection:
        return int(connection.execute(f"select coalesce(sum(length(body)), 0) from {table}").fetchone()[0])


@pytest.fixture(params=["before the merge", "after the merge"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    with Journal.open(tmp_path, merges=request.param == "after the merge") as journal:
        for row, asked in enumerate(SEVERAL):
            entries = request_entries(asked.canonical())
            journal.write(*entries, *attempt_entries(place(row), None, attempt(f"a{row:02}"), entries[0].id))
    return History(tmp_path)


SEVERAL = [
    Request((Message("user", (Text("short"),)),)),
    Request(
        (Message("user", (Text(ODD * 40), Data("ticket", ODD))),), output_schema={"$ref": "#/x", "about": ODD * 20}
    ),
    Request(operation="embeddings", inputs=tuple(f"{n} {ODD * 20}" for n in range(2 * CHUNK + 1))),
    conversation(3 * CHUNK, 20)[-1],
    *conversation(CHUNK, 2000)[-2:],
]


def test_the_views_show_requests_whole(history: History) -> None:
    expected = [(f"a{row:02}", asked.canonical().decode()) for row, asked in enumerate(SEVERAL)]
    assert list(history.sql("select id, request from attempts_text order by id").rows) == expected
    assert list(history.sql("select attempt_id, request from lineage order by attempt_id").rows) == expected
    assert history.sql("select request from attempts_text where id = 'a04'").rows == ((expected[4][1],),)


def test_the_pieces_of_a_request_are_known_to_sql(history: History) -> None:
    found: dict[str, set[str]] = {}
    for name, piece in history.sql(f"select hash, piece from {PIECES} as pieces").rows:
        found.setdefault(name, set()).add(piece)
    for asked in SEVERAL:
        name, *parts = split(asked.canonical())
        assert found.get(name, set()) == set(parts)


def test_where_a_piece_is_gone_the_view_shows_the_pieces_and_makes_nothing_up(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        first, *others = request_entries(SEVERAL[1].canonical())
        journal.write(first, *others[1:], *attempt_entries(place(), None, attempt("a1"), first.id))
    assert History(tmp_path).sql("select request from attempts_text").rows[0][0].startswith(MARK)


def test_what_is_no_canonical_json_is_kept_whole() -> None:
    body = b'{"b":1,  "a":"' + b"x" * 3000 + b'"}'
    assert split(body) == {content_hash(body): body}


def test_a_run_records_its_long_requests_in_pieces(tmp_path: Path) -> None:
    body = SEVERAL[4].canonical()
    with Journal.open(tmp_path) as journal:
        assert Recorder(journal).request(body) == content_hash(body)
    assert len(History(tmp_path).sql("select * from contents")) == len(split(body)) > 1
