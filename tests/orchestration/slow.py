"""The desk as a flow that is told everything by its form, so that it can be deployed, killed and gone on with."""

from __future__ import annotations

from pathlib import Path

from tests.orchestration.desk import desk
from toolkit.orchestration import as_flow

ROUTERS = {"triage: small alone": "triage=Fixed('small')", "triage: large alone": "triage=Fixed('large')"}

flow = as_flow(
    desk, routers=ROUTERS, chunk_size=10, name="slow", reference=f"{Path(__file__).with_name('desk.py')}:desk"
)
