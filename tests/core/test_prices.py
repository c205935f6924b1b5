"""What a call costs, and that what nobody knows is None and never nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.money.prices import Listing, Price, PriceBook, longest_match
from toolkit.records import Usage

COSTS = [
    (Price(1.0, 2.0), Usage(1_000_000, 500_000), 2.0),
    (Price(1.0, 2.0, cache_read=0.1), Usage(1_000_000, 0, cache_read_input_tokens=900_000), 0.19),
    (Price(1.0, 2.0), Usage(1_000_000, 0, cache_read_input_tokens=900_000), 1.0),
    (Price(1.0, 2.0, cache_write=1.25), Usage(1_000_000, 0, cache_write_input_tokens=1_000_000), 1.25),
    (Price(1.0, 2.0), Usage(0, 1_000_000, reasoning_output_tokens=900_000), 2.0),
    (Price(request=0.01), Usage(), 0.01),
    (Price(), Usage(5, 5), 0.0),
    (Price(1.0, 0.0), Usage(1_000_000, None), 1.0),
    (Price(1.0, 2.0), Usage(None, 5), None),
    (Price(1.0, 2.0), Usage(5, None), None),
]


@pytest.mark.parametrize(("price", "usage", "cost"), COSTS)
def test_a_cost_follows_from_price_and_usage(price: Price, usage: Usage, cost: float | None) -> None:
    assert price.cost(usage) == (None if cost is None else pytest.approx(cost))


def test_parts_larger_than_the_whole_are_not_charged_twice() -> None:
    assert Price(1.0, cache_read=0.5).cost(Usage(100, 0, cache_read_input_tokens=200)) == pytest.approx(200 * 0.5 / 1e6)


def test_the_expected_cost_takes_the_whole_prompt_at_full_price() -> None:
    assert Price(1.0, 2.0, cache_read=0.1, request=0.5).expected(1_000_000, 1_000_000) == pytest.approx(3.5)


TIERED = Price(1.0, 2.0, tiers=((100, Price(3.0, 2.0)), (200, Price(4.0, 5.0, request=0.5))))


@pytest.mark.parametrize(
    ("usage", "cost"),
    [(Usage(100, 10), 120e-6), (Usage(101, 10), 323e-6), (Usage(201, 10), 0.5 + 854e-6), (Usage(None, 10), None)],
)
def test_a_call_above_a_length_is_wholly_at_the_price_of_that_tier(usage: Usage, cost: float | None) -> None:
    assert TIERED.cost(usage) == (None if cost is None else pytest.approx(cost))
    if usage.input_tokens is not None and usage.output_tokens is not None:
        assert TIERED.expected(usage.input_tokens, usage.output_tokens) == pytest.approx(cost)


# ---------------------------------------------------------------------------------------------------------- the book
def test_ones_own_price_goes_before_the_published_one() -> None:
    published = {"small": Listing("a list", Price(1.0)), "large": Listing("a list", Price(2.0))}
    book = PriceBook.of({"small": Price(9.0, 9.0)}, published)
    assert book.price("small") == Price(9.0, 9.0)
    assert book.price("large") == Price(2.0)
    assert book.stamp("large") == "a list"
    assert book.price("unknown") is None
    assert book.stamp("unknown") is None


def test_the_version_of_ones_own_prices_is_the_same_for_the_same_prices_and_another_for_others() -> None:
    book = PriceBook.of({"a": Price(1.0), "b": Price(2.0)})
    assert re.fullmatch(r"models\.toml@[0-9a-f]{8}", book.stamp("a") or "")
    assert book.stamp("a") == book.stamp("b") == PriceBook.of({"b": Price(2.0), "a": Price(1.0)}).stamp("a")
    others = [{"a": Price(1.0)}, {"a": Price(1.0), "b": Price(2.5)}, {"a": Price(1.0, cache_read=0.0), "b": Price(2.0)}]
    assert len({book.stamp("a"), *(PriceBook.of(other).stamp("a") for other in others)}) == 4


def test_a_book_is_written_down_as_flat_prices_with_a_row_for_each_tier() -> None:
    book = PriceBook.of({"own": Price(7.0)}, {"long": Listing("a list", TIERED)})
    assert list(book.entries()) == [
        ("a list", "long", Price(1.0, 2.0)),
        ("a list over 100", "long", Price(3.0, 2.0)),
        ("a list over 200", "long", Price(4.0, 5.0, request=0.5)),
        (book.stamp("own"), "own", Price(7.0)),
    ]


# ------------------------------------------------------------------------------------------------------- longest match
PRICES = {
    name: Price(float(place))
    for place, name in enumerate(
        ["gpt-4o", "gpt-4o-mini", "openrouter:anthropic/", "openrouter:anthropic/claude-opus*", "azure:gpt-4o", "o-"]
    )
}
MATCHES = [
    ("openai", "gpt-4o", "gpt-4o"),
    ("openai", "GPT-4o", "gpt-4o"),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
    ("openai", "gpt-4o-latest", "gpt-4o"),
    ("openai", "gpt-4o-mini", "gpt-4o-mini"),
    ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
    ("openai", "gpt-4o-audio", None),
    ("openai", "gpt-4", None),
    ("azure", "gpt-4o", "azure:gpt-4o"),
    ("azure", "gpt-4o-2024-08-06", "azure:gpt-4o"),
    ("azure", "gpt-4o-mini", "gpt-4o-mini"),
    ("openrouter", "anthropic/claude-sonnet-4.5", "openrouter:anthropic/"),
    ("openrouter", "anthropic/claude-opus-4.1", "openrouter:anthropic/claude-opus*"),
    ("openai", "anthropic/claude-opus-4.1", None),
    ("openai", "openrouter:anthropic/claude-opus-4.1", "openrouter:anthropic/claude-opus*"),
    ("openai", "o-1", "o-"),
]


@pytest.mark.parametrize(("provider", "model", "entry"), MATCHES)
def test_the_longest_entry_that_speaks_of_a_model_gives_its_price(provider: str, model: str, entry: str | None) -> None:
    assert longest_match(PRICES, model, providers=[provider]) == (None if entry is None else PRICES[entry])


@given(
    st.lists(st.text("abc-", min_size=1, max_size=6), min_size=1, max_size=6, unique=True),
    st.text("abc-", min_size=1, max_size=8),
)
def test_no_entry_whose_name_or_beginning_is_longer_is_ever_passed_over(entries: list[str], model: str) -> None:
    prices = {f"{entry}*": Price(float(len(entry))) for entry in entries}
    fitting = [len(entry) for entry in entries if model.startswith(entry)]
    found = longest_match(prices, model, providers=["openai"])
    assert found == (Price(float(max(fitting))) if fitting else None)
