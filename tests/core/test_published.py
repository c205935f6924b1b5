"""The published prices: each model's own, at its day and length; a name that is not on the list has none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)
from genai_prices.types import Usage as PackageUsage

from toolkit.money.prices import Price
from toolkit.money.published import listing
from toolkit.records import Usage

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LENGTHS = (0, 1, 1_000, 32_000, 128_000, 128_001, 200_000, 200_001, 272_001, 2_000_000)


def price(provider: str, model: str, endpoint: str | None = None) -> Price | None:
    found = listing(provider, model, endpoint=endpoint, at=NOW)
    return found.price if found else None


def models() -> list[tuple[str, ModelInfo]]:
    return [(provider.id, model) for provider in get_snapshot().providers for model in provider.models]


def text_prices(model: ModelInfo) -> ModelPrice | None:
    """What the package itself holds for a model now, but for what is not counted in text tokens or requests."""
    names = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "requests_kcount")
    held = model.get_prices(NOW).__dict__
    if held.get("input_mtok") is None and held.get("requests_kcount") is None:
        return None
    return ModelPrice(**{name: held[name] for name in names if held.get(name) is not None})


@pytest.mark.slow
def test_every_model_of_the_list_is_found_by_its_id_at_its_own_price_and_never_at_a_relatives() -> None:
    """The cost is that of the package's own calculation, at lengths on both sides of every tier."""
    wrong = []
    for provider, model in models():
        own, found = text_prices(model), price(provider, model.id)
        if own is None or found is None:
            wrong += [(provider, model.id)] if (own is None) != (found is None) else []
            continue
        starts = {
            edge
            for value in own.__dict__.values()
            if isinstance(value, TieredPrices)
            for tier in value.tiers
            for edge in (tier.start, tier.start + 1)
        }
        for length in starts or {0, 1_000_000}:
            theirs = own.calc_price(PackageUsage(input_tokens=length, output_tokens=700))["total_price"]
            if found.cost(Usage(length, 700)) != pytest.approx(float(theirs), rel=1e-9, abs=1e-12):
                wrong.append((provider, model.id))
    assert len(models()) > 1000
    assert wrong == []


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-3-haiku-20240307", "claude-opus-4-6"])
@pytest.mark.parametrize("length", LENGTHS)
def test_cached_tokens_are_priced_as_the_package_prices_them(model: str, length: int) -> None:
    read, written = length // 3, length // 4
    found = next(known for provider, known in models() if provider == "anthropic" and known.is_match(model))
    own = text_prices(found)
    assert own is not None
    usage = PackageUsage(input_tokens=length, output_tokens=50, cache_read_tokens=read, cache_write_tokens=written)
    mine = price("anthropic", model)
    assert mine is not None
    cost = mine.cost(Usage(length, 50, cache_read_input_tokens=read, cache_write_input_tokens=written))
    assert cost == pytest.approx(float(own.calc_price(usage)["total_price"]))


SAME = [
    ("openai", "gpt-4o-mini-2024-07-18", None, "openai", "gpt-4o-mini"),
    ("openai", "GPT-4o", None, "openai", "gpt-4o"),
    ("azure", "gpt-4o-mini-2024-07-18", None, "azure", "gpt-4o-mini"),
    ("openai", "gpt-4o", "https://desk.openai.azure.com/openai/v1", "azure", "gpt-4o"),
    (
        "openai",
        "anthropic/claude-sonnet-4.5",
        "https://openrouter.ai/api/v1",
        "openrouter",
        "anthropic/claude-sonnet-4.5",
    ),
    ("openai", "openrouter:anthropic/claude-sonnet-4.5", None, "openrouter", "anthropic/claude-sonnet-4.5"),
    ("anthropic", "claude-sonnet-4-5-20250929", None, "anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-4o", "http://127.0.0.1:4000/v1", "openai", "gpt-4o"),
]


@pytest.mark.parametrize(("provider", "model", "endpoint", "list", "listed"), SAME)
def test_dated_names_and_names_at_other_hosts_are_found(
    provider: str, model: str, endpoint: str | None, list: str, listed: str
) -> None:
    assert price(list, listed) is not None
    assert price(provider, model, endpoint) == price(list, listed)


UNKNOWN = [
    ("openai", "my-own-model", None),
    ("openai", "", None),
    ("nobody", "gpt-4o", None),
    ("openai", "gpt-4o-ultra", None),
    ("openai", "qwen3:4b", None),
    ("openai", "anthropic/claude-sonnet-4.5", None),
    ("anthropic", "claude-sonnet-4-5-mini", None),
    ("google", "gemini-2.5-pro-max", None),
    ("azure", "my-o4-mini-deployment", None),
    ("azure", "o4-mini-deep-thought", None),
    ("openai", "gpt-4o", "https://api.mistral.ai/v1"),
]


@pytest.mark.parametrize(("provider", "model", "endpoint"), UNKNOWN)
def test_a_name_that_is_not_on_the_list_has_no_price_whatever_it_begins_like(
    provider: str, model: str, endpoint: str | None
) -> None:
    assert price(provider, model, endpoint) is None


def test_a_mini_is_never_at_the_price_of_the_full_model() -> None:
    mini, full = price("openai", "gpt-4o-mini"), price("openai", "gpt-4o")
    assert mini is not None
    assert full is not None
    assert mini.input < full.input


def test_a_price_is_that_of_the_day_and_its_version_says_since_when() -> None:
    before, after = (
        listing("openai", "o3", at=datetime(2025, 6, day, hour, tzinfo=UTC)) for day, hour in ((9, 23), (10, 0))
    )
    assert before is not None
    assert after is not None
    assert (before.price.input, after.price.input) == (10.0, 2.0)
    assert after.version == f"{before.version} from 2025-06-10"
    assert before.version.startswith("genai-prices ")


def test_a_price_of_some_hours_has_a_version_of_its_own() -> None:
    night, day = (listing("deepseek", "deepseek-chat", at=datetime(2025, 6, 1, hour, tzinfo=UTC)) for hour in (20, 5))
    assert night is not None
    assert day is not None
    assert night.price != day.price
    assert night.version != day.version


def test_a_list_renewed_at_run_time_has_another_version_and_an_id_goes_before_a_rule() -> None:
    longer = ModelInfo(id="bard", match=ClauseStartsWith("bar"), prices=ModelPrice(input_mtok=Decimal(9)))
    changing = [
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1))),
        ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=ModelPrice(input_mtok=Decimal(2))),
    ]
    shorter = ModelInfo(id="bar", match=ClauseEquals("the-bar"), prices=changing)
    provider = Provider(id="acme", name="Acme", api_pattern="https://acme", models=[longer, shorter])
    shipped = listing("openai", "gpt-4o", at=NOW)
    set_custom_snapshot(DataSnapshot([provider], from_auto_update=True))
    try:
        found = listing("acme", "bar", at=NOW)
    finally:
        set_custom_snapshot(None)
    assert shipped is not None
    assert found is not None
    assert found.price == Price(2.0)
    assert found.version.startswith(f"{shipped.version} renewed 2")
    assert found.version.endswith(" from 2026-01-01")
