"""What a trace tells of a row, of a run, and of what failed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telemetry.telemetry_samples import SECRET, Desk
from toolkit.ledger.reading.history import History
from toolkit.telemetry import export, facts
from toolkit.telemetry.conventions import OWN, VERSIONS, conventions
from toolkit.telemetry.facts import RowFacts
from toolkit.telemetry.span import Span, root_of, span_id_of, trace_id_of


@cache
def spans_of(desk: Desk, *, content: bool = False, version: str = "1.41") -> list[Span]:
    """All spans of the run."""
    found: list[Span] = []
    export(desk.history, run_id=desk.run_id, dry_run=True, sample=found.extend, content=content, version=version)
    return found


def trace(spans: list[Span], run_id: str, row_id: str) -> dict[str, Span]:
    """Path → span of one row's trace; a second span of a path has `#2` behind it."""
    by_id = {span.span_id: span for span in spans}
    found: dict[str, Span] = {}
    for span in (span for span in spans if span.trace_id == trace_id_of(run_id, row_id)):
        path, above = span.name, span.parent_id
        while above is not None:
            path, above = f"{by_id[above].name} > {path}", by_id[above].parent_id
        number = sum(name == path or name.startswith(f"{path}#") for name in found)
        found[path if not number else f"{path}#{number + 1}"] = span
    return found


def test_a_row_is_a_trace_of_steps_attempts_tools_and_inner_workflows(desk: Desk) -> None:
    found = trace(spans_of(desk), desk.run_id, "hard")
    assert set(found) == {
        "invoke_workflow desk",
        "invoke_workflow desk > verdict",
        "invoke_workflow desk > verdict > chat small",
        "invoke_workflow desk > verdict > chat large",
        "invoke_workflow desk > execute_tool words",
        "invoke_workflow desk > spelled",
        "invoke_workflow desk > spelled > invoke_workflow spelled",
        "invoke_workflow desk > spelled > invoke_workflow spelled > execute_tool length",
    }
    assert {span.kind for path, span in found.items() if "chat" in path} == {"client"}


def test_an_escalation_tells_who_was_picked_and_why_the_next_was_asked(desk: Desk) -> None:
    found = trace(spans_of(desk), desk.run_id, "hard")
    step = found["invoke_workflow desk > verdict"].attributes
    assert step["toolkit.route.choice"] == "small"
    assert step["toolkit.route.router"] == "Ladder('small', 'large', 'person')"
    assert step["toolkit.route.probability"] == 1.0
    assert step["toolkit.model"] == "large"
    large = found["invoke_workflow desk > verdict > chat large"].attributes
    assert large["toolkit.why"] == "escalated: small reached 0.20 < 0.5"
    assert (large["toolkit.number"], large["gen_ai.usage.input_tokens"]) == (2, 300)


def test_a_failed_attempt_is_an_error_and_the_retry_after_it_is_none(desk: Desk) -> None:
    found = trace(spans_of(desk), desk.run_id, "retried")
    first, second = (found[f"invoke_workflow desk > verdict > chat small{n}"] for n in ("", "#2"))
    assert (first.error_type, first.attributes["error.type"]) == ("rate_limited", "rate_limited")
    assert "gen_ai.usage.input_tokens" not in first.attributes
    assert (second.error_type, second.attributes["toolkit.why"]) == (None, "retry 1 after rate_limited")
    assert second.attributes["gen_ai.usage.cache_read.input_tokens"] == 40
    assert first.end_ns <= second.start_ns
    assert found["invoke_workflow desk"].error_type is None


def test_a_failed_row_is_an_error_and_a_parked_one_is_not(desk: Desk) -> None:
    spans = spans_of(desk)
    broken = trace(spans, desk.run_id, "broken")
    assert broken["invoke_workflow desk"].attributes["error.type"] == "failed"
    assert broken["invoke_workflow desk > execute_tool words"].error_type == "_OTHER"
    parked = trace(spans, desk.run_id, "person")["invoke_workflow desk"]
    assert (parked.attributes["toolkit.status"], parked.error_type) == ("parked", None)


def test_the_run_is_a_trace_of_its_own_that_every_row_is_linked_to(desk: Desk) -> None:
    spans = spans_of(desk)
    found = trace(spans, desk.run_id, "*")
    assert set(found) == {"run desk", "run desk > execute_tool glossary"}
    assert found["run desk"].attributes["toolkit.rows_total"] == 5
    rows = [span for span in spans if span.name == "invoke_workflow desk"]
    assert {row.link for row in rows} == {(trace_id_of(desk.run_id), span_id_of(desk.run_id))}


