"""Conversations: durable, one turn at a time, remembered as far as the window of whoever answers goes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolkit as tk
from tests.core.core_samples import Model, fleet_of, said
from toolkit import fake
from toolkit.errors import SessionBusy, SessionError, Unavailable
from toolkit.fake.starting import running
from toolkit.ledger.documents import CHUNK
from toolkit.messages import Message, Text
from toolkit.money.prices import Price
from toolkit.people.remembering import FEW_CHUNKS, in_blocks
from toolkit.people.sessions import Session
from toolkit.people.turn import Turn
from toolkit.records import Request, Usage

ROOT = Path(__file__).resolve().parents[2]
SMALL = tk.Fixed("small")


def counting(request: Request) -> tk.Reply:
    """Replies with how many messages it was shown, and the last words."""
    return said(f"{len(request.messages)}: {request.messages[-1].text}", cost_usd=0.01)


def opened(home: Path, model: Any = counting, name: str = "chat", **options: Any) -> Session:
    options = {"route": SMALL, **options}
    return Session.open(name, home=home, fleet=fleet_of(small=model), **options)


def roles(session: Session) -> list[tuple[str, str]]:
    return [(each.message.role, each.message.text) for each in session.messages]


# --------------------------------------------------------------------------------------------------------------- turns
def test_each_turn_is_told_all_that_was_said_before(tmp_path: Path) -> None:
    model = Model(counting)
    with opened(tmp_path, model, system="Be brief.") as session:
        assert session.say("hello").text == "2: hello"
        assert session.say("and now?").text == "4: and now?"
    assert [(m.role, m.text) for m in model.requests[-1].messages] == [
        ("system", "Be brief."),
        ("user", "hello"),
        ("assistant", "2: hello"),
        ("user", "and now?"),
    ]


def test_a_conversation_goes_on_in_another_process_by_name_or_by_id(tmp_path: Path) -> None:
    with opened(tmp_path) as session:
        session.say("one")
        id = session.id
    with opened(tmp_path) as again:
        assert (again.id, again.say("two").text) == (id, "3: two")
    with opened(tmp_path, name=id) as third:
        assert third.say("three").text == "5: three"
        assert [each.index for each in third.messages] == [0, 1, 2, 3, 4, 5]


def test_a_turn_tells_who_replied_and_what_it_cost(tmp_path: Path) -> None:
    with opened(tmp_path) as session:
        turn = session.say("hello")
        assert (turn.number, turn.status, turn.model, turn.attempts, turn.cost_usd) == (1, "answered", "small", 1, 0.01)
        assert session.messages[-1].attempt_id == turn.attempt_id
        assert str(turn) == "1: hello"


def test_data_goes_beside_the_words_and_stands_in_the_row(tmp_path: Path) -> None:
    model = Model(counting)
    with opened(tmp_path, model) as session:
        session.say("what is it about?", letter="Dear Sir", customer={"id": "C-17"})
        found = session.sql("select row_id, status, fields ->> 'letter' from rows").rows
    assert "<letter>\nDear Sir\n</letter>" in model.requests[0].text
    assert '"id": "C-17"' in model.requests[0].text
    assert found == (("1", "answered", "Dear Sir"),)


def test_a_session_is_a_run_whose_rows_are_its_turns(tmp_path: Path) -> None:
    with opened(tmp_path) as session:
        session.say("one")
        session.say("two")
        ((run_id, status, total, answered, cost),) = session.sql(
            "select run_id, status, rows_total, answered, cost_usd from run_summary"
        )
        assert (run_id, status, total, answered, cost) == (session.id, "finished", 2, 2, 0.02)
        steps = session.sql("select step, row_id, number from attempts order by id").rows
        assert steps == (("session/turn", "1", 1), ("session/turn", "2", 1))
        (view,) = session.sql("select name, turns, cost_usd, models, is_waiting from conversations")
        assert view == ("chat", 2, 0.02, ["small"], False)


def test_an_answer_of_another_session_is_not_taken(tmp_path: Path) -> None:
    model = Model(counting)
    for name in ("one", "other"):
        with opened(tmp_path, model, name) as session:
            session.say("hello")
    assert model.calls == 2


def test_what_is_typed_is_redacted_on_record_and_for_models(tmp_path: Path) -> None:
    model = Model(lambda request: "write to jo.doe@example.org")
    with opened(tmp_path, model, redact="personal") as session:
        session.say("I am jo.doe@example.org", card="4111111111111111")
        session.say("again")
        told = str(session.sql("select parts from messages").rows) + str(session.sql("select fields from rows").rows)
        told += str(session.sql("select body from contents").rows)
    assert "example.org" not in told and "4111" not in told and "[email:" in told
    assert not any("example.org" in request.text for request in model.requests)
    with opened(tmp_path, model) as again:
        again.say("I am jo.doe@example.org")
        assert "example.org" not in str(again.sql("select parts from messages").rows)


def test_typed_replies_are_values_and_words(tmp_path: Path) -> None:
    with opened(tmp_path, lambda request: '{"value": 3}', output=int) as session:
        turn = session.say("how many?")
        assert (turn.value, turn.text, session.messages[-1].message.text) == (3, "3", "3")


def test_different_models_answer_turns_of_one_session(tmp_path: Path) -> None:
    fleet = fleet_of(small=lambda request: said("hm", confidence=0.1), large=lambda request: said("sure"))
    policy = tk.Escalate(below=0.5)
    with Session.open("chat", home=tmp_path, fleet=fleet, route=tk.Ladder("small", "large"), policy=policy) as session:
        assert session.say("one").model == "large"
    with Session.open("chat", home=tmp_path, fleet=fleet, route=SMALL) as session:
        assert session.say("two").model == "small"
        assert [text for _, text in roles(session)] == ["one", "sure", "two", "hm"]


@pytest.mark.parametrize(("words", "data"), [("", {}), ("  ", {"a": 1}), (None, {"a": 1})])
def test_saying_nothing_is_refused(tmp_path: Path, words: str | None, data: Any) -> None:
    with opened(tmp_path) as session, pytest.raises(SessionError, match="say something"):
        session.say(words, **data)


@pytest.mark.slow
def test_turns_in_both_dialects_are_one_conversation(tmp_path: Path) -> None:
    with running(fake.settings({"models": {"a": {}, "b": {}}})) as served:
        specs = [
            tk.ModelSpec(name, dialect, name, endpoint=served.endpoint(name), window=8_000)
            for name, dialect in (("a", "openai"), ("b", "anthropic"))
        ]
        for name, words in (("a", "first words"), ("b", "second words"), ("a", "third words"), ("b", "fourth words")):
            fleet, route = tk.Fleet.of(*specs), tk.Fixed(name)
            with Session.open("chat", home=tmp_path, fleet=fleet, route=route, system="Be brief.") as session:
                turn = session.say(words, note="a section")
                assert (turn.status, turn.model) == ("answered", name), turn.reason
                tokens = session.sql("select input_tokens from attempts order by id").column("input_tokens")
        assert {call["status"] for call in served.requests()["requests"]} == {200}
    assert tokens == sorted(tokens) and tokens[3] > 2 * tokens[0], "each is told all that was said before"


def test_another_instruction_than_at_the_beginning_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, system="Be brief.").close()
    opened(tmp_path).close()
    with pytest.raises(SessionError, match=r"another system message: 'Be brief\.'"):
        opened(tmp_path, system="Be long.")


def test_it_may_be_awaited_in_an_event_loop(tmp_path: Path) -> None:
    with opened(tmp_path) as session:
        assert asyncio.run(session.ask("hello")).text == "1: hello"


def test_a_budget_ends_a_session_until_it_is_raised(tmp_path: Path) -> None:
    model = Model(lambda request: tk.Reply(parts=(Text("hm"),), usage=Usage(10, 1_000)))
    fleet = tk.Fleet({}).with_function("small", model, price=Price(100.0, 100.0), max_output_tokens=1_000)

    def opened_with(budget: str) -> Session:
        return Session.open("chat", home=tmp_path, fleet=fleet, route=SMALL, budget=budget)

    with opened_with("0.15 USD") as session:
        assert session.say("one").cost_usd == 0.101
        with pytest.raises(SessionError, match=r"0\.15.*; open it with a larger budget"):
            session.say("two")
    with opened_with("") as same, pytest.raises(SessionError, match="larger budget"):
        same.say()
    with opened_with("1 USD") as more:
        assert more.say().status == "answered"
    assert model.calls == 2


# ---------------------------------------------------------------------------------------------------------- two at once
class Slow:
    """A model that replies when it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    async def __call__(self, request: Request) -> str:
        self.begun.set()
        await asyncio.to_thread(self.go.wait, 30)
        return f"after {len(request.messages)}"


