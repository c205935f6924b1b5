"""What a call costs: `Price` of a model, and `PriceBook`, the prices of a fleet with their versions.

In: a model's name and the usage of an attempt. Out: US dollars, or None where the price or the usage is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from toolkit.records import Usage, canonical, content_hash

TOKENS_PER_UNIT = 1_000_000
OWN = "models.toml"
OVER = " over "
OPEN_ENDS = "*-/:"
DATED = re.compile(r"[-@:](\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, and per request. Cache prices default to the input price.

    `tiers` are (N, price): the price of a whole call that has more than N input tokens, from small N to large.
    """

    input: float = 0.0
    output: float = 0.0
    cache_read: float | None = None
    cache_write: float | None = None
    request: float = 0.0
    tiers: tuple[tuple[int, Price], ...] = ()

    def cost(self, usage: Usage) -> float | None:
        """Cost of `usage` in US dollars; None where token counts are missing and tokens are not free."""
        price = self.at_length(usage.input_tokens or 0)
        if (usage.input_tokens is None and price.input) or (usage.output_tokens is None and price.output):
            return None
        entered, left = usage.input_tokens or 0, usage.output_tokens or 0
        read, written = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
        read_price = price.input if price.cache_read is None else price.cache_read
        write_price = price.input if price.cache_write is None else price.cache_write
        plain = max(entered - read - written, 0)
        tokens = plain * price.input + read * read_price + written * write_price + left * price.output
        return price.request + tokens / TOKENS_PER_UNIT

    def expected(self, input_tokens: int, output_tokens: int) -> float:
        """Cost of a call of that size in US dollars."""
        price = self.at_length(input_tokens)
        return price.request + (input_tokens * price.input + output_tokens * price.output) / TOKENS_PER_UNIT

    def at_length(self, input_tokens: int) -> Price:
        """The price of a call with that many input tokens, without further tiers."""
        reached = [price for above, price in self.tiers if input_tokens > above]
        return reached[-1] if reached else self


@dataclass(frozen=True, slots=True)
class Listing:
    """A price, and the version of the book it is from: the same version and model never mean another price."""

    version: str
    price: Price


@dataclass(frozen=True)
class PriceBook:
    """What the members of a fleet cost at a moment: the user's own prices first, then the published ones.

    The version of a member's price goes on every attempt's row, so that a cost can be explained years later.
    """

    listings: Mapping[str, Listing]

    @classmethod
    def of(cls, own: Mapping[str, Price], published: Mapping[str, Listing] | None = None) -> PriceBook:
        """A book out of one's own prices, whose version is a hash of them all, and published ones."""
        version = f"{OWN}@{content_hash(canonical({name: asdict(price) for name, price in own.items()}))[:8]}"
        return cls({**(published or {}), **{name: Listing(version, price) for name, price in own.items()}})

    def price(self, name: str) -> Price | None:
        """The price of a member of the fleet, None where nobody knows it."""
        found = self.listings.get(name)
        return found.price if found else None

    def stamp(self, name: str) -> str | None:
        """The version of the price of a member, None where there is none."""
        found = self.listings.get(name)
        return found.version if found else None

    def entries(self) -> Iterator[tuple[str, str, Price]]:
        """(version, model, price) of all prices in the book; a tier is a price whose version says `over N`."""
        for name, listing in self.listings.items():
            yield listing.version, name, replace(listing.price, tiers=())
            for above, price in listing.price.tiers:
                yield f"{listing.version}{OVER}{above}", name, price


def longest_match(prices: Mapping[str, Price], model: str, *, providers: Iterable[str]) -> Price | None:
    """The price of the entry that says most about a hosted model, None where none speaks of it.

    An entry is a model's name, alone or as `provider:model`; it also speaks of that model's dated versions, such as
    gpt-4o-2024-08-06 for gpt-4o, and of nothing else. One that ends in `*`, `-`, `/` or `:` speaks of all names that
    begin so. A name goes before a beginning, then the longer goes before the shorter.
    """
    found: tuple[tuple[bool, int, bool], Price] | None = None
    for entry, price in prices.items():
        rank = max(
            (rank for name, prefix in _names(model, providers) if (rank := _rank(entry.lower(), name, prefix=prefix))),
            default=None,
        )
        if rank is not None and (found is None or rank > found[0]):
            found = (rank, price)
    return found[1] if found else None


# ----------------------------------------------------------------------------------------------------------- helpers
def _names(model: str, providers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The names a model goes by, and what of each is its provider's."""
    yield model.lower(), ""
    for provider in providers:
        yield f"{provider}:{model}".lower(), f"{provider}:".lower()


def _rank(entry: str, name: str, *, prefix: str) -> tuple[bool, int, bool] | None:
    """How much an entry says about a name: whether it is the name, how many characters of the model's own, and whose.

    None where it does not speak of it.
    """
    start = entry.rstrip("*")
    if not name.startswith(start) or not entry:
        return None
    rest, said = name[len(start) :], (len(start) - len(prefix), bool(prefix))
    if entry[-1] in OPEN_ENDS:
        return (False, *said)
    return (True, *said) if not rest or DATED.fullmatch(rest) else None
