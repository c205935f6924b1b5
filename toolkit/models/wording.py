"""What is told in words to models whose servers have no field for it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from toolkit.records import Json


def schema_in_words(schema: Mapping[str, Json]) -> str:
    """The schema that an answer must satisfy, as an instruction."""
    words = "Answer with one JSON value and nothing else. It must satisfy this JSON schema:"
    return f"{words}\n{orjson.dumps(schema).decode()}"
