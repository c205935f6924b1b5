"""Who keeps gates: one process for itself, or several together (`toolkit.ledger.writing.shared_gates`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from toolkit.gates.gate import Gate

T = TypeVar("T")
Step = Callable[[Gate, float], tuple[Gate, T]]
"""A gate as it is and the time it is now → the gate as it is to be, and what the caller wants to know. Pure."""


class Keeper(Protocol):
    """Keeps gates by name. Times are on the clock of whoever asks."""

    async def change(self, name: str, step: Step[T], *, run_id: str, model: str) -> tuple[Gate, T]:
        """The gate after a step that nobody else's step comes between; `run_id` and `model` are for the record."""
        ...

    def look(self) -> Mapping[str, Gate]:
        """What others may have changed: gates by name."""
        ...


class OwnKeeper:
    """Gates of one process, for models that live in it. `told` hears when one shuts or opens."""

    def __init__(
        self, clock: Callable[[], float], *, told: Callable[[Gate, Gate, str, str], object] = lambda *_: None
    ) -> None:
        self._clock = clock
        self._told = told
        self._gates: dict[str, Gate] = {}

    async def change(self, name: str, step: Step[T], *, run_id: str, model: str) -> tuple[Gate, T]:
        before = self._gates.get(name, Gate())
        after, outcome = step(before, self._clock())
        self._gates[name] = after
        self._told(before, after, run_id, model)
        return after, outcome

    def look(self) -> Mapping[str, Gate]:
        return {}
