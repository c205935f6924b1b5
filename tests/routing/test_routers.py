"""Routers by measurement, hash, example, belief and question: their laws, and what each does."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

import toolkit as tk
from tests.core.core_samples import member, routing_facts, said
from toolkit.errors import FleetError, RateLimited, StepError
from toolkit.money.prices import Price
from toolkit.records import Decision, Request
from toolkit.routing import Asking, Joined, Measured, Measurement, Router, RoutingFacts
from toolkit.routing.parsing import parse_router
from toolkit.routing.thompson import shares

EU = frozenset({"chat", "residency:eu"})
SMALL = member("small", capabilities=EU)
LARGE, CODER = member("large", price=Price(10.0, 30.0)), member("coder", price=None)
PERSON = member("person", price=None, is_person=True, capabilities=frozenset({"*"}))
TEAM = (SMALL, LARGE, CODER, PERSON)
NAMES = tuple(model.name for model in TEAM)

SEEN = Measured(
    (
        Measurement("desk/triage", "small", 40, 4, seconds=1.0, graded=30, quality=0.6),
        Measurement("desk/triage", "large", 30, 0, seconds=3.0, graded=30, quality=0.7),
        Measurement("desk/reply", "large", 9, 0, seconds=0.5, graded=0, quality=None),
        Measurement("desk/triage", "person", 3, 0, seconds=0.1, graded=3, quality=1.0),
    )
)
TRIAGE: dict[str, Any] = {"step": "desk/triage"}
EXAMPLES = {"coder": ("fix this python loop", "my loop never ends"), "small": ("thank you so much", "many thanks")}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot and examples, saved."""
    home = tmp_path_factory.mktemp("routers")
    SEEN.save(home / "seen.json")
    tk.Similarity(EXAMPLES, otherwise=tk.Fixed("large")).save(home / "alike.json")
    return home


def decided(router: Router, facts: RoutingFacts) -> Decision:
    decision = router.decide(facts)
    assert isinstance(decision, Decision)
    return decision


def asked(asking: Decision | Asking, answer: str) -> tuple[str, Request, Decision]:
    """Whom a router asks, what, and what it decides when it hears that answer."""
    assert not isinstance(asking, Decision)
    model, request = next(asking)
    with pytest.raises(StopIteration) as done:
        asking.send(said(answer))
    return model, request, done.value.value


def chances(decision: Decision) -> Mapping[str, float]:
    return {candidate.model: candidate.probability for candidate in decision.candidates}


def failed(decision: Decision, model: str) -> list[str]:
    (candidate,) = [c for c in decision.candidates if c.model == model]
    return [verdict.constraint for verdict in candidate.verdicts if not verdict.passed]


# --------------------------------------------------------------------------------------------------------------- laws
def leaves(folder: Path) -> st.SearchStrategy[Router]:
    seen, alike = str(folder / "seen.json"), str(folder / "alike.json")
    some = st.lists(st.sampled_from(NAMES), unique=True)
    weight = st.floats(0, 1e6)
    return st.one_of(
        st.builds(tk.Fixed, st.sampled_from(NAMES)),
        some.map(lambda names: tk.Uniform(*names)),
        some.filter(bool).map(lambda names: tk.Ladder(*names)),
        some.map(lambda names: tk.Cheapest(*names)),
        some.map(lambda names: tk.Fastest(seen, *names)),
        some.map(lambda names: tk.Thompson(seen, *names)),
        st.builds(
            lambda names, worth, rate: tk.Balanced(seen, *names, worth=worth, per_second=rate), some, weight, weight
        ),
        st.builds(lambda least: tk.Similarity(alike, otherwise=tk.Uniform(), at_least=least), st.floats(0, 1)),
    )


