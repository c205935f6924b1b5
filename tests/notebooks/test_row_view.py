"""One row of a run, as notebooks show it: its course in time, its parts in words, and what is not there."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.ledger_samples import START, attempt, place, row_record, run_record
from tests.notebooks.showing_samples import HOSTILE, ran
from toolkit.errors import LedgerError, RunError
from toolkit.ledger import History, Journal, attempt_entries, row_entry, run_entry
from toolkit.ledger.retention.pruning import Rule, prune
from toolkit.runs.running import Running
from toolkit.widgets import row_view
from toolkit.widgets.course import Course, Stretch, course_of, kind_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Running:
    return ran(tmp_path_factory.mktemp("shown"))


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        ("fine", {"service", "tool", "workflow"}),
        ("retried", {"service", "retry", "waiting"}),
        ("fell", {"service", "retry", "fallback"}),
        ("climbed", {"service", "escalation"}),
        ("left", {"person"}),
    ],
)
def test_waiting_service_retries_fallbacks_escalations_tools_and_people_are_told_apart(
    run: Running, row: str, kinds: set[str]
) -> None:
    course = course_of(row_view(run.history, run.id, row).seen)
    assert kinds <= set(course.kinds)
    drawn = row_view(run.history, run.id, row).html
    assert all(f'data-about="{stretch.about}"' in drawn for stretch in course.stretches)


def test_what_is_clicked_in_the_picture_is_there_to_be_opened(run: Running) -> None:
    for row in ("fine", "retried", "fell", "climbed", "left"):
        drawn = row_view(run.history, run.id, row).html
        assert set(re.findall('data-about="([^"]+)"', drawn)) <= set(re.findall('data-part="([^"]+)"', drawn))


def test_an_attempt_tells_prompt_answer_decision_and_what_was_done_about_its_error(run: Running) -> None:
    told = row_view(run.history, run.id, "fell").html
    for words in (
        "Answer the ticket.", "It is down: where is my parcel?", "large says no", "HTTP 503: away for lunch",
        "retry 1 after unavailable", "fallback", "Ladder(&#x27;small&#x27;, &#x27;large&#x27;, &#x27;person&#x27;)",
        "probability", "expected USD", "what was done about it", "seed",
    ):  # fmt: skip
        assert words in told, words


def test_a_constraint_that_was_not_met_is_told_as_the_reason_why_not(tmp_path: Path) -> None:
    import toolkit as tk

    @tk.step(route=tk.Ladder("short", "wide"))
    def reply(ticket: str) -> tk.Request:
        return tk.prompt("Answer.", ticket=ticket)

    fleet = tk.Fleet({}).with_function("short", lambda _: "fine", window=60).with_function("wide", lambda _: "fine")
    done = tk.Workflow("desk", [reply]).run([{"id": "r", "ticket": "word " * 400}], fleet, home=tmp_path)
    assert re.search(r"short</td><td[^>]*>✕ window: [^<]+", row_view(done.history, done.id, "r").html)


def test_rows_of_nested_workflows_are_reached_and_lead_back(run: Running) -> None:
    view = row_view(run.history, run.id, "fine")
    children = re.findall('data-row="([^"]+)"', view.html)
    assert len(children) == 3
    view.open(children[0])
    assert 'data-row="fine"' in view.html
    assert "Spell it." in view.html


def test_a_row_that_was_answered_before_says_so(run: Running) -> None:
    again = ran(run.history.home)
    view = row_view(run.history, again.id, "fine")
    assert "reused" in course_of(view.seen).kinds
    assert "reused from" in view.html and run.id in view.html


def test_hostile_text_stays_text(run: Running) -> None:
    told = row_view(run.history, run.id, "hostile").html
    assert HOSTILE not in told
    assert not Tags(told).tags & {"script", "img", "style", "iframe", "link"}
    assert not [name for name in Tags(told).attributes if name.startswith("on")]


def test_long_texts_are_folded(run: Running) -> None:
    told = row_view(run.history, run.id, "long").html
    assert re.search(r"[\d,]+ characters more", told)
    assert len(row_view(run.history, run.id, "long").text) < 8_000


def test_the_text_for_a_terminal_has_the_course_and_a_line_for_each_attempt(run: Running) -> None:
    told = row_view(run.history, run.id, "fell").text
    assert "attempt 3, small, retry 2 after unavailable" in told
    assert re.search(r"reply +\|[ ·xrf#]+\|", told)
    assert "<" not in told.replace("->", "")


def test_a_run_that_keeps_no_words_says_so_and_shows_the_rest(tmp_path: Path) -> None:
    import toolkit as tk

    @tk.step(route=tk.Fixed("small"))
    def reply(ticket: str) -> tk.Request:
        return tk.prompt("Answer.", ticket=ticket)

    fleet = tk.Fleet({}).with_function("small", lambda _: "a secret answer")
    done = tk.Workflow("desk", [reply]).run([{"id": "r", "ticket": "secret"}], fleet, home=tmp_path, content="hashes")
    view = row_view(done.history, done.id, "r")
    assert "this run records no words" in view.html
    assert "secret" not in view.html + view.text
    assert "attempt 1" in view.html


@pytest.mark.slow
def test_texts_that_were_pruned_are_told_to_be_gone(tmp_path: Path) -> None:
    run_id = ran(tmp_path).id
    prune(tmp_path, Rule(keep_runs=0, force=True))
    view = row_view(History(tmp_path), run_id, "fine")
    assert "pruned or erased" in view.html


def test_an_unknown_row_is_told_with_those_that_are_like_it(run: Running) -> None:
    with pytest.raises(RunError, match="no row 'fin'; it has 32, such as fine"):
        row_view(run.history, run.id, "fin")
    with pytest.raises(RunError, match="there is no run 'other'"):
        row_view(run.history, "other", "fine")


def test_a_home_without_a_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="neither journal nor history"):
        row_view(History(tmp_path), "run", "row")


def test_a_row_under_way_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), *attempt_entries(place(), "d", attempt(), "request"))
    view = row_view(History(tmp_path), "run-1", "row-00000")
    assert "under way" in view.text
    assert "attempt 1" in view.html


def test_a_row_that_was_set_aside_has_no_course(run: Running, tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), row_entry(row_record(0, "set_aside", reason="a duplicate")))
    told = row_view(History(tmp_path), "run-1", "row-00000")
    assert "set aside" in told.text
    assert "a duplicate" in told.html


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        ("first choice", "service"),
        ("retry 1 after timeout", "retry"),
        ("repair 1 of its answer", "repair"),
        ("escalated: small reached 0.40 < 0.5", "escalation"),
        ("fallback after unavailable", "fallback"),
        ("hedge: small has taken 2.00 s", "hedge"),
        (None, "service"),
    ],
)
def test_the_kind_of_a_move_is_in_its_reason(why: str | None, kind: str) -> None:
    assert kind_of({"operation_name": "chat", "why": why}) == kind


SPANS = st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e3)), min_size=1, max_size=12)


@given(spans=SPANS)
def test_moments_keep_their_order_on_a_folded_timeline(spans: list[tuple[float, float]]) -> None:
    from toolkit.widgets.course import _folds

    stretches = tuple(Stretch("s", "service", began, began + took, "", "") for began, took in spans)
    seconds = max(each.ended for each in stretches)
    course = Course(stretches, ("s",), _folds(stretches), max(seconds, 1e-6))
    moments = sorted(moment for each in stretches for moment in (each.began, each.ended))
    places = [course.place(moment) for moment in moments]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)


def test_a_night_between_two_attempts_is_folded(tmp_path: Path) -> None:
    late = attempt(number=2, why="retry 1 after timeout", started_at=START + timedelta(hours=9))
    entries = [entry for each in (attempt(), late) for entry in attempt_entries(place(), "d", each, "request")]
    with Journal.open(tmp_path) as journal:
        journal.write(run_entry(run_record()), *entries)
    course = course_of(row_view(History(tmp_path), "run-1", "row-00000").seen)
    assert len(course.folds) == 1
    assert course.shown_seconds < 5
