"""From examples to knowledge: how good and how dear each model will be at a request, and where that is not known.

    texts ─▶ features ─▶ predictors of leads and of cost ─▶ held-out rows ─▶ trust ─▶ Knowledge
                                                       └─▶ left-out tasks ─▶ trust at unseen tasks

In: `Examples`. Out: `Knowledge`. All that is chosen is chosen by folds inside the examples.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from toolkit.routing.dearness import Dearness, log_lengths
from toolkit.routing.examples import Examples
from toolkit.routing.features import Vocabulary
from toolkit.routing.knowledge import Card, Knowledge
from toolkit.routing.likeness import regions_of
from toolkit.routing.predictors import Ensemble, Parts, featured, latent_axes, plain_words
from toolkit.routing.targets import Targets
from toolkit.routing.trust import Believed, Known, Trust, believed, carried, known

__all__ = ["Examples", "fit"]

LATENT = 128


def fit(examples: Examples, *, latent: int = LATENT, seed: int = 0) -> Knowledge:
    """Learn. Raises ValueError in words where the examples cannot teach anything."""
    examples = examples.graded()
    vocabulary = Vocabulary.of(examples.texts)
    words, surface, scaling = featured(vocabulary, examples.texts)
    tasks = tuple(sorted(set(examples.tasks)))
    axes = latent_axes(words, min(latent, len(examples.texts) // 3), seed)
    task = (np.array(examples.tasks)[:, None] == np.array(tasks)[None]).astype(np.float64)
    parts = Parts(words, plain_words(vocabulary, words), np.asarray(words @ axes), surface, task)
    lengths, fold, targets = log_lengths(examples.texts), examples.folds(), Targets.of(examples)
    ensemble = Ensemble.chosen(parts, targets, fold)
    found = believed(known(parts, targets, lengths, fold, ensemble), seed=seed)
    elsewhere = carried(parts, targets, lengths, ensemble, examples.tasks, seen=found.trust)
    weights = ensemble.fit(parts, targets.all)
    middle = targets.all.mean(axis=0)
    dearness = Dearness.fit(lengths, parts.task, examples.cost)
    ratio = dearness.at(lengths, parts.task.argmax(axis=1))
    seen = Known(targets, weights.at(parts) - middle, ratio, targets.mean_quality, targets.mean_cost)
    regions, nearness = regions_of(words, parts.latent, seed)
    return Knowledge(
        models=examples.models,
        tasks=tasks,
        vocabulary=vocabulary,
        scaling=scaling,
        by_word=(weights.words + axes @ weights.latent).astype(np.float32),
        by_plain_word=weights.plain.astype(np.float32),
        by_surface=weights.surface,
        by_task=weights.task,
        by_no_task=parts.task.mean(axis=0) @ weights.task,
        offset=weights.offset - middle,
        mean_quality=targets.mean_quality,
        mean_cost=targets.mean_cost,
        dearness=dearness,
        regions=regions.astype(np.float32),
        nearness=nearness,
        trust=found.trust,
        trust_elsewhere=elsewhere,
        curve_rates=found.rates,
        curve_cost=np.maximum(found.cost, seen.sweep(found.trust, found.rates).cost.mean(axis=0)),
        card=_card(examples, targets, ensemble, found, elsewhere),
    )


def _card(examples: Examples, targets: Targets, ensemble: Ensemble, found: Believed, elsewhere: Trust) -> Card:
    named = np.array(examples.tasks)
    weight = dict(zip(examples.models, targets.weight.round(4).tolist(), strict=True))
    return Card(
        data_hash=examples.hash(),
        trained_at=datetime.now(UTC),
        rows=len(examples.texts),
        models=examples.models,
        tasks={task: int((named == task).sum()) for task in sorted(set(examples.tasks))},
        gap_closed=found.gap,
        gap_closed_error=found.error,
        calibration_error=found.calibration_error,
        routes=found.trust.any,
        routes_unseen_tasks=elsewhere.any,
        settings={
            "leads_times": found.trust.leads,
            "priced": found.trust.priced,
            "leads_times_elsewhere": elsewhere.leads,
            "priced_elsewhere": elsewhere.priced,
            "shares": ensemble.shares.round(4).tolist(),
            "penalties": [each.tolist() for each in ensemble.penalties],
            "models_matter": weight,
        },
        gain_by_task=found.gain_by_task(examples.tasks),
    )