def trees(folder: Path) -> st.SearchStrategy[Router]:
    seen = str(folder / "seen.json")

    def deeper(inner: st.SearchStrategy[Router]) -> st.SearchStrategy[Router]:
        return st.one_of(
            st.builds(tk.Explore, inner, st.floats(0, 1)),
            st.builds(lambda a, b: a | b, inner, inner),
            st.builds(tk.Shadow, inner, inner),
            st.builds(tk.Sticky, inner, by=st.none() | st.just("customer")),
            st.builds(
                lambda a, b, share, by: tk.Split(a, b, shares=(share, 1 - share), by=by),
                inner, inner, st.floats(0.01, 0.99), st.none() | st.just("customer"),
            ),
            st.builds(
                lambda base, eu, usd, secs: tk.Where(
                    base,
                    residency="eu" if eu else None,
                    needs=("chat",),
                    max_usd=usd,
                    max_seconds=secs,
                    measured=None if secs is None else seen,
                ),
                inner, st.booleans(), st.none() | st.floats(0, 0.01), st.none() | st.floats(0, 4),
            ),
        )  # fmt: skip

    return st.recursive(leaves(folder), deeper, max_leaves=5)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_laws_of_all_routers(folder: Path, data: st.DataObject) -> None:
    """Chances sum to one over who may be asked, nobody draws a person; text, seed and facts decide the same again."""
    router = data.draw(trees(folder))
    available = data.draw(st.lists(st.booleans(), min_size=len(TEAM), max_size=len(TEAM)))
    models = [replace(model, available=is_in) for model, is_in in zip(TEAM, available, strict=True)]
    facts = routing_facts(
        models,
        seed=data.draw(st.integers(0, 2**63)),
        input_tokens=data.draw(st.integers(0, 2_000)),
        fields={"customer": data.draw(st.text(max_size=3))},
        left_usd=data.draw(st.none() | st.floats(0, 0.01)),
        request=tk.prompt(data.draw(st.sampled_from(["many thanks", "loop", "hello"]))),
        **TRIAGE,
    )
    decision = decided(router, facts)
    if decision.order:
        assert sum(chances(decision).values()) == pytest.approx(1.0)
        assert decision.choice in decision.order
        assert decision.probability > 0
    else:
        assert decision.choice == ""
    for candidate in decision.candidates:
        assert candidate.eligible or (candidate.probability == 0 and candidate.model not in decision.order)
        if candidate.model == "person" and "Split(" not in decision.router:  # a split sends rows where it is told
            assert candidate.probability in (0.0, 1.0), "a person is chosen for certain, and never drawn"
    assert decision.router == repr(router)
    assert decided(parse_router(decision.router), replace(facts, seed=decision.seed)) == decision


DRAWING = [
    tk.Uniform() | tk.Fixed("person"),
    tk.Explore(tk.Where(tk.Ladder("coder", "small", "large"), max_usd=1.0), rate=0.6),
    tk.Sticky(tk.Explore(tk.Ladder("small", "large"), rate=0.5), by="customer"),
    tk.Split(tk.Fixed("small"), tk.Explore(tk.Ladder("large", "small"), rate=0.5), shares=(0.3, 0.7), by="customer"),
    tk.Split(tk.Uniform("small", "large"), tk.Fixed("coder"), tk.Uniform("coder", "person")),
    tk.Shadow(tk.Uniform("small", "coder"), beside=tk.Fixed("large")),
]


@pytest.mark.parametrize("router", DRAWING, ids=repr)
def test_exact_probabilities_are_how_often_a_model_is_served(router: Router) -> None:
    trials = 4_000
    decisions = [
        decided(router, routing_facts(TEAM, seed=n * 7919, fields={"customer": f"c{n}"})) for n in range(trials)
    ]
    drawn = Counter(decision.choice for decision in decisions)
    assert "person" not in drawn
    assert {decision.probabilities for decision in decisions} == {"exact"}
    for name, chance in chances(decisions[0]).items():
        assert binom.ppf(1e-7, trials, chance) <= drawn[name] <= binom.ppf(1 - 1e-7, trials, chance), name


# ----------------------------------------------------------------------------------------------------------- measured
def test_a_snapshot_comes_back_from_its_file_which_bears_its_hash(tmp_path: Path) -> None:
    saved = SEEN.save(tmp_path)
    assert Path(saved.source).name == f"measured-{SEEN.hash[:12]}.json"
    assert Measured.load(saved.source) == SEEN
    assert repr(tk.Fastest(saved)) == f"Fastest({saved.source!r})"


