"""Charts: units on the axes, colours told apart, no mark without a number, no empty chart, small pictures."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.samples import ran
from toolkit import charts
from toolkit.charts.marks import colours_of, labels_of, shapes_of
from toolkit.charts.pictures import smaller
from toolkit.charts.theme import INK, LIVE, in_words, of_the_page, shown
from toolkit.evaluation.agreement import agreement
from toolkit.evaluation.comparison import compared
from toolkit.evaluation.drift import Drift
from toolkit.evaluation.estimates import Estimate, Refusal
from toolkit.evaluation.scored import Scored
from toolkit.evaluation.supposing import Supposed, Supposition
from toolkit.ledger import History, Journal
from toolkit.routing import Fixed


def scored(n: int = 60, k: int = 3, **more: object) -> Scored:
    rng = np.random.default_rng(1)
    quality = (rng.random((n, k)) < np.linspace(0.4, 0.8, k)).astype(float)
    names = tuple("abc"[:k]) if k <= 3 else tuple(f"a model of a long name, number {i} of them all" for i in range(k))
    cost = rng.lognormal(-7, 0.3, (n, k)) * np.linspace(1, 9, k)
    return Scored(names, quality, cost, rng.lognormal(0, 0.3, (n, k)), **more)  # type: ignore[arg-type]


def parts(spec: Any) -> Iterator[dict[str, Any]]:
    """Every object of a specification, but not of its data."""
    if isinstance(spec, dict):
        yield spec
        for name, value in spec.items():
            if name != "datasets":
                yield from parts(value)
    elif isinstance(spec, list):
        for each in spec:
            yield from parts(each)


def told_of(chart: Any) -> dict[str, Any]:
    """The specification of a chart; that it is one is checked where pictures are made of it."""
    return dict(chart.to_dict(validate=False))


def titles(chart: Any) -> set[str]:
    """The titles of the quantitative axes that a chart has."""
    return {
        each["title"]
        for each in parts(told_of(chart))
        if each.get("type") in ("quantitative", "temporal") and each.get("title") and "field" in each
    }


def rows(chart: Any) -> list[dict[str, Any]]:
    return [row for each in told_of(chart)["datasets"].values() for row in each]


def words(chart: Any) -> str:
    """The sentence that stands instead of a chart."""
    return " ".join(str(row["line"]) for row in rows(chart) if "line" in row)


# -------------------------------------------------------------------------------------------------------- comparisons
@pytest.mark.slow
def test_a_comparison_shows_each_measure_with_its_unit_and_the_exchange() -> None:
    told = titles(compared(scored()).plot())
    assert {
        "difference in quality, with its interval",
        "difference in cost (USD a row), with its interval",
        "difference (s a row), with its interval",
        "cost (USD a row)",
        "quality (mean grade)",
        "price of a unit of quality (USD, log scale)",
        "value (USD a row) = price of quality × quality − cost, with its interval",
    } <= told


@pytest.mark.slow
def test_every_segment_has_its_line() -> None:
    rng = np.random.default_rng(2)
    found = compared(scored(segments=rng.choice(["de", "en"], 60).astype(object)))
    assert {"b", "b · de", "b · en"} <= {row["line"] for row in rows(found.plot()) if "line" in row}


@pytest.mark.slow
def test_a_segment_that_cannot_be_told_has_its_reason_and_one_called_all_rows_is_apart() -> None:
    segments = np.array(["few"] * 3 + ["all rows"] * 57, dtype=object)
    found = compared(scored(segments=segments))
    said = " ".join(str(row["line"]) for row in rows(found.plot()) if "line" in row)
    assert "b · 'all rows'" in said and "b · few, quality:" in said
    assert {each.segment for each in found.differences} == {"all rows", "'all rows'", "few"}


@pytest.mark.slow
def test_the_slider_moves_over_the_worths_and_each_has_one_best_and_its_words() -> None:
    found = compared(scored())
    chart = found.plot(price=0.01)
    (slider,) = (each for each in parts(told_of(chart)) if each.get("name") == "price")
    told = rows(chart)
    grid = [row for row in told if "is_best" in row]
    (first,) = {row["price"] for row in grid if row["place"] == slider["value"]}
    assert first == pytest.approx(0.01, rel=0.1)
    assert min(row["place"] for row in grid) == slider["bind"]["min"] < slider["value"] < slider["bind"]["max"]
    for x in {row["place"] for row in grid}:
        (best,) = (row for row in grid if row["place"] == x and row["is_best"])
        (words_there,) = (row for row in told if row.get("who") and row["place"] == x)
        assert words_there["who"].startswith(best["name"])
        assert best["value"] == max(row["value"] for row in grid if row["place"] == x)


@pytest.mark.slow
def test_the_verdict_beside_an_interval_has_room() -> None:
    chart = compared(scored()).plot()
    axes = (each.get("scale", {}) for each in parts(told_of(chart)) if each.get("field") == "low")
    low, high = next(scale["domain"] for scale in axes if "domain" in scale)
    farthest = max(row["high"] for row in rows(chart) if row.get("measure") == "quality")
    assert high - farthest >= 0.2 * (high - low)


@pytest.mark.slow
def test_a_chart_of_many_contenders_keeps_its_data_small() -> None:
    found = compared(scored(n=40, k=30))
    told = told_of(found.plot())
    assert len(json.dumps(told)) < 1_500_000
    assert max(len(each) for each in told["datasets"].values()) < 5_000


@pytest.mark.slow
def test_a_million_rows_are_no_million_points() -> None:
    rng = np.random.default_rng(3)
    n = 200_000
    big = Scored(("a", "b"), (rng.random((n, 2)) < [0.5, 0.6]).astype(float), rng.lognormal(-7, 1, (n, 2)))
    assert len(json.dumps(told_of(compared(big, replicates=50).plot()))) < 300_000


def test_a_comparison_that_was_refused_shows_the_reason_instead() -> None:
    assert "tells nothing apart" in words(compared(Scored(("a", "b"), np.ones((40, 2)))).plot())


def test_unknown_prices_leave_the_differences_and_a_reason_instead_of_the_slider() -> None:
    chart = compared(replace(scored(), cost=np.full((60, 3), np.nan))).plot()
    assert "difference in quality, with its interval" in titles(chart)
    assert "No slider of what quality is worth" in words(chart)
    assert not any(each.get("name") == "price" for each in parts(told_of(chart)))


# ---------------------------------------------------------------------------------------------------- other results
def test_what_history_cannot_tell_has_no_mark_but_its_reason() -> None:
    known = Estimate("dr", 0.6, 0.5, 0.7, 0.05, 100, 40.0, 0.02)
    refused = Refusal("dr", "no overlap")
    results = (
        Supposed("Fixed('a')", "quality", "dr", known, known, past=0.5),
        Supposed("Fixed('b')", "quality", "dr", refused, refused, past=0.5),
    )
    chart = Supposition("label", results, (), 0.95).plot()
    assert {row["router"] for row in rows(chart) if "router" in row} == {"Fixed('a')"}
    assert "quality (mean grade)" in titles(chart)
    assert "Fixed('b') has no number: no overlap" in json.dumps(told_of(chart))
    assert "no overlap" in words(Supposition("label", results[1:], (), 0.95).plot())


def test_a_drift_without_a_day_is_a_sentence() -> None:
    assert "run it, and ask again" in words(Drift("label", (), 0.05, "day").plot())


def test_agreement_counts_rows_by_both_grades() -> None:
    chart = charts.agreement(agreement([1, 1, 0, 0] * 5, [1, 0, 0, 0] * 5))
    counts = {(row["judge"], row["people"]): row["rows"] for row in rows(chart)}
    assert counts == {("0", "0"): 10, ("0", "1"): 0, ("1", "0"): 5, ("1", "1"): 5}
    assert "label some rows" in words(charts.agreement(agreement([], [])))


def test_a_frontier_goes_through_the_best_and_leaves_out_who_has_no_price() -> None:
    chart = charts.frontier({"a": (0.001, 0.5), "b": (0.01, 0.9), "poor": (0.01, 0.4), "free?": (float("nan"), 1.0)})
    assert {row["name"]: row["on"] for row in rows(chart) if "name" in row} == {"a": True, "b": True, "poor": False}
    assert {"cost (USD a request)", "quality (mean grade)"} <= titles(chart)
    assert "no model has both" in words(charts.frontier({}))


# ---------------------------------------------------------------------------------------------------------- the record
@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return ran(tmp_path_factory.mktemp("home"), Fixed("large"), n=12)


def test_a_row_in_time_and_the_costs_tell_their_units(run: Any) -> None:
    assert "milliseconds since the row began" in titles(charts.timeline(run.history, run.id, "r00001"))
    assert "cost (USD)" in titles(charts.costs(run.history))


def test_costs_of_an_empty_record_are_a_sentence(tmp_path: Path) -> None:
    with Journal.open(tmp_path):
        pass
    assert "give its models a price" in words(charts.costs(History(tmp_path)))


def test_models_beyond_the_palette_share_a_colour_and_that_is_said() -> None:
    from toolkit.charts.record import _by_model

    told: list[dict[str, Any]] = [
        {"step": "s", "model": f"m{i:02}", "cost_usd": 20.0 - i, "calls": 1} for i in range(20)
    ]
    found, names = _by_model(told)
    assert names == [*(f"m{i:02}" for i in range(6)), "14 other models"]
    assert sum(each["cost_usd"] for each in found) == sum(each["cost_usd"] for each in told)


# ------------------------------------------------------------------------------------------------------------- looks
def test_no_two_of_forty_contenders_look_alike_and_long_names_stay_apart() -> None:
    names = [f"Explore(Ladder('small', 'large', 'a very long name indeed {i}'), rate=0.1)" for i in range(42)]
    assert len(set(zip(colours_of(names), shapes_of(names), strict=True))) == 42
    labels = labels_of([*names, "x" * 100, "x" * 60 + "y" + "x" * 39])
    assert len(set(labels.values())) == 44
    assert max(map(len, labels.values())) <= 50


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.slow
@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_text_reads_on_a_light_page_and_on_a_dark_one(page: str) -> None:
    lighter, darker = sorted((luminance(INK), luminance(page)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) > 4.1
    assert told_of(compared(scored()).plot())["config"]["background"] == "transparent"


@pytest.mark.slow
def test_a_notebook_keeps_a_chart_that_jupyterlab_draws_and_a_small_picture() -> None:
    chart = compared(scored()).plot()
    data, metadata = shown(told_of(chart))
    assert LIVE == "application/vnd.vegalite.v5+json"
    assert "currentColor" in json.dumps(data[LIVE]["config"])
    assert INK not in json.dumps(data[LIVE]["config"])
    assert metadata[LIVE]["embed_options"]["renderer"] == "svg"
    assert len(data["image/png"]) < 160_000
    assert "http" not in json.dumps({name: value for name, value in data[LIVE].items() if name != "$schema"})


def test_where_no_picture_can_be_a_chart_is_what_it_is_of(tmp_path: Path) -> None:
    compared_ = told_of(charts.comparison(compared(scored())))
    assert in_words(compared_).startswith("[chart: Compared with a, row by row]")
    with Journal.open(tmp_path):
        pass
    assert "give its models a price" in in_words(told_of(charts.costs(History(tmp_path))))
    assert in_words({"mark": "point", "encoding": {"x": {"title": "USD"}, "y": {"title": "share"}}}).startswith(
        "[chart: share over USD]"
    )


def test_data_that_looks_like_a_colour_stays_as_it_is() -> None:
    assert of_the_page({"mark": INK, "datasets": {"d": [{"name": INK}]}}) == {
        "mark": "currentColor",
        "datasets": {"d": [{"name": INK}]},
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_charts_are_saved_without_a_network(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    path = tmp_path / f"chart.{kind}"
    compared(scored()).plot().save(str(path))
    assert path.read_bytes().startswith(b"\x89PNG" if kind == "png" else b"<svg")


def test_a_smaller_picture_shows_the_same() -> None:
    pixels = np.zeros((4, 6, 4), dtype=np.uint8)
    pixels[1:3, 2:5] = [0, 114, 178, 255]
    pixels[3, 0] = [118, 118, 118, 128]
    lines = np.zeros((4, 1 + 6 * 4), dtype=np.uint8)
    lines[:, 0] = 1
    lines[:, 1:] = np.diff(pixels, axis=1, prepend=np.uint8(0)).reshape(4, -1)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 4, 8, 6, 0, 0, 0))
    png += chunk(b"pad ", bytes(500)) + chunk(b"IDAT", zlib.compress(lines.tobytes())) + chunk(b"IEND", b"")
    made = smaller(png)
    assert len(made) < len(png)
    assert (decoded(made) == pixels).all()


@pytest.mark.parametrize("png", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_stays_as_it_is(png: bytes) -> None:
    assert smaller(png) == png


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def decoded(png: bytes) -> Any:
    """The pixels of a PNG with a palette."""
    found, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += 12 + length
    width, height = struct.unpack(">II", found[b"IHDR"][:8])
    colours = np.frombuffer(found[b"PLTE"], np.uint8).reshape(-1, 3)
    alpha = np.frombuffer(found[b"tRNS"], np.uint8)
    places = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(height, width + 1)[:, 1:]
    return np.dstack([colours[places], alpha[places]])
