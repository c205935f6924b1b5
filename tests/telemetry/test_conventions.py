"""The names are those of the conventions, and the page says what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.schemas import Schemas

from toolkit.errors import SetupError
from toolkit.telemetry.conventions import OWN, SCHEMA_URLS, VERSIONS, conventions, table

PAGE = (Path(__file__).parents[2] / "docs" / "opentelemetry.md").read_text(encoding="utf-8")
EVENTS = {"gen_ai.evaluation.result"}
"""Names that OpenTelemetry's package of constants does not list, as it lists no events."""


def constants(module: object) -> set[str]:
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def test_the_default_names_are_constants_of_opentelemetry_itself() -> None:
    known = constants(gen_ai_attributes) | constants(error_attributes) | EVENTS
    assert set(conventions().names.values()) <= known
    metrics = {each.name for each in conventions().instruments if each.name.startswith("gen_ai.")}
    assert metrics <= constants(gen_ai_metrics)
    assert SCHEMA_URLS["1.41"] in {schema.value for schema in Schemas}


def test_the_newer_names_differ_where_the_conventions_changed_and_nowhere_else() -> None:
    old, new = conventions("1.41").names, conventions("genai-0.1").names
    assert {meaning: (old[meaning], new[meaning]) for meaning in old if old[meaning] != new[meaning]} == {
        "cache_write_input_tokens": (
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
        ),
        "workflow": ("gen_ai.workflow.name", "gen_ai.agent.name"),
    }
    assert "gen_ai.client.token.usage" not in {each.name for each in conventions("genai-0.1").instruments}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_metric_can_be_told_apart_by_names_that_exist(version: str) -> None:
    known = conventions(version)
    for instrument in known.instruments:
        for meaning in instrument.by:
            assert meaning in known.names or meaning in OWN, (instrument.name, meaning)
        assert list(instrument.bounds) == sorted(set(instrument.bounds))


def test_an_unknown_version_is_refused_with_those_there_are() -> None:
    with pytest.raises(SetupError, match=r"no conventions '1\.99'; there are 1\.41, genai-0\.1"):
        conventions("1.99")


def test_the_page_lists_every_name_of_every_version() -> None:
    for meaning, *names in table():
        cells = " | ".join(f"`{name}`" for name in names)
        assert f"| {meaning.replace('_', ' ')} | {cells} |" in PAGE
    for name, what in OWN.items():
        assert f"| `{name}` | {what} |" in PAGE
    for version in VERSIONS:
        for instrument in conventions(version).instruments:
            assert f"`{instrument.name}`" in PAGE