def test_a_snapshot_that_was_changed_or_is_not_there_is_refused(tmp_path: Path) -> None:
    path = Path(SEEN.save(tmp_path / "seen.json").source)
    path.write_text(path.read_text(encoding="utf-8").replace("0.6", "0.9"), encoding="utf-8")
    with pytest.raises(FleetError, match="was changed after it was saved"):
        Measured.load(path)
    with pytest.raises(FleetError, match="there is no snapshot"):
        parse_router(f"Fastest('{tmp_path / 'none.json'}')")


def test_the_fastest_as_measured_is_asked_first_the_unmeasured_last_and_persons_after() -> None:
    assert decided(tk.Fastest(SEEN), routing_facts(TEAM, **TRIAGE)).order == ("small", "large", "coder", "person")
    at_reply = decided(tk.Fastest(SEEN), routing_facts(TEAM, step="desk/reply"))
    assert at_reply.order[0] == "large"
    assert at_reply.snapshot == SEEN.hash


def test_where_nothing_is_measured_the_reason_says_so() -> None:
    assert "nothing is measured" in decided(tk.Fastest(SEEN), routing_facts(TEAM, step="other")).reason


@pytest.mark.parametrize(
    ("weights", "first"), [({}, "large"), ({"worth": 10.0}, "small"), ({"per_second": 0.1}, "small")]
)
def test_balanced_weighs_quality_against_money_and_time(weights: dict[str, float], first: str) -> None:
    facts = routing_facts(TEAM, input_tokens=1_000, request=Request(max_output_tokens=1_000), **TRIAGE)
    assert decided(tk.Balanced(SEEN, "small", "large", "coder", **weights), facts).order[0] == first


# ----------------------------------------------------------------------------------------------------------- thompson
def test_a_belief_is_drawn_as_often_as_the_flagged_probability_says() -> None:
    trials, router = 4_000, tk.Thompson(SEEN)
    decisions = [decided(router, routing_facts(TEAM, seed=n * 7919, **TRIAGE)) for n in range(trials)]
    drawn = Counter(decision.choice for decision in decisions)
    assert "person" not in drawn
    assert {(d.probabilities, d.snapshot) for d in decisions} == {("monte_carlo", SEEN.hash)}
    assert {name: drawn[name] / trials for name in NAMES} == pytest.approx(dict(chances(decisions[0])), abs=0.05)


def test_simulated_shares_agree_with_the_integral() -> None:
    """P(X > Y) for Beta(2, 1) and Beta(1, 1) is 2/3."""
    assert shares(((2.0, 1.0), (1.0, 1.0)))[0] == pytest.approx(2 / 3, abs=0.04)


def test_the_more_is_known_the_less_is_explored() -> None:
    def chance(times: int) -> float:
        rows = tuple(Measurement("s", m, graded=times, quality=q) for m, q in (("small", 0.8), ("large", 0.6)))
        return chances(decided(tk.Thompson(Measured(rows), "small", "large"), routing_facts(TEAM)))["small"]

    assert 0.5 < chance(2) < chance(20) < chance(200) < 1


# -------------------------------------------------------------------------------------------------------- constraints
@pytest.mark.parametrize(
    ("constraint", "left", "by"),
    [
        ({"residency": "eu"}, ("small",), "residency"),
        ({"needs": ("tools",)}, ("person",), "needs"),
        ({"max_usd": 0.003}, ("small",), "max_usd"),
        ({"max_seconds": 2.0, "measured": SEEN}, ("small", "person"), "max_seconds"),
    ],
)
def test_a_constraint_leaves_those_that_meet_it_and_the_record_says_who_did_not(
    constraint: dict[str, Any], left: tuple[str, ...], by: str
) -> None:
    decision = decided(tk.Cheapest().where(**constraint), routing_facts(TEAM, input_tokens=2_000, **TRIAGE))
    assert decision.order == left
    assert failed(decision, "large") == [by]


