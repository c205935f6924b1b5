"""A person: a member of the fleet whose answers arrive later. The engine parks the row; nobody is called here."""

from __future__ import annotations

from toolkit.errors import InvalidRequest
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request


class Person:
    """Stands in the fleet so that routers see a candidate; sending to it is a mistake of the engine's."""

    def __init__(self, spec: ModelSpec) -> None:
        self.name = spec.name

    async def send(self, request: Request) -> Reply:
        raise InvalidRequest(f"{self.name} is a person: the question is parked in the inbox, not sent")

    async def close(self) -> None:
        return None
