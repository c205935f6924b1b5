"""A row that waits for a person keeps waiting, and costs nothing while it does."""

from __future__ import annotations

from pathlib import Path

import pytest

import toolkit as tk
from toolkit.records import Request


@pytest.mark.slow
def test_a_run_resumed_while_its_question_is_open_asks_no_model_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def unsure(request: Request) -> tk.Reply:
        from toolkit.messages import Text

        asked.append(request.text)
        return tk.Reply(parts=(Text("perhaps"),), confidence=0.1)

    fleet = tk.Fleet({}).with_function("small", unsure)
    fleet = tk.Fleet({**fleet.specs, "person": tk.ModelSpec("person", "person", "person")}, fleet.functions)

    @tk.step(route=tk.Ladder("small", "person"), policy=tk.Escalate(below=0.5))
    def verdict(ticket: str) -> tk.Request:
        return tk.prompt("Judge.", ticket=ticket)

    workflow = tk.Workflow("court", [verdict])
    rows = [{"id": "a", "ticket": "hard one"}]
    first = workflow.run(rows, fleet, home=tmp_path)
    again = workflow.run(rows, fleet, home=tmp_path, run_id=first.id)
    assert (first.progress.parked, again.progress.parked, len(asked)) == (1, 1, 1)
    with tk.Journal.open(tmp_path) as journal:
        assert len(journal.parked(first.id)) == 1