def test_constraints_within_constraints_all_hold() -> None:
    router = tk.Cheapest().where(max_usd=1.0).where(residency="eu")
    decision = decided(router, routing_facts(TEAM, input_tokens=10))
    assert decision.order == ("small",)
    assert failed(decision, "coder") == ["residency", "max_usd"]


def test_a_model_dearer_than_what_is_left_is_not_asked() -> None:
    decision = decided(tk.Ladder("large", "small"), routing_facts(TEAM, input_tokens=1_000, left_usd=0.005))
    assert decision.order == ("small",)
    assert failed(decision, "large") == ["budget"]


def test_a_constraint_without_its_measure_or_without_any_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs measured="):
        tk.Cheapest().where(max_seconds=2)
    with pytest.raises(ValueError, match="name a constraint"):
        tk.Cheapest().where()


# ------------------------------------------------------------------------------------------------------------- joined
def test_the_second_router_decides_where_the_first_finds_nobody_and_follows_where_it_does() -> None:
    router = tk.Ladder("large").where(residency="eu") | tk.Ladder("small", "person")
    assert decided(router, routing_facts(TEAM)).order == ("small", "person")
    found = decided(tk.Fixed("large") | tk.Ladder("small", "large"), routing_facts(TEAM))
    assert (found.order, found.probability) == (("large", "small"), 1.0)


def test_joining_is_associative() -> None:
    a, b, c = tk.Fixed("small"), tk.Fixed("large"), tk.Fixed("coder")
    assert (a | b) | c == a | (b | c) == Joined((a, b, c))


@pytest.mark.parametrize("text", ["Fixed('small').where(max_usd=0.5)", "Fixed('small') | Cheapest('large')"])
def test_operators_are_read_from_the_command_line(text: str) -> None:
    assert parse_router(text) == eval(text, {"Fixed": tk.Fixed, "Cheapest": tk.Cheapest})


# ---------------------------------------------------------------------------------------------------- split and sticky
def test_a_row_goes_the_same_way_whatever_the_seed_and_another_salt_splits_anew() -> None:
    rows = [{"id": f"r{n}"} for n in range(300)]

    def way(salt: str, seed: int) -> list[str]:
        router = tk.Split(tk.Fixed("small"), tk.Fixed("large"), by="id", salt=salt)
        return [decided(router, routing_facts(TEAM, fields=row, seed=seed)).choice for row in rows]

    assert way("", 1) == way("", 2)
    alike = sum(a == b for a, b in zip(way("", 1), way("second", 1), strict=True))
    assert binom.ppf(1e-7, 300, 0.5) <= alike <= binom.ppf(1 - 1e-7, 300, 0.5)


def test_a_branch_with_nobody_to_ask_gives_its_rows_away_and_the_others_keep_theirs() -> None:
    router = tk.Split(tk.Fixed("small"), tk.Fixed("large"), tk.Fixed("coder"))
    rows = [{"id": n} for n in range(60)]
    before = [decided(router, routing_facts(TEAM, fields=row)).choice for row in rows]
    shut = [replace(model, available=model.name != "coder") for model in TEAM]
    after = [decided(router, routing_facts(shut, fields=row)) for row in rows]
    kept = [(was, now.choice) for was, now in zip(before, after, strict=True) if was != "coder"]
    assert all(was == now for was, now in kept)
    assert {now.probability for now in after} == {0.5}


def test_a_customer_keeps_the_arm_that_was_drawn() -> None:
    router = tk.Sticky(tk.Uniform("small", "large", "coder"), by="customer")
    arms = {
        customer: {decided(router, routing_facts(TEAM, seed=s, fields={"customer": customer})).choice for s in range(9)}
        for customer in map(str, range(20))
    }
    assert {len(found) for found in arms.values()} == {1}
    assert len(set.union(*arms.values())) == 3