def test_a_second_turn_at_once_is_a_clear_conflict(tmp_path: Path) -> None:
    slow = Slow()
    with opened(tmp_path, slow) as session, opened(tmp_path) as other:
        first = threading.Thread(target=session.say, args=("one",))
        first.start()
        assert slow.begun.wait(10)
        for each in (other, session):
            with pytest.raises(
                SessionBusy, match=rf"a turn of session {session.id} is under way.*process {os.getpid()}"
            ):
                each.say("two")
        slow.go.set()
        first.join()
        assert other.say("two").text == "3: two"


def test_or_it_waits_for_its_turn(tmp_path: Path) -> None:
    slow = Slow()
    with opened(tmp_path, slow) as session, opened(tmp_path, when_busy="queue") as other:
        threads = [threading.Thread(target=session.say, args=("one",))]
        threads[0].start()
        assert slow.begun.wait(10)
        turns: list[Turn] = []
        threads += [threading.Thread(target=lambda n=n: turns.append(other.say(f"after {n}"))) for n in range(3)]
        for thread in threads[1:]:
            thread.start()
        time.sleep(0.2)
        assert turns == []
        slow.go.set()
        for thread in threads:
            thread.join(30)
        assert sorted(turn.number for turn in turns) == [2, 3, 4]
        assert [role for role, _ in roles(other)] == ["user", "assistant"] * 4


