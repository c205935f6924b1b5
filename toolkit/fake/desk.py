"""The desk: HTTP requests in, acts out. It holds what a server remembers (counts, limits, when it started).

POST /v1/chat/completions, /v1/embeddings   OpenAI's dialect
POST /v1/messages, …/count_tokens           Anthropic's dialect
GET  /v1/models, /v1/models/NAME            who is served
GET  /fake/counts                           totals by model
GET  /fake/requests?since=N                 the calls one by one
POST /fake/reset                            as if just started
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from types import ModuleType
from typing import BinaryIO
from urllib.parse import parse_qs

import orjson

from toolkit.errors import InvalidRequest
from toolkit.fake import anthropic, openai
from toolkit.fake.acts import Act, said
from toolkit.fake.asked import Asked, checked
from toolkit.fake.chance import uniforms
from toolkit.fake.counting import Counts
from toolkit.fake.deciding import Moment, Outcome, decide
from toolkit.fake.kinds import PORT_KINDS
from toolkit.fake.limits import Limits
from toolkit.fake.parsing import HttpRequest
from toolkit.fake.profiles import Profile, Settings
from toolkit.records import Json, now

CALLS: Mapping[str, tuple[ModuleType, str]] = {
    "/chat/completions": (openai, "chat"),
    "/embeddings": (openai, "embeddings"),
    "/messages": (anthropic, "chat"),
    "/messages/count_tokens": (anthropic, "count"),
}


class Desk:
    """One server's memory. `struck` is told when a fault shuts a model's port, `restarted` when all begins anew."""

    def __init__(self, settings: Settings, *, log: BinaryIO | None = None) -> None:
        self.settings = settings
        self.counts = Counts(list(settings.models), keep=settings.keep, log=log)
        self.struck: Callable[[str, str], object] = lambda model, kind: None
        self.restarted: Callable[[], object] = lambda: None
        self.endpoints: dict[str, str] = {}
        self.reset()

    def reset(self) -> None:
        """As if just started: no call came, nothing is used up, no time has passed."""
        self.counts.reset()
        self.started = time.monotonic()
        self.restarted()
        self.limits = {
            name: Limits.of(profile, at=0.0)
            for name, profile in self.settings.models.items()
            if profile.requests_per_minute is not None or profile.tokens_per_minute is not None
        }

    @property
    def elapsed(self) -> float:
        """Seconds since the start or the last reset."""
        return time.monotonic() - self.started

    def answer(self, request: HttpRequest) -> Act:
        """What is done about a request."""
        path = request.path
        if path.startswith("/fake/"):
            act = self._about(request)
        else:
            below = path.removeprefix("/v1")
            call = CALLS.get(below)
            if call is None:
                act = self._models(request, below)
            elif request.method != "POST":
                act = said(405, _no(f"use POST for {path}"), more=b"allow: POST\r\n")
            elif "content-encoding" in request.headers:
                act = said(415, _no("bodies are taken uncompressed"))
            else:
                return self._call(request, *call)
        return _headless(act) if request.method == "HEAD" else act

    def ended(self, act: Act, *, whole: bool) -> None:
        """An act was played out, or the client went away before its end."""
        if act.model:
            self.counts.ended(act.model, whole=whole)

    def resets(self, port_of: str) -> bool:
        """Whether a new connection at a model's own port is reset at once."""
        profile, tally = self.settings.models[port_of], self.counts.tallies[port_of]
        number = tally.connections
        tally.connections += 1
        luck = uniforms("connection", self.settings.seed, port_of, number)[0]
        struck = luck < profile.faults.get("reset_on_accept", 0.0) or (
            profile.outage_at(self.elapsed) == "reset_on_accept"
        )
        if struck:
            tally.faults["reset_on_accept"] += 1
        return struck

    # -------------------------------------------------------------------------------------------------------- calls
    def _call(self, http: HttpRequest, dialect: ModuleType, operation: str) -> Act:
        try:
            body = orjson.loads(http.body)
        except orjson.JSONDecodeError as error:
            return said(400, dialect.error("400", f"the body is no JSON: {error}", request_id="req_0"))
        if not isinstance(body, dict):
            return said(400, dialect.error("400", "the body must be a JSON object", request_id="req_0"))
        name = body.get("model")
        profile = self.settings.models.get(name) if isinstance(name, str) else None
        if profile is None:
            self.counts.strangers += 1
            words = f"The model `{name}` does not exist; there are {', '.join(self.settings.models)}."
            return said(404, dialect.error("404", words, request_id="req_0"))
        if operation == "count":
            return self._tokens(body, profile, dialect)
        return self._decided(http.body, body, profile, dialect, operation)

    def _decided(self, raw: bytes, body: dict[str, Json], profile: Profile, dialect: ModuleType, operation: str) -> Act:
        hash = blake2b(raw, digest_size=16).hexdigest()
        number = self.counts.arrived(profile.name, hash)
        moment_now = now()
        try:
            request = checked(dialect.request(body, operation=operation))
        except InvalidRequest as error:
            content = dialect.error("400", str(error), request_id=f"req_{hash}")
            outcome = Outcome(said(400, content, model=profile.name))
        else:
            asked = Asked(profile, dialect, request, body, hash, number, self.settings.seed)
            outcome = self._judged(asked, Moment(moment_now, script=self.settings.script))
        self.counts.decided(outcome, hash=hash, number=number, at=moment_now.timestamp())
        return outcome.act

    def _judged(self, asked: Asked, moment: Moment) -> Outcome:
        name, elapsed = asked.profile.name, self.elapsed
        outage = asked.profile.outage_at(elapsed) if asked.profile.outages else None
        wait = 0.0
        if outage is None and name in self.limits:
            self.limits[name], wait = self.limits[name].admit(asked.input_tokens, at=elapsed)
        if outage is not None or wait:
            moment = Moment(moment.now, outage, wait, moment.script)
        outcome = decide(asked, moment)
        if outcome.usage is not None and name in self.limits:
            self.limits[name] = self.limits[name].charge(outcome.usage.output_tokens or 0)
        if outcome.fault in PORT_KINDS:
            self.struck(name, outcome.fault)
        return outcome

    def _tokens(self, body: dict[str, Json], profile: Profile, dialect: ModuleType) -> Act:
        """Anthropic's count of tokens before a call; it is counted nowhere."""
        try:
            request = checked(dialect.request({"max_tokens": 1, **body}, operation="chat"))
        except InvalidRequest as error:
            return said(400, dialect.error("400", str(error), request_id="req_0"))
        return said(200, {"input_tokens": Asked(profile, dialect, request, body, "").input_tokens})

    # -------------------------------------------------------------------------------------------------------- about
    def _models(self, http: HttpRequest, below: str) -> Act:
        if http.method not in ("GET", "HEAD") or not below.startswith("/models"):
            return said(404, _no(f"there is no {http.method} {http.path} here"))
        name = below.removeprefix("/models").removeprefix("/")
        if name and name not in self.settings.models:
            return said(404, _no(f"there is no model {name!r}"))
        listed = [
            {"id": each, "object": "model", "type": "model", "display_name": each, "created": 0, "owned_by": "toolkit"}
            | {"created_at": "1970-01-01T00:00:00Z"}
            for each in self.settings.models
        ]
        if name:
            return said(200, next(each for each in listed if each["id"] == name))
        ids = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"], "has_more": False}
        return said(200, {"object": "list", "data": listed, **ids})

    def _about(self, http: HttpRequest) -> Act:
        match http.method, http.path:
            case "GET" | "HEAD", "/fake/counts":
                return said(200, self.told())
            case "GET" | "HEAD", "/fake/requests":
                since = parse_qs(http.query).get("since", ["0"])[0]
                if not since.isdecimal():
                    return said(400, _no("since must be a number"))
                return said(200, self.counts.told_calls(int(since)))
            case "POST", "/fake/reset":
                self.reset()
                return said(200, {})
            case _:
                return said(404, _no(f"there is no {http.method} {http.path} here"))

    def told(self) -> dict[str, Json]:
        """Counts, and where each model is reached."""
        counts = self.counts.told()
        for name, endpoint in self.endpoints.items():
            counts["models"][name]["endpoint"] = endpoint
        process = {"cpu_seconds": time.process_time(), "uptime_seconds": self.elapsed, "seed": self.settings.seed}
        return {**process, **counts}


def _no(words: str) -> dict[str, Json]:
    return {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": None}}


def _headless(act: Act) -> Act:
    """The act without its body, as HEAD wants it."""
    pieces = [(wait, data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n") for wait, data in act.pieces]
    return Act(act.status, pieces, act.ending, act.model)
