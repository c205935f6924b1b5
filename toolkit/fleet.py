"""The fleet: who can be asked. In: `models.toml` or specs. Out: providers by name, facts for routers, prices.

[models.small]
provider = "openai"                      # openai | anthropic | embedded | recorded | person | an entry point's name
model = "gpt-4o-mini"                    # what the provider calls it
endpoint = "https://api.openai.com/v1"
key_env = "OPENAI_API_KEY"               # the variable's name, never the key
price = { input = 0.15, output = 0.60 }  # USD per million tokens; without it: the package genai-prices
window = 128_000
capabilities = ["chat", "json", "tools"]

[prices]                                 # of hosted models without a price of their own; the longest match wins
"gpt-4o" = { input = 2.5, output = 10.0 }                     # this model and its dated versions, and no other
"openrouter:anthropic/" = { input = 3.0, output = 15.0 }      # all names that begin so, as with a `*` at the end
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from toolkit.errors import FleetError
from toolkit.models.function import Answering, FunctionModel
from toolkit.models.person import Patience, Person, folded
from toolkit.models.spec import ModelSpec, Provider
from toolkit.money.prices import Listing, Price, PriceBook, longest_match
from toolkit.records import Json, now
from toolkit.routing.router import ModelFacts

ENTRY_POINTS = "toolkit.providers"
PRICES_HOLD_SECONDS = 900


@dataclass(frozen=True)
class Fleet:
    """Specs by name, in the order declared; `functions` are models that live in this process alone.

    `overrides` are prices of hosted models by name or beginning, for members without a price of their own.
    """

    specs: Mapping[str, ModelSpec]
    functions: Mapping[str, Answering] = field(default_factory=dict)
    overrides: Mapping[str, Price] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> Fleet:
        """Read a models.toml. Raises FleetError naming the file, the model and the field."""
        path = Path(path)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FleetError(f"there is no fleet file {path}; write one, or copy the example's models.toml") from None
        except (OSError, UnicodeDecodeError) as error:
            raise FleetError(f"cannot read the fleet file {path}: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise FleetError(f"{path} is no valid TOML: {error}") from error
        models = content.get("models")
        if not isinstance(models, dict) or not models:
            raise FleetError(f"{path} names no models; it needs tables such as [models.small]")
        return cls(
            {name: _spec(name, table, path) for name, table in models.items()},
            overrides=_overrides(content.get("prices", {}), path),
        )

    @classmethod
    def of(cls, *specs: ModelSpec) -> Fleet:
        """A fleet out of specs made in code."""
        return cls({spec.name: spec for spec in specs})

    def with_function(self, name: str, function: Answering, **fields: Json) -> Fleet:
        """This fleet and one more member: a function of the request, e.g. for your own code or a test."""
        if isinstance(given := fields.get("capabilities"), set | list | tuple):
            fields["capabilities"] = frozenset(given)
        spec = ModelSpec(name=name, provider="function", model=str(fields.pop("model", name)), **fields)
        return replace(self, specs={**self.specs, name: spec}, functions={**self.functions, name: function})

    def __getitem__(self, name: str) -> ModelSpec:
        try:
            return self.specs[name]
        except KeyError:
            near = get_close_matches(name, self.specs, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise FleetError(f"the fleet has no model {name!r}; it has {', '.join(self.specs)}{hint}") from None

    def __contains__(self, name: str) -> bool:
        return name in self.specs

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    @property
    def prices(self) -> PriceBook:
        """What the members cost now; list prices may change with the day or the hour."""
        return self._as_of_now[0]

    @property
    def facts(self) -> Mapping[str, ModelFacts]:
        """The members as routers see them now."""
        return self._as_of_now[1]

    @cached_property
    def persons(self) -> frozenset[str]:
        return frozenset(name for name, spec in self.specs.items() if spec.is_person)

    def open(self, name: str) -> Provider:
        """A provider ready to send. Raises FleetError where it cannot be made (missing key, missing file)."""
        spec = self[name]
        if name in self.functions:
            return FunctionModel(self.functions[name])
        return _maker(spec)(spec)

    @property
    def _as_of_now(self) -> tuple[PriceBook, Mapping[str, ModelFacts]]:
        """Prices and facts of this quarter of an hour, which is as often as list prices may change."""
        quarter = int(now().timestamp() // PRICES_HOLD_SECONDS)
        found = self._by_quarter.get(quarter)
        if found is None:
            book = self._book(datetime.fromtimestamp(quarter * PRICES_HOLD_SECONDS, UTC))
            found = book, {name: _facts_of(spec, book.price(name)) for name, spec in self.specs.items()}
            self._by_quarter.clear()
            self._by_quarter[quarter] = found
        return found

    @cached_property
    def _by_quarter(self) -> dict[int, tuple[PriceBook, Mapping[str, ModelFacts]]]:
        return {}

    def _book(self, moment: datetime) -> PriceBook:
        own: dict[str, Price] = {}
        published: dict[str, Listing] = {}
        for name, spec in self.specs.items():
            if spec.price is not None:
                own[name] = spec.price
            elif spec.is_hosted:
                from toolkit.money.published import listing, provider_at

                providers = {spec.provider, provider_at(spec.endpoint) or spec.provider}
                override = longest_match(self.overrides, spec.model, providers=providers)
                if override is not None:
                    own[name] = override
                elif (listed := listing(spec.provider, spec.model, endpoint=spec.endpoint, at=moment)) is not None:
                    published[name] = listed
        return PriceBook.of(own, published)


def _facts_of(spec: ModelSpec, price: Price | None) -> ModelFacts:
    return ModelFacts(
        name=spec.name,
        provider_name=spec.provider,
        capabilities=spec.capabilities,
        window=spec.window,
        price=price,
        is_person=spec.is_person,
    )


# ------------------------------------------------------------------------------------------------------- providers
def _openai(spec: ModelSpec) -> Provider:
    from toolkit.models import openai
    from toolkit.models.http import HttpModel

    return HttpModel(spec, openai)


def _anthropic(spec: ModelSpec) -> Provider:
    from toolkit.models import anthropic
    from toolkit.models.http import HttpModel

    return HttpModel(spec, anthropic)


def _embedded(spec: ModelSpec) -> Provider:
    from toolkit.models.embedded import build

    return build(spec)


def _recorded(spec: ModelSpec) -> Provider:
    from toolkit.models.recorded import RecordedModel

    return RecordedModel(spec)


MAKERS: Mapping[str, Callable[[ModelSpec], Provider]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "embedded": _embedded,
    "recorded": _recorded,
    "person": Person,
}


def _maker(spec: ModelSpec) -> Callable[[ModelSpec], Provider]:
    if spec.provider in MAKERS:
        return MAKERS[spec.provider]
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS, name=spec.provider):
        maker: Callable[[ModelSpec], Provider] = point.load()
        return maker
    known = ", ".join([*MAKERS, *(point.name for point in entry_points(group=ENTRY_POINTS))])
    raise FleetError(f"model {spec.name!r}: there is no provider {spec.provider!r}; known are {known}")


# ------------------------------------------------------------------------------------------------------- models.toml
_FIELDS = {f.name for f in fields(ModelSpec)} - {"name", "folder"}
_WHOLE_NUMBERS = ("window", "max_output_tokens", "concurrency", "batch")
_NUMBERS = ("timeout_seconds", "requests_per_minute", "tokens_per_minute")
_WORDS = ("model", "endpoint", "key_env")


def _spec(name: str, table: Json, path: Path) -> ModelSpec:
    where = f"{path}: [models.{name}]"
    if not isinstance(table, dict):
        raise FleetError(f"{where} must be a table")
    table = folded(table)
    if unknown := sorted(set(table) - _FIELDS):
        near = get_close_matches(unknown[0], _FIELDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(_FIELDS))}"
        raise FleetError(f"{where} has an unknown field {unknown[0]!r}{hint}")
    provider = table.get("provider")
    if not isinstance(provider, str):
        raise FleetError(f'{where} needs a provider, e.g. provider = "openai"')
    for field_name in _WHOLE_NUMBERS:
        value = table.get(field_name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise FleetError(f"{where}: {field_name} must be a whole number of at least 1, not {value!r}")
    for field_name in _NUMBERS:
        value = table.get(field_name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
            raise FleetError(f"{where}: {field_name} must be a positive number, not {value!r}")
    for field_name in _WORDS:
        if not isinstance(table.get(field_name, ""), str):
            raise FleetError(f"{where}: {field_name} must be text, not {table[field_name]!r}")
    settings = table.get("settings", {})
    capabilities = table.get("capabilities", ["chat", "json"])
    if not isinstance(settings, dict) or not isinstance(capabilities, list):
        raise FleetError(f"{where}: settings is a table and capabilities a list of words")
    given = {key: value for key, value in table.items() if key not in ("price", "capabilities", "model")}
    spec = ModelSpec(
        name=name,
        model=str(table.get("model", name)),
        price=_price(table.get("price"), where),
        capabilities=frozenset(map(str, capabilities)),
        folder=path.resolve().parent,
        **given,
    )
    try:
        if spec.is_person:
            Patience.of(spec)
    except FleetError as error:
        raise FleetError(f"{path}: {error}") from None
    return spec


def _overrides(table: Json, path: Path) -> Mapping[str, Price]:
    if not isinstance(table, dict):
        raise FleetError(f"{path}: [prices] is a table of names or beginnings of hosted models, each with its price")
    found = {}
    for entry, given in table.items():
        where = f"{path}: [prices] {entry!r}"
        if isinstance(given, dict) and any(isinstance(value, dict) for value in given.values()):
            raise FleetError(f"{where} holds another table; a name with a dot in it needs quotes")
        price = _price(given, where)
        if price is not None:
            found[entry] = price
    return found


def _price(table: Json, where: str) -> Price | None:
    if table is None:
        return None
    known = [f.name for f in fields(Price) if f.name != "tiers"]
    if not isinstance(table, dict) or not table or set(table) - set(known):
        raise FleetError(f"{where}: price is a table of {', '.join(sorted(known))} in USD per million tokens")
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
            raise FleetError(f"{where}: price.{key} must be a number of at least 0, not {value!r}")
    given: dict[str, Any] = {key: float(value) for key, value in table.items()}
    return Price(**given)