def test_waiting_has_an_end(tmp_path: Path) -> None:
    slow = Slow()
    with opened(tmp_path, slow) as session, opened(tmp_path, when_busy="queue", patience_seconds=0.1) as other:
        first = threading.Thread(target=session.say, args=("one",))
        first.start()
        assert slow.begun.wait(10)
        with pytest.raises(SessionBusy):
            other.say("two")
        slow.go.set()
        first.join()


@pytest.mark.slow
def test_processes_that_talk_at_once_each_get_turns_of_their_own(tmp_path: Path) -> None:
    opened(tmp_path).close()
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.core.test_sessions import opened\n"
        "with opened(Path(sys.argv[1]), when_busy='queue') as session:\n"
        "    print(*[session.say(f'{sys.argv[2]} {n}').number for n in range(4)])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    others = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], stdout=subprocess.PIPE, env=environment)
        for name in ("a", "b")
    ]
    numbers = [int(word) for other in others for word in other.communicate(timeout=120)[0].split()]
    assert sorted(numbers) == list(range(1, 9))
    with opened(tmp_path) as session:
        assert [role for role, _ in roles(session)] == ["user", "assistant"] * 8


# --------------------------------------------------------------------------------------------------- what is broken off
def test_a_turn_that_fails_leaves_its_message_without_a_reply_and_can_go_on(tmp_path: Path) -> None:
    down = [True]

    def model(request: Request) -> tk.Reply:
        if down[0]:
            raise Unavailable("the server is down")
        return counting(request)

    with opened(tmp_path, model) as session:
        turn = session.say("hello")
        assert turn.status == "failed" and "the server is down" in turn.reason and turn.text == ""
        assert session.unanswered is not None and session.unanswered.message.text == "hello"
        with pytest.raises(SessionError, match="has no reply yet"):
            session.say("something else")
        down[0] = False
        assert session.say().text == "1: hello"
        assert session.unanswered is None
        with pytest.raises(SessionError, match="no message without a reply"):
            session.say()


