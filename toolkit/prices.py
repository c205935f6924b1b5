"""What a call costs: `Price` per model, and the book that knows them.

In: a model's name and the usage of an attempt. Out: US dollars, or None where the price or the usage is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from toolkit.records import Usage, now

TOKENS_PER_UNIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, and per request. Cache prices default to the input price."""

    input: float = 0.0
    output: float = 0.0
    cache_read: float | None = None
    cache_write: float | None = None
    request: float = 0.0

    def cost(self, usage: Usage) -> float | None:
        """Cost of `usage` in US dollars; None where token counts are missing and tokens are not free."""
        if (usage.input_tokens is None and self.input) or (usage.output_tokens is None and self.output):
            return None
        entered, left = usage.input_tokens or 0, usage.output_tokens or 0
        read, written = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
        read_price = self.input if self.cache_read is None else self.cache_read
        write_price = self.input if self.cache_write is None else self.cache_write
        plain = max(entered - read - written, 0)
        tokens = plain * self.input + read * read_price + written * write_price + left * self.output
        return self.request + tokens / TOKENS_PER_UNIT

    def expected(self, input_tokens: int, output_tokens: int) -> float:
        """Cost of a call of that size in US dollars."""
        return self.request + (input_tokens * self.input + output_tokens * self.output) / TOKENS_PER_UNIT


@dataclass(frozen=True)
class PriceBook:
    """Prices by model: the user's own (models.toml) first, then those of the package genai-prices.

    `version` goes on every attempt's row, so that a cost can be explained years later.
    """

    own: Mapping[str, Price]
    version: str

    @classmethod
    def of(cls, own: Mapping[str, Price]) -> PriceBook:
        from importlib.metadata import version

        return cls(own, f"genai-prices {version('genai-prices')}")

    def price(self, name: str, *, provider_name: str, request_model: str) -> Price | None:
        """The price of a member of the fleet, None where nobody knows it."""
        return self.own.get(name) or published_price(provider_name, request_model)

    def stamp(self, name: str) -> str:
        """Which book the price of `name` came from."""
        return "models.toml" if name in self.own else self.version


@lru_cache(maxsize=1024)
def published_price(provider_name: str, request_model: str) -> Price | None:
    """Today's list price of a hosted model as the package genai-prices has it; None where it knows none.

    Only flat prices are taken: a price with tiers by length of prompt is the first tier's.
    """
    from genai_prices.data_snapshot import get_snapshot

    try:
        _provider, model = get_snapshot().find_provider_model(request_model, None, provider_name, None)
    except LookupError:
        return None
    listed = model.get_prices(now())
    if listed.input_mtok is None and listed.output_mtok is None and listed.requests_kcount is None:
        return None

    def flat(value: object) -> float | None:
        base = getattr(value, "base", value)
        return None if base is None else float(base)  # type: ignore[arg-type]

    return Price(
        input=flat(listed.input_mtok) or 0.0,
        output=flat(listed.output_mtok) or 0.0,
        cache_read=flat(listed.cache_read_mtok),
        cache_write=flat(listed.cache_write_mtok),
        request=(flat(listed.requests_kcount) or 0.0) / 1000,
    )
