"""Each router over tables of models; probabilities that are true; routers that come back from their text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tests.core.core_samples import member, routing_facts, said
from toolkit import Cheapest, Explore, Fixed, Ladder, Request, Rule, Rules, Uniform, prompt
from toolkit.errors import FleetError, StepError
from toolkit.money.prices import Price
from toolkit.records import Decision
from toolkit.routing import ByFunction, ModelFacts, Router, RoutingFacts
from toolkit.routing.parsing import parse_router, parse_routers

SMALL, LARGE, CODER = member("small"), member("large", price=Price(10.0, 30.0)), member("coder", price=None)
PERSON = member("person", price=None, is_person=True, capabilities=frozenset({"*"}))
TEAM = (SMALL, LARGE, CODER, PERSON)
NAMES = tuple(model.name for model in TEAM)


def decided(router: Router, facts: RoutingFacts) -> Decision:
    decision = router.decide(facts)
    assert isinstance(decision, Decision)
    return decision


def without(name: str, models: Sequence[ModelFacts] = TEAM) -> list[ModelFacts]:
    return [replace(model, available=model.name != name) for model in models]


# ------------------------------------------------------------------------------------------------------------ routers
ROUTES = [
    (Fixed("large"), TEAM, {}, ("large",)),
    (Fixed("large"), without("large"), {}, ()),
    (Ladder("small", "large", "person"), TEAM, {}, ("small", "large", "person")),
    (Ladder("small", "large", "person"), without("small"), {}, ("large", "person")),
    (Cheapest(), TEAM, {}, ("small", "large", "coder", "person")),
    (Cheapest("person", "coder", "large"), TEAM, {}, ("large", "coder", "person")),
    (Rules(Rule(Fixed("large"), field="tier", value="vip"), otherwise=Fixed("small")), TEAM, {}, ("small",)),
    (
        Rules(Rule(Fixed("large"), field="tier", value="vip"), otherwise=Fixed("small")),
        TEAM,
        {"fields": {"tier": "vip"}},
        ("large",),
    ),
    (Rules(Rule(Fixed("large"), min_tokens=500), otherwise=Fixed("small")), TEAM, {"input_tokens": 500}, ("large",)),
    (Rules(Rule(Fixed("large"), min_tokens=500), otherwise=Fixed("small")), TEAM, {"input_tokens": 499}, ("small",)),
    (
        Rules(Rule(Fixed("coder"), "lang", "py"), Rule(Fixed("large"), "lang", "py"), otherwise=Fixed("small")),
        TEAM,
        {"fields": {"lang": "py"}},
        ("coder",),
    ),
    (Rules(Rule(Fixed("large"), max_tokens=9), otherwise=Fixed("small")), TEAM, {"input_tokens": 9}, ("large",)),
    (Rules(Rule(Fixed("large"), max_tokens=9), otherwise=Fixed("small")), TEAM, {"input_tokens": 10}, ("small",)),
    (Rules(Rule(Fixed("large"), step="reply"), otherwise=Fixed("small")), TEAM, {"step": "desk/reply"}, ("large",)),
    (Rules(Rule(Fixed("large"), step="reply"), otherwise=Fixed("small")), TEAM, {"step": "no_reply"}, ("small",)),
    (
        Rules(Rule(Fixed("large"), "lang", ("de", "fr")), otherwise=Fixed("small")),
        TEAM,
        {"fields": {"lang": "fr"}},
        ("large",),
    ),
    (ByFunction(lambda facts: "large", ("small", "large"), "big first"), TEAM, {}, ("large", "small")),
    (Explore(Ladder("small", "large"), rate=0.0), TEAM, {}, ("small", "large")),
]


@pytest.mark.parametrize(("router", "models", "given_", "order"), ROUTES)
def test_the_order_follows_from_the_facts(
    router: Router, models: Sequence[ModelFacts], given_: dict[str, Any], order: tuple[str, ...]
) -> None:
    decision = decided(router, routing_facts(models, **given_))
    assert decision.order == order
    assert decision.choice == (order[0] if order else "")
    assert decision.router == repr(router)


def test_uniform_draws_from_all_that_qualify_and_never_a_person() -> None:
    decision = decided(Uniform(), routing_facts(TEAM))
    assert set(decision.order) == {"small", "large", "coder"}
    assert decision.probability == pytest.approx(1 / 3)
    assert decision.exploration_rate == 1.0


def test_a_function_that_names_a_model_it_did_not_declare_fails_the_row() -> None:
    with pytest.raises(StepError, match="'coder', which is none of its models"):
        ByFunction(lambda facts: "coder", ("small",), "strange").decide(routing_facts(TEAM))


@pytest.mark.parametrize("kind", [Ladder, Uniform, Cheapest])
def test_a_model_named_twice_is_an_error(kind: Any) -> None:
    with pytest.raises(ValueError, match="'small' twice"):
        kind("small", "large", "small")


# ----------------------------------------------------------------------------------------------------------- verdicts
TYPED = Request(output_schema={"type": "object"})
VERDICTS = [
    (member("m"), TYPED, {}, "lacks json"),
    (member("m"), Request(operation="embeddings", inputs=("x",)), {}, "lacks embed"),
    (member("m"), Request(needs=("code", "tools")), {}, "lacks code, tools"),
    (member("m", window=1000), Request(), {"min_input_tokens": 800}, "about 1,056 tokens > 1,000"),
    (member("m", window=1000), Request(max_output_tokens=500), {"min_input_tokens": 501}, "about 1,001 tokens > 1,000"),
    (member("m", available=False), Request(), {}, "circuit breaker is open"),
]


@pytest.mark.parametrize(("model", "request_", "given_", "why"), VERDICTS)
def test_a_model_that_may_not_be_asked_is_left_out_and_the_record_says_why(
    model: ModelFacts, request_: Request, given_: dict[str, Any], why: str
) -> None:
    decision = decided(Ladder("m", "person"), routing_facts((model, PERSON), request=request_, **given_))
    assert decision.order == ("person",)
    assert why in " ".join(verdict.why for verdict in decision.candidates[0].verdicts if not verdict.passed)
    alone = decided(Fixed("m"), routing_facts((model,), request=request_, **given_))
    assert alone.order == ()
    assert why in alone.reason


@pytest.mark.parametrize(
    ("model", "request_", "given_"),
    [
        (member("m", capabilities=frozenset({"*"})), TYPED, {}),
        (member("m", window=1000), Request(max_output_tokens=200), {"min_input_tokens": 800}),
        (member("m", window=200, capabilities=frozenset({"embed"})), Request(operation="embeddings"), {}),
    ],
)
def test_a_model_that_fits_qualifies(model: ModelFacts, request_: Request, given_: dict[str, Any]) -> None:
    assert decided(Fixed("m"), routing_facts((model,), request=request_, **given_)).order == ("m",)


def test_the_expected_cost_is_reckoned_from_the_sizes_of_prompt_and_answer() -> None:
    request = Request(max_output_tokens=100)
    decision = decided(Ladder("large", "coder"), routing_facts(TEAM, request=request, input_tokens=1000))
    assert [c.expected_cost_usd for c in decision.candidates] == [pytest.approx((1000 * 10 + 100 * 30) / 1e6), None]


def test_where_only_persons_are_left_uniform_says_so() -> None:
    assert "a person is never drawn" in decided(Uniform("person"), routing_facts(TEAM)).reason


# ------------------------------------------------------------------------------------------------------ probabilities
LEAVES = st.one_of(
    st.builds(Fixed, st.sampled_from(NAMES)),
    st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(lambda names: Ladder(*names)),
    st.lists(st.sampled_from(NAMES), unique=True).map(lambda names: Uniform(*names)),
    st.lists(st.sampled_from(NAMES), unique=True).map(lambda names: Cheapest(*names)),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)


def deeper(inner: st.SearchStrategy[Router]) -> st.SearchStrategy[Router]:
    rules = st.builds(
        Rule,
        inner,
        field=st.none() | st.text(max_size=6),
        value=SCALARS | st.tuples(SCALARS, SCALARS),
        min_tokens=st.integers(0, 9999),
        max_tokens=st.none() | st.integers(0, 9999),
        step=st.none() | st.just("triage"),
    )
    return st.one_of(
        st.builds(Explore, inner, st.floats(0, 1)),
        st.builds(lambda made, otherwise: Rules(*made, otherwise=otherwise), st.lists(rules, max_size=3), inner),
    )


ROUTERS: st.SearchStrategy[Router] = st.recursive(LEAVES, deeper, max_leaves=6)


@given(ROUTERS, st.lists(st.booleans(), min_size=len(TEAM), max_size=len(TEAM)), st.integers(0, 2**63))
def test_probabilities_sum_to_one_and_nobody_who_may_not_be_asked_has_any(
    router: Router, available: list[bool], seed: int
) -> None:
    models = [replace(model, available=is_in) for model, is_in in zip(TEAM, available, strict=True)]
    decision = decided(router, routing_facts(models, seed=seed))
    chances = {candidate.model: candidate.probability for candidate in decision.candidates}
    if not decision.order:
        assert decision.choice == ""
        return
    assert sum(chances.values()) == pytest.approx(1.0)
    assert all(chance == 0 for name, chance in chances.items() if name not in decision.order)
    assert decision.choice in decision.order
    assert decision.probability > 0


@given(ROUTERS, st.integers(0, 2**63))
def test_a_recorded_seed_gives_the_same_decision_again(router: Router, seed: int) -> None:
    first = decided(router, routing_facts(TEAM, seed=seed))
    assert first.seed == seed
    assert decided(parse_router(first.router), routing_facts(TEAM, seed=first.seed)) == first


@given(ROUTERS)
def test_a_router_comes_back_from_its_text(router: Router) -> None:
    assert parse_router(repr(router)) == router


@pytest.mark.parametrize(
    "router",
    [
        Explore(Ladder("small", "large", "coder", "person"), rate=0.1),
        Explore(Fixed("small"), rate=1.0),
        Explore(Cheapest(), rate=0.37),
        Explore(Uniform("small", "large", "coder"), rate=0.3),
        Explore(Explore(Ladder("small", "large"), rate=0.2), rate=0.3),
        Rules(Rule(Explore(Ladder("small", "coder"), rate=0.5)), otherwise=Fixed("large")),
        Uniform(),
    ],
)
def test_the_recorded_probability_is_how_often_a_model_is_drawn(router: Router) -> None:
    trials = 6_000
    decisions = [decided(router, routing_facts(TEAM, seed=seed * 7919)) for seed in range(trials)]
    drawn = Counter(decision.choice for decision in decisions)
    chances = {candidate.model: candidate.probability for candidate in decisions[0].candidates}
    assert "person" not in drawn
    for name, chance in chances.items():
        assert all(
            c.probability == pytest.approx(chance) for d in decisions[:50] for c in d.candidates if c.model == name
        )
        assert binom.ppf(1e-7, trials, chance) <= drawn[name] <= binom.ppf(1 - 1e-7, trials, chance), name


def test_exploring_draws_no_model_that_fails_a_hard_constraint() -> None:
    router = Explore(Ladder("small", "large", "coder"), rate=1.0)
    drawn = {decided(router, routing_facts(without("large"), seed=seed)).choice for seed in range(200)}
    assert drawn == {"small", "coder"}


def test_exploring_leaves_a_question_for_a_person_with_the_person() -> None:
    decision = decided(Explore(Ladder("person", "small"), rate=1.0), routing_facts(TEAM))
    assert (decision.choice, decision.probability) == ("person", 1.0)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_probability(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Explore(Fixed("small"), rate=rate)


# ------------------------------------------------------------------------------------------------------------ parsing
PARSED = [
    ("large", Fixed("large")),
    (" cheapest ", Cheapest()),
    ("Uniform", Uniform()),
    ("Ladder('small', 'large')", Ladder("small", "large")),
    ('Explore(Ladder("small", "large"), rate=0.2)', Explore(Ladder("small", "large"), rate=0.2)),
]


@pytest.mark.parametrize(("text", "router"), PARSED)
def test_a_router_is_read_from_the_command_line(text: str, router: Router) -> None:
    assert parse_router(text, NAMES) == router


UNREADABLE = [
    ("larg", "did you mean 'large'"),
    ("Laddr('small')", "did you mean 'Ladder'"),
    ("Ladder(small, large)", "in quotes: 'small'"),
    ("Ladder", "wants its parts in brackets"),
    ("Ladder('small'", "cannot read the router"),
    ("Explore(Fixed('small'), rate=2)", "between 0 and 1"),
    ("Ladder('small', 'small')", "'small' twice"),
    ("Fixed('small', 'large')", "cannot build"),
    ("Fixed(1 + 1)", "has no place in a router"),
    ("__import__('os').system('true')", "has no place in a router"),
    ("3", "is no router"),
    ("", "cannot read"),
]


@pytest.mark.parametrize(("text", "why"), UNREADABLE)
def test_what_is_no_router_is_refused_with_a_hint(text: str, why: str) -> None:
    with pytest.raises(FleetError) as refused:
        parse_router(text, NAMES)
    assert why in str(refused.value)


def test_routers_are_given_by_step() -> None:
    assert parse_routers("triage=Fixed('large'); reply=cheapest", NAMES) == {
        "triage": Fixed("large"),
        "reply": Cheapest(),
    }
    assert parse_routers("Explore(Fixed('large'), rate=0.5)") == Explore(Fixed("large"), rate=0.5)
    with pytest.raises(FleetError, match="not of the form step=router"):
        parse_routers("triage=large; cheapest", NAMES)
    with pytest.raises(FleetError, match="router is empty"):
        parse_routers(" ; ")


def test_routers_that_ask_models_are_explored_around_when_they_have_asked() -> None:
    class Asks(Router):
        def decide(self, facts: RoutingFacts) -> Any:
            reply = yield "small", prompt("Who?")
            return Ladder(reply.text, "small").decide(facts)

    asking = Explore(Asks(), rate=0.4).decide(routing_facts(TEAM))
    assert not isinstance(asking, Decision)
    assert next(asking)[0] == "small"
    with pytest.raises(StopIteration) as done:
        asking.send(said("large"))
    assert {c.model: c.probability for c in done.value.value.candidates} == {"large": 0.8, "small": 0.2}
