"""The one module that holds an HTTP client: a Request goes out in a dialect, a Reply or a CallError comes back.

Calls go over aiohttp, a connection pool for each model. Any httpx transport can take its place (tests, odd proxies);
httpx's own pool is not the default, as it spends milliseconds a call with many connections. Retries and redirects are
nobody's business here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import cache
from types import ModuleType
from typing import Protocol
from urllib.request import getproxies

import aiohttp
import httpx
from aiohttp.http_exceptions import ContentEncodingError

from toolkit.errors import CallError, FleetError, InvalidRequest, InvalidResponse, TimedOut, Unavailable
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request

LONGEST_BODY = 64 * 1024 * 1024
CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 30.0
CHUNK_BYTES = 64 * 1024


class Exchange(Protocol):
    """One POST and its answer, decompressed, up to a bound. Raises what its library raises, or InvalidResponse."""

    async def post(
        self, url: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, Mapping[str, str], bytes]: ...

    async def close(self) -> None: ...


class HttpModel:
    """A model behind HTTP. `dialect` is a module with `path`, `encode` and `decode`.

    Raises FleetError where the endpoint is no URL or the key is missing.
    """

    def __init__(self, spec: ModelSpec, dialect: ModuleType, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.spec = spec
        self.dialect = dialect
        self.endpoint = _endpoint(spec)
        self.headers = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "gzip"}
        if key := spec.key():
            self.headers["authorization"] = f"Bearer {key}"
        self.exchange: Exchange = _Aiohttp() if transport is None else _Httpx(transport)

    async def send(self, request: Request) -> Reply:
        """Raises a CallError for whatever does not end in a reply."""
        try:
            content = self.dialect.encode(request, self.spec)
        except TypeError as error:
            raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error
        url = self.endpoint + self.dialect.path(request)
        try:
            async with asyncio.timeout(self.spec.timeout_seconds):
                status, headers, body = await self.exchange.post(url, self.headers, content)
        except CallError:
            raise
        except (aiohttp.ClientError, httpx.HTTPError, OSError, ValueError, EOFError, RuntimeError) as error:
            raise self._failure(error) from error
        reply: Reply = self.dialect.decode(status, headers, body, operation=request.operation)
        return reply

    async def close(self) -> None:
        await self.exchange.close()

    def _failure(self, error: Exception) -> CallError:
        where = self.spec.endpoint
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return TimedOut(f"no whole answer from {where} within {self.spec.timeout_seconds:g} s")
        if isinstance(error, httpx.DecodingError) or isinstance(error.__cause__, ContentEncodingError):
            return InvalidResponse(f"{where}: the body cannot be decompressed: {error}")
        return Unavailable(f"{where}: {type(error).__name__}: {error}")


class _Aiohttp:
    """No limit of its own (the model's `concurrency` is the limit), no cookies; opened in the loop that first calls."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> tuple[int, Mapping[str, str], bytes]:
        session = self._session or self._open()
        async with session.post(url, headers=headers, data=content, allow_redirects=False) as response:
            return response.status, response.headers, await _bounded(response.content.iter_chunked(CHUNK_BYTES))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ssl=_tls()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            trust_env=bool(getproxies()),
        )
        return self._session


class _Httpx:
    """Any transport with httpx's interface."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> tuple[int, Mapping[str, str], bytes]:
        response = await self._transport.handle_async_request(
            httpx.Request("POST", url, headers=headers, content=content)
        )
        try:
            return response.status_code, response.headers, await _bounded(response.aiter_bytes())
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._transport.aclose()


async def _bounded(chunks: AsyncIterator[bytes]) -> bytes:
    """The whole body: a server that never ends must not fill the memory."""
    found, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > LONGEST_BODY:
            raise InvalidResponse(f"the body is longer than {LONGEST_BODY // 2**20} MiB")
        found.append(chunk)
    return b"".join(found)


@cache
def _tls() -> ssl.SSLContext:
    """Made once for all models: it takes tens of milliseconds."""
    return httpx.create_ssl_context()


def _endpoint(spec: ModelSpec) -> str:
    example = "e.g. http://127.0.0.1:8000/v1"
    if not spec.endpoint:
        raise FleetError(f"model {spec.name!r}: provider {spec.provider!r} needs an endpoint, {example}")
    try:
        url = httpx.URL(spec.endpoint)
    except httpx.InvalidURL as error:
        raise FleetError(
            f"model {spec.name!r}: endpoint {spec.endpoint!r} is no URL ({error}); write {example}"
        ) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise FleetError(f"model {spec.name!r}: endpoint {spec.endpoint!r} must be an http or https URL, {example}")
    return spec.endpoint.rstrip("/")
