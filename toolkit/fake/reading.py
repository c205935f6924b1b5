"""Settings out of TOML, JSON, mappings and the words of options. Raises SetupError saying where and what is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import orjson

from toolkit.errors import SetupError
from toolkit.fake.kinds import KINDS
from toolkit.fake.profiles import Line, Outage, Profile, Settings
from toolkit.money.prices import Price
from toolkit.records import Json

_OUTAGE = re.compile(r"\s*([\d.]+)\s*-\s*([\d.]+)\s*(?:/\s*([\d.]+)\s*)?(?:=\s*(\w+)\s*)?")
_AT_MOST_ONE = ("cached_share", "quality")
_POSITIVE = (
    "tokens_per_second", "requests_per_minute", "tokens_per_minute", "limit_seconds", "window", "dimensions",
    "calls_at_once",
)  # fmt: skip
_PATHS = ("log", "counts", "fleet")


def from_file(path: Path) -> dict[str, Any]:
    """The mapping that a TOML (or .json) file holds; paths in it start at its folder."""
    try:
        text = path.read_text(encoding="utf-8")
        told = orjson.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the settings {path}: {error}") from error
    except ValueError as error:
        raise SetupError(f"{path} cannot be read as {path.suffix[1:] or 'toml'}: {error}") from error
    for name in (*_PATHS, "script"):
        if isinstance(told.get(name), str):
            told[name] = str(path.parent / told[name])
    return dict(told)


def settings(told: Mapping[str, Json], *, where: str = "settings") -> Settings:
    """The server that a mapping describes: `models` are tables by name, `defaults` holds for all of them."""
    _known(told, {f.name for f in fields(Settings)} | {"defaults"}, where)
    models, defaults = told.get("models"), told.get("defaults", {})
    if not isinstance(models, Mapping) or not models:
        raise SetupError(f"{where} names no models; it needs tables such as [models.small]")
    if not isinstance(defaults, Mapping):
        raise SetupError(f"{where}: defaults must be a table")
    return Settings(
        models={name: profile(name, table, defaults, where=where) for name, table in models.items()},
        seed=_whole(told.get("seed", 0), f"{where}: seed"),
        port=_whole(told.get("port", 0), f"{where}: port"),
        script=_script(told.get("script", ()), where),
        keep=_whole(told.get("keep", 100_000), f"{where}: keep"),
        tls=bool(told.get("tls", False)),
        **{name: Path(told[name]) for name in _PATHS if told.get(name)},
    )


def told(given: Settings) -> dict[str, Json]:
    """Settings as the mapping that `settings` reads."""
    return {
        "models": {name: _profile_told(made) for name, made in given.models.items()},
        "seed": given.seed,
        "port": given.port,
        "keep": given.keep,
        "tls": given.tls,
        "script": [_line_told(line) for line in given.script],
        **{name: str(path.absolute()) for name in _PATHS if (path := getattr(given, name)) is not None},
    }


def profile(name: str, table: Json, defaults: Mapping[str, Json] | None = None, *, where: str = "settings") -> Profile:
    """One model's table, over what holds for all."""
    at = f"{where}: [models.{name}]"
    if not isinstance(table, Mapping):
        raise SetupError(f"{at} must be a table")
    whole = {**(defaults or {}), **table}
    whole.pop("name", None)
    _known(whole, set(_READERS), at)
    return Profile(name=name, **{key: _READERS[key](value, f"{at}: {key}") for key, value in whole.items()})


def rates(given: Json, where: str) -> dict[str, float]:
    """Kinds of faults and their rates: `429:0.1, cut_stream:0.02`, or a table. A kind alone comes always."""
    pairs: list[tuple[str, Json]]
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, str):
        pairs = [(kind, rate or "1") for kind, _, rate in (p.partition(":") for p in given.split(",") if p.strip())]
    else:
        raise SetupError(f"{where} must be a table of rates, or text such as '429:0.1, 500:0.05'")
    found = {}
    for kind, rate in pairs:
        try:
            found[fault_kind(kind.strip(), where)] = float(rate)
        except (TypeError, ValueError):
            raise SetupError(f"{where}: the rate of {kind} must be a number from 0 to 1, not {rate!r}") from None
    if not all(0 <= rate <= 1 for rate in found.values()) or sum(found.values()) > 1 + 1e-9:
        raise SetupError(f"{where}: rates lie between 0 and 1 and add up to at most 1, not {found}")
    return found


def fault_kind(name: str, where: str) -> str:
    """The name, if a fault has it."""
    if name in KINDS:
        return name
    near = get_close_matches(name, KINDS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(KINDS)}"
    raise SetupError(f"{where}: there is no fault {name!r}{hint}")


def outages(given: Json, where: str) -> tuple[Outage, ...]:
    """Times of being dead: `30-60`, `0-30/90`, `30-60=refused`; a list of such, or one text with commas."""
    told = given.split(",") if isinstance(given, str) else given
    if not isinstance(told, list | tuple):
        raise SetupError(f"{where} must be a list of times such as '30-60' or '0-30/90=refused'")
    return tuple(_outage(each, where) for each in told)


