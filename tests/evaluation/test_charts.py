"""Charts of evaluation: units on the axes, colours that colour-blind readers tell apart, no mark without a number."""

from __future__ import annotations

import json

import numpy as np

from toolkit import charts
from toolkit.evaluation.comparison import Scored, compared
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.supposing import Supposed, Supposition


def scored(n: int = 60, **more: object) -> Scored:
    rng = np.random.default_rng(1)
    quality = (rng.random((n, 3)) < [0.4, 0.8, 0.5]).astype(float)
    return Scored(("a", "b", "c"), quality, rng.lognormal(-7, 0.3, (n, 3)), rng.lognormal(0, 0.3, (n, 3)), **more)  # type: ignore[arg-type]


def test_a_comparison_shows_each_measure_with_its_unit_and_the_frontier() -> None:
    told = json.dumps(compared(scored()).plot().to_dict())
    for axis in ("difference in quality", "difference in cost (USD a row)", "difference (s a row)", "cost (USD a row)"):
        assert axis in told
    assert charts.BLUE in told


def test_segments_are_panels() -> None:
    rng = np.random.default_rng(2)
    found = compared(scored(segments=rng.choice(["de", "en"], 60).astype(object)))
    assert '"facet"' in json.dumps(found.plot().to_dict())


def test_a_comparison_that_was_refused_shows_the_reason_instead() -> None:
    found = compared(Scored(("a", "b"), np.ones((40, 2))))
    assert "tells nothing apart" in json.dumps(found.plot().to_dict())


def test_what_history_cannot_tell_has_no_mark() -> None:
    known = Estimate("dr", 0.6, 0.5, 0.7, 0.05, 100, 40.0, 0.02)
    refused = Refusal("dr", "no overlap")
    results = (
        Supposed("Fixed('a')", "quality", "dr", known, known, past=0.5),
        Supposed("Fixed('b')", "quality", "dr", refused, refused, past=0.5),
    )
    spec = Supposition("label", results, (), 0.95).plot().to_dict()
    data = [row for rows in spec["datasets"].values() for row in rows]
    assert {row["router"] for row in data} == {"Fixed('a')"}