def test_where_there_is_nothing_to_stick_to_the_reason_says_so() -> None:
    router = tk.Sticky(tk.Uniform(), by="customer")
    told = [decided(router, routing_facts(TEAM, seed=s)) for s in range(30)]
    assert len({decision.choice for decision in told}) == 3
    assert all("it has no customer" in decision.reason for decision in told)


def test_without_a_field_the_arm_sticks_to_the_run() -> None:
    router = tk.Sticky(tk.Uniform())
    told = [decided(router, routing_facts(TEAM, seed=s, run_id="r1")) for s in range(9)]
    assert len({decision.choice for decision in told}) == 1
    assert {decision.seed for decision in told} == set(range(9))


@pytest.mark.parametrize("wrong", [(0.5,), (0.5, 0.6), (1.0, 0.0)])
def test_shares_that_are_none_are_an_error(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="that sum to 1"):
        tk.Split(tk.Fixed("small"), tk.Fixed("large"), shares=wrong)


# ------------------------------------------------------------------------------------------------------------- shadow
def test_a_shadow_is_noted_on_its_choice_and_changes_nothing_else() -> None:
    facts = routing_facts(TEAM)
    base = decided(tk.Ladder("small", "large"), facts)
    beside = decided(tk.Shadow(tk.Ladder("small", "large"), beside=tk.Explore(tk.Fixed("coder"), rate=0.2)), facts)
    assert (beside.choice, beside.order, beside.seed) == (base.choice, base.order, base.seed)
    assert {m: p for m, p in chances(beside).items() if m != "coder"} == chances(base)
    notes = {c.model: v.why for c in beside.candidates for v in c.verdicts if v.constraint == "shadow"}
    assert notes == {"coder": "Explore(Fixed('coder'), rate=0.2) would choose it, probability 1"}


def test_a_shadow_that_fails_or_asks_harms_nobody() -> None:
    @tk.router(models=("small",))
    def broken(facts: RoutingFacts) -> str:
        raise RuntimeError("no")

    judge = tk.Judge("small", "large", by="coder")
    for beside, why in [(broken, "failed: no"), (judge, "would ask a model first")]:
        decision = decided(tk.Shadow(tk.Fixed("large"), beside=beside), routing_facts(TEAM))
        assert decision.choice == "large"
        assert why in decision.reason


# --------------------------------------------------------------------------------------------------------- similarity
@pytest.mark.parametrize(
    ("text", "first"),
    [("Why does my loop never stop?", "coder"), ("THANK you, so kind", "small"), ("Where is my parcel?", "large")],
)
def test_a_request_goes_where_examples_like_it_go_or_elsewhere_if_there_are_none(text: str, first: str) -> None:
    router = tk.Similarity(EXAMPLES, otherwise=tk.Fixed("large"))
    decision = decided(router, routing_facts(TEAM, request=tk.prompt(text)))
    assert decision.choice == first
    assert decision.snapshot == router.examples.hash


def test_an_example_is_wholly_like_itself() -> None:
    found = tk.Similarity(EXAMPLES, otherwise=tk.Fixed("large")).examples.likeness("many thanks")
    assert found["small"] == pytest.approx(1.0)
    assert found["coder"] == 0.0


def test_examples_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot read the examples"):
        tk.Similarity(tmp_path / "none.json", otherwise=tk.Fixed("large"))


# -------------------------------------------------------------------------------------------------------------- judge
@pytest.mark.parametrize(
    ("word", "first"),
    [("large", "large"), ("I would say: Large.", "large"), ("small or large", "small"), ("larger", "small")],
)
def test_the_model_that_the_judge_names_is_asked(word: str, first: str) -> None:
    facts = routing_facts(TEAM, request=tk.prompt("Prove it."))
    model, request, decision = asked(tk.Judge("small", "large", by="coder").decide(facts), word)
    assert model == "coder"
    assert "Prove it." in request.text
    assert (decision.choice, decision.probability, set(decision.order)) == (first, 1.0, {"small", "large"})


