"""A workflow under Prefect: the same history, one run, resumable, and all of it visible in Prefect."""

from __future__ import annotations

import _thread
import asyncio
import json
import time
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelling

import toolkit as tk
from tests.orchestration.desk import ROWS, Asked, desk
from toolkit.errors import FleetError, InvalidRequest, RowsError, RunError, SetupError
from toolkit.orchestration import Summary, as_flow, local_server, lookout
from toolkit.orchestration.batch import Batch
from toolkit.orchestration.conducting import Conducting
from toolkit.records import RunStatus
from toolkit.runs.resuming import resume

pytestmark = pytest.mark.slow

SAME = {
    "rows": 'select row_id, "index", status, fields::varchar, parent_row_id, cost_usd from rows',
    "answers": """
        select row_id, step, turn, status, value::varchar, model, attempts, case when model is not null then key end
        from answers""",
    "decisions": "select row_id, step, choice, probability, reason, router, seed from decisions",
    "attempts": "select row_id, step, number, model, why, input_tokens, error_type, request_hash from attempts",
    "runs": "select workflow, status, rows_total, seed from runs",
}


def flow_run_of(summary: Summary) -> FlowRun:
    (flow_run_id,) = summary.sql("select flow_run_id from runs").column("flow_run_id")
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(flow_run_id))


def filed(server: str, kind: str, flow_run_id: UUID) -> list[dict[str, Any]]:
    """The artifacts or task runs of a flow run. Asked by hand: Prefect's client sends nulls that its server refuses."""
    wanted = {"flow_runs": {"id": {"any_": [str(flow_run_id)]}}, "limit": 200}
    answer = httpx.post(f"{server}/{kind}/filter", json=wanted)
    answer.raise_for_status()
    return list(answer.json())


def task_run_names(server: str, flow_run_id: UUID, wanted: int) -> list[str]:
    """The names of all task runs; they reach the server as events, so a little later."""
    deadline = time.monotonic() + 30
    names: list[str] = []
    while len(names) < wanted and time.monotonic() < deadline:
        final = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
        names = [run["name"] for run in filed(server, "task_runs", flow_run_id) if run["state_type"] in final]
        time.sleep(0.2)
    return sorted(names)


# --------------------------------------------------------------------------------------------------------- the engine
@pytest.mark.parametrize("chunks_at_once", [1, 3])
def test_chunks_leave_the_same_history_as_one_run(server: str, tmp_path: Path, chunks_at_once: int) -> None:
    rows = [*ROWS, {"id": "t2", "ticket": "an id that an earlier chunk has"}, {"id": None, "ticket": "no id"}]
    plain = desk.run(rows, Asked().fleet, home=tmp_path / "plain")
    flow = as_flow(desk, fleet=Asked().fleet, rows=rows, chunk_size=4)
    summary = flow(home=str(tmp_path / "flow"), chunks_at_once=chunks_at_once)
    assert (summary.answered, summary.failed, summary.set_aside) == (23, 1, 1)
    for name, query in SAME.items():
        assert sorted(map(str, summary.sql(query))) == sorted(map(str, plain.sql(query))), name


def test_a_chunked_run_reads_each_row_once_and_asks_no_question_twice(server: str, tmp_path: Path) -> None:
    models = Asked()
    as_flow(desk, fleet=models.fleet, rows=ROWS)(home=str(tmp_path), chunk_size=5, chunks_at_once=2)
    assert set(models.asked.values()) <= {1, 2}
    assert [text for text, times in models.asked.items() if times == 2] == []


def test_a_run_of_a_file_can_be_continued_by_the_toolkit_without_prefect(server: str, tmp_path: Path) -> None:
    rows, fleet = tmp_path / "rows.jsonl", tmp_path / "models.toml"
    rows.write_text("\n".join(map(json.dumps, ROWS)))
    fleet.write_text('[models.small]\nprovider = "person"\n[models.large]\nprovider = "person"\n')
    flow = as_flow(desk, fleet=fleet, rows=rows, reference=f"{Path(__file__).parent / 'desk.py'}:desk")
    summary = flow(home=str(tmp_path), limit=3, router="Fixed('small')")
    (settings,) = summary.sql("select settings from runs").column("settings")
    assert json.loads(settings)["job"]["rows"] == str(rows)
    assert (summary.parked, summary.rows_total) == (3, 3)
    again = resume(summary.run_id, home=tmp_path).wait(show=False)
    assert (again.id, again.progress.total, again.progress.parked) == (summary.run_id, 3, 3)


