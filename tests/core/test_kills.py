"""A batch that is killed anywhere, and resumed, pays for nothing on record twice; so do two processes at one run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from evals.resume import together
from evals.resume.__main__ import kills
from evals.resume.batch import server_settings
from toolkit import fake


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_batch_killed_in_each_phase_and_resumed_asks_for_nothing_on_record(tmp_path: Path) -> None:
    with fake.running(server_settings()) as server:
        whole = kills(server, tmp_path, wanted=14, count=40, chance=random.Random(4))
    assert {name: tally.kills >= 2 for name, tally in whole.phases.items()} == dict.fromkeys(whole.phases, True)
    assert whole.is_sound, whole
    assert whole.in_flight > 0  # there was something to lose


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_at_one_run_do_no_row_twice_though_one_is_killed_or_sleeps(tmp_path: Path) -> None:
    with fake.running(server_settings()) as server:
        shared = together.rounds(server, tmp_path, wanted=1, count=120, chance=random.Random(4))
    assert (shared.kills, shared.sleeps, shared.gave_up) == (1, 1, 1)
    assert shared.is_sound, shared