def test_something_else_may_be_said_instead(tmp_path: Path) -> None:
    def model(request: Request) -> tk.Reply:
        if "bad" in request.text:
            raise Unavailable("no")
        return counting(request)

    with opened(tmp_path, model) as session:
        session.say("a bad thing")
        assert session.say("a good thing", instead=True).text == "1: a good thing"
        assert [text for _, text in roles(session)] == ["a good thing", "1: a good thing"]
    with opened(tmp_path) as again:
        assert [text for _, text in roles(again)] == ["a good thing", "1: a good thing"]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.core.test_sessions import Session, counting, opened

def die():
    os.kill(os.getpid(), signal.SIGKILL)

async def die_with_the_answer_on_record(session, *_):
    await session._journal.committed()
    die()

def model(request):
    if sys.argv[2] == "asking":
        die()
    return counting(request)

if sys.argv[2] == "answered":
    Session._ended = die_with_the_answer_on_record
opened(Path(sys.argv[1]), model).say("hello")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize(("when", "calls"), [("asking", 1), ("answered", 0)])
def test_a_killed_turn_is_seen_and_paid_for_once(tmp_path: Path, when: str, calls: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), when], env=environment, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    model = Model(counting)
    with opened(tmp_path, model) as session:
        assert session.unanswered is not None and session.unanswered.message.text == "hello"
        assert session.say().text == "1: hello"
        assert model.calls == calls
        assert session.sql("select status from runs").rows == (("finished",),)


def test_a_turn_that_a_person_answers_goes_on_with_the_answer(tmp_path: Path) -> None:
    fleet = tk.Fleet.of(tk.ModelSpec("judge", "person", "judge"))
    with Session.open("chat", home=tmp_path, fleet=fleet, route=tk.Fixed("judge")) as session:
        assert session.say("is it so?").status == "parked"
        assert session.say().status == "parked"
        inbox = tk.Inbox(tmp_path)
        (review,) = inbox.open(session.id)
        inbox.answer(review.id, "it is")
        turn = session.say()
        assert (turn.text, turn.model) == ("it is", "judge")


