"""`Asked`: one call as the fake server sees it, and what can be said of it before anybody answers. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType

import orjson

from toolkit.context import BYTES_PER_TOKEN, text_bytes
from toolkit.errors import InvalidRequest
from toolkit.fake.kinds import KINDS
from toolkit.fake.profiles import Profile
from toolkit.messages import Data, Message, Text, ToolResult, ToolSpec
from toolkit.records import Json, Request

MARKS = re.compile(r"^</?[^<>\n]+>$\n?", re.MULTILINE)
SCHEMA_IN_WORDS = "JSON schema:\n"
"""How `toolkit.models.wording` leads over to a schema, for servers without a field for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call. `hash` is that of its body, `number` how often the same body came before.

    `request` is what the body stands for; `body` is that body; `dialect` is the module that reads and writes it.
    """

    profile: Profile
    dialect: ModuleType
    request: Request
    body: Mapping[str, Json]
    hash: str
    number: int = 0
    seed: int = 0

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream")) and self.request.operation == "chat"

    @property
    def id(self) -> str:
        """An id for the answer: the same whenever the same is asked for the same time."""
        return f"{self.hash[:20]}{self.number:04d}"

    @property
    def has_schema_field(self) -> bool:
        """Whether the schema came in the dialect's own field, not in words."""
        return self.request.output_schema is not None

    @property
    def schema(self) -> Mapping[str, Json] | None:
        """The schema that the answer is to satisfy: the field's where this model heeds it, else one told in words."""
        if self.request.output_schema is not None and self.profile.structured != "ignored":
            return self.request.output_schema
        for message in reversed(self.request.messages):
            if message.role == "system" and SCHEMA_IN_WORDS in (text := message.text):
                try:
                    found = orjson.loads(text.rpartition(SCHEMA_IN_WORDS)[2])
                except orjson.JSONDecodeError:
                    continue
                return found if isinstance(found, dict) else None
        return None

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools that may be called, by the caller's choice."""
        if not self.request.tools:
            return ()
        may, name = self.dialect.tool_choice(self.body)
        if may == "none":
            return ()
        return tuple(tool for tool in self.request.tools if name in (None, tool.name))

    @property
    def must_call(self) -> bool:
        """Whether the caller insists on a tool being called."""
        return bool(self.request.tools) and self.dialect.tool_choice(self.body)[0] == "any"

    @property
    def results(self) -> tuple[ToolResult, ...]:
        """What tools gave, in the order told."""
        messages = self.request.messages
        return tuple(part for message in messages for part in message.parts if isinstance(part, ToolResult))

    @property
    def question(self) -> str:
        """The words that the answer echoes: the last that the user said."""
        return _words_of(reversed(self.request.messages)) or self.request.text

    @property
    def topic(self) -> str:
        """What the right answer depends on: the first that the user said, which a later turn does not change."""
        return _words_of(self.request.messages) or self.request.text

    @property
    def input_tokens(self) -> int:
        """Bytes of words, data, results of tools and the schema, over four, rounded up."""
        size = text_bytes(self.request) + sum(len(result.text.encode()) for result in self.results)
        return math.ceil(size / BYTES_PER_TOKEN)

    def suits(self, kind: str) -> bool:
        """Whether a fault can strike this call: a schema cannot be violated where there is none."""
        match KINDS[kind].wants:
            case "chat":
                return self.request.operation == "chat"
            case "schema":
                return self.schema is not None
            case "tools":
                return bool(self.tools)
            case _:
                return True


def checked(request: Request) -> Request:
    """The request, if what was read is of the types it should be. Raises InvalidRequest."""
    limit = request.max_output_tokens
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidRequest(f"the limit of tokens must be a whole number of at least 1, not {limit!r}")
    if not isinstance(request.output_schema, Mapping | None):
        raise InvalidRequest("the schema of an output must be an object")
    if not all(isinstance(tool.name, str) and isinstance(tool.parameters, Mapping) for tool in request.tools):
        raise InvalidRequest("a tool must have a name and the schema of its parameters")
    parts = (part for message in request.messages for part in message.parts)
    if not all(isinstance(part.text, str) for part in parts if isinstance(part, Text | Data | ToolResult)):
        raise InvalidRequest("the content of a message must be text")
    return request


def _words_of(messages: Iterable[Message]) -> str:
    """The first words of a user's, without the marks around data."""
    return next((MARKS.sub("", message.text) for message in messages if message.role == "user" and message.text), "")


def tokens_in(text: str) -> int:
    """Tokens of a text: its bytes over four, rounded up."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)
