"""On recorded answers of real models: never worse than the zero router where it has not seen the task, and in time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from evals.routing.judging import Played, few_labels, folds, learned, played, swept
from evals.routing.unseen import unseen
from tests.routing.routing_samples import facts, known
from toolkit.evaluation.outcomes import Outcomes, load_outcomes
from toolkit.evaluation.routing_metrics import apgr
from toolkit.evaluation.zero import singles
from toolkit.routing import Learned
from toolkit.routing.exchange import gap_closed
from toolkit.routing.frontier import mean_quality
from toolkit.routing.learning import fit

TABLE = Path(os.environ.get("TOOLKIT_OUTCOMES") or "nowhere") / "outcomes.parquet"
needs_outcomes = pytest.mark.skipif(not TABLE.exists(), reason="TOOLKIT_OUTCOMES names no folder with outcomes.parquet")
POOLS = ("gsm8k", "routerbench", "zeroeval", "bfcl")
NOTHING = 0.005


def real(name: str) -> Outcomes:
    return load_outcomes(TABLE, "routellm").of_tasks("gsm8k") if name == "gsm8k" else load_outcomes(TABLE, name)


def judged(pool: Outcomes) -> dict[str, Played]:
    fitted = {int(f): fit(pool.take(pool.fold != f).examples()) for f in np.unique(pool.fold)}
    return {router.name: router for router in played(pool, fitted)}


@needs_outcomes
@pytest.mark.slow
@pytest.mark.parametrize("name", POOLS[1:])
def test_on_tasks_left_out_it_is_no_worse_than_the_zero_router(name: str) -> None:
    found = unseen(real(name), replicates=40)
    assert found is not None and found.gain.low >= -NOTHING and found.worst >= -NOTHING


@needs_outcomes
@pytest.mark.long
@pytest.mark.parametrize("name", POOLS)
def test_across_folds_it_is_no_worse_than_the_zero_router(name: str) -> None:
    pool = real(name)
    routers = judged(pool)
    found = gap_closed(routers["ours"].sweep, singles(pool), routers["oracle"].sweep)
    assert found > -NOTHING


@needs_outcomes
@pytest.mark.slow
def test_on_word_problems_the_cascade_beats_the_router_beats_chance() -> None:
    pool = real("gsm8k")
    routers = judged(pool)
    weak, strong = np.argsort(pool.score.mean(axis=0))
    areas = [apgr(lead, pool.score[:, weak], pool.score[:, strong])
             for name in ("ours", "ours, cascade") if (lead := routers[name].lead) is not None]  # fmt: skip
    assert 0.58 < areas[0] < areas[1]


@needs_outcomes
@pytest.mark.slow
def test_fewer_labels_teach_less_but_something() -> None:
    pool = real("gsm8k")
    assert few_labels(pool, labels=400, replicates=40).value > 0.5


@needs_outcomes
def test_merits_are_of_all_models_and_finite() -> None:
    pool = real("zeroeval").take(np.arange(300))
    assert all(np.isfinite(table).all() for table in learned(pool, pool))


@needs_outcomes
@pytest.mark.parametrize(("name", "n"), [("gsm8k", 500), ("routerbench", 600), ("zeroeval", 400), ("bfcl", 400)])
def test_on_a_part_of_a_pool_it_is_no_worse_than_the_zero_router(name: str, n: int) -> None:
    """A small one by chance, with a fixed seed: where there is little to learn from, it must not do harm."""
    whole = real(name)
    pool = whole.take(np.sort(np.random.default_rng(0).permutation(len(whole))[:n]))
    ours, cost, plain, mean = (np.empty_like(pool.score) for _ in range(4))
    for train, test, at in folds(pool):
        ours[at], cost[at] = learned(train, test)
        plain[at], mean[at] = train.score.mean(axis=0), train.cost.mean(axis=0)
    spent = pool.cost.mean(axis=0)
    areas = [
        mean_quality(swept(merit, priced, pool).frontier(), float(spent.min()), float(spent.max()))
        for merit, priced in ((ours, cost), (plain, mean))
    ]
    assert areas[0] >= areas[1] - NOTHING


def test_deciding_takes_a_fraction_of_a_millisecond() -> None:
    router = Learned(known(), worth=15.0)
    asked = [facts("prove the theorem now"), facts("greet the guest", task="talk")] * 50
    router.decide(asked[0])
    began = time.process_time()
    for each in asked:
        router.decide(each)
    assert (time.process_time() - began) / len(asked) < 0.01
