"""The worked examples of plug-ins: they keep the laws, are found by their entry point, and do what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import toolkit as tk
from tests.core.core_samples import attempts_at, decision_over, fleet_of, member, routing_facts
from toolkit.errors import FleetError, Unavailable
from toolkit.examples.plugins import LinUCB, Vote
from toolkit.ledger import History
from toolkit.policies import Accept, Facts, Park, Policy, Try
from toolkit.policies.conformance import PolicyConformance
from toolkit.records import Decision
from toolkit.routing import Router
from toolkit.routing.conformance import RouterConformance
from toolkit.routing.parsing import parse_router

LEARNT = {
    "small": {"a": [[40, 8, 0, 0], [8, 4, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]], "b": [30, 2, 0, 0]},
    "large": {"a": [[20, 4, 0, 0], [4, 3, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]], "b": [14, 3, 0, 0]},
}


@pytest.fixture
def snapshot(tmp_path: Path) -> str:
    path = tmp_path / "linucb.json"
    path.write_text(json.dumps(LEARNT), encoding="utf-8")
    return str(path)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that registers the router, as a package of somebody's would."""
    about = tmp_path / "site" / "my_routers-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-routers\nVersion: 1.0\n", encoding="utf-8")
    told = "[toolkit.routers]\nLinUCB = toolkit.examples.plugins:LinUCB\n"
    (about / "entry_points.txt").write_text(told, encoding="utf-8")
    monkeypatch.syspath_prepend(about.parent)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("sampled", [False, True])
def test_the_bandit_keeps_the_laws_and_is_read_from_text_by_its_entry_point(snapshot: str, sampled: bool) -> None:
    class Suite(RouterConformance):
        stateful = True

        def router(self) -> Router:
            return LinUCB(snapshot, sampled=sampled)

    for law in (name for name in dir(Suite) if name.startswith("test_")):
        getattr(Suite(), law)()


@pytest.mark.usefixtures("installed")
def test_an_entry_point_is_read_where_the_command_line_names_it(snapshot: str) -> None:
    assert parse_router(f"Explore(LinUCB({snapshot!r}), rate=0.2)") == tk.Explore(LinUCB(snapshot), rate=0.2)
    with pytest.raises(FleetError, match=r"LinUCB\(…\)"):
        parse_router("LinUBC('x')")


def test_doubt_is_explored_and_what_is_known_is_used(snapshot: str) -> None:
    facts = routing_facts([member("small"), member("large")], fields={"ticket": "Where is it?"})

    def choice(alpha: float) -> str:
        decision = LinUCB(snapshot, alpha=alpha).decide(facts)
        assert isinstance(decision, Decision)
        return decision.choice

    assert (choice(0.0), choice(50.0)) == ("small", "large")


def test_a_snapshot_that_is_not_there_and_nothing_to_learn_from_are_told(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot read its snapshot"):
        LinUCB(str(tmp_path / "none.json")).decide(routing_facts([member("small")]))

    @tk.step(route=tk.Fixed("small"))
    def topic(ticket: str) -> tk.Request:
        return tk.prompt("Name the topic.", ticket=ticket)

    tk.Workflow("desk", [topic]).run([{"id": "a", "ticket": "x"}], fleet_of(small=lambda _: "y"), home=tmp_path)
    with pytest.raises(FleetError, match="nothing to learn from"):
        LinUCB.learn(History(tmp_path), "desk/topic", tmp_path)


# --------------------------------------------------------------------------------------------------------------- votes
def test_the_vote_keeps_the_laws_of_policies() -> None:
    class Suite(PolicyConformance):
        several = True

        def policy(self) -> Policy:
            return Vote(2, agree=2)

    for law in (name for name in dir(Suite) if name.startswith("test_")):
        getattr(Suite(), law)()


ORDER = ("a", "b", "c", "person")


@pytest.mark.parametrize(
    ("said", "move"),
    [
        ((("a", "x"),), Try("b", why="voter 2")),
        ((("a", "x"), ("b", "x")), "a"),
        ((("a", "x"), ("b", "y")), Try("c", why="voter 3")),
        ((("a", "x"), ("b", "y"), ("c", "y")), "b"),
        ((("a", "x"), ("b", "y"), ("c", "z")), Park("person", why="no majority: it decides")),
        ((("a", None), ("b", "y")), Try("c", why="voter 3")),
        ((("a", None), ("b", "y"), ("c", "y")), "b"),
    ],
)
def test_votes_are_counted_by_what_is_said(said: tuple[tuple[str, str | None], ...], move: object) -> None:
    tried = attempts_at(*((model, Unavailable("down") if value is None else 0.5) for model, value in said))
    attempts = tuple(replace(each, value=value) for each, (_, value) in zip(tried, said, strict=True))
    made = Vote(3, agree=2)(Facts(decision_over(*ORDER), attempts, persons=frozenset({"person"})))
    if isinstance(made, Accept):
        assert made.attempt.model == move
        assert "2 of" in made.why
    else:
        assert made == move


def test_more_agreement_than_voters_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 3 voters"):
        Vote(3, agree=4)
