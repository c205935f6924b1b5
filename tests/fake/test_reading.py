"""Settings: what may be written, what is said where it is wrong, and that nothing is lost on the way to a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import fake
from toolkit.errors import SetupError
from toolkit.fake.kinds import KINDS
from toolkit.fake.profiles import Outage
from toolkit.fake.reading import told

TOML = """
seed = 7
script = "answers.jsonl"
log = "calls.jsonl"

[defaults]
latency_seconds = 0.05
faults = "429:0.1, cut_stream:0.02"

[models.small]
outages = ["30-60", "0-30/90=refused"]

[models.large]
latency_seconds = 0.5
faults = { "500" = 0.5 }
price = { input = 1.0, output = 2 }
"""


def test_a_file_is_read_with_its_defaults_and_paths_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"match": "a+", "answer": "x"}\n\n{"match": "b", "fault": "429"}\n')
    (tmp_path / "fake.toml").write_text(TOML)
    made = fake.settings(fake.from_file(tmp_path / "fake.toml"))
    small, large = made.models["small"], made.models["large"]
    assert (made.seed, made.log) == (7, tmp_path / "calls.jsonl")
    assert [(line.match.pattern, line.answer, line.fault) for line in made.script] == [
        ("a+", "x", None),
        ("b", None, "429"),
    ]
    assert (small.latency_seconds, small.faults) == (0.05, {"429": 0.1, "cut_stream": 0.02})
    assert small.outages == (Outage(30, 60), Outage(0, 30, 90, "refused"))
    assert small.has_own_port
    assert not large.has_own_port
    assert (large.latency_seconds, large.faults) == (0.5, {"500": 0.5})
    assert large.price is not None
    assert large.price.output == 2.0


_faults = st.dictionaries(st.sampled_from(sorted(KINDS)), st.floats(0, 0.3), max_size=3)
_outages = st.builds(
    lambda a, b, c, kind: str(Outage(a, a + b, a + b + c, kind)),
    st.integers(0, 99), st.integers(1, 99), st.integers(0, 99), st.sampled_from(sorted(KINDS)),
)  # fmt: skip
_tables = st.fixed_dictionaries(
    {},
    optional={
        "provider": st.sampled_from(["openai", "anthropic", "both"]),
        "latency_seconds": st.floats(0, 10),
        "first_token_seconds": st.floats(0, 10),
        "faults": _faults,
        "outages": st.lists(_outages, max_size=2),
        "window": st.integers(1, 10**6),
        "price": st.fixed_dictionaries({}, optional={"input": st.floats(0, 9), "cache_read": st.floats(0, 9)}),
        "tells_cost": st.booleans(),
        "quality": st.floats(0, 1),
        "capabilities": st.lists(st.sampled_from(["chat", "tools"]), unique=True),
    },
)


@given(models=st.dictionaries(st.text(min_size=1, max_size=5), _tables, min_size=1, max_size=3), seed=st.integers(0, 9))
def test_settings_written_out_read_as_the_same_settings(models: dict[str, Any], seed: int) -> None:
    script = [{"match": "^a", "model": "m", "answer": {"n": 1}}, {"match": "b", "fault": "silent"}]
    made = fake.settings({"models": models, "seed": seed, "script": script, "log": "x.jsonl", "keep": 3})
    again = fake.settings(orjson.loads(orjson.dumps(told(made))))
    assert again.models == made.models
    assert (again.seed, again.script, again.keep) == (made.seed, made.script, made.keep)
    assert again.log == Path("x.jsonl").absolute()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "names no models"),
        ({"models": {"m": 1}}, r"\[models.m\] must be a table"),
        ({"models": {"m": {}}, "sed": 1}, "did you mean 'seed'"),
        ({"models": {"m": {"latency": 1}}}, "latency.*did you mean 'latency_"),
        ({"models": {"m": {"faults": {"cut_streem": 0.1}}}}, "did you mean 'cut_stream'"),
        ({"models": {"m": {"faults": "429:lots"}}}, "rate of 429"),
        ({"models": {"m": {"faults": "429:0.6, 500:0.6"}}}, "at most 1"),
        ({"models": {"m": {"faults": 3}}}, "table of rates"),
        ({"models": {"m": {"quality": 1.5}}}, r"\[models.m\]: quality must be at most 1"),
        ({"models": {"m": {"window": 1.5}}}, "whole number"),
        ({"models": {"m": {"window": True}}}, "must be a number"),
        ({"models": {"m": {"latency_seconds": -1}}}, "at least 0"),
        ({"models": {"m": {"tokens_per_second": 0}}}, "more than 0"),
        ({"models": {"m": {"tools": "often"}}}, "never, sometimes, first-turn, always"),
        ({"models": {"m": {"tells_cost": 1}}}, "true or false"),
        ({"models": {"m": {"outages": ["60-30"]}}}, "start before it ends"),
        ({"models": {"m": {"outages": "0-50/40"}}}, "within its period"),
        ({"models": {"m": {"outages": "noon"}}}, "no time of being dead"),
        ({"models": {"m": {"outages": "1-2=tired"}}}, "no fault 'tired'"),
        ({"models": {"m": {"price": {"imput": 1}}}}, "did you mean 'input'"),
        ({"models": {"m": {"capabilities": "chat"}}}, "list of words"),
        ({"models": {"m": {}}, "script": [{"match": "("}]}, "either an answer or a fault"),
        ({"models": {"m": {}}, "script": [{"match": "(", "answer": "x"}]}, "no regular expression"),
        ({"models": {"m": {}}, "script": [{"answer": "x"}]}, "line 1 must be an object"),
        ({"models": {"m": {}}, "script": "not/there.jsonl"}, "cannot read the script"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(SetupError, match=says):
        fake.settings(wrong)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.toml", None, "cannot read the settings"),
        ("bad.toml", "a = ", "cannot be read as toml"),
        ("bad.json", "{", "cannot be read as json"),
        ("latin.toml", b"a = '\xff'", "cannot read the settings"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: str | bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SetupError, match=says):
        fake.from_file(tmp_path / name)
