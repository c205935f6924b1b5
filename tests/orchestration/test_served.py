"""Deployments as `toolkit up` serves them: cancelled, killed, started again, resumed; nothing is paid for twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.standing import Up
from tests.evaluation.test_gate import folder as folder
from tests.orchestration.served import (
    Desk,
    awaited,
    ended,
    logs,
    serving,
    set_state,
    slowly,
    started,
)
from toolkit.runs.resuming import resume

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def slow_desk(tmp_path: Path) -> Iterator[Desk]:
    with slowly(tmp_path) as desk:
        yield desk


def test_cancelling_in_the_ui_stops_between_attempts_and_leaves_the_run_resumable(served: Up, slow_desk: Desk) -> None:
    with served.client() as api:
        id = started(api, "slow/slow", slow_desk.form)
        awaited(lambda: slow_desk.answers >= 5)
        set_state(api, id, type="CANCELLING")
        assert ended(api, id)["state"]["type"] == "CANCELLED"
        said = logs(api, id)
    ((run_id, status),) = slow_desk.runs
    assert status == "cancelled" and run_id in said
    before = slow_desk.answers
    assert 0 < before < 47
    resumed = resume(run_id, home=slow_desk.home).wait(show=False)
    assert (resumed.id, resumed.progress.done, resumed.run.status) == (run_id, 23, "finished")
    assert slow_desk.asked_twice() == 0
