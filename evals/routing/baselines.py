"""The routers that the learned one is held against. Each is fitted on some outcomes and tells merits on others.

Each tells merit, an expected quality, and an expected cost: (n, k) both. The cost is the models' mean in training, as
such routers are published; `with_own_cost` gives one the cost of each request, by the model of cost that ours has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toolkit.evaluation.outcomes import Outcomes
from toolkit.routing.dearness import Dearness, log_lengths
from toolkit.routing.frontier import Floats

Expectation = Callable[[Outcomes, Outcomes], tuple[Floats, Floats]]

NEIGHBOURS = 40


def mean_by_model(train: Outcomes, test: Outcomes) -> tuple[Floats, Floats]:
    """Each model's mean, whatever the request: the zero router, as far as training can tell it."""
    return np.tile(train.score.mean(axis=0), (len(test), 1)), _mean_cost(train, test)


def mean_by_task(train: Outcomes, test: Outcomes) -> tuple[Floats, Floats]:
    """Each model's mean at the request's task; its overall mean where the task is new."""
    named = np.array(train.tasks)
    means = {task: train.score[named == task].mean(axis=0) for task in set(train.tasks)}
    return np.array([means.get(task, train.score.mean(axis=0)) for task in test.tasks]), _mean_cost(train, test)


def nearest(train: Outcomes, test: Outcomes) -> tuple[Floats, Floats]:
    """The mean over the 40 nearest requests of training, by the angle between their word vectors (TF-IDF)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    index = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(train)), metric="cosine").fit(
        words.fit_transform(train.queries)
    )
    found = index.kneighbors(words.transform(test.queries), return_distance=False)
    return np.asarray(train.score[found].mean(axis=1)), _mean_cost(train, test)


def logistic(train: Outcomes, test: Outcomes) -> tuple[Floats, Floats]:
    """A logistic regression per model on words and pairs of words (TF-IDF), at scikit-learn's own strength."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    seen, asked = words.fit_transform(train.queries), words.transform(test.queries)
    merits = np.tile(train.score.mean(axis=0), (len(test), 1))
    for place in range(len(train.models)):
        good = train.score[:, place] >= 0.5
        if 0 < good.sum() < len(good):
            fitted = LogisticRegression(C=1.0, max_iter=300).fit(seen, good)
            merits[:, place] = fitted.predict_proba(asked)[:, 1]
    return merits, _mean_cost(train, test)


def with_own_cost(router: Expectation) -> Expectation:
    """The same router, choosing by what each request is expected to cost."""

    def told(train: Outcomes, test: Outcomes) -> tuple[Floats, Floats]:
        merit, mean = router(train, test)
        names = sorted(set(train.tasks))
        place = {name: n for n, name in enumerate(names)}
        task = (np.array(train.tasks)[:, None] == np.array(names)[None]).astype(np.float64)
        dearness = Dearness.fit(log_lengths(train.queries), task, train.cost)
        places = np.array([place.get(name, -1) for name in test.tasks], dtype=np.int64)
        return merit, mean * dearness.at(log_lengths(test.queries), places)

    return told


def _mean_cost(train: Outcomes, test: Outcomes) -> Floats:
    return np.tile(train.cost.mean(axis=0), (len(test), 1))
