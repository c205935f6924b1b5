"""List prices of hosted models, as the package genai-prices has them.

In: who hosts a model, its name there, and a moment. Out: the price at that moment with the list's version, or None.
The package takes any name that begins like one it knows; here what follows must be a version, so that a model which is
not on the list never gets the price of a relative with a shorter name.
"""

from __future__ import annotations

import re
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from toolkit.money.prices import Listing, Price

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, MatchLogic, ModelInfo, ModelPrice, Provider

PACKAGE = "genai-prices"
VERSION_WORD = re.compile(r"\d*|v\d+|latest|preview|exp|experimental|beta|stable|instruct|it|rev\d*")
SEPARATORS = re.compile(r"[-_.:@/]")
REQUESTS_PER_UNIT = 1000


def listing(provider_name: str, request_model: str, *, endpoint: str | None = None, at: datetime) -> Listing | None:
    """The list price of a hosted model at a moment; None where the list has none.

    Whose list it is follows from the endpoint where the package knows it, else from the provider's name. A model named
    `provider:model` is looked up there if its own provider does not have it.
    """
    places = [(provider_at(endpoint) or provider_name, request_model)]
    if ":" in request_model:
        places.append(tuple(request_model.split(":", 1)))  # type: ignore[arg-type]
    for provider, name in places:
        found = _model(provider, name)
        if found is not None:
            return _listing(found, at)
    return None


def provider_at(endpoint: str | None) -> str | None:
    """Who hosts the models at an address, as the package calls them; None where it does not know the address."""
    if not endpoint:
        return None
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider(None, None, endpoint).id
    except LookupError:
        return None


# ------------------------------------------------------------------------------------------------------- which model
def _model(provider_name: str, name: str) -> ModelInfo | None:
    """The model of that name: the one with this very id, else the one whose rules speak of it."""
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    snapshot, name = get_snapshot(), name.lower()
    provider: Provider | None = find_provider_by_id(snapshot.providers, provider_name)
    if provider is None or not name:
        return None
    for model in provider.models:
        if model.id.lower() == name:
            return model
    found = provider.find_model(name, all_providers=snapshot.providers)
    if found is None or (found.is_match(name) and not _speaks_of(found.match, name)):
        return None
    return found


def _speaks_of(rule: MatchLogic, name: str) -> bool:
    """Whether a rule of the package means this name, and not only one that begins or reads like it."""
    from genai_prices.types import ClauseAnd, ClauseContains, ClauseOr, ClauseStartsWith

    match rule:
        case ClauseOr():
            return any(_speaks_of(each, name) for each in rule.or_)
        case ClauseAnd():
            return all(_speaks_of(each, name) for each in rule.and_)
        case ClauseStartsWith(starts_with=text) | ClauseContains(contains=text):
            return rule.is_match(name) and _is_version(name.rpartition(text.lower())[2], after=text)
        case _:
            return rule.is_match(name)


def _is_version(rest: str, *, after: str) -> bool:
    """Whether the rest of a name says which version of a model it is; after a rule with an open end anything does."""
    if after[-1:] in "-:@" or after.startswith("ft:"):
        return True
    return all(VERSION_WORD.fullmatch(word) for word in SEPARATORS.split(rest))


# ------------------------------------------------------------------------------------------------------- which price
def _listing(model: ModelInfo, at: datetime) -> Listing | None:
    from genai_prices.types import ModelPrice

    if isinstance(model.prices, ModelPrice):
        price, since = model.prices, ""
    elif model.prices:
        holding = [c for c in model.prices if c.constraint is None or c.constraint.active(at)]
        chosen = holding[-1] if holding else model.prices[0]
        price, since = chosen.prices, _since(chosen)
    else:
        return None
    if price.input_mtok is None and price.requests_kcount is None:
        return None
    return Listing(_version() + since, _price(price))


def _since(chosen: ConditionalPrice) -> str:
    """What tells this price of a model from those that it had before, or has at other hours."""
    from genai_prices.types import StartDateConstraint

    match chosen.constraint:
        case None:
            return ""
        case StartDateConstraint(start_date=day):
            return f" from {day}"
        case hours:
            return f" {hours.start_time:%H:%M}-{hours.end_time:%H:%M}"


def _version() -> str:
    """The package's version, and when its list was renewed where it is not the one that it came with."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    renewed = "" if snapshot.providers is providers else f" renewed {snapshot.timestamp:%Y-%m-%dT%H:%M:%S}"
    return f"{PACKAGE} {version(PACKAGE)}{renewed}"


def _price(listed: ModelPrice) -> Price:
    """A price of the package as ours; what is counted neither in text tokens nor in requests is not in it."""
    from genai_prices.types import TieredPrices

    priced = (listed.input_mtok, listed.output_mtok, listed.cache_read_mtok, listed.cache_write_mtok)
    starts = {tier.start for value in priced if isinstance(value, TieredPrices) for tier in value.tiers}

    def flat(value: object, above: int) -> float | None:
        if isinstance(value, TieredPrices):
            reached = [tier.price for tier in value.tiers if tier.start <= above]
            return float(reached[-1] if reached else value.base)
        return None if value is None else float(value)  # type: ignore[arg-type]

    def level(above: int) -> Price:
        return Price(
            input=flat(listed.input_mtok, above) or 0.0,
            output=flat(listed.output_mtok, above) or 0.0,
            cache_read=flat(listed.cache_read_mtok, above),
            cache_write=flat(listed.cache_write_mtok, above),
            request=(flat(listed.requests_kcount, above) or 0.0) / REQUESTS_PER_UNIT,
        )

    base = level(-1)
    tiers = tuple((start, level(start)) for start in sorted(starts))
    return Price(base.input, base.output, base.cache_read, base.cache_write, base.request, tiers)
