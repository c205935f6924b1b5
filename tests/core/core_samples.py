"""What the core's tests share: fleets of functions that remember what they were asked, records, and routing facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit import Fixed, Fleet, Reply, Request, Workflow
from toolkit.errors import CallError
from toolkit.messages import Text
from toolkit.money.prices import Price
from toolkit.records import Attempt, Candidate, Decision, Grade, Json
from toolkit.routing import ModelFacts, RoutingFacts
from toolkit.runs.running import Running

SMALL = Fixed("small")


class Model:
    """A model that answers by a function and remembers every request."""

    def __init__(self, answer: Callable[[Request], Any] | Json = "fine") -> None:
        self.requests: list[Request] = []
        self._answer = answer

    def __call__(self, request: Request) -> Any:
        self.requests.append(request)
        return self._answer(request) if callable(self._answer) else self._answer

    @property
    def calls(self) -> int:
        return len(self.requests)


class Cancels:
    """Cancels a run from within one of its models, as soon as its handle is held."""

    def __init__(self) -> None:
        self._held: Future[Running] = Future()

    def hold(self, running: Running) -> Running:
        self._held.set_result(running)
        return running

    async def __call__(self) -> None:
        (await asyncio.wrap_future(self._held)).cancel()
        await asyncio.sleep(0)


def fleet_of(**models: Callable[[Request], Any]) -> Fleet:
    fleet = Fleet({})
    for name, model in models.items():
        fleet = fleet.with_function(name, model, capabilities=("chat", "json", "embed"))
    return fleet


def tickets(count: int) -> list[dict[str, Json]]:
    return [{"id": f"t{i}", "ticket": f"ticket number {i}"} for i in range(count)]


def run_over(workflow: Workflow, rows: Any, fleet: Fleet, home: Path, **options: Any) -> Running:
    return workflow.start(rows, fleet, home=home, **options).wait(show=False)


def column(running: Running, query: str) -> list[Any]:
    """The first column of a query on the run."""
    return [row[0] for row in running.sql(query)]


def said(text: str, *, confidence: float | None = None, cost_usd: float | None = None) -> Reply:
    return Reply(parts=(Text(text),), confidence=confidence, cost_usd=cost_usd)


# ------------------------------------------------------------------------------------------------- records for tables
def decision_over(*models: str, costs: dict[str, float | None] | None = None) -> Decision:
    """A decision for the first of these models, in this order."""
    candidates = tuple(Candidate(name, expected_cost_usd=(costs or {}).get(name, 0.001)) for name in models)
    return Decision(models[0] if models else "", candidates, models, "test", "Test()")


def attempts_at(*tried: tuple[str, float | CallError | None]) -> tuple[Attempt, ...]:
    """Attempts in turn: (model, its quality; None for an answer without one; or its error)."""
    return tuple(_attempt(number, model, outcome) for number, (model, outcome) in enumerate(tried, start=1))


def _attempt(number: int, model: str, outcome: float | CallError | None) -> Attempt:
    return Attempt(
        id=f"a{number}",
        number=number,
        model=model,
        why="test",
        provider_name="function",
        request_model=model,
        started_at=datetime(2026, 3, 1, tzinfo=UTC),
        wait_seconds=0.0,
        service_seconds=0.1,
        reply=None if isinstance(outcome, CallError) else said("yes"),
        error=outcome if isinstance(outcome, CallError) else None,
        grades=(Grade("test", "score", outcome),) if isinstance(outcome, float) else (),
    )


def routing_facts(models: Iterable[ModelFacts], *, seed: int = 0, **options: Any) -> RoutingFacts:
    request = options.pop("request", None) or Request()
    return RoutingFacts(request=request, models={model.name: model for model in models}, seed=seed, **options)


def member(name: str, **options: Any) -> ModelFacts:
    """A model that chats, with a price of a dollar per million tokens unless told otherwise."""
    given = {"capabilities": frozenset({"chat"}), "price": Price(1.0, 1.0), **options}
    return ModelFacts(name=name, provider_name="test", **given)
