"""The server: bodies in, bodies and statuses out; `dialect` reads and writes them, the fleet's providers answer.

POST /v1/chat/completions, /v1/embeddings ─▶ Request ─▶ provider ─▶ Reply or CallError ─▶ JSON and a status
GET  /v1/models                            who is served
GET  /count                                how many requests came, in total and for each model
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from toolkit.errors import CallError, FleetError, InvalidRequest
from toolkit.fleet import Fleet
from toolkit.models.spec import Provider
from toolkit.records import Json
from toolkit.serving import dialect

HOST = "127.0.0.1"
IN_PROCESS = ("embedded", "function", "recorded")


def serve(fleet: Fleet, port: int = 0) -> None:
    """Serve until SIGTERM or SIGINT; prints one line with the URL once connections are taken. Port 0: any free one.

    Raises FleetError where no member can be served, OSError where the port is taken. For the main thread.
    """
    made = app(fleet)
    with socket.create_server((HOST, port), backlog=1024) as listening:
        url = f"http://{HOST}:{listening.getsockname()[1]}/v1"
        print(f"serving {', '.join(made.state.members)} on {url}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        config = uvicorn.Config(made, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def app(fleet: Fleet) -> Starlette:
    """The ASGI application. Raises FleetError where the fleet has no member in this process."""
    members: dict[str, Provider] = {
        name: fleet.open(name) for name, spec in fleet.specs.items() if spec.provider in IN_PROCESS
    }
    if not members:
        raise FleetError(f"nothing to serve: no model of this fleet is one of {', '.join(IN_PROCESS)}")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for provider in members.values():
            await provider.close()

    routes = [
        Route("/v1/chat/completions", _chat_completions, methods=["POST"]),
        Route("/v1/embeddings", _embeddings, methods=["POST"]),
        Route("/v1/models", _models),
        Route("/count", _count),
    ]
    made = Starlette(routes=routes, lifespan=lifespan)
    made.state.members, made.state.counted = members, Counter[str]()
    return made


async def _chat_completions(http: HttpRequest) -> Response:
    try:
        body, provider = await _asked(http)
        return _json(dialect.chat_body(await provider.send(dialect.chat_request(body)), body))
    except CallError as error:
        return _failed(error)


async def _embeddings(http: HttpRequest) -> Response:
    try:
        body, provider = await _asked(http)
        return _json(dialect.embeddings_body(await provider.send(dialect.embeddings_request(body)), body))
    except CallError as error:
        return _failed(error)


async def _asked(http: HttpRequest) -> tuple[dict[str, Json], Provider]:
    """The body, and who is to answer it; counted from here on. Raises InvalidRequest where there is no such model."""
    body = dialect.parsed(await http.body())
    members: Mapping[str, Provider] = http.app.state.members
    name = body.get("model")
    if not isinstance(name, str) or name not in members:
        raise InvalidRequest(f"no model {name!r} is served here; served are {', '.join(members)}")
    http.app.state.counted[name] += 1
    return body, members[name]


async def _models(http: HttpRequest) -> Response:
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "toolkit"} for name in http.app.state.members]
    return _json({"object": "list", "data": listed})


async def _count(http: HttpRequest) -> Response:
    counted: Counter[str] = http.app.state.counted
    return _json({"total": counted.total(), "models": {name: counted[name] for name in http.app.state.members}})


def _json(body: Json) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _failed(error: CallError) -> Response:
    status, headers, body = dialect.error_body(error)
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
