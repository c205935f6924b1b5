"""The deployments of a `prefect.yaml`, to be served by this very process: no work pool, no worker.

In: the file that `prefect deploy` reads too. Out: Prefect's own deployments, each with its schedules, tags, limits and
defaults. What is not in the file is as the flow has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.client.schemas.schedules import construct_schedule
from prefect.deployments.runner import RunnerDeployment
from prefect.flows import load_flow_from_entrypoint

from toolkit.errors import SetupError

NAME = "prefect.yaml"
_SCHEDULES = ("cron", "interval", "rrule", "timezone", "anchor_date", "day_or")
_PASSED_ON = (
    "description",
    "tags",
    "version",
    "parameters",
    "concurrency_limit",
    "triggers",
    "enforce_parameter_schema",
)


def deployments(path: Path) -> list[RunnerDeployment]:
    """All deployments of the file; entry points are relative to the working folder, as Prefect has them.

    Raises SetupError, naming the deployment, where the file cannot be read or a flow cannot be loaded.
    """
    return [_deployment(given, path) for given in listed(path)]


def listed(path: Path) -> list[Mapping[str, Any]]:
    """What the file says of each deployment. Raises SetupError where it cannot be read, or lists none."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")).get("deployments") or []
    except FileNotFoundError:
        raise SetupError(f"there is no {path}; go to the folder that has one, or name it with --file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        raise SetupError(f"{path} cannot be read: {error}") from error
    if not found or not all(isinstance(given, dict) for given in found):
        raise SetupError(f"{path} lists no deployments")
    return list(found)


def _deployment(given: Mapping[str, Any], path: Path) -> RunnerDeployment:
    name = given.get("name") or "?"
    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(given["entrypoint"], use_placeholder_flow=False)
        schedules = [_schedule(each) for each in given.get("schedules") or ()]
        passed_on = {key: given[key] for key in _PASSED_ON if given.get(key) is not None}
        made = RunnerDeployment.from_flow(flow, name=name, schedules=schedules or None, **passed_on)
    except Exception as error:
        raise SetupError(f"{path}: the deployment {name!r} cannot be made: {type(error).__name__}: {error}") from error
    made.entrypoint = given["entrypoint"]
    return made


def _schedule(given: Mapping[str, Any]) -> dict[str, Any]:
    schedule = construct_schedule(**{key: given[key] for key in _SCHEDULES if key in given and key != "day_or"})
    return {"schedule": schedule, "active": given.get("active", True)}
