"""Serving deployments: flow runs of them start here, as children of this process, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from types import FrameType

from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner


def serve(deployments: Sequence[RunnerDeployment], *, at_once: int, ready: Callable[[], None]) -> None:
    """Register the deployments, call `ready`, and start their flow runs as they fall due; until Ctrl-C or SIGTERM.

    Schedules are paused while nobody serves, so that no late runs pile up.
    """

    async def work() -> None:
        runner = _Runner(name="toolkit", limit=at_once, pause_on_shutdown=True)
        for deployment in deployments:
            await runner.aadd_deployment(deployment)
        ready()
        await runner.start()

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        return


class _Runner(Runner):
    """Ends by SIGTERM as it ends by Ctrl-C; Prefect's own way forgets to await its end."""

    def handle_sigterm(self, signum: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)
