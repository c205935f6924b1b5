"""What a budget is, what one call may cost at most, and that no order of events ever passes a cap."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from evals.budget.killing import Trial, tried
from tests.core.core_samples import Model, column, run_over, said, tickets
from toolkit import (
    Budget,
    Escalate,
    Fallback,
    Fixed,
    Fleet,
    Journal,
    Ladder,
    ModelSpec,
    Reply,
    Request,
    Retry,
    Workflow,
    prompt,
    step,
)
from toolkit.asking.reconciling import dead, reconciled
from toolkit.asking.spending import is_free
from toolkit.asking.worst import dearest, input_tokens, limited, output_tokens, worst
from toolkit.errors import (
    AccessDenied,
    CallError,
    ContentFiltered,
    FleetError,
    RateLimited,
    SetupError,
    TimedOut,
    Unavailable,
)
from toolkit.ledger.writing import reservations
from toolkit.ledger.writing.reservations import NOTHING, UNKNOWN, Reservation, Spent
from toolkit.ledger.writing.statements import SQLITE
from toolkit.ledger.writing.tables import metadata
from toolkit.ledger.writing.transaction import Transaction
from toolkit.messages import Data, Media, Message, Text, ToolSpec
from toolkit.money.budgets import Balance, Budgets, Cap, Denied, Worst, budgets_of, denied
from toolkit.money.prices import Price
from toolkit.prompts.tokens import Bytes, prompt_tokens
from toolkit.records import Usage
from toolkit.routing import Router, RoutingFacts
from toolkit.runs.running import Running

PRICE = Price(10.0, 20.0)
LIMIT = 50
WORDS = "Answer."


# -------------------------------------------------------------------------------------------------------------- values
TEXTS: dict[str, Budget | Budgets] = {
    "5 USD": Budget(usd=5.0),
    "run: 5 usd": Budget(usd=5.0),
    "day: 20 USD; step reply: 1 USD": Budget(usd=20.0, per="day") & Budget(usd=1.0, step="reply"),
    "2_000_000 tokens": Budget(tokens=2e6),
    "day model large: 0.5 USD, 1000 tokens": Budget(usd=0.5, tokens=1000.0, per="day", model="large"),
    "5 USD; ceiling: 0.05 USD": Budget(usd=5.0) & Budget(ceiling_usd=0.05),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_budget_is_read_from_text(text: str) -> None:
    wanted = TEXTS[text]
    assert budgets_of(text) == (wanted if isinstance(wanted, Budgets) else Budgets((wanted,)))


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_of_a_budget_is_the_call_that_builds_it(text: str) -> None:
    budgets = budgets_of(text)
    assert budgets_of(repr(budgets)) == budgets


@pytest.mark.parametrize(
    "text", ["five dollars", "5 EUR", "week: 5 USD", "step: 5 USD", "Budget(", "Budget(usd=-1)", "exec('x') & Budget()"]
)
def test_what_is_no_budget_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(SetupError, match="write '5 USD'"):
        budgets_of(text)


@pytest.mark.parametrize(
    ("budget", "step", "model", "is_covered"),
    [
        (Budget(usd=1), "desk/reply", "small", True),
        (Budget(usd=1, step="reply"), "desk/reply", "small", True),
        (Budget(usd=1, step="reply"), "desk/reply/route", "small", True),
        (Budget(usd=1, step="reply"), "desk/triage", "small", False),
        (Budget(usd=1, step="desk"), "desk/reply", "small", False),
        (Budget(usd=1, model="large"), "desk/reply", "small", False),
        (Budget(usd=1, step="reply", model="large"), "desk/reply", "large", True),
    ],
)
def test_a_budget_covers_the_calls_of_its_step_and_its_model(
    budget: Budget, step: str, model: str, is_covered: bool
) -> None:
    assert budget.covers(step, model) is is_covered


# ---------------------------------------------------------------------------------------------------------- worst case
CHAT = ModelSpec("m", "openai", "m")
texts = st.text(max_size=200)


@given(texts, texts, texts)
def test_no_prompt_has_more_tokens_than_its_bound_whatever_a_tokenizer_makes_of_bytes(a: str, b: str, c: str) -> None:
    parts = (Message("system", (Text(a),)), Message("user", (Text(b), Data("ticket", c))))
    request = Request(parts, output_schema={"type": "object", "title": a}, tools=(ToolSpec("t", b, {"d": c}),))
    assert input_tokens(request) >= prompt_tokens(request, Bytes())
    assert input_tokens(request) >= len(request.text.encode("utf-8", "surrogatepass"))


def test_data_that_is_defused_on_its_way_is_counted_as_it_goes_out() -> None:
    sly = Request((Message("user", (Data("ticket", "</ticket>" * 100),)),))
    assert input_tokens(sly) >= len(sly.text.encode())


def test_a_short_image_counts_as_the_most_that_an_image_can_be() -> None:
    image = Request((Message("user", (Media("image/png", "aGk="),)),))
    assert input_tokens(image) >= 50_000


def test_a_tokenizer_of_the_models_own_counts_closer_than_bytes() -> None:
    class Words:
        margin = 0.02

        def text(self, text: str) -> int:
            return len(text.split())

    request = Request((Message("user", (Text("word " * 1000),)),))
    assert 1000 <= input_tokens(request, Words()) < input_tokens(request) / 3


@pytest.mark.parametrize(
    ("request_limit", "spec", "sent", "most"),
    [
        (None, CHAT, 4096, 4096),
        (100, CHAT, 100, 100),
        (None, ModelSpec("m", "openai", "m", max_output_tokens=900), None, 900),
        (100, ModelSpec("m", "openai", "m", max_output_tokens=900), 100, 100),
        (100, ModelSpec("m", "openai", "m", settings={"body": {"max_tokens": 9000}}), 100, 9000),
        (100, ModelSpec("m", "openai", "m", settings={"body": {"n": 3}}), 100, 300),
        (None, ModelSpec("m", "openai", "m", window=1000), 856, 856),
        (None, ModelSpec("m", "openai", "m", window=200), 256, 256),
    ],
)
def test_an_output_limit_is_always_sent_and_bounds_the_output(
    request_limit: int | None, spec: ModelSpec, sent: int | None, most: int
) -> None:
    request = Request((Message("user", (Text("x" * 64),)),), max_output_tokens=request_limit)
    out = limited(request, spec)
    assert out.max_output_tokens == sent
    assert output_tokens(out, spec) == most


def test_the_worst_price_is_that_of_the_dearest_tier_in_reach_and_of_a_cache_that_is_written() -> None:
    price = Price(1.0, 2.0, cache_write=1.25, request=0.5, tiers=((200, Price(4.0, 8.0)), (9_000, Price(100.0, 100.0))))
    assert dearest(price, 100, 100) == pytest.approx(0.5 + (125 + 200) / 1e6)
    assert dearest(price, 1000, 100) == pytest.approx(max(0.5 + (1250 + 200) / 1e6, (4000 + 800) / 1e6))


@given(
    st.builds(
        Price,
        *[st.floats(0, 100)] * 2,
        cache_read=st.none() | st.floats(0, 100),
        cache_write=st.none() | st.floats(0, 100),
    ),
    st.lists(st.tuples(st.integers(0, 5000), st.builds(Price, st.floats(0, 100), st.floats(0, 100))), max_size=2),
    *[st.integers(0, 5000)] * 4,
)
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case(
    base: Price, tiers: list[tuple[int, Price]], entered: int, left: int, read: int, written: int
) -> None:
    price = Price(
        base.input, base.output, base.cache_read, base.cache_write, tiers=tuple(sorted(tiers, key=lambda t: t[0]))
    )
    read = min(read, entered)
    usage = Usage(entered, left, read, min(written, entered - read))
    assert (price.cost(usage) or 0.0) <= dearest(price, entered, left) * (1 + 1e-9)


def test_an_unknown_price_has_no_worst_case_but_a_declared_ceiling() -> None:
    assert worst(Request(), CHAT, price=None).usd is None
    assert worst(Request(), CHAT, price=None, ceiling_usd=0.25).usd == 0.25


@pytest.mark.parametrize(
    ("error", "is_certain"),
    [(RateLimited("429"), True), (AccessDenied("401"), True), (TimedOut("read"), False), (Unavailable("reset"), False)],
)
def test_only_a_call_that_was_refused_certainly_cost_nothing(error: CallError, is_certain: bool) -> None:
    assert is_free(error) is is_certain


# ----------------------------------------------------------------------------------------------------------- judgement
def cap(most: float, **options: Any) -> Cap:
    return Cap("run r", "usd", most, Budget(usd=most, **options))


@pytest.mark.parametrize(
    ("balance", "needs", "outcome"),
    [
        (Balance(0.0, 0.0), 1.0, "granted"),
        (Balance(0.4, 0.3), 0.3, "granted"),
        (Balance(0.4, 0.5), 0.3, "waits"),
        (Balance(0.8, 0.0), 0.3, "stops"),
        (Balance(0.8, 0.2), 0.3, "stops"),
        (Balance(0.0, 0.0), 1.5, "denied"),
    ],
)
def test_a_call_is_granted_or_waits_for_those_under_way_or_is_denied_for_good(
    balance: Balance, needs: float, outcome: str
) -> None:
    found = denied((cap(1.0),), {("run r", "usd"): balance}, Worst(needs, 0))
    told = (
        "granted" if found is None else "waits" if not found.for_good else "stops" if found.stops_the_run else "denied"
    )
    assert told == outcome


def test_the_budget_of_a_step_denies_its_step_and_does_not_stop_the_run() -> None:
    found = denied((cap(1.0, step="reply"),), {("run r", "usd"): Balance(0.9, 0.0)}, Worst(0.5, 0))
    assert found is not None
    assert (found.for_good, found.stops_the_run) == (True, False)


# ------------------------------------------------------------------------------------------------------- the accounts
@contextmanager
def accounts() -> Iterator[Transaction]:
    """A transaction over the tables of budgets alone."""
    engine = create_engine("sqlite://")
    tables = [metadata.tables[name] for name in ("budgets", "reservations")]
    with engine.connect() as connection:
        metadata.create_all(connection, tables=tables)
        connection.commit()
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.isolation_level = None
        yield Transaction(raw.cursor(), SQLITE, lambda *_: None)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.floats(0.0, 1.0), st.integers(0, 3)),
        st.tuples(
            st.sampled_from(["settle", "free", "unknown", "kill", "found"]), st.floats(0.0, 1.0), st.integers(0, 30)
        ),
    ),
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(EVENTS, st.floats(0.1, 5.0), st.floats(0.1, 5.0))
def test_no_order_of_reserving_settling_kills_and_reconciling_passes_a_cap(
    events: list[tuple[str, float, int]], most: float, most_of_a_step: float
) -> None:
    """What the provider charges is never more than the cap, nor than what is kept as spent and reserved."""
    budgets = Budget(usd=most) & Budget(usd=most_of_a_step, step="reply")
    charged = {"whole": 0.0, "reply": 0.0}
    calls: dict[str, tuple[float, bool]] = {}
    cut_off: dict[str, float] = {}

    def charge(share: float, worst_usd: float, is_reply: bool) -> float:
        cost = share * worst_usd
        charged["whole"] += cost
        charged["reply"] += cost * is_reply
        return cost

    with accounts() as transaction:
        for number, (event, share, which) in enumerate(events):
            if event == "reserve":
                is_reply = which % 2 == 0
                caps = budgets.caps(run_id="r", day="d", step="w/reply" if is_reply else "w/other", model="m")
                wanted = Reservation(f"c{number}", "r", None, caps, Worst(share, 0))
                if not isinstance(reservations.reserve(transaction, wanted), Denied):
                    calls[wanted.id] = (share, is_reply)
            elif calls:
                id = sorted(calls)[which % len(calls)]
                held, is_reply = calls.pop(id)
                if event in ("settle", "unknown", "free"):
                    cost = 0.0 if event == "free" else charge(share, held, is_reply)
                    spent = {"settle": Spent(cost, 0), "unknown": UNKNOWN, "free": NOTHING}[event]
                    assert reservations.settle(transaction, id, spent)
                else:  # its process is gone: the cost may be on record or not, and somebody comes to reconcile
                    cut_off[id] = charge(share, held, is_reply)
                    if event == "found":
                        reservations.reconcile(transaction, {id: Spent(cut_off.pop(id), 0)})
            kept = reservations.balances(transaction)
            for name, scope, limit in (("whole", "run r", most), ("reply", "run r step reply", most_of_a_step)):
                balance = kept.get((scope, "usd"), Balance())
                assert charged[name] <= balance.spent + balance.reserved + 1e-9
                assert balance.spent + balance.reserved <= limit * (1 + 1e-6)
        reservations.reconcile(transaction, dict.fromkeys([*cut_off, *calls], UNKNOWN))
        kept = reservations.balances(transaction)
        assert reservations.held(transaction) == []
        assert charged["whole"] <= kept.get(("run r", "usd"), Balance()).spent + 1e-9


def test_what_is_settled_once_is_not_settled_again() -> None:
    caps = Budgets((Budget(usd=1.0),)).caps(run_id="r", day="d", step="w/s", model="m")
    with accounts() as transaction:
        reservations.reserve(transaction, Reservation("a", "r", None, caps, Worst(0.5, 10)))
        assert reservations.settle(transaction, "a", Spent(0.1, 1))
        assert not reservations.settle(transaction, "a", Spent(0.1, 1))
        assert reservations.balances(transaction) == {("run r", "usd"): Balance(0.1, 0.0)}


# ---------------------------------------------------------------------------------------------------------------- runs
def answered(_: Request) -> Reply:
    return Reply(parts=(Text("fine"),), usage=Usage(10, 2))


COST = (10 * 10.0 + 2 * 20.0) / 1e6
ANSWERED = Model(answered)


def priced(
    answer: Any = answered, *, name: str = "small", price: Price | None = PRICE, fleet: Fleet | None = None
) -> Fleet:
    can = ("chat", "json")
    return (fleet or Fleet({})).with_function(name, answer, price=price, capabilities=can, max_output_tokens=LIMIT)


def replying(route: Router | None = None, **options: Any) -> Workflow:
    @step(route=route or Fixed("small"), **options)
    def reply(ticket: str) -> Request:
        return prompt(WORDS, ticket=ticket)

    return Workflow("w", [reply])


def held_for_one(fleet: Fleet, name: str = "small") -> float:
    """What is held back for a call of these tests."""
    request = prompt(WORDS, ticket="ticket number 0")
    return worst(request, fleet[name], price=fleet[name].price).usd or 0.0


def budgets_kept(home: Path) -> dict[str, tuple[float, float]]:
    with closing(sqlite3.connect(home / "journal.db")) as journal:
        return {
            scope: (spent, held) for scope, spent, held in journal.execute("select scope, spent, reserved from budgets")
        }


def names_of_events(run: Running) -> list[str]:
    return column(run, "select name from events where name like 'toolkit.budget.%'")


def test_a_run_that_reaches_its_budget_stops_and_goes_on_with_a_larger_one_paying_nothing_twice(tmp_path: Path) -> None:
    model = Model(answered)
    fleet = priced(model)
    cap = held_for_one(fleet) + 10.5 * COST
    first = run_over(replying(), tickets(40), fleet, tmp_path, budget=Budget(usd=cap), in_flight=4)
    assert first.run.status == "cancelled"
    assert 0 < first.progress.answered < 40
    assert first.progress.failed == 0
    assert "is reached" in first.stopped
    assert names_of_events(first) == ["toolkit.budget.reached"]
    again = run_over(replying(), tickets(40), fleet, tmp_path, budget=Budget(usd=1.0), run_id=first.id)
    assert (again.run.status, again.progress.answered + again.progress.before) == ("finished", 40)
    assert model.calls == 40
    spent, held = budgets_kept(tmp_path)[f"run {first.id}"]
    assert spent == pytest.approx(40 * COST)
    assert held == pytest.approx(0.0, abs=1e-12)


def test_a_resumed_run_keeps_its_budget(tmp_path: Path) -> None:
    fleet = priced()
    first = run_over(
        replying(), tickets(30), fleet, tmp_path, budget=Budget(usd=held_for_one(fleet) + 5 * COST), in_flight=1
    )
    again = run_over(replying(), tickets(30), fleet, tmp_path, run_id=first.id, in_flight=1)
    assert again.stopped
    assert again.progress.answered <= 1


def test_calls_wait_for_those_under_way_rather_than_stop_the_run(tmp_path: Path) -> None:
    async def slow(request: Request) -> Reply:
        await asyncio.sleep(0.01)
        return answered(request)

    fleet = priced(slow)
    budget = Budget(usd=2 * held_for_one(fleet) + 30 * COST)
    run = run_over(replying(), tickets(30), fleet, tmp_path, budget=budget)
    assert (run.run.status, run.progress.answered, run.stopped) == ("finished", 30, "")


def test_the_budget_that_is_shown_is_spent_by_what_the_calls_cost(tmp_path: Path) -> None:
    run = run_over(replying(), tickets(5), priced(), tmp_path, budget="1 USD")
    tally = run.progress.tally
    assert tally.budget is not None
    assert tally.budget.balance.spent == pytest.approx(tally.cost_usd)
    assert tally.budget.balance.reserved == pytest.approx(0, abs=1e-12)
    ((spent, _),) = budgets_kept(tmp_path).values()
    assert spent == pytest.approx(tally.cost_usd)


def test_what_was_held_back_is_on_record_with_the_attempt(tmp_path: Path) -> None:
    fleet = priced()
    run = run_over(replying(), tickets(1), fleet, tmp_path, budget="1 USD")
    assert column(run, "select reserved_usd from attempts") == [pytest.approx(held_for_one(fleet))]
    without = run_over(replying(), tickets(1), fleet, tmp_path, fresh=True)
    assert column(without, "select reserved_usd from attempts") == [None]


def test_an_output_limit_goes_out_under_a_budget_and_is_not_in_the_key(tmp_path: Path) -> None:
    model = Model(answered)
    fleet = Fleet({}).with_function("small", model, price=PRICE, capabilities=("chat",))
    run_over(replying(), tickets(1), fleet, tmp_path, budget="1 USD")
    assert model.requests[0].max_output_tokens == 4096
    run_over(replying(), tickets(1), fleet, tmp_path)
    assert model.calls == 1


def test_the_budget_of_a_step_fails_its_rows_and_a_larger_one_answers_them(tmp_path: Path) -> None:
    fleet = priced()
    budget = Budget(usd=held_for_one(fleet) + 5 * COST, step="reply")
    run = run_over(replying(), tickets(20), fleet, tmp_path, budget=budget, in_flight=1)
    assert run.run.status == "finished"
    assert run.progress.failed > 0
    assert "a run, step reply is reached" in column(run, "select reason from \"rows\" where status = 'failed'")[0]
    again = run_over(replying(), tickets(20), fleet, tmp_path, run_id=run.id, budget=Budget(usd=1.0, step="reply"))
    assert again.progress.failed == 0


def test_a_model_over_its_budget_is_passed_by_for_the_next_in_the_order(tmp_path: Path) -> None:
    large = Model(answered)
    fleet = priced(large, name="large", price=Price(1000.0, 1000.0), fleet=priced())
    budget = Budget(usd=0.0, model="large")
    run = run_over(replying(Ladder("large", "small")), tickets(3), fleet, tmp_path, budget=budget)
    assert (run.progress.answered, large.calls) == (3, 0)
    assert "large was not asked: the budget of" in column(run, "select why from attempts")[0]


def test_where_the_stronger_model_is_over_its_budget_the_best_answer_so_far_is_taken(tmp_path: Path) -> None:
    weak = Model(said("weak", confidence=0.1, cost_usd=0.0001))
    fleet = priced(name="large", fleet=priced(weak))
    fleet = Fleet({**fleet.specs, "person": ModelSpec("person", "person", "person")}, fleet.functions)
    budget = Budget(usd=0.0, model="large")
    run = run_over(
        replying(Ladder("small", "large", "person"), policy=Escalate(0.5)), tickets(2), fleet, tmp_path, budget=budget
    )
    assert column(run, "select model from answers where status = 'answered'") == ["small", "small"]
    assert "is reached" in column(run, "select reason from answers")[0]


def test_retries_and_fallbacks_are_held_and_spent_too(tmp_path: Path) -> None:
    def down(_: Request) -> str:
        raise TimedOut("no answer")

    fleet = priced(name="large", fleet=priced(down))
    policy = Retry(1, base=0.0) | Fallback()
    run = run_over(replying(Ladder("small", "large"), policy=policy), tickets(1), fleet, tmp_path, budget="1 USD")
    spent, held = budgets_kept(tmp_path)[f"run {run.id}"]
    assert spent == pytest.approx(2 * held_for_one(fleet) + COST), "a call that timed out may have cost all of it"
    assert held == pytest.approx(0.0, abs=1e-12)


def test_a_call_that_was_refused_costs_the_budget_nothing(tmp_path: Path) -> None:
    def refuses(_: Request) -> str:
        raise AccessDenied("401")

    run = run_over(replying(), tickets(3), priced(refuses), tmp_path, budget="1 USD")
    assert budgets_kept(tmp_path)[f"run {run.id}"][0] == 0.0


def test_an_answer_that_was_withheld_costs_what_the_provider_tells_of_it(tmp_path: Path) -> None:
    def withholds(_: Request) -> Reply:
        raise ContentFiltered("not that", billed=Reply(usage=Usage(100, 7)))

    run = run_over(replying(), tickets(1), priced(withholds), tmp_path, budget="1 USD")
    cost = PRICE.cost(Usage(100, 7))
    assert run.sql("select error_type, cost_usd, input_tokens, output_tokens, output_hash from attempts").rows == (
        ("content_filtered", cost, 100, 7, None),
    )
    assert budgets_kept(tmp_path)[f"run {run.id}"][0] == pytest.approx(cost)


def test_usage_above_its_reserve_is_told_and_stops_the_run(tmp_path: Path) -> None:
    def liar(_: Request) -> Reply:
        return Reply(parts=(Text("fine"),), usage=Usage(10, LIMIT * 100))

    run = run_over(replying(), tickets(50), priced(liar), tmp_path, budget="1 USD", in_flight=2)
    assert run.run.status == "cancelled"
    assert run.progress.answered < 50
    assert "small used" in run.stopped
    assert names_of_events(run) == ["toolkit.budget.exceeded"]
    told = run.sql("select about ->> 'model', about ->> 'step' from events where name = 'toolkit.budget.exceeded'").rows
    assert told == (("small", "w/reply"),)


def test_a_model_of_unknown_price_is_refused_before_the_run_or_takes_a_declared_ceiling(tmp_path: Path) -> None:
    fleet = priced(price=None)
    with pytest.raises(FleetError, match="the price of small is unknown; declare it"):
        run_over(replying(), tickets(1), fleet, tmp_path, budget="1 USD")
    run = run_over(replying(), tickets(3), fleet, tmp_path, budget="1 USD; ceiling: 0.1 USD")
    assert run.progress.answered == 3
    assert budgets_kept(tmp_path)[f"run {run.id}"][0] == pytest.approx(0.3)


def test_a_limit_of_tokens_needs_no_price(tmp_path: Path) -> None:
    run = run_over(replying(), tickets(3), priced(price=None), tmp_path, budget="100000 tokens")
    assert run.progress.answered == 3
    assert budgets_kept(tmp_path)[f"run {run.id}"][0] == 36


@pytest.mark.slow
def test_a_day_is_counted_over_runs_and_over_what_ran_before_anybody_counted(tmp_path: Path) -> None:
    fleet = priced()
    run_over(replying(), tickets(10), fleet, tmp_path)
    run_over(replying(), tickets(20), fleet, tmp_path, budget="day: 1 USD")
    ((scope, (spent, _)),) = budgets_kept(tmp_path).items()
    assert scope.startswith("day ")
    assert spent == pytest.approx(20 * COST)
    third = run_over(replying(), tickets(21), fleet, tmp_path, budget=Budget(usd=20.5 * COST, per="day"))
    assert third.stopped


def test_a_run_that_goes_on_under_its_first_budget_counts_what_it_has_cost_before(tmp_path: Path) -> None:
    fleet = priced()
    first = run_over(replying(), tickets(30), fleet, tmp_path)
    again = run_over(replying(), tickets(40), fleet, tmp_path, run_id=first.id, budget=Budget(usd=30.5 * COST))
    assert again.stopped
    assert again.progress.answered == 0


def test_a_router_that_asks_is_charged_to_its_step(tmp_path: Path) -> None:
    class AskFirst(Router):
        def decide(self, facts: RoutingFacts) -> Any:
            yield "small", prompt("Who?")
            return Fixed("small").decide(facts)

    run = run_over(replying(AskFirst()), tickets(1), priced(), tmp_path, budget=Budget(usd=1.0, step="reply"))
    assert run.progress.tally.calls == 2
    assert column(run, "select cost_usd from answers") == [pytest.approx(2 * COST)]
    assert column(run, 'select cost_usd from "rows"') == [pytest.approx(2 * COST)]
    assert budgets_kept(tmp_path)[f"run {run.id} step reply"][0] == pytest.approx(2 * COST)


def test_a_router_passes_by_whom_the_budget_has_no_room_for_and_the_record_says_so(tmp_path: Path) -> None:
    fleet = priced(name="large", price=Price(request=0.3), fleet=priced(price=Price(request=0.01)))
    route = Ladder("large", "small")
    run = run_over(replying(route), tickets(6), fleet, tmp_path, budget=Budget(usd=0.7), in_flight=1)
    assert column(run, "select choice from decisions order by id") == ["large"] * 2 + ["small"] * 4
    verdicts = column(run, "select candidates -> '$[0].verdicts' from decisions order by id")
    assert '"constraint":"budget"' in verdicts[2]
    assert "are left" in verdicts[2]


def test_where_no_model_has_room_in_the_budget_the_run_stops_and_no_row_fails(tmp_path: Path) -> None:
    fleet = priced(price=Price(request=0.3))
    run = run_over(replying(), tickets(4), fleet, tmp_path, budget=Budget(usd=0.7), in_flight=1)
    assert column(run, 'select status from "rows"') == ["answered"] * 2
    assert names_of_events(run) == ["toolkit.budget.reached"]


def test_without_a_budget_nothing_is_kept_of_it(tmp_path: Path) -> None:
    run_over(replying(), tickets(3), priced(), tmp_path)
    assert budgets_kept(tmp_path) == {}


# --------------------------------------------------------------------------------------------------------- the killed
def test_what_a_dead_process_held_back_is_spent_unless_its_attempt_is_on_record(tmp_path: Path) -> None:
    run = run_over(replying(), tickets(1), priced(), tmp_path)
    (known,) = column(run, "select id from attempts")
    caps = Budgets((Budget(usd=1.0),)).caps(run_id=run.id, day="d", step="w/reply", model="small")
    with Journal.open(tmp_path) as journal:
        for id in (known, "cut-off"):
            wanted = Reservation(id, run.id, f"{run.id}/gone", caps, Worst(0.25, 100))
            journal.decided(partial(reservations.reserve, wanted=wanted))
        gone = journal.decided(dead)
        assert [each.id for each in gone] == [known, "cut-off"]
        assert reconciled(journal, gone) == (1, 1)
        assert journal.decided(reservations.held) == []
    assert budgets_kept(tmp_path)[f"run {run.id}"][0] == pytest.approx(0.25 + COST)
    told = run.sql(
        "select about ->> 'on_record', about ->> 'counted_as_spent' from events where name like '%reconciled'"
    )
    assert told.rows == (("1", "1"),)


@pytest.mark.slow
def test_reservations_of_a_process_that_is_alive_are_left_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.core.test_budgets import *\n"
        "async def hangs(request):\n"
        "    print('under way', flush=True); await asyncio.sleep(60)\n"
        "replying().start(tickets(1), priced(hangs), home=sys.argv[1], run_id='r', budget='1 USD').wait(show=False)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "under way\n"
        with Journal.open(tmp_path) as journal:
            assert journal.decided(dead) == []
            other.kill()
            other.wait()
            assert len(journal.decided(dead)) == 1
    finally:
        other.kill()
        other.communicate()
    fleet = priced()
    again = run_over(replying(), tickets(1), fleet, tmp_path, run_id="r")
    assert again.progress.answered == 1
    assert budgets_kept(tmp_path)["run r"][0] == pytest.approx(held_for_one(fleet) + COST)


@pytest.mark.slow
def test_two_processes_with_faults_and_kills_never_pass_a_cap_nor_lose_count() -> None:
    """The whole of it, 4 processes of 64 calls each, is `python -m evals.budget`."""
    found = tried(Trial("0.05 USD", rows=400, processes=2, in_flight=16, kills=3, seed=3))
    assert found.violations == ()
    assert found.left_held == 0
    assert 0.3 < found.charged_share <= 1.0
    assert found.kills > 0


def test_waiting_for_a_budget_is_recorded_apart_from_service(tmp_path: Path) -> None:
    async def slow(request: Request) -> Reply:
        await asyncio.sleep(0.3)
        return answered(request)

    fleet = priced(slow)
    run = run_over(replying(), tickets(2), fleet, tmp_path, budget=Budget(usd=1.5 * held_for_one(fleet)))
    assert run.progress.answered == 2
    assert column(run, "select max(wait_seconds) > 0.2 from attempts") == [True]
