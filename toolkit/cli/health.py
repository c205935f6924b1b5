"""`toolkit doctor` and `toolkit version`: what is installed, what is kept, who is reachable. Changes nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from toolkit.cli.options import DEFAULT_HOME, Home
from toolkit.ledger.homes import has_record

TOLD_PACKAGES = ("prefect", "fastapi", "duckdb", "pandas", "httpx", "aiohttp", "pydantic", "sqlalchemy", "typer")
LOCK = "requirements.lock"
PREFECT_PORT = 4200


class Finding(NamedTuple):
    """One line of the report; `fine` is None where it is neither good nor bad."""

    about: str
    told: str
    fine: bool | None = None


def doctor(
    home: Home = DEFAULT_HOME,
    fleet: Annotated[Path | None, typer.Option("--fleet", help="A models.toml whose keys to look for.")] = None,
) -> None:
    """Look for what could be wrong: versions, Prefect, journal and history, keys. Exit code 1 where something is."""
    from toolkit.cli.tables import console

    out, wrong = console(), 0
    for finding in [*_versions(), *_prefect(), *_kept(home), *_keys(fleet)]:
        mark = {True: "ok", False: "!!", None: "  "}[finding.fine]
        style = "red" if finding.fine is False else None
        out.print(f"{mark} {finding.about:<12}{finding.told}", markup=False, soft_wrap=True, style=style)
        wrong += finding.fine is False
    out.print(f"{wrong} {'thing needs' if wrong == 1 else 'things need'} attention" if wrong else "nothing is wrong")
    raise typer.Exit(1 if wrong else 0)


def version() -> None:
    """Print the version."""
    from toolkit import __version__

    print(f"toolkit {__version__}")


# ----------------------------------------------------------------------------------------------------------- versions
def _versions() -> Iterator[Finding]:
    from toolkit import __version__

    yield Finding("toolkit", f"{__version__} in {Path(__file__).resolve().parents[1]}")
    yield Finding("python", f"{platform.python_version()} on {platform.platform()}")
    yield Finding("packages", ", ".join(f"{name} {_installed(name) or 'is missing'}" for name in TOLD_PACKAGES))
    lock = next((folder / LOCK for folder in _near() if (folder / LOCK).exists()), None)
    if lock is None:
        yield Finding("lock", f"no {LOCK} here or above: versions are not compared")
        return
    other = [
        f"{n} {have} instead of {want}" for n, want in _locked(lock) if (have := _installed(n)) not in (want, None)
    ]
    more = f" and {len(other) - 5} more" if len(other) > 5 else ""
    agree = f"installed versions agree with {lock}"
    yield Finding("lock", f"not as in {lock}: {', '.join(other[:5])}{more}" if other else agree, not other)


def _near() -> Iterator[Path]:
    yield from (Path.cwd(), *Path.cwd().parents)
    yield Path(__file__).resolve().parents[2]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _locked(path: Path) -> Iterator[tuple[str, str]]:
    """(name, version) of what the lock pins for this interpreter and platform."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line[0] in " #-":
            continue
        try:
            wanted = Requirement(line.rstrip("\\ "))
        except InvalidRequirement:
            continue
        pin = next((spec.version for spec in wanted.specifier if spec.operator == "=="), None)
        if pin is not None and (wanted.marker is None or wanted.marker.evaluate()):
            yield wanted.name, pin


# ------------------------------------------------------------------------------------------------------------ prefect
def _prefect() -> Iterator[Finding]:
    url = prefect_api_url()
    held = _answers("127.0.0.1", PREFECT_PORT)
    if url is None:
        yield Finding("prefect", "no PREFECT_API_URL: flows start a server of their own, which takes 15 to 30 s")
    else:
        from urllib.parse import urlsplit

        where = urlsplit(url)
        port = where.port or (443 if where.scheme == "https" else 80)
        up = _answers(where.hostname or "", port)
        told = "answers" if up else "does not answer; start it with prefect server start, or unset PREFECT_API_URL"
        yield Finding("prefect", f"PREFECT_API_URL is {url}, which {told}", up)
    yield Finding("port", f"{PREFECT_PORT} is {'held: a server is listening' if held else 'free'}")


def prefect_api_url() -> str | None:
    """The API's URL by environment or by Prefect's active profile, without importing Prefect (3 s)."""
    import tomllib

    if url := os.environ.get("PREFECT_API_URL"):
        return url
    folder = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    path = Path(os.environ.get("PREFECT_PROFILES_PATH", folder / "profiles.toml"))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        active = os.environ.get("PREFECT_PROFILE") or content.get("active")
        found = content.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    except (OSError, tomllib.TOMLDecodeError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _answers(host: str, port: int) -> bool:
    import socket

    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


# --------------------------------------------------------------------------------------------------- what is kept
def _kept(home: Path) -> Iterator[Finding]:
    from toolkit.ledger.doctor import facts

    if not has_record(home):
        yield Finding("home", f"{home.resolve()}: nothing has run here yet")
        return
    found = facts(home)
    yield Finding("home", str(home.resolve()))
    pending = f"{found.pending_entries or 0:,} entries and {found.pending_contents or 0:,} contents not merged yet"
    aside = f", {found.segments} segments set aside ({_size(found.segment_bytes)})" if found.segments else ""
    yield Finding(
        "journal", f"{_size(found.journal_bytes)}, schema {found.journal_version or 'unknown'}; {pending}{aside}"
    )
    holder = f"; held by process {found.held_by}" if found.held_by else ""
    schema = f"schema {found.history_version or 'unknown'} (this toolkit: {found.known_version})"
    yield Finding("history", f"{_size(found.history_bytes)}, {schema}{holder}")
    for problem in found.problems:
        yield Finding("problem", problem, False)


def _size(count: int) -> str:
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1e3:,.1f} kB" if count < 1_000_000 else f"{count / 1e6:,.1f} MB"


# --------------------------------------------------------------------------------------------------------------- keys
def _keys(path: Path | None) -> Iterator[Finding]:
    """Whether the keys that a fleet names are set; never what they are."""
    from toolkit.errors import FleetError
    from toolkit.fleet import Fleet

    if path is None and Path("models.toml").exists():
        path = Path("models.toml")
    if path is None:
        yield Finding("keys", "no models.toml here; name one with --fleet to see whether its keys are set")
        return
    try:
        fleet = Fleet.load(path)
    except FleetError as error:
        yield Finding("fleet", str(error), False)
        return
    named = {spec.key_env: name for name, spec in fleet.specs.items() if spec.key_env}
    yield Finding("fleet", f"{path} has {', '.join(fleet)}" + ("" if named else "; none needs a key"))
    for variable, model in named.items():
        there = bool(os.environ.get(variable))
        yield Finding("key", f"{variable} (for {model}) is {'set' if there else 'not set'}", there)
