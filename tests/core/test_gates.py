"""Circuit breakers as a table: what happened, and whether a request may pass."""

from __future__ import annotations

import pytest

from toolkit.errors import (
    AccessDenied,
    CallError,
    ContextOverflow,
    InvalidOutput,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from toolkit.gates import OPEN, PROBE_SECONDS, SHUT_SECONDS, THRESHOLD, Gate

DOWN = Unavailable("refused")


def gate_after(*errors: CallError | None, now: float = 0.0, gate: Gate = OPEN) -> Gate:
    for error in errors:
        gate = gate.after(error, now)
    return gate


@pytest.mark.parametrize("error", [Unavailable("x"), Overloaded("x"), TimedOut("x")])
def test_failures_of_the_service_in_a_row_shut_the_gate(error: CallError) -> None:
    assert gate_after(*[error] * (THRESHOLD - 1)).admits(0.0)
    assert not gate_after(*[error] * THRESHOLD).admits(0.0)


@pytest.mark.parametrize("error", [AccessDenied("x"), ContextOverflow("x"), InvalidOutput("x"), RateLimited("x")])
def test_errors_of_the_request_do_not(error: CallError) -> None:
    assert gate_after(*[error] * 20) == OPEN


def test_a_success_between_them_starts_the_count_again() -> None:
    assert gate_after(*[DOWN] * (THRESHOLD - 1), None, *[DOWN] * (THRESHOLD - 1)).admits(0.0)


def test_when_the_time_has_come_one_probe_passes_and_no_second() -> None:
    shut = gate_after(*[DOWN] * THRESHOLD)
    assert not shut.admits(SHUT_SECONDS - 0.1)
    assert shut.admits(SHUT_SECONDS)
    probing = shut.entered(SHUT_SECONDS)
    assert not probing.admits(SHUT_SECONDS)


def test_a_probe_that_succeeds_opens_the_gate_and_one_that_fails_shuts_it_again() -> None:
    probing = gate_after(*[DOWN] * THRESHOLD).entered(SHUT_SECONDS)
    assert probing.after(None, SHUT_SECONDS) == OPEN
    again = probing.after(DOWN, SHUT_SECONDS)
    assert not again.admits(2 * SHUT_SECONDS - 0.1)
    assert again.admits(2 * SHUT_SECONDS)


def test_of_two_deadlines_the_later_one_holds() -> None:
    long = gate_after(*[DOWN] * (THRESHOLD - 1), Overloaded("529", retry_after=300.0))
    assert not gate_after(DOWN, now=10.0, gate=long).admits(299.0)
    assert gate_after(DOWN, now=10.0, gate=long).admits(300.0)


def test_passing_an_open_gate_leaves_it_open() -> None:
    assert OPEN.entered(0.0) == OPEN


def test_a_gate_says_when_it_is_worth_asking_again() -> None:
    shut = gate_after(*[DOWN] * THRESHOLD)
    assert OPEN.opens_in(0.0) == 0.0
    assert shut.opens_in(10.0) == SHUT_SECONDS - 10.0
    assert shut.opens_in(SHUT_SECONDS) == 0.0
    assert shut.entered(SHUT_SECONDS).opens_in(SHUT_SECONDS) == PROBE_SECONDS
