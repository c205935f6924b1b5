"""Automations of Prefect that act on what runs tell: made, or made anew, on the server that PREFECT_API_URL names.

    hold the support desk when quality drops     toolkit.quality.dropped ─▶ the schedules of support-desk are paused
    learn a new router when quality drops        toolkit.quality.dropped ─▶ a flow run of retrain-router (off at first)

PREFECT_API_URL=http://127.0.0.1:4200/api python flows/automations.py

They can be changed, switched off and deleted in the UI, under Automations; run again, this file puts them back.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.events.actions import PauseDeployment, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from toolkit.errors import SetupError
from toolkit.orchestration.server import check_answers


def automations() -> list[AutomationCore]:
    """The automations, about the deployments as that server knows them. Raises SetupError where it has them not."""
    return [
        AutomationCore(
            name="hold the support desk when quality drops",
            description="Until somebody has looked and resumed its schedules.",
            trigger=_when("toolkit.quality.dropped"),
            actions=[PauseDeployment(deployment_id=_deployment("support-desk"))],
        ),
        AutomationCore(
            name="learn a new router when quality drops",
            description="The challenger takes over only where it is better.",
            enabled=False,
            trigger=_when("toolkit.quality.dropped"),
            actions=[RunDeployment(deployment_id=_deployment("retrain-router"))],
        ),
    ]


def put(wanted: list[AutomationCore]) -> None:
    """Make them, in place of those of the same names."""
    with get_client(sync_client=True) as client:
        for automation in wanted:
            for old in client.read_automations_by_name(automation.name):
                client.delete_automation(old.id)
            client.create_automation(automation)


def _when(*events: str) -> EventTrigger:
    """Each time that such an event comes from a run of the toolkit."""
    return EventTrigger(
        expect=set(events),
        match={"prefect.resource.id": "toolkit.*"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


def _deployment(name: str) -> UUID:
    """Asked by hand: Prefect's client sends nulls with a filter, which its own server refuses."""
    with get_client(sync_client=True) as client:
        wanted = {"deployments": {"name": {"any_": [name]}}, "limit": 1}
        found = client.request("POST", "/deployments/filter", json=wanted).json()
    if not found:
        raise SetupError(f"the server has no deployment {name!r}; start `toolkit up`, or `prefect deploy --all`, first")
    return UUID(found[0]["id"])


def main() -> int:
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    try:
        if url is None:
            raise SetupError("set PREFECT_API_URL to the server's API, such as http://127.0.0.1:4200/api")
        check_answers(url)
        wanted = automations()
        put(wanted)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    for automation in wanted:
        print(f"{automation.name}: {'on' if automation.enabled else 'off, switch it on in the UI'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