def test_a_judge_is_not_asked_where_it_may_not_be_or_nothing_is_left_to_judge() -> None:
    judge = tk.Judge("small", "large", by="coder")
    assert "cannot be asked" in decided(judge, routing_facts((SMALL, LARGE, replace(CODER, available=False)))).reason
    assert decided(judge.where(residency="eu"), routing_facts(TEAM)).order == ("small",)
    with pytest.raises(StepError, match="not in the fleet"):
        judge.decide(routing_facts((SMALL, LARGE)))


@pytest.mark.parametrize(
    "around",
    [
        lambda judge: judge | tk.Fixed("person"),
        lambda judge: tk.Ladder("person").where(residency="eu") | judge,
        lambda judge: judge.where(max_usd=1.0),
        lambda judge: tk.Sticky(judge, by="customer"),
        lambda judge: tk.Shadow(judge, beside=tk.Fixed("small")),
        lambda judge: tk.Rules(tk.Rule(judge), otherwise=tk.Fixed("small")),
        lambda judge: tk.Explore(judge, rate=0.0),
    ],
)
def test_routers_around_a_judge_let_it_ask(around: Any) -> None:
    router = around(tk.Judge("small", "large", by="small"))
    _, _, decision = asked(router.decide(routing_facts(TEAM)), "large")
    assert (decision.choice, decision.router) == ("large", repr(router))
    assert parse_router(repr(router)) == router


def test_a_judge_that_fails_leaves_the_first() -> None:
    asking = tk.Judge("small", "large", by="coder").decide(routing_facts(TEAM))
    assert not isinstance(asking, Decision)
    next(asking)
    with pytest.raises(StopIteration) as done:
        asking.throw(RateLimited("too many"))
    assert done.value.value.choice == "small"
    assert "could not say who: too many" in done.value.value.reason


def test_a_split_says_that_it_cannot_hold_a_judge() -> None:
    with pytest.raises(StepError, match="cannot hold a router that asks"):
        tk.Split(tk.Judge("small", "large", by="coder"), tk.Fixed("small")).decide(routing_facts(TEAM))


# ------------------------------------------------------------------------------------------------------------- custom
@tk.router(models=("small", "large", "person"), version=2)
def by_length(facts: RoutingFacts, *, least: int = 500) -> str:
    return "large" if facts.input_tokens >= least else "small"


@tk.router(models=("small", "large", "person"))
def drawn(facts: RoutingFacts) -> dict[str, float]:
    return {"small": 1.0, "large": 3.0, "person": 4.0}


def test_a_function_is_a_router_with_settings_and_a_version_in_its_label() -> None:
    facts = routing_facts(TEAM, input_tokens=600)
    assert decided(by_length, facts).order == ("large", "small", "person")
    assert decided(by_length(least=700), facts).choice == "small"
    assert repr(by_length(least=700)) == "by_length(least=700, version=2)"
    with pytest.raises(ValueError, match="at version 2, not 1"):
        by_length(version=1)


def test_probabilities_of_a_function_are_those_on_record_and_no_person_is_drawn() -> None:
    decisions = [decided(drawn, routing_facts(TEAM, seed=n * 7919)) for n in range(2_000)]
    assert chances(decisions[0]) == {"small": 0.25, "large": 0.75, "person": 0.0}
    count = sum(decision.choice == "large" for decision in decisions)
    assert binom.ppf(1e-7, 2_000, 0.75) <= count <= binom.ppf(1 - 1e-7, 2_000, 0.75)


def test_a_function_that_names_a_strange_model_fails_the_row() -> None:
    @tk.router(models=("small",))
    def strange(facts: RoutingFacts) -> str:
        return "coder"

    with pytest.raises(StepError, match="'coder', which is none of its models"):
        strange.decide(routing_facts(TEAM))


def test_routers_of_packages_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "more_routers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: more-routers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[toolkit.routers]\nby_length = tests.routing.test_routers:by_length\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert parse_router("by_length") == by_length
    assert parse_router("Explore(by_length(least=9, version=2), rate=0.5)") == tk.Explore(by_length(least=9), rate=0.5)
    with pytest.raises(FleetError, match="at version 2, not 1"):
        parse_router("by_length(version=1)")
