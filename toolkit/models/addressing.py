"""Where a model's calls go and which headers they bear: read from its spec once, before anything is sent. Pure.

The query of an endpoint, say Azure's `?api-version=…`, stays at the end of every URL. Settings that are read here:
`key_header` names the header that bears the key as it is; `headers` adds headers, each a text, or `{ env = "NAME" }`
where its value is a secret of the environment's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

import httpx

from toolkit.errors import FleetError
from toolkit.models.spec import ModelSpec
from toolkit.records import Json

EXAMPLE = "e.g. http://127.0.0.1:8000/v1"
COMMON = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "accept-encoding": "gzip",
}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Address:
    """`base` ends before the path, `query` is empty or begins with `?`; the headers are no part of the repr."""

    base: str
    query: str
    headers: Mapping[str, str] = field(repr=False)

    def url(self, path: str) -> str:
        return f"{self.base}{path}{self.query}"


def address_of(spec: ModelSpec, dialect: ModuleType) -> Address:
    """Raises FleetError where the endpoint is no URL, or a key or header is missing or cannot be sent."""
    base, _, query = _endpoint(spec).partition("?")
    return Address(base.rstrip("/"), f"?{query}" if query else "", _headers(spec, dialect))


def _endpoint(spec: ModelSpec) -> str:
    if not spec.endpoint:
        raise FleetError(f"model {spec.name!r}: provider {spec.provider!r} needs an endpoint, {EXAMPLE}")
    try:
        url = httpx.URL(spec.endpoint)
    except httpx.InvalidURL as error:
        raise FleetError(
            f"model {spec.name!r}: endpoint {spec.endpoint!r} is no URL ({error}); write {EXAMPLE}"
        ) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise FleetError(f"model {spec.name!r}: endpoint {spec.endpoint!r} must be an http or https URL, {EXAMPLE}")
    return spec.endpoint.partition("#")[0]


def _headers(spec: ModelSpec, dialect: ModuleType) -> Mapping[str, str]:
    """Lower-case name → value: the dialect's own, the key, and what the settings add; the later wins."""
    key, bearer = spec.key(), spec.settings.get("key_header")
    found: dict[str, str] = {**COMMON, **dialect.headers(None if bearer else key)}
    if bearer is not None and key is not None:
        found |= [_header(spec, bearer, key)]
    more = spec.settings.get("headers", {})
    if not isinstance(more, Mapping):
        raise FleetError(f'model {spec.name!r}: settings.headers is a table, e.g. {{ x-title = "desk" }}')
    return found | dict(_header(spec, name, _value(spec, name, told)) for name, told in more.items())


def _value(spec: ModelSpec, name: Json, told: Json) -> str:
    if isinstance(told, str):
        return told
    variable = told.get("env") if isinstance(told, Mapping) and len(told) == 1 else None
    if not isinstance(variable, str):
        raise FleetError(f'model {spec.name!r}: the header {name!r} is a text, or {{ env = "NAME" }} for a secret')
    value = os.environ.get(variable)
    if not value:
        raise FleetError(f"model {spec.name!r}: its header {name!r} is in the variable {variable}, which is not set")
    return value


def _header(spec: ModelSpec, name: Json, value: str) -> tuple[str, str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FleetError(f"model {spec.name!r}: {name!r} is no name of a header")
    if not _VALUE.fullmatch(value):
        raise FleetError(
            f"model {spec.name!r}: what the header {name!r} is to bear is empty, or has characters that no header has "
            f"(a line's end, say)"
        )
    return name.lower(), value
