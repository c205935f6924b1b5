"""One temporary Prefect server for all tests of this folder, with its data in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.settings import temporary_settings

from toolkit.orchestration import local_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the server's API."""
    home = tmp_path_factory.mktemp("prefect")
    apart: dict[Any, Any] = {
        "home": home,
        "api.url": None,
        "server.database.connection_url": f"sqlite+aiosqlite:///{home}/prefect.db",
        "server.memo_store_path": home / "memo.toml",
        "flows.heartbeat_frequency": None,
    }
    with temporary_settings(apart), local_server() as url:
        yield url
