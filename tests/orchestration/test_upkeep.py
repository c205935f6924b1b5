"""The flows beside the batch, called as a schedule calls them: routers learned from history, old texts deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

import toolkit as tk
from flows import prune, resume, retrain
from tests.evaluation import samples
from toolkit.routing.learned import Learned

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("server")]


def test_a_router_is_learned_from_history_and_the_next_one_has_to_beat_it(tmp_path: Path) -> None:
    home, folder = tmp_path / "record", tmp_path / "routers"
    samples.ran(home, tk.Uniform("small", "large"), n=240)
    told = {"step": "label", "folder": str(folder), "home": str(home)}
    first = retrain.flow(**told, return_state=True)
    assert first.name == "Replaced", first.message
    served = Learned(str(folder))
    assert set(served.names()) == {"small", "large"}
    assert (retrain.flow(**told, return_state=True)).name == "Champion stays"
    assert Learned(str(folder)).knowledge.hash == served.knowledge.hash


def test_old_texts_are_deleted_and_the_numbers_stay(tmp_path: Path) -> None:
    samples.ran(tmp_path, tk.Fixed("small"), n=6)
    ended = prune.flow(older_than="0d", home=str(tmp_path), return_state=True)
    assert ended.is_completed() and "1 runs, 6 rows, 6 attempts" in (ended.message or "")
    history = tk.History(tmp_path)
    assert history.sql("select count(*), count(cost_usd) from attempts").rows == ((6, 6),)
    assert history.sql("select count(*) from contents where body like '%question%'").rows == ((0,),)


@pytest.mark.parametrize("flow", [prune.flow, resume.flow, retrain.flow])
def test_a_home_with_nothing_in_it_is_said_and_is_no_fault(flow: object, tmp_path: Path) -> None:
    ended = flow(home=str(tmp_path), return_state=True)  # type: ignore[operator]
    assert ended.is_completed() and f"nothing is on record in {tmp_path} yet" in ended.message
