"""What all tests share: in CI a skipped test fails, but for the one reason that a machine may lack the routing data.

Several processes run them (`make test`), a file of tests in one of them.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, make_url, text

MAY_BE_ABSENT = "TOOLKIT_OUTCOMES"
POSTGRESQL = "TOOLKIT_TEST_POSTGRESQL"

# Laws hold on a slow machine too: no example fails for the time that it took.
settings.register_profile("toolkit", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("toolkit")


def pytest_configure() -> None:
    """Give each process that runs tests a PostgreSQL database of its own, beside the one that is named."""
    url, worker = os.environ.get(POSTGRESQL), os.environ.get("PYTEST_XDIST_WORKER")
    if not url or not worker:
        return
    named = make_url(url)
    own = f"{named.database}_{worker}"
    engine = create_engine(named, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'drop database if exists "{own}" with (force)'))
        connection.execute(text(f'create database "{own}"'))
    engine.dispose()
    os.environ[POSTGRESQL] = named.set(database=own).render_as_string(hide_password=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if MAY_BE_ABSENT not in reason:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped in CI ({reason}); only missing {MAY_BE_ABSENT} data may skip"
    return report
