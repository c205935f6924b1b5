"""A follower sends each end once, waits for a receiver that is away, and goes on where another stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ledger.ledger_samples import entries_of_row, other_process, row_record, run_record
from tests.telemetry.telemetry_samples import WORKFLOW, fleet, rows
from tests.telemetry.test_sending import attributes
from toolkit.errors import LedgerError
from toolkit.ledger import Journal, answer_entry, row_entry, run_entry
from toolkit.ledger.reading import history as reading
from toolkit.ledger.reading.history import History
from toolkit.records import Answer
from toolkit.telemetry import Told, follow, following

if TYPE_CHECKING:
    from tests.telemetry.conftest import Receiver

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Following:
    """A follower on a thread."""

    home: Path
    receiver: Receiver
    stop: threading.Event = field(default_factory=threading.Event)
    told: Told | None = None
    complaints: list[str] = field(default_factory=list)

    def start(self) -> Following:
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()
        return self

    def _follow(self) -> None:
        self.told = follow(
            History(self.home),
            stop=self.stop,
            since=LONG_AGO,
            endpoint=self.receiver.endpoint,
            complain=self.complaints.append,
        )

    def end(self) -> Told:
        self.stop.set()
        self.thread.join(timeout=60)
        assert self.told is not None
        return self.told


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.05)


@pytest.fixture
def follower(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[[], Following]]:
    started: list[Following] = []

    def start() -> Following:
        started.append(Following(tmp_path, receiver).start())
        return started[-1]

    yield start
    for each in started:
        each.stop.set()
        each.thread.join(timeout=60)


def until(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.02)


@pytest.mark.slow
def test_rows_are_sent_as_they_end_and_none_twice(
    tmp_path: Path, receiver: Receiver, follower: Callable[[], Following]
) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), *entries_of_row(0))
        journal.flush()
        first = follower()
        until(lambda: len(receiver.named("invoke_workflow support")) == 1)
        journal.write(*entries_of_row(1), *entries_of_row(2))
        until(lambda: len(receiver.named("invoke_workflow support")) == 3)
        assert first.end().rows == 3
        journal.write(*entries_of_row(3))
        journal.flush()
    second = follower().end()
    assert second.rows == 1
    assert len(receiver.named("invoke_workflow support")) == 4
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans) == 12
    assert receiver.metrics


@pytest.mark.slow
def test_a_row_that_becomes_visible_late_is_still_sent(
    tmp_path: Path, receiver: Receiver, follower: Callable[[], Following]
) -> None:
    later, earlier = (datetime(2026, 3, 1, 9, minute, tzinfo=UTC) for minute in (4, 2))
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), row_entry(row_record(0, finished_at=later)))
        journal.flush()
        running = follower()
        until(lambda: len(receiver.spans) == 1)
        journal.write(row_entry(row_record(1, finished_at=earlier)))
        until(lambda: len(receiver.spans) == 2)
    assert running.end().rows == 2


@pytest.mark.slow
def test_a_receiver_that_is_away_is_waited_for_and_nothing_is_lost(
    tmp_path: Path, receiver: Receiver, follower: Callable[[], Following]
) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), *entries_of_row(0), *entries_of_row(1))
    receiver.statuses = [503] * 3
    running = follower()
    until(lambda: len(receiver.spans) == 6)
    told = running.end()
    assert (told.rows, told.spans.accepted, told.spans.refused) == (2, 6, 0)
    away, back = running.complaints
    assert "HTTP 503" in away and "nothing is lost" in away
    assert back == "the receiver answers again; going on"


@pytest.mark.slow
def test_a_follower_that_is_stopped_while_the_receiver_is_away_leaves_it_to_the_next(
    tmp_path: Path, receiver: Receiver, follower: Callable[[], Following]
) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), *entries_of_row(0))
    receiver.statuses = [503] * 1_000
    running = follower()
    until(lambda: running.complaints)
    assert running.end().spans.accepted == 0
    receiver.statuses = []
    assert follower().end().spans.accepted == 3 == len(receiver.spans)


@pytest.mark.slow
def test_of_a_row_that_was_parked_and_is_answered_only_what_is_new_is_sent(
    tmp_path: Path, receiver: Receiver, follower: Callable[[], Following]
) -> None:
    first = WORKFLOW.run(rows("person", "plain"), fleet(), home=tmp_path)
    assert follower().end().rows == 3
    before = {span.span_id for span in receiver.spans}
    with Journal.open(tmp_path) as journal:
        (review,) = journal.parked(first.id)
        journal.write(answer_entry(Answer(review.place, review.key, "answered", value="it is late", model="person")))
    WORKFLOW.run(rows("person", "plain"), fleet(), home=tmp_path, run_id=first.id)
    follower().end()
    new = [span for span in receiver.spans if span.span_id not in before]
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans)
    known = [(span, attributes(span)) for span in new if span.name != "run desk"]
    told = [(span.name, found.get("toolkit.status")) for span, found in known]
    assert ("invoke_workflow desk", "answered") in told and ("verdict", "answered") in told
    assert not [span for span in new if span.name.startswith("chat ")]
    assert {str(found["toolkit.row_id"]).split("/")[0] for _, found in known} == {"person"}
    roots = receiver.named("invoke_workflow desk")
    assert len({root.trace_id for root in roots if attributes(root)["toolkit.row_id"] == "person"}) == 1


@pytest.mark.slow
def test_a_place_that_cannot_be_read_is_told_with_what_to_do(tmp_path: Path, receiver: Receiver) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()))
    stop = threading.Event()
    stop.set()
    follow(History(tmp_path), stop=stop, since=LONG_AGO, endpoint=receiver.endpoint)
    with Journal.open(tmp_path) as journal:
        journal.write(*entries_of_row(0))
    follow(History(tmp_path), stop=stop, since=LONG_AGO, endpoint=receiver.endpoint)
    (place,) = tmp_path.glob("telemetry-*.json")
    place.write_text("{")
    with pytest.raises(LedgerError, match="delete it to begin anew"):
        follow(History(tmp_path), stop=stop, since=LONG_AGO, endpoint=receiver.endpoint)


def test_a_follower_may_be_started_before_the_first_run(
    tmp_path: Path, receiver: Receiver, follower: Callable[[], Following]
) -> None:
    running = follower()
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), *entries_of_row(0))
        until(lambda: receiver.named("invoke_workflow support"))
    assert running.end().rows == 1


@pytest.mark.slow
def test_while_somebody_keeps_the_history_to_himself_a_follower_waits_and_says_so(
    tmp_path: Path, receiver: Receiver, follower: Callable[[], Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE_SECONDS", 0.1)
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), *entries_of_row(0))
        journal.flush()
        journal.merge()
    code = "import duckdb; held = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    holder = other_process(code, tmp_path / "history.duckdb", wait=False)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    running = follower()
    until(lambda: running.complaints)
    assert "not everything on record can be read now" in running.complaints[0]
    assert receiver.spans == []
    holder.communicate("\n")
    until(lambda: receiver.named("invoke_workflow support"))
    assert running.end().rows == 1