# ------------------------------------------------------------------------------------------------------- in Prefect
def test_the_form_has_typed_fields_with_descriptions(tmp_path: Path) -> None:
    schema = as_flow(desk, rows="tickets.csv", chunk_size=7).parameters.model_dump()
    fields = schema["properties"]
    assert list(fields) == [
        "rows", "fleet", "router", "limit", "budget", "run_id", "fresh", "chunk_size", "chunks_at_once", "seed",
        "redact", "content", "home",
    ]  # fmt: skip
    assert schema["required"] == ["fleet"]
    assert fields["rows"]["default"] == "tickets.csv" and fields["rows"]["type"] == "string"
    assert fields["chunk_size"] == {
        "default": 7, "minimum": 1, "type": "integer", "position": 7, "title": "chunk_size",
        "description": "Rows of one Prefect task.",
    }  # fmt: skip
    assert fields["fresh"]["type"] == "boolean"
    assert fields["content"]["enum"] == [fields["content"]["default"], "full", "hashes"]
    assert all(field["description"] for field in fields.values())


def test_a_flow_run_says_what_it_does_and_shows_its_chunks(server: str, tmp_path: Path) -> None:
    summary = as_flow(desk, fleet=Asked().fleet, rows=ROWS, chunk_size=10)(home=str(tmp_path), limit=22)
    flow_run = flow_run_of(summary)
    assert flow_run.name == "desk: rows given in code, first 22 rows"
    assert flow_run.state is not None and summary.run_id in str(flow_run.state.message)
    names = task_run_names(server, flow_run.id, 4)
    assert names == ["end of the run", "rows 1 to 10", "rows 11 to 20", "rows 21 to 22"]


def test_a_flow_run_leaves_a_summary_costs_and_progress_as_artifacts(server: str, tmp_path: Path) -> None:
    summary = as_flow(desk, fleet=Asked().fleet, rows=ROWS, chunk_size=10)(home=str(tmp_path))
    found = {a["key"]: a["data"] for a in filed(server, "artifacts", flow_run_of(summary).id)}
    assert set(found) == {"desk-summary", "desk-costs", "desk-progress"}
    page = str(found["desk-summary"])
    assert summary.run_id in page and str(tmp_path / "history.duckdb") in page and "select step, model" in page
    costs = json.loads(str(found["desk-costs"]))
    assert {(row["step"], row["model"]) for row in costs} == set(summary.sql("select step, model from model_costs"))
    assert sum(row["calls"] for row in costs) == summary.attempts
    assert found["desk-progress"] == 100.0


def test_with_tasks_for_steps_every_model_step_of_every_row_is_a_task_run(server: str, tmp_path: Path) -> None:
    flow = as_flow(desk, fleet=Asked().fleet, rows=ROWS[4:7], tasks="steps", chunk_size=2)
    summary = flow(home=str(tmp_path))
    names = task_run_names(server, flow_run_of(summary).id, 10)
    assert names == [
        "desk › motto, row *",
        "desk › reply, row t5", "desk › reply, row t6", "desk › reply, row t7",
        "desk › triage, row t5", "desk › triage, row t6", "desk › triage, row t7",
        "end of the run", "rows 1 to 2", "rows 3 to 3",
    ]  # fmt: skip
    assert (summary.answered, summary.failed) == (2, 1)


# ----------------------------------------------------------------------------------------------- errors and stopping
def test_a_batch_of_which_no_row_is_answered_fails_and_says_why(server: str, tmp_path: Path) -> None:
    def refuses(number: int) -> None:
        raise InvalidRequest("there is no such model")

    flow = as_flow(desk, fleet=Asked(refuses).fleet, rows=ROWS[:2])
    state = cast("State[Any]", flow(home=str(tmp_path), return_state=True))
    assert (state.type, state.name) == (StateType.FAILED, "No row answered")
    assert "0 answered, 0 parked, 2 failed" in str(state.message)
    assert "there is no such model" in str(state.message)