def test_a_cancelled_turn_lets_others_go_on(tmp_path: Path) -> None:
    slow = Slow()

    async def cancelled(session: Session) -> None:
        task = asyncio.create_task(session.ask("one"))
        await asyncio.to_thread(slow.begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with opened(tmp_path, slow) as session:
        asyncio.run(cancelled(session))
        with opened(tmp_path, when_busy="queue", patience_seconds=10) as other:
            assert other.say().text == "1: one"


# -------------------------------------------------------------------------------------------------------------- memory
WINDOW = 8_000
FACT = re.compile(r"The (\w+) of box (\d+) is (\w+)\.")
ASKED = re.compile(r"What is the (\w+) of box (\d+)\?")
FILLER = "The weather is fine, and there is nothing else to tell of this morning. " * 8


def recalling(request: Request) -> str:
    """Looks facts up in what it is shown, and in nothing else; fails where that is more than its window."""
    shown = "\n".join(message.text for message in request.messages)
    assert len(shown) / 3 < WINDOW * 1.4
    last = request.messages[-1].text
    if (asked := ASKED.search(last)) is None:
        return "Noted. " + FILLER[:300]
    facts: dict[tuple[str, str], str] = {(kind, number): value for kind, number, value in FACT.findall(shown)}
    return facts.get((asked[1], asked[2]), "I do not know.")


def statements(turns: int) -> Iterator[str]:
    for number in range(turns):
        yield f"The colour of box {number} is {('red', 'green', 'blue')[number % 3]}. {FILLER}"


def written(home: Path, id: str) -> int:
    """Bytes of all that is on record of a session."""
    history = tk.History(home)
    tables = ("runs", "decisions", "attempts", "answers", "messages", "rows")
    sizes = [f"select coalesce(sum(strlen(to_json(t)::VARCHAR)), 0) as size from {name} t" for name in tables]
    sizes.append("select coalesce(sum(strlen(body)), 0) from contents")
    return int(history.sql(f"select sum(size) from ({' union all '.join(sizes)})").rows[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("fit", [tk.DropOldest(), tk.Retrieve()], ids=["drop", "retrieve"])
def test_300_turns_through_a_small_window_are_coherent_and_linear_in_storage(tmp_path: Path, fit: Any) -> None:
    shown: list[int] = []

    def model(request: Request) -> tk.Reply:
        shown.append(len(request.messages))
        return said(recalling(request), cost_usd=0.001)

    fleet = tk.Fleet({}).with_function("small", model, window=WINDOW)
    sizes, costs = [0], []
    with Session.open("long", home=tmp_path, fleet=fleet, route=SMALL, fit=fit, system="Remember.") as session:
        for number, text in enumerate(statements(300), start=1):
            turn = session.say(text)
            assert turn.status == "answered", turn.reason
            costs.append(turn.cost_usd)
            if number % 150 == 0:
                session._journal.merge()
                sizes.append(written(tmp_path, session.id))
        recent = session.say("What is the colour of box 298?").text
        early = session.say("What is the colour of box 4?").text
        left_out = session.sql("select (fields ->> 'left_out')::INT from rows where row_id = '300'").rows[0][0]
    first, second = sizes[1], sizes[2] - sizes[1]
    assert recent == "green"
    assert early == ("green" if isinstance(fit, tk.Retrieve) else "I do not know.")
    assert second <= 1.3 * first
    assert max(shown) < 80 and left_out > 500
    assert set(costs) == {0.001}


@pytest.mark.slow
def test_summaries_carry_early_facts_and_are_made_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def summarises(request: Request) -> str:
        asked.append(request.text)
        return " ".join(match[0] for match in FACT.finditer(request.text))

    fleet = tk.Fleet({}).with_function("small", recalling, window=2_000).with_function("short", summarises)
    fit = tk.Summarise("short", tokens=100) | tk.CutMiddle()
    with Session.open("long", home=tmp_path, fleet=fleet, route=SMALL, fit=fit) as session:
        for text in statements(40):
            assert session.say(text).status == "answered"
        assert session.say("What is the colour of box 1?").text == "green"
        assert session.sql("select count(*) from attempts where step = 'session/turn/fit'").rows == ((len(asked),),)
    assert len(asked) == len(set(asked)) < 40


def conversation(turns: int, *, system: bool = True) -> Request:
    messages = [Message("system", (Text("s"),))] if system else []
    for number in range(turns):
        messages += [Message("user", (Text(f"u{number}"),)), Message("assistant", (Text(f"a{number}"),))]
    return Request((*messages, Message("user", (Text("last"),))))


@given(st.integers(0, 120), st.integers(0, 60), st.booleans())
def test_what_is_left_begins_at_a_chunk_and_ends_with_the_question(turns: int, gone: int, system: bool) -> None:
    whole = conversation(turns, system=system)
    first = int(system)
    dropped = 2 * min(gone, turns)
    fitted = Request((*whole.messages[:first], *whole.messages[first + dropped :]))
    kept = in_blocks(whole, fitted)
    left = [message for message in kept.messages if message.role != "system"]
    assert left[-1] is whole.messages[-1] and left[0].role == "user"
    assert set(map(id, kept.messages)) <= set(map(id, fitted.messages))
    if kept is not fitted:
        assert (2 * turns + 1 - len(left)) % CHUNK == 0 and len(left) >= FEW_CHUNKS * CHUNK
