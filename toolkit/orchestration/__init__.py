"""Under Prefect: a workflow as a flow, with a form in Prefect's UI, logs, artifacts and cancelling.

    workflow ─▶ as_flow ─▶ flow ─▶ one task per chunk of rows ─▶ journal and history, as in any other run

Importing this imports Prefect (3 s); nothing else of the toolkit does.
"""

from __future__ import annotations

import os

# Prefect counts its users over the network as soon as it is imported; who wants that says DO_NOT_TRACK=0.
os.environ.setdefault("DO_NOT_TRACK", "1")

from toolkit.orchestration.flow import as_flow
from toolkit.orchestration.reporting import Summary
from toolkit.orchestration.server import local_server
from toolkit.orchestration.standing import running_server

__all__ = ["Summary", "as_flow", "local_server", "running_server"]
