"""The official SDKs take what the server sends: their own parsers read its answers, their own errors its faults.

They live in an environment of their own, made from `sdks.lock`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.environments import installed
from toolkit import fake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
LOCK = HERE / "sdks.lock"
FAULTS = (
    "400", "401", "403", "404", "409", "422", "429", "500", "503", "529", "overflow", "filtered_400", "html_502",
    "html_200", "truncated_json", "invalid_json", "cut_stream", "stream_error", "reset", "refusal", "length",
)  # fmt: skip
OPENAI_ERRORS = {
    "400": "BadRequestError", "401": "AuthenticationError", "403": "PermissionDeniedError", "404": "NotFoundError",
    "409": "ConflictError", "422": "UnprocessableEntityError", "429": "RateLimitError", "500": "InternalServerError",
    "503": "InternalServerError", "529": "InternalServerError", "overflow": "BadRequestError",
    "filtered_400": "BadRequestError", "html_502": "InternalServerError", "reset": "APIConnectionError",
}  # fmt: skip
ANTHROPIC_ERRORS = OPENAI_ERRORS | {"503": "ServiceUnavailableError", "529": "OverloadedError"}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has both SDKs, at the versions and hashes of the lock."""
    return installed(LOCK, tmp_path_factory.mktemp("sdks"))


@pytest.fixture(scope="module")
def told(python: Path) -> dict[str, Any]:
    """What came of each call."""
    models = {
        "m": {"reasoning_tokens": 5},
        "calls": {"tools": "always"},
        "flaky": {"faults": {"429": 0.4, "500": 0.3}, "retry_after_seconds": 0.01},
        **{kind: {"faults": kind} for kind in FAULTS},
    }
    with fake.running(fake.settings({"models": models})) as server:
        command = [str(python), str(HERE / "sdk_calls.py"), server.url.removesuffix("/v1"), ",".join(FAULTS)]
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = orjson.loads(done.stdout)
        assert server.counts()["models"]["flaky"]["requests"] >= 1
    return found


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_an_answer_is_read_whole_and_streamed_alike(told: dict[str, Any], dialect: str) -> None:
    whole, streamed = told[f"{dialect} whole"], told[f"{dialect} stream"]
    assert "Where is my parcel?" in whole["text"]
    assert whole == streamed
    assert whole["tokens"][0] == 5
    assert whole["tokens"][1] > 5


def test_typed_answers_tools_and_vectors_are_read(told: dict[str, Any]) -> None:
    assert isinstance(told["openai typed"]["n"], int)
    assert told["anthropic typed"]["word"] in ("a", "b")
    for name, reason in (
        ("openai tool", "tool_calls"), ("anthropic tool", "tool_use"), ("anthropic tool streamed", "tool_use"),
    ):  # fmt: skip
        assert told[name]["name"] == "look_up"
        assert set(told[name]["arguments"]) == {"n", "word"}
        assert told[name]["reason"] == reason
    assert told["openai vectors"] == [16, 16]
    assert told["anthropic tokens"] == 5
    assert told["openai models"] == told["anthropic models"]
    assert "m" in told["openai models"]


def test_the_sdks_own_retries_get_through(told: dict[str, Any]) -> None:
    assert "Where is my parcel?" in told["openai retried"]


@pytest.mark.parametrize("streamed", ["", "streamed "], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("kind", OPENAI_ERRORS)
def test_a_fault_is_the_sdks_own_error(told: dict[str, Any], kind: str, dialect: str, streamed: str) -> None:
    expected = (OPENAI_ERRORS if dialect == "openai" else ANTHROPIC_ERRORS)[kind]
    assert told[f"{dialect} {streamed}{kind}"].get("error") == expected, told[f"{dialect} {streamed}{kind}"]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_an_error_in_the_middle_of_a_stream_is_seen(told: dict[str, Any], dialect: str) -> None:
    assert told[f"{dialect} streamed stream_error"]["module"] == dialect
    for kind in ("truncated_json", "invalid_json", "cut_stream"):
        assert "error" in told[f"{dialect} streamed {kind}"], kind


def test_refusals_and_cuts_are_told_in_each_dialects_form(told: dict[str, Any]) -> None:
    for name in ("openai refusal", "openai streamed refusal"):
        assert told[name]["refusal"]
        assert not told[name]["text"]
    for name in ("anthropic refusal", "anthropic streamed refusal"):
        assert told[name]["reason"] == "refusal"
    for name, reason in (("openai length", "length"), ("anthropic streamed length", "max_tokens")):
        assert told[name]["reason"] == reason
