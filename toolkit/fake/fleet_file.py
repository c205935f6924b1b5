"""A models.toml whose members are the fake server's models. Pure: settings and endpoints in, the file's text out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from toolkit.fake.profiles import Profile, Settings

BARE = re.compile(r"[A-Za-z0-9_-]+")
HEADER = "# Written by `toolkit fake`: its models as a fleet. The addresses hold for as long as it runs.\n"


def fleet_toml(settings: Settings, endpoints: Mapping[str, str]) -> str:
    """The text of the file. A model of both dialects is two members: NAME, and NAME-anthropic."""
    tables = [table for profile in settings.models.values() for table in _tables(profile, endpoints[profile.name])]
    return HEADER + "".join(tables)


def _tables(profile: Profile, endpoint: str) -> Iterator[str]:
    if profile.provider != "both":
        yield _table(profile.name, profile.provider, profile, endpoint)
        return
    yield _table(profile.name, "openai", profile, endpoint)
    yield _table(f"{profile.name}-anthropic", "anthropic", profile, endpoint)


def _table(name: str, provider: str, profile: Profile, endpoint: str) -> str:
    can = [word for word in profile.capabilities if provider == "openai" or word != "embed"]
    lines = [
        f"\n[models.{name if BARE.fullmatch(name) else _word(name)}]",
        f'provider = "{provider}"',
        f"model = {_word(profile.name)}",
        f'endpoint = "{endpoint}"',
        f"capabilities = [{', '.join(map(_word, can))}]",
    ]
    if profile.window is not None:
        lines.append(f"window = {profile.window}")
    if profile.price is not None:
        price = profile.price
        told = [f"{field} = {value}" for field in _PRICES if (value := getattr(price, field))]
        lines.append(f"price = {{ {', '.join(told or ['input = 0.0', 'output = 0.0'])} }}")
    if profile.structured == "refused":
        lines.append("settings = { structured = false }")
    return "\n".join(lines) + "\n"


def _word(text: str) -> str:
    """A text as TOML writes it between quotes."""
    told = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text)
    return f'"{told}"'


_PRICES = ("input", "output", "cache_read", "cache_write", "request")