@pytest.mark.parametrize(
    ("answers", "error", "sentence"),
    [
        ({"router": "Fixed('smal')"}, FleetError, "did you mean 'small'"),
        ({"rows": "nowhere.csv"}, RowsError, "there is no file nowhere.csv"),
        ({"rows": "select 1 as id"}, RowsError, "needs the column 'ticket'"),
        ({"run_id": "gone"}, RunError, "there is no record in"),
    ],
)
def test_what_cannot_run_fails_the_flow_run_with_its_one_sentence(
    server: str, tmp_path: Path, answers: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    flow = as_flow(desk, fleet=Asked().fleet, rows=ROWS)
    with pytest.raises(error, match=sentence):
        flow(home=str(tmp_path), **answers)
    state: State[Any] = cast(Any, flow)(home=str(tmp_path), **answers, return_state=True)
    assert state.type == StateType.FAILED and sentence in str(state.message) and "Traceback" not in str(state.message)


def test_a_flow_run_broken_off_goes_on_and_asks_nothing_again(server: str, tmp_path: Path) -> None:
    models = Asked(before=lambda calls: _thread.interrupt_main() if calls == 12 else None, seconds=0.05)
    flow = as_flow(desk, fleet=models.fleet, rows=ROWS, chunk_size=3)
    with pytest.raises(KeyboardInterrupt):
        flow(home=str(tmp_path))
    history = tk.History(tmp_path)
    ((run_id, status, total),) = history.sql("select id, status, rows_total from runs")
    assert (status, total) == ("cancelled", len(ROWS))
    assert 0 < len(history.sql("select * from rows")) < len(ROWS)
    models.before, done = None, set(models.asked)
    summary = flow(home=str(tmp_path), run_id=run_id)
    assert (summary.run_id, summary.status, summary.answered, summary.failed) == (run_id, "finished", 22, 1)
    seven = {text for text in models.asked if text.endswith("number 7\n</ticket>") or "number 7\n" in text}
    assert [text for text in done - seven if models.asked[text] > 1] == []
    assert len(history.sql("select id from runs")) == 1


def test_cancelling_in_prefect_stops_the_run_and_leaves_it_resumable(server: str, tmp_path: Path) -> None:
    cancelled: list[UUID] = []

    def cancel(calls: int) -> None:
        if calls == 5:
            (flow_run_id,) = tk.History(tmp_path).sql("select flow_run_id from runs").column("flow_run_id")
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(UUID(flow_run_id), Cancelling(), force=True)
            cancelled.append(UUID(flow_run_id))

    models = Asked(before=cancel, seconds=0.2)
    flow = as_flow(desk, fleet=models.fleet, rows=[{"id": i, "ticket": f"t {i}"} for i in range(60)], chunk_size=1)
    state: State[Any] = cast(Any, flow)(home=str(tmp_path), return_state=True)
    assert cancelled and state.is_cancelled()
    ((run_id, status),) = tk.History(tmp_path).sql("select id, status from runs")
    assert status == "cancelled" and f"run_id = {run_id}" in str(state.message)
    assert models.calls < 120


def test_a_signal_while_a_cancelled_run_is_being_stopped_leaves_it_cancelled(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect's signal may come after the flow run has seen for itself that it was cancelled."""
    signals = [KeyboardInterrupt()]
    stop = Conducting._stop

    def interrupted(self: Conducting, batch: Batch, status: RunStatus) -> None:
        if signals:
            raise signals.pop()
        stop(self, batch, status)

    monkeypatch.setattr(Conducting, "_stop", interrupted)
    monkeypatch.setattr(lookout, "is_cancelled", lambda flow_run_id: True)
    rows = [{"id": i, "ticket": f"t {i}"} for i in range(60)]
    flow = as_flow(desk, fleet=Asked(seconds=0.2).fleet, rows=rows, chunk_size=1)
    with pytest.raises(KeyboardInterrupt):
        flow(home=str(tmp_path))
    assert signals == []
    assert list(tk.History(tmp_path).sql("select status from runs").column("status")) == ["cancelled"]


# ---------------------------------------------------------------------------------------------------------- where
def test_a_flow_may_be_called_and_awaited_where_an_event_loop_runs(server: str, tmp_path: Path) -> None:
    async def cell() -> tuple[Summary, Summary]:
        called = as_flow(desk, fleet=Asked().fleet, rows=ROWS[:3])(home=str(tmp_path / "called"))
        awaited = await as_flow(desk, fleet=Asked().fleet, rows=ROWS[:3], awaited=True)(home=str(tmp_path / "awaited"))
        return called, awaited

    called, awaited = asyncio.run(cell())
    assert called.answered == awaited.answered == 3


def test_a_server_that_does_not_answer_is_named() -> None:
    from prefect.settings import temporary_settings

    nowhere: dict[Any, Any] = {"api.url": "http://127.0.0.1:9/api"}
    refused = pytest.raises(SetupError, match=r"no Prefect server answers at http://127")
    with temporary_settings(nowhere), refused, local_server():
        pass


def test_within_a_server_another_block_uses_the_same(server: str) -> None:
    with local_server() as url:
        assert url == server