def _outage(told: Json, where: str) -> Outage:
    found = _OUTAGE.fullmatch(told) if isinstance(told, str) else None
    if found is None:
        raise SetupError(f"{where}: {told!r} is no time of being dead; write '30-60', '0-30/90' or '30-60=refused'")
    try:
        starts, ends, every = (None if part is None else float(part) for part in found.groups()[:3])
    except ValueError as error:
        raise SetupError(f"{where}: {told!r}: {error}") from error
    assert starts is not None
    assert ends is not None
    if not starts < ends or (every is not None and every < ends):
        raise SetupError(f"{where}: {told!r} must start before it ends, and end within its period")
    return Outage(starts, ends, every, fault_kind(found[4] or "503", where))


# --------------------------------------------------------------------------------------------------------------- script
def _script(given: Json, where: str) -> tuple[Line, ...]:
    """Lines as a list of tables, or the path of a file of JSON lines."""
    if not isinstance(given, str):
        if not isinstance(given, list | tuple):
            raise SetupError(f"{where}: script must be a file's path, or a list of lines")
        return tuple(_line(table, f"{where}: script, line {number}") for number, table in enumerate(given, 1))
    try:
        texts = Path(given).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the script {given}: {error}") from error
    found = []
    for number, text in enumerate(texts, 1):
        if text.strip():
            try:
                found.append(_line(orjson.loads(text), f"{given}, line {number}"))
            except orjson.JSONDecodeError as error:
                raise SetupError(f"{given}, line {number} is no JSON: {error}") from error
    return tuple(found)


def _line(table: Json, where: str) -> Line:
    if not isinstance(table, Mapping) or not isinstance(table.get("match"), str):
        raise SetupError(f'{where} must be an object such as {{"match": "parcel", "answer": "It is on its way."}}')
    _known(table, {f.name for f in fields(Line)}, where)
    if (table.get("answer") is None) == (table.get("fault") is None):
        raise SetupError(f"{where} needs either an answer or a fault")
    fault = None if table.get("fault") is None else fault_kind(str(table["fault"]), where)
    try:
        pattern = re.compile(table["match"])
    except re.error as error:
        raise SetupError(f"{where}: {table['match']!r} is no regular expression: {error}") from error
    return Line(pattern, table.get("model"), table.get("answer"), fault)


def _line_told(line: Line) -> dict[str, Json]:
    whole = {"match": line.match.pattern, "model": line.model, "answer": line.answer, "fault": line.fault}
    return {name: value for name, value in whole.items() if value is not None}


# --------------------------------------------------------------------------------------------------------------- fields
def _profile_told(made: Profile) -> dict[str, Json]:
    whole = {f.name: getattr(made, f.name) for f in fields(Profile) if f.name != "name"}
    whole |= {"faults": dict(made.faults), "outages": [str(outage) for outage in made.outages]}
    whole["price"] = None if made.price is None else {k: v for k, v in asdict(made.price).items() if k in _PRICE}
    return {name: value for name, value in whole.items() if value is not None}


def _known(table: Mapping[str, Json], names: set[str], where: str) -> None:
    if unknown := sorted(set(table) - names):
        near = get_close_matches(unknown[0], names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(names))}"
        raise SetupError(f"{where} has an unknown field {unknown[0]!r}{hint}")


def _number(value: Json, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise SetupError(f"{where} must be a number of at least 0, not {value!r}")
    name = where.rpartition(" ")[2]
    if name in _AT_MOST_ONE and value > 1:
        raise SetupError(f"{where} must be at most 1, not {value!r}")
    if name in _POSITIVE and not value:
        raise SetupError(f"{where} must be more than 0")
    return value


def _whole(value: Json, where: str) -> int:
    number = _number(value, where)
    if not isinstance(number, int):
        raise SetupError(f"{where} must be a whole number, not {value!r}")
    return number


def _words(value: Json, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise SetupError(f"{where} must be a list of words, not {value!r}")
    return tuple(value)


def _yes_or_no(value: Json, where: str) -> bool:
    if not isinstance(value, bool):
        raise SetupError(f"{where} must be true or false, not {value!r}")
    return value


def _price(value: Json, where: str) -> Price:
    if not isinstance(value, Mapping):
        raise SetupError(f"{where} must be a table such as {{ input = 0.15, output = 0.60 }}")
    _known(value, set(_PRICE), where)
    told = {key: float(_number(each, f"{where}.{key}")) for key, each in value.items() if each is not None}
    return replace(Price(), **told)  # type: ignore[arg-type]


def _one_of(words: tuple[str, ...]) -> Callable[[Json, str], Any]:
    def read(value: Json, where: str) -> str:
        if value not in words:
            raise SetupError(f"{where} must be one of {', '.join(words)}, not {value!r}")
        return str(value)

    return read


def _reader(name: str, hint: Any) -> Callable[[Json, str], Any]:
    by_name: dict[str, Callable[[Json, str], Any]] = {
        "faults": rates, "outages": outages, "price": _price, "capabilities": _words,
    }  # fmt: skip
    if name in by_name:
        return by_name[name]
    if get_origin(hint) is Literal:
        return _one_of(get_args(hint))
    if hint is bool:
        return _yes_or_no
    return _whole if int in (hint, *get_args(hint)) else _number


_PRICE = ("input", "output", "cache_read", "cache_write", "request")
_READERS = {name: _reader(name, hint) for name, hint in get_type_hints(Profile).items() if name != "name"}
