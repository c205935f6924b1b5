"""The fleet as its file tells it; each mistake in it is one sentence that names file, model and field."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.core.core_samples import fleet_of
from toolkit import Fleet, ModelSpec
from toolkit.errors import FleetError
from toolkit.money.prices import Price

GOOD = """
[models.small]
provider = "openai"
model = "gpt-4o-mini"
endpoint = "https://api.example.org/v1"
key_env = "A_KEY"
price = { input = 0.15, output = 0.6, request = 0.001 }
window = 128_000
capabilities = ["chat", "tools"]
concurrency = 8
timeout_seconds = 12.5
settings = { top_p = 0.5 }

[models.human]
provider = "person"
"""


def load(folder: Path, text: str) -> Fleet:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return Fleet.load(path)


def test_a_fleet_is_read_from_its_file(tmp_path: Path) -> None:
    fleet = load(tmp_path, GOOD)
    assert list(fleet) == ["small", "human"]
    assert fleet["small"] == ModelSpec(
        name="small",
        provider="openai",
        model="gpt-4o-mini",
        endpoint="https://api.example.org/v1",
        key_env="A_KEY",
        price=Price(0.15, 0.6, request=0.001),
        window=128_000,
        capabilities=frozenset({"chat", "tools"}),
        concurrency=8,
        timeout_seconds=12.5,
        settings={"top_p": 0.5},
        folder=tmp_path,
    )
    assert fleet["human"].model == "human"
    assert fleet.persons == {"human"}
    assert "human" in fleet
    assert "nobody" not in fleet


def test_routers_see_the_price_of_the_file_else_the_published_one_else_none(tmp_path: Path) -> None:
    named = '[models.{0}]\nprovider = "openai"\nmodel = "{1}"\n'
    fleet = load(tmp_path, GOOD + named.format("listed", "gpt-4o") + named.format("own", "my-own-model"))
    assert fleet.facts["small"].price == Price(0.15, 0.6, request=0.001)
    assert fleet.facts["listed"].price is not None
    assert fleet.facts["own"].price is None
    assert fleet.facts["human"].is_person


OVERRIDDEN = """
[models.full]
provider = "openai"
model = "gpt-4o-2024-08-06"

[models.mini]
provider = "openai"
model = "gpt-4o-mini"

[models.routed]
provider = "openai"
model = "anthropic/claude-sonnet-4.5"
endpoint = "https://openrouter.ai/api/v1"

[models.priced]
provider = "openai"
model = "gpt-4o"
price = { input = 7.0 }

[models.inside]
provider = "embedded"
model = "gpt-4o"

