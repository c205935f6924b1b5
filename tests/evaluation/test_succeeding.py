"""A router learned anew takes the place of the one that serves where it did better on what nobody learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import toolkit as tk
from toolkit.errors import RunError
from toolkit.evaluation.experience import experience
from toolkit.evaluation.succeeding import challenged, held_out, of_rows
from toolkit.ledger import History
from toolkit.routing.learned import Learned
from toolkit.routing.learning import Examples

N = 400
TOPICS = {"alpha": "numbers sums fractions algebra equation", "beta": "verbs nouns grammar spelling sentence"}


@tk.step(route=tk.Uniform("alpha", "beta"), grade=tk.grading.Exact("truth"))
def label(id: str, text: str) -> tk.Request:
    return tk.prompt("Yes or no?", id=id, text=text)


desk = tk.Workflow("desk", [label])


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of two topics; each model is right about its own, and about one in five of the other's."""
    folder = tmp_path_factory.mktemp("material")
    rows, answers = [], ["id,model,response,score,cost_usd,input_tokens,output_tokens,latency_s"]
    for i in range(N):
        topic = ("alpha", "beta")[i % 2]
        words = TOPICS[topic].split()
        rows.append({"id": str(i), "text": f"{words[i % 5]} {words[i % 3]} {topic} item {i}", "truth": "yes"})
        said = {model: "yes" if model == topic or i % 5 == 0 else "no" for model in TOPICS}
        answers += [f"{i},{model},{said[model]},1,0.001,1,1,0.1" for model in TOPICS]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "answers.csv").write_text("\n".join(answers) + "\n")
    settings = 'provider = "recorded"\nsettings = { table = "answers.csv", key = "id" }\n'
    (folder / "models.toml").write_text("".join(f'[models.{m}]\nmodel = "{m}"\n{settings}' for m in TOPICS))
    return folder


def ran(material: Path, home: Path, *routes: tk.Fixed | tk.Uniform) -> History:
    for route in routes:
        fleet = tk.Fleet.load(material / "models.toml")
        desk.with_routes(route).run(material / "rows.jsonl", fleet, home=home, fresh=True)
    return History(home)


@pytest.fixture(scope="module")
def complete(material: Path, tmp_path_factory: pytest.TempPathFactory) -> History:
    return ran(material, tmp_path_factory.mktemp("complete"), tk.Fixed("alpha"), tk.Fixed("beta"))


def contrary(examples: Examples) -> Learned:
    """A router that learned the wrong way round."""
    taught = of_rows(examples, ~held_out(examples.texts))
    return Learned.fit(Examples(taught.texts, taught.tasks, taught.models, 1 - taught.quality, taught.cost))


@pytest.mark.slow
def test_the_first_router_takes_its_place_and_has_not_learned_from_what_is_held_out(complete: History) -> None:
    found = challenged(complete, "label")
    assert found.replaces and found.champion is None
    assert found.learned_from + found.held_out == N and N / 8 < found.held_out < N / 3


@pytest.mark.slow
def test_a_better_challenger_replaces_the_champion_and_an_equal_one_does_not(complete: History) -> None:
    champion = contrary(experience(complete, "label"))
    found = challenged(complete, "label", champion=champion)
    assert found.replaces and "the challenger replaces the champion: +0." in found.why
    again = challenged(complete, "label", champion=found.challenger)
    assert not again.replaces and "the champion stays: +0.0000" in again.why


@pytest.mark.slow
def test_where_not_every_model_answered_the_difference_is_estimated_from_what_chance_left(
    material: Path, complete: History, tmp_path: Path
) -> None:
    history = ran(material, tmp_path, tk.Uniform("alpha", "beta"))
    found = challenged(history, "label", champion=contrary(experience(complete, "label")))
    assert found.replaces and "estimated from" in found.why
    assert found.held_out == int(held_out(experience(complete, "label").texts).sum())


def test_a_history_of_one_model_teaches_nothing(material: Path, complete: History, tmp_path: Path) -> None:
    history = ran(material, tmp_path, tk.Fixed("alpha"))
    with pytest.raises(RunError, match="nothing to choose between"):
        challenged(history, "label", champion=contrary(experience(complete, "label")))


def test_the_same_requests_are_held_out_every_night() -> None:
    texts = tuple(f"request {n}" for n in range(1_000))
    first = held_out(texts)
    assert 150 < first.sum() < 250
    assert np.array_equal(held_out(texts[::-1]), first[::-1])


def test_a_record_without_grades_is_told_as_such(material: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no graded attempts of step 'gone'"):
        challenged(ran(material, tmp_path, tk.Fixed("alpha")), "gone")