def test_children_lie_within_their_parents_and_ids_are_unique(desk: Desk) -> None:
    spans = spans_of(desk)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    for span in spans:
        assert span.start_ns <= span.end_ns
        if span.parent_id is not None:
            parent = by_id[span.parent_id]
            assert parent.trace_id == span.trace_id
            assert parent.start_ns <= span.start_ns and span.end_ns <= parent.end_ns, (parent.name, span.name)


def test_times_are_those_of_the_record(desk: Desk) -> None:
    recorded = desk.history.sql("select id, epoch_us(started_at), service_seconds from attempts").rows
    spans = {span.attributes.get("toolkit.attempt_id"): span for span in spans_of(desk)}
    for id, started_us, seconds in recorded:
        assert spans[id].start_ns == started_us * 1_000
        assert spans[id].end_ns - spans[id].start_ns == round(seconds * 1e9)


def test_a_second_export_gives_the_same_spans(desk: Desk) -> None:
    assert spans_of.__wrapped__(desk) == spans_of(desk)


@pytest.mark.slow
def test_small_pages_give_the_same_spans(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = spans_of(desk, content=True)
    monkeypatch.setattr(facts, "PAGE_ROWS", 3)
    monkeypatch.setattr(facts, "PAGE_ROWS_WITH_CONTENT", 2)
    assert spans_of.__wrapped__(desk, content=True) == whole


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_every_attribute_is_of_the_conventions_or_in_the_list_of_our_own(desk: Desk, version: str) -> None:
    known = set(conventions(version).names.values()) | set(OWN)
    used = {name for span in spans_of(desk, content=True, version=version) for name in words_of(span)}
    assert used <= known


def words_of(span: Span) -> Iterator[str]:
    yield from span.attributes
    for event in span.events:
        yield event.name
        yield from event.attributes


def test_nothing_that_was_written_leaves_without_content(desk: Desk) -> None:
    assert SECRET not in repr(spans_of(desk))
    assert SECRET in repr(spans_of(desk, content=True))


def test_with_content_an_attempt_tells_messages_instructions_and_parameters(desk: Desk) -> None:
    spans = trace(spans_of(desk, content=True), desk.run_id, "plain")
    attempt = spans["invoke_workflow desk > verdict > chat small"].attributes
    assert attempt["gen_ai.system_instructions"] == f'[{{"type":"text","content":"Judge {SECRET}."}}]'
    assert '"role":"user"' in attempt["gen_ai.input.messages"] and "ticket plain" in attempt["gen_ai.input.messages"]
    assert attempt["gen_ai.output.messages"] == (
        f'[{{"role":"assistant","parts":[{{"type":"text","content":"{SECRET} is late"}}],"finish_reason":"stop"}}]'
    )
    assert (attempt["gen_ai.request.temperature"], attempt["gen_ai.request.max_tokens"]) == (0.0, 50)
    assert "ticket plain" in spans["invoke_workflow desk"].attributes["toolkit.fields"]
    assert spans["invoke_workflow desk > execute_tool words"].attributes["gen_ai.tool.call.result"] == '["late"]'


def test_a_grade_is_an_event_of_the_attempt_that_it_judges(desk: Desk) -> None:
    attempt = trace(spans_of(desk), desk.run_id, "plain")["invoke_workflow desk > verdict > chat small"]
    (event,) = attempt.events
    assert event.name == "gen_ai.evaluation.result"
    assert event.attributes["gen_ai.evaluation.name"] == "Confidence()"
    assert event.attributes["gen_ai.evaluation.score.value"] == 0.9


@given(st.text("abc/[]1", min_size=1), st.lists(st.sampled_from(["in", "deep"]), min_size=1, max_size=4))
def test_an_item_stands_in_the_trace_of_the_row_it_came_from_however_deep(row_id: str, steps: list[str]) -> None:
    parent, path = row_id, "flow"
    for number, step in enumerate(steps):
        path = f"{path}/{step}"
        item = f"{parent}/{step}[{number}]"
        row = RowFacts("run", item, "flow", 0, "answered", "", 1.0, 0.0, parent, path, 1, "finished")
        assert root_of(row) == row_id
        parent = item


@pytest.mark.slow
def test_rows_that_a_stopped_run_left_are_told_as_unfinished(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.ledger.ledger_samples import entries_of_row, run_record
    from toolkit.ledger import Journal, run_entry

    home = tmp_path_factory.mktemp("stopped")
    with Journal.open(home) as journal:
        journal.write(run_entry(run_record("run-1", "cancelled")), *entries_of_row(0), *entries_of_row(1)[:-1])
    found: list[Span] = []
    export(History(home), run_id="run-1", dry_run=True, sample=found.extend)
    rows = {span.attributes["toolkit.row_id"]: span for span in found if span.name == "invoke_workflow support"}
    assert rows["row-00000"].error_type is None
    assert rows["row-00001"].error_type == "unfinished"
    assert sum(span.name == "chat gpt-small" for span in found) == 2
