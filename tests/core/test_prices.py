"""What a call costs, and that what nobody knows is None and never nothing."""

from __future__ import annotations

import pytest

from toolkit.prices import Price, PriceBook, published_price
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


def test_ones_own_price_goes_before_the_published_one() -> None:
    book = PriceBook.of({"small": Price(9.0, 9.0)})
    assert book.price("small", provider_name="openai", request_model="gpt-4o-mini") == Price(9.0, 9.0)
    assert book.stamp("small") == "models.toml"
    assert book.stamp("large").startswith("genai-prices ")


def test_a_published_price_is_found_by_the_models_whole_name() -> None:
    mini, full = published_price("openai", "gpt-4o-mini"), published_price("openai", "gpt-4o")
    assert mini is not None
    assert full is not None
    assert mini.input < full.input
    assert PriceBook.of({}).price("x", provider_name="openai", request_model="gpt-4o-mini") == mini


@pytest.mark.parametrize(("provider", "model"), [("openai", "my-own-model"), ("nobody", "gpt-4o"), ("openai", "")])
def test_a_price_that_nobody_knows_is_none(provider: str, model: str) -> None:
    assert published_price(provider, model) is None
