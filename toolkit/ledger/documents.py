"""A request as pieces, so that what many requests have in common is kept once.

A conversation sends everything said before with each turn, and a batch the same passages with each row. So the content
of a long request holds no text but a list of pieces, and what is long of it is a content of its own:

    {"$pieces": ["={\\"messages\\":[", "[0f3a…", "=,{\\"role\\":\\"user\\"…", "\\"77c1…", "=,\\"type\\":\\"text\\"}]…"]}

    =…   these characters of the request's canonical JSON
    "…   the JSON string of the text that is kept under this hash: every string of `TEXT_BYTES` or more
    […   the characters that are kept under this hash: `CHUNK` messages (or inputs) in a row, from the first on

The pieces one after the other are the request. A chunk may consist of pieces in turn, of texts only. The hash of a
request, and of a chunk, is that of all its characters, however it is kept. Requests of less than `WHOLE_BYTES` are kept
as they are. A new turn adds its texts, at most `CHUNK` messages without them, and 35 bytes for each chunk before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson

from toolkit.records import Json, content_hash

WHOLE_BYTES = 2048
TEXT_BYTES = 512
CHUNK = 8
MARK = '{"$pieces":'
_LISTS = ("messages", "inputs")
_ATTEMPT = ("id", "run_id", "row_id", "step", "turn", "repeat")

Contents = dict[str, bytes]
"""Hash → what is kept under it."""


def split(body: bytes) -> Contents:
    """The contents of a request, given as canonical JSON: the request itself first, then what it is made of."""
    name = content_hash(body)
    if len(body) < WHOLE_BYTES:
        return {name: body}
    parts: Contents = {}
    pieces = list(_of_request(orjson.loads(body), parts))
    if len(pieces) == 1 or join(_listed(pieces), parts.__getitem__) != body:  # nothing to gain, or not canonical
        return {name: body}
    return {name: _listed(pieces), **parts}


def join(content: bytes, find: Callable[[str], bytes]) -> bytes:
    """The canonical JSON of a request from its content; `find` gives the content of a hash. Undoes `split`."""
    if not content.startswith(MARK.encode()):
        return content
    return b"".join(_whole(piece, find) for piece in orjson.loads(content)["$pieces"])


# ----------------------------------------------------------------------------------------------------------- helpers
def _of_request(request: dict[str, Json], parts: Contents) -> Iterator[str]:
    yield from _closed(_object(request, parts, lists=True))


def _object(value: dict[str, Json], parts: Contents, *, lists: bool = False) -> Iterator[str]:
    opening = "{"
    for name in value:
        yield f"={opening}{orjson.dumps(name).decode()}:"
        if lists and name in _LISTS and isinstance(value[name], list):
            yield from _chunks(value[name], parts)
        else:
            yield from _value(value[name], parts)
        opening = ","
    yield "=}"


def _chunks(items: list[Json], parts: Contents) -> Iterator[str]:
    """A list, its first items by chunks."""
    whole = len(items) // CHUNK * CHUNK if len(items) > CHUNK else 0
    opening = "=["
    for first in range(0, whole, CHUNK):
        chunk = items[first : first + CHUNK]
        slice_ = orjson.dumps(chunk)[1:-1]
        name = content_hash(slice_)
        if name not in parts:
            pieces = list(_closed(_items(chunk, parts)))
            parts[name] = slice_ if len(pieces) == 1 else _listed(pieces)
        yield opening
        yield f"[{name}"
        opening = "=,"
    if whole < len(items) or not items:
        yield opening
        yield from _items(items[whole:], parts)
    yield "=]"


def _items(items: list[Json], parts: Contents) -> Iterator[str]:
    for place, item in enumerate(items):
        if place:
            yield "=,"
        yield from _value(item, parts)


def _value(value: Json, parts: Contents) -> Iterator[str]:
    """The pieces of a value: one, unless there is a long text in it."""
    if not _is_long(value):
        yield f"={orjson.dumps(value).decode()}"
    elif isinstance(value, str):
        text = value.encode()
        name = content_hash(text)
        parts[name] = text
        yield f'"{name}'
    elif isinstance(value, dict):
        yield from _object(value, parts)
    else:
        yield "=["
        yield from _items(value, parts)
        yield "=]"


def _is_long(value: Json) -> bool:
    """Whether it is, or holds, a text of `TEXT_BYTES` or more."""
    if isinstance(value, str):
        return 4 * len(value) >= TEXT_BYTES and len(value.encode()) >= TEXT_BYTES
    if isinstance(value, dict):
        return any(map(_is_long, value.values()))
    return isinstance(value, list) and any(map(_is_long, value))


def _closed(pieces: Iterator[str]) -> Iterator[str]:
    """The same with neighbouring characters in one piece."""
    plain: list[str] = []
    for piece in pieces:
        if piece[0] == "=":
            plain.append(piece[1:])
            continue
        if plain:
            yield "=" + "".join(plain)
            plain.clear()
        yield piece
    if plain:
        yield "=" + "".join(plain)


def _listed(pieces: list[str]) -> bytes:
    return orjson.dumps({"$pieces": pieces})


def _whole(piece: str, find: Callable[[str], bytes]) -> bytes:
    kind, rest = piece[0], piece[1:]
    if kind == "=":
        return rest.encode()
    content = find(rest)
    return orjson.dumps(content.decode()) if kind == '"' else join(content, find)


# ---------------------------------------------------------------------------------------------------------------- SQL
def _pieces(content: str) -> str:
    return f"""from_json({content} -> '$."$pieces"', '["VARCHAR"]')"""


def _columns(table: str = "") -> str:
    return ", ".join(f'{table}"{name}"' for name in _ATTEMPT)


REBUILT = f"""(
            select {_columns()}, case when not bool_or(piece is null or piece[1] <> '=' and t.hash is null) then
                string_agg(
                    case when piece[1] = '=' then piece[2:] else to_json(t.body)::VARCHAR end, ''
                    order by place, inner_place
                ) end as body
            from (
                select {_columns()}, place, unnest(pieces) as piece, generate_subscripts(pieces, 1) as inner_place
                from (
                    select {_columns()}, place, case when piece[1] <> '[' then [piece]
                        when starts_with(c.body, '{MARK}') then {_pieces("c.body")} else ['=' || c.body] end as pieces
                    from (
                        select {_columns("a.")}, unnest({_pieces("d.body")}) as piece,
                            generate_subscripts({_pieces("d.body")}, 1) as place
                        from attempts a join contents d on d.hash = a.request_hash
                        where starts_with(d.body, '{MARK}')
                    ) as outer_pieces left join contents c on c.hash = case when piece[1] = '[' then piece[2:] end
                ) as chunks
            ) as inner_pieces left join contents t on t.hash = case when piece[1] = '"' then piece[2:] end
            group by {_columns()}
        )"""
"""A relation of DuckDB: the whole request of each attempt whose request is kept in pieces, as `body`; NULL where one
of them is no longer there.

By attempt and not by request, so that what a query asks of attempts is asked before anything is put together.
"""

SAME_ATTEMPT = " and ".join(f'{{0}}."{name}" = {{1}}."{name}"' for name in _ATTEMPT)
"""The condition that joins `REBUILT` to attempts, to be formatted with the names of the two."""

PIECES = f"""(
            with named as (
                select hash, unnest(regexp_extract_all(body, '"(?:\\\\"|\\[)([0-9a-f]{{32}})"', 1)) as piece
                from contents where starts_with(body, '{MARK}')
            )
            select hash, piece from named
            union select o.hash, i.piece from named o join named i on i.hash = o.piece
        )"""
"""A relation of DuckDB: hash of a request → each content that it is made of."""
