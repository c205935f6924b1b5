"""What is written is read again, in the journal and in the history."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from tests.ledger.ledger_samples import (
    START,
    STEP,
    answer,
    attempt,
    decision,
    place,
    row_record,
    run_and_rows,
    run_record,
)
from toolkit.errors import LedgerError, RateLimited
from toolkit.ledger import (
    History,
    Journal,
    Review,
    Said,
    Session,
    answer_entry,
    attempt_entries,
    content_entry,
    decision_entry,
    event_entry,
    grade_entry,
    message_entry,
    price_entry,
    review_entry,
    row_entry,
    run_entry,
    session_entry,
)
from toolkit.ledger.history.schema import BY_NAME
from toolkit.messages import Data, Message, Text, ToolCall
from toolkit.money.prices import Price
from toolkit.records import Event, Grade, Reply

REVIEW = Review(
    *("key-1", place(3), "Refund it?", START),
    output_schema={"type": "boolean"},
    why="the ladder ended",
    expires_at=START + timedelta(days=2),
    default_value=False,
    answered_by="Kim",
)
SESSION = Session("s1", "chat", START, {"about": "returns"})
SAID = Said("s1", 0, Message("user", (Text("hello"),)), START, run_id="run-1")
EVERYTHING = (
    run_entry(run_record(settings={"limit": 5}, seed=2**64 - 1)),
    row_entry(row_record(3, "parked", reason="waits for a person")),
    decision_entry("d1", place(3), decision(), "request"),
    *attempt_entries(place(3), "d1", attempt("a1", grades=(Grade("schema", "assertion", 1.0),)), "request"),
    answer_entry(answer(3)),
    grade_entry("g1", Grade("helpful", "score", 0.5, reason="short", graded_by="large"), place(3), model="small"),
    session_entry(SESSION),
    message_entry(SAID),
    review_entry(REVIEW),
    price_entry("models.toml", "small", Price(0.1, 0.4, request=0.001), noted_at=START),
    event_entry(Event("toolkit.row.parked", "run-1", START, {"row_id": "row-00003"})),
    content_entry(b"hello"),
)
EXPECTED = {
    "runs": ("run-1", "support", "script", START, "running", None, None, 2**64 - 1, {"limit": 5}, None, None),
    "rows": (
        *("run-1", "row-00003", 3, "parked", {"ticket": "Where is parcel 3?"}, "waits for a person", 0.0, 0.0),
        *(None, None, START + timedelta(seconds=60)),
    ),
    "answers": (
        *("run-1", "row-00003", STEP, 0, 0, answer(3).key, "answered", {"intent": "refund", "n": 3}, None, ""),
        *("small", None, 0, 0.0, 0.0, None, START + timedelta(seconds=3)),
    ),
    "sessions": ("s1", "chat", START, {"about": "returns"}),
    "messages": ("s1", 0, "user", [{"text": "hello", "type": "text"}], START, "run-1", None),
    "reviews": (
        *("key-1", "run-1", "row-00003", STEP, 0, 0, "person", "Refund it?", {"type": "boolean"}, START, "open"),
        *(START + timedelta(days=2), False, None, "Kim", None, "the ladder ended"),
    ),
    "prices": ("models.toml", "small", 0.1, 0.4, None, None, 0.001, START),
    "events": ("toolkit.row.parked", "run-1", START, {"row_id": "row-00003"}),
}


@pytest.fixture(params=["before the merge", "after the merge"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    with Journal.open(tmp_path, merges=request.param == "after the merge") as journal:
        journal.write(*EVERYTHING)
    return History(tmp_path)


@pytest.mark.parametrize("table", EXPECTED)
def test_a_record_has_the_same_fields_in_the_history(history: History, table: str) -> None:
    found = history.sql(f"select * from {table}")
    assert found.columns == tuple(column.name for column in BY_NAME[table].columns)
    types = dict(zip(found.columns, found.types, strict=True))
    decoded = [
        orjson.loads(v) if types[c] == "JSON" and v is not None else v
        for c, v in zip(found.columns, found.rows[0], strict=True)
    ]
    assert (len(found), tuple(decoded)) == (1, EXPECTED[table])


def test_a_decision_keeps_its_candidates_with_their_verdicts(history: History) -> None:
    found = history.sql(
        """select choice, probability, router, exploration_rate, candidate_order, candidates->>'$[0].model',
        candidates->>'$[0].verdicts[0].why' from decisions"""
    )
    router = 'Ladder("small", "large")'
    assert found.rows == (("small", 0.9, router, 0.1, ["small", "large"], "small", "300 of 8000"),)


def test_an_attempt_has_tokens_cost_and_output(history: History) -> None:
    found = history.sql(
        """select id, decision_id, input_tokens, output_tokens, cache_read_input_tokens, reasoning_output_tokens,
        cost_usd, finish_reasons, error_type, started_at, output from attempts_text"""
    )
    expected = ("a1", "d1", 300, 20, 100, 5, 0.001, ["stop"], None, START, '{"intent":"refund"}')
    assert found.rows == (expected,)


def test_grades_hang_on_attempts_or_on_answers(history: History) -> None:
    found = history.sql("select id, attempt_id, model, grader, value, graded_by from grades order by id")
    assert found.rows == (
        ("a1.0", "a1", "small", "schema", 1.0, "code"),
        ("g1", None, "small", "helpful", 0.5, "large"),
    )


def test_a_failed_attempt_has_its_error_and_no_cost_and_no_output(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*attempt_entries(place(), "d1", attempt("a1", error=RateLimited("slow down")), "request"))
    found = History(tmp_path).sql("select error_type, error_message, cost_usd, input_tokens, output_hash from attempts")
    assert found.rows == (("rate_limited", "slow down", None, None, None),)


@pytest.mark.parametrize(
    ("reply", "output"),
    [
        (Reply((Text("two "), Text("words"))), "two words"),
        (
            Reply((ToolCall("1", "search", {"q": "x"}),)),
            '[{"id":"1","name":"search","arguments":{"q":"x"},"type":"tool_call"}]',
        ),
        (Reply(value={"a": 1}), '{"a":1}'),
        (Reply(), None),
        (Reply((Text('quotes " and \\ and \n and \x00 and é'),)), 'quotes " and \\ and \n and \x00 and é'),
        (Reply((Text("x" * 20_000_000),)), "x" * 20_000_000),
    ],
    ids=["words", "tool call", "value", "nothing", "odd characters", "20 million characters"],
)
def test_the_output_of_an_attempt_is_its_words_or_its_json(tmp_path: Path, reply: Reply, output: str | None) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*attempt_entries(place(), None, attempt(reply=reply), None))
    assert History(tmp_path).sql("select output from attempts_text").rows == ((output,),)


def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    for _ in range(2):
        with Journal.open(tmp_path) as journal:
            journal.write(content_entry(b"hello"), content_entry(b"hello"))
            journal.flush()
            assert History(tmp_path).sql("select body from contents").rows == (("hello",),)
    assert History(tmp_path).sql("select body from contents").rows == (("hello",),)


def test_a_value_of_a_wrong_type_becomes_null_and_holds_up_nothing(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*attempt_entries(place(), None, attempt("a1", cost_usd="much"), None))
        journal.write(*attempt_entries(place(1), None, attempt("a2"), None))
    found = History(tmp_path).sql("select id, model, cost_usd, finish_reasons, started_at from attempts order by id")
    assert found.rows == (("a1", "small", None, ["stop"], START), ("a2", "small", 0.001, ["stop"], START))


def test_what_is_no_json_is_refused_where_it_is_made() -> None:
    with pytest.raises(LedgerError, match="plain values"):
        answer_entry(answer(value=object()))


def test_known_keys_are_those_answered_for_that_step(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(
            answer_entry(answer(1, key="k1")),
            answer_entry(answer(2, "failed", key="k2")),
            answer_entry(answer(3, key="k3", step="support/reply")),
        )
        journal.flush()
        assert journal.known_keys(STEP) == {"k1"}
        assert journal.known_keys("support/reply") == {"k3"}
        assert journal.known_keys("support/none") == set()


def test_an_answer_is_found_by_its_key_as_it_was_written(tmp_path: Path) -> None:
    first, later = answer(1, key="k"), answer(7, run="run-2", key="k", value=[1, "é", None])
    with Journal.open(tmp_path) as journal:
        journal.write(answer_entry(first), answer_entry(later), answer_entry(answer(9, "parked", run="run-3", key="k")))
        journal.flush()
        assert journal.find_answer("k") == later
        assert journal.find_answer("k", run_id="run-1") == first
        assert journal.find_answer("k", run_id="run-9") is None
        assert journal.find_answer("nobody") is None


def test_the_last_answer_at_a_place_is_the_one_that_counts(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(answer_entry(answer(1, "parked", key="k")), answer_entry(answer(1, key="k", value="done")))
        journal.flush()
        found = journal.find_answer("k")
    assert found is not None
    assert (found.status, found.value) == ("answered", "done")


def test_step_values_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        for row, index in ((1, 2), (2, 0), (3, 1)):
            journal.write(answer_entry(answer(row, value=row)), row_entry(replace(row_record(row), index=index)))
        journal.write(answer_entry(answer(1, turn=1, value="a turn's")), answer_entry(answer(4, "failed")))
        journal.write(answer_entry(answer(1, run="run-2", value="another run's")))
        journal.flush()
        assert journal.step_values("run-1", STEP) == [("row-00002", 2), ("row-00003", 3), ("row-00001", 1)]
        assert [row_id for row_id, _ in journal.row_fields("run-1")] == ["row-00002", "row-00003", "row-00001"]


def test_runs_rows_and_reviews_are_as_they_were_last_written(tmp_path: Path) -> None:
    finished = run_record("run-1", "finished", finished_at=START + timedelta(seconds=5), settings={"a": [1]})
    newer = run_record("run-2", seed=3)
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), run_entry(newer), run_entry(finished), review_entry(REVIEW))
        journal.write(row_entry(row_record(1, "parked")), row_entry(row_record(1, "answered")))
        journal.flush()
        assert (journal.run("run-1"), journal.run("none")) == (finished, None)
        assert journal.runs() == [newer, finished]
        assert journal.row_statuses("run-1") == {"row-00001": "answered"}
        assert journal.row_fields("run-1") == [("row-00001", {"ticket": "Where is parcel 1?"})]
        assert journal.parked() == journal.parked("run-1") == [REVIEW]
        assert journal.parked("run-2") == []
        journal.write(review_entry(Review("key-1", place(3), "Refund it?", START, status="answered", value=True)))
        journal.flush()
        assert journal.parked() == []
    found = History(tmp_path).sql("select status, value, (select status from runs where id = 'run-1') from reviews")
    assert found.rows == (("answered", "true", "finished"),)


def test_a_conversation_goes_on_where_it_was_left(tmp_path: Path) -> None:
    call = Message("assistant", (Text("let me see"), ToolCall("1", "search", {"q": "parcel"})))
    later = Said("s1", 1, call, START, attempt_id="a1")
    first = Said("s1", 0, Message("user", (Data("ticket", "Where is it?"),)), START)
    with Journal.open(tmp_path) as journal:
        journal.write(session_entry(SESSION), message_entry(later), message_entry(first))
    with Journal.open(tmp_path) as journal:
        assert (journal.session("s1"), journal.session("none")) == (SESSION, None)
        assert journal.messages("s1") == [first, later]


@pytest.mark.slow
def test_thirty_thousand_keys_are_known_in_a_moment(tmp_path: Path) -> None:
    with Journal.open(tmp_path, merges=False) as journal:
        journal.write(*(answer_entry(answer(row, value=None)) for row in range(30_000)))
        journal.flush()
        started = time.thread_time()
        assert len(journal.known_keys(STEP)) == 30_000
        assert time.thread_time() - started < 0.5  # of CPU, whatever else the machine does; 0.03 s is usual


def test_a_query_of_one_run_sees_that_run_alone(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(*run_and_rows(3), *run_and_rows(4, run="run-2"))
    found = History(tmp_path).sql(
        "select (select count(*) from runs), (select count(*) from rows), (select sum(calls) from model_costs)",
        run_id="run-2",
    )
    assert found.rows == ((1, 4, 4),)