[prices]
"gpt-4o" = { input = 2.0, output = 9.0 }
"openrouter:anthropic/" = { input = 5.0 }
"""


def test_overrides_price_hosted_models_without_a_price_of_their_own(tmp_path: Path) -> None:
    fleet = load(tmp_path, OVERRIDDEN)
    prices = {name: facts.price for name, facts in fleet.facts.items()}
    assert prices["full"] == Price(2.0, 9.0)
    assert prices["routed"] == Price(5.0)
    assert prices["priced"] == Price(7.0)
    assert prices["inside"] is None
    assert prices["mini"] is not None
    assert prices["mini"].input < 1.0
    assert fleet.prices.stamp("full") == fleet.prices.stamp("routed") == fleet.prices.stamp("priced")
    assert (fleet.prices.stamp("mini") or "").startswith("genai-prices ")
    assert fleet.prices.stamp("inside") is None
    assert {model for _, model, _ in fleet.prices.entries()} == {"full", "mini", "routed", "priced"}


def test_two_files_with_different_prices_never_have_the_same_version(tmp_path: Path) -> None:
    fleets = [load(tmp_path, OVERRIDDEN), load(tmp_path, OVERRIDDEN.replace("9.0", "9.5"))]
    assert fleets[0].prices.stamp("priced") != fleets[1].prices.stamp("priced")
    assert fleets[0].prices.stamp("priced") == load(tmp_path, OVERRIDDEN).prices.stamp("priced")


def test_list_prices_are_those_of_the_moment_and_not_of_when_the_fleet_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = load(tmp_path, '[models.thinking]\nprovider = "openai"\nmodel = "o3"\n')
    found = []
    for moment in (datetime(2025, 6, 9, 23, 59, tzinfo=UTC), datetime(2025, 6, 10, 0, 1, tzinfo=UTC)):
        monkeypatch.setattr("toolkit.fleet.now", lambda moment=moment: moment)
        price = fleet.facts["thinking"].price
        assert price is not None
        found.append((price.input, (fleet.prices.stamp("thinking") or "").endswith(" from 2025-06-10")))
    assert found == [(10.0, False), (2.0, True)]


SMALL = '[models.small]\nprovider = "openai"\n'
FAULTS = [
    ("", "names no models"),
    ("models = 3", "names no models"),
    ("[models]", "names no models"),
    ("[models.small", "is no valid TOML"),
    ("[models]\nsmall = 3", "[models.small] must be a table"),
    ("[models.small]\nmodel = 'x'", "[models.small] needs a provider"),
    ("[models.small]\nprovider = 3", "[models.small] needs a provider"),
    (SMALL + "windw = 5", "unknown field 'windw'; did you mean 'window'?"),
    (SMALL + "zzz = 5", "unknown field 'zzz'; known are batch"),
    (SMALL + "name = 'x'", "unknown field 'name'"),
    (SMALL + "window = 0", "window must be a whole number of at least 1, not 0"),
    (SMALL + "window = 1.5", "window must be a whole number"),
    (SMALL + "window = true", "window must be a whole number"),
    (SMALL + "window = 'big'", "window must be a whole number"),
    (SMALL + "max_output_tokens = -1", "max_output_tokens must be a whole number"),
    (SMALL + "concurrency = 0.5", "concurrency must be a whole number"),
    (SMALL + "timeout_seconds = 0", "timeout_seconds must be a positive number, not 0"),
    (SMALL + "timeout_seconds = 'long'", "timeout_seconds must be a positive number"),
    (SMALL + "model = 3", "model must be text, not 3"),
    (SMALL + "endpoint = 3", "endpoint must be text, not 3"),
    (SMALL + "key_env = false", "key_env must be text, not False"),
    (SMALL + "settings = 3", "settings is a table"),
    (SMALL + "capabilities = 'chat'", "capabilities a list of words"),
    (SMALL + "price = 3", "price is a table of"),
    (SMALL + "price = { inputs = 3 }", "price is a table of"),
    (SMALL + "price = { input = -1 }", "price.input must be a number of at least 0, not -1"),
    (SMALL + "price = { input = true }", "price.input must be a number"),
    (SMALL + "price = { input = nan }", "price.input must be a number of at least 0, not nan"),
    (SMALL + "price = {}", "price is a table of"),
    ("prices = 3\n" + SMALL, "[prices] is a table"),
    (SMALL + "[prices]\n'gpt-4o' = 3", "[prices] 'gpt-4o': price is a table of cache_read, cache_write, input, output"),
    (SMALL + "[prices]\n'gpt-4o' = { inputs = 3 }", "[prices] 'gpt-4o': price is a table of"),
    (SMALL + "[prices]\n'gpt-4o' = { output = -3 }", "[prices] 'gpt-4o': price.output must be a number of at least 0"),
    (SMALL + "[prices]\ngpt-4.1 = { input = 3 }", "[prices] 'gpt-4' holds another table; a name with a dot in it"),
]


@pytest.mark.parametrize(("text", "why"), FAULTS)
def test_each_mistake_in_the_file_is_one_sentence_that_names_the_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(FleetError) as refused:
        load(tmp_path, text)
    message = str(refused.value)
    assert why in message
    assert str(tmp_path / "models.toml") in message
    assert "\n" not in message


def test_a_file_that_is_not_there_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="there is no fleet file"):
        Fleet.load(tmp_path / "nowhere.toml")
    with pytest.raises(FleetError, match="cannot read the fleet file"):
        Fleet.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes("# Müller".encode("latin-1"))
    with pytest.raises(FleetError, match="cannot read the fleet file"):
        Fleet.load(tmp_path / "latin.toml")


def test_a_model_that_is_not_in_the_fleet_is_guessed_at() -> None:
    fleet = fleet_of(small=str, large=str)
    with pytest.raises(FleetError, match="has no model 'lrge'") as refused:
        fleet["lrge"]
    assert "did you mean 'large'?" in str(refused.value)


def test_a_missing_key_is_an_error_that_says_which_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(FleetError, match="environment variable A_KEY, which is not set"):
        load(tmp_path, GOOD)["small"].key()
    monkeypatch.setenv("A_KEY", "secret")
    assert load(tmp_path, GOOD)["small"].key() == "secret"
    assert load(tmp_path, GOOD)["human"].key() is None


def test_a_provider_that_nobody_knows_is_named_with_those_that_there_are() -> None:
    fleet = Fleet.of(ModelSpec("x", provider="strange", model="x"))
    with pytest.raises(
        FleetError, match="no provider 'strange'; known are openai, anthropic, embedded, recorded, person"
    ):
        fleet.open("x")


def test_a_setting_that_names_no_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    spec = ModelSpec("x", "recorded", "x", settings={"table": "gone.parquet"}, folder=tmp_path)
    with pytest.raises(FleetError, match="looked for") as refused:
        spec.path("table")
    assert str(tmp_path / "gone.parquet") in str(refused.value)
    with pytest.raises(FleetError, match="setting 'index' must name a file"):
        spec.path("index")


def test_where_a_model_is_reached_is_no_part_of_who_it_is() -> None:
    here = ModelSpec("small", "openai", "gpt", endpoint="http://a", price=Price(1.0))
    there = ModelSpec("small", "openai", "gpt", endpoint="http://b", timeout_seconds=1.0)
    assert here.identity == there.identity == "small=openai:gpt"
