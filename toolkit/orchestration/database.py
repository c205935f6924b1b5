"""Where Prefect keeps its own data: a PostgreSQL database by URL, checked before a server is started on it.

In: a URL as people write it. Out: the URL as Prefect wants it, or the one sentence that says what is wrong.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from toolkit.errors import SetupError

DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "postgresql+psycopg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
PATIENCE_SECONDS = 10.0


def database_url(told: str) -> str:
    """The URL of a database that answers. Raises SetupError, without the password, where it cannot be used."""
    try:
        given = make_url(told)
        driver = DRIVERS[given.drivername]
    except (ArgumentError, KeyError, ValueError):
        raise SetupError(
            "--database wants a URL such as postgresql://user:password@127.0.0.1/prefect (or sqlite:///file.db)"
        ) from None
    url = given.set(drivername=driver)
    if driver.startswith("postgresql"):
        _check(url)
    return url.render_as_string(hide_password=False)


def _check(url: URL) -> None:
    try:
        asyncio.run(_greet(url))
    except (OSError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        raise SetupError(f"no PostgreSQL answers at {url.host or 'localhost'}:{url.port or 5432}: {why}") from None
    except Exception as error:
        raise SetupError(f"{url.render_as_string(hide_password=True)} cannot be used: {error}") from None


async def _greet(url: URL) -> None:
    import asyncpg

    connection = await asyncpg.connect(
        url.set(drivername="postgresql").render_as_string(hide_password=False), timeout=PATIENCE_SECONDS
    )
    await connection.close()
