"""What is foreseen ends a flow run with its sentence, and without a trace of Prefect's engine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
from prefect.engine import handle_engine_signals

from toolkit.errors import RunError
from toolkit.orchestration.plainly import failed

ENGINE = logging.getLogger("prefect.engine")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What Prefect's engine logs meanwhile, in a process where no other flow run has ended before."""
    monkeypatch.setattr("prefect.engine.engine_outcome_is_handled", lambda: False)
    told: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    before, handler = list(ENGINE.filters), Listening()
    ENGINE.addHandler(handler)
    yield told
    ENGINE.removeHandler(handler)
    ENGINE.filters[:] = before


@pytest.mark.parametrize(("error", "lines"), [(RunError("there is no such file"), 0), (KeyError("a bug"), 1)])
def test_the_engine_logs_a_trace_of_bugs_alone(logged: list[str], error: Exception, lines: int) -> None:
    state = failed(RunError("there is no such file"), name="Not begun")
    assert (state.name, state.message) == ("Not begun", "there is no such file")
    with pytest.raises(SystemExit), handle_engine_signals(uuid4()):
        raise error
    assert len(logged) == lines
