"""The same model again: after an error that may pass, with its own fault shown to it, or with less of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from toolkit.context import CannotFit
from toolkit.errors import ContextOverflow, InvalidOutput
from toolkit.policies.moves import Facts, Move, Try
from toolkit.policies.policy import Policy, written
from toolkit.records import Attempt

if TYPE_CHECKING:
    from tenacity.wait import wait_base


@dataclass(frozen=True, eq=False)
class Retry(Policy):
    """The same model again after an error that may pass, at most `times` times.

    The wait is the provider's Retry-After where told, else exponential from `base` up to `longest` seconds, or by one
    of tenacity's strategies, say `wait=tenacity.wait_incrementing(1, 2)`; the upper half of it is at random (equal
    jitter, drawn by the loop: tenacity's own would draw from `random`, and could not be replayed). A shut gate is
    waited for as well. Where all that takes longer than `patience` seconds, there is no opinion: others go on.
    """

    times: int = 2
    base: float = 0.5
    longest: float = 30.0
    patience: float = 120.0
    wait: wait_base | None = None

    def __post_init__(self) -> None:
        _told_wait(self.wait)

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or last.error is None or not last.error.transient:
            return None
        tries = facts.tries(last.model)
        if tries > self.times:
            return None
        wait = last.error.retry_after
        if wait is None:
            wait = self._ceiling(tries) * (0.5 + 0.5 * facts.draw)
        wait = max(wait, facts.gates.get(last.model, 0.0))
        if wait > self.patience:
            return None
        return Try(last.model, after=wait, why=f"retry {tries} after {last.error.error_type}")

    def _ceiling(self, tries: int) -> float:
        """The longest wait after that many tries, by tenacity's formula."""
        import tenacity

        strategy = self.wait or tenacity.wait_exponential(multiplier=self.base, max=self.longest)
        state = tenacity.RetryCallState(cast(Any, None), None, (), {})
        state.attempt_number = tries
        return float(strategy(state))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        known = written(
            "Retry",
            self.times,
            base=(self.base, 0.5),
            longest=(self.longest, 30.0),
            patience=(self.patience, 120.0),
        )
        return known if self.wait is None else f"{known[:-1]}, wait={_told_wait(self.wait)})"


@dataclass(frozen=True)
class Repair(Policy):
    """Show the model its answer and what is wrong with it, at most `times` times for each model."""

    times: int = 1

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not isinstance(last.error, InvalidOutput):
            return None
        broken = sum(a.model == last.model and isinstance(a.error, InvalidOutput) for a in facts.attempts)
        if broken > self.times:
            return None
        return Try(last.model, why=f"repair {broken} of its answer", repair=last)

    def __repr__(self) -> str:
        return f"Repair({self.times})"


@dataclass(frozen=True)
class Refit(Policy):
    """After a model found the prompt too long: the same model with less of it, at most `times` times, then the next in
    the order with a larger window. Each time `to` of the room is left; what goes is up to the step's `fit`."""

    times: int = 1
    to: float = 0.75

    def __call__(self, facts: Facts) -> Move | None:
        last = facts.last
        if last is None or not isinstance(last.error, ContextOverflow):
            return None
        reported = [a for a in facts.attempts if a.model == last.model and _is_overflow(a)]
        if _is_overflow(last) and len(reported) <= self.times:
            return Try(last.model, why="fitted smaller after context_overflow", shrink=self.to ** len(reported))
        own = facts.windows.get(last.model)
        untried = [name for name in facts.decision.order if not facts.tries(name)]
        larger = next((name for name in untried if own is not None and facts.windows.get(name, own) > own), None)
        return None if larger is None else facts.ask(larger, "larger window after context_overflow")

    def __repr__(self) -> str:
        return written("Refit", self.times, to=(self.to, 0.75))


def _is_overflow(attempt: Attempt) -> bool:
    """Whether a model said that the prompt is too long; one that was never sent, as it cannot be fitted, is none."""
    return isinstance(attempt.error, ContextOverflow) and not isinstance(attempt.error, CannotFit)


_WAITS = ("wait_fixed", "wait_none", "wait_incrementing", "wait_exponential", "wait_combine", "wait_chain")


def _told_wait(wait: wait_base | None) -> str:
    """A strategy of tenacity's as text. Raises ValueError for one that draws by itself, or depends on more than how
    often was tried."""
    if wait is None:
        return ""
    name = type(wait).__name__
    if name not in _WAITS:
        raise ValueError(f"Retry: wait is one of tenacity's {', '.join(_WAITS)}, not {name}; the jitter is added here")
    parts = getattr(wait, "wait_funcs", None) or getattr(wait, "strategies", None)
    if parts is not None:
        return f"{name}({', '.join(_told_wait(part) for part in parts)})"
    given = (
        {} if name == "wait_none" else {key.removeprefix("wait_fixed") or "wait": v for key, v in vars(wait).items()}
    )
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
