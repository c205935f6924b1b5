"""Tokens are counted by a tokenizer where one is at hand; an estimate follows what providers report."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import ModelSpec, Request, embed, prompt
from toolkit.errors import FleetError
from toolkit.messages import Data, Media, Message, Text, ToolCall, ToolResult, ToolSpec
from toolkit.models import tokenizers
from toolkit.models.tokenizers import Tokenizer, tokenizer_of
from toolkit.prompts.overflow import Told, told_in
from toolkit.prompts.tokens import (
    BYTES,
    ESTIMATE,
    IMAGE_TOKENS,
    LEAST_MARGIN,
    MOST_MARGIN,
    Estimate,
    guess,
    media_tokens,
    prompt_tokens,
    window_tokens,
    with_margin,
)

TEXTS = st.text(st.sampled_from("ab .é я漢字か🙂\ud800"), max_size=200)
REPORTS = st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 100_000)), max_size=60)


# ------------------------------------------------------------------------------------------------------- the estimate
@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("abcd" * 10, 10), ("привет", 3), ("漢字かな", 4), ("한국어", 3), ("🙂🙂", 4), ("ab é", 1.25)],
)
def test_scripts_differ_in_how_many_characters_make_a_token(text: str, tokens: float) -> None:
    assert guess(text) == tokens


@given(TEXTS, TEXTS)
def test_a_longer_text_never_has_fewer_tokens(text: str, more: str) -> None:
    assert guess(text) <= guess(text + more) == pytest.approx(guess(text) + guess(more))


@given(TEXTS, REPORTS)
def test_no_estimate_makes_more_tokens_than_a_text_has_bytes(text: str, reports: list[tuple[int, int]]) -> None:
    estimate = corrected(ESTIMATE, reports)
    assert estimate.text(text) <= BYTES.text(text)
    assert LEAST_MARGIN <= estimate.margin <= MOST_MARGIN


@given(st.floats(0.3, 1.9), st.lists(st.integers(100, 5_000), min_size=60, max_size=60))
def test_an_estimate_comes_to_what_the_provider_reports(ratio: float, sizes: list[int]) -> None:
    estimate = corrected(ESTIMATE, [(size, round(size * ratio)) for size in sizes])
    assert estimate.ratio == pytest.approx(ratio, rel=0.02)
    assert estimate.margin < 0.2


@given(st.floats(0.5, 1.8), st.integers(200, 5_000))
def test_after_one_report_an_estimate_with_its_margin_covers_the_same_prompt(ratio: float, size: int) -> None:
    estimate = ESTIMATE.after(size, round(size * ratio))
    assert with_margin(estimate.text("word" * size), estimate) >= round(size * ratio) * 0.99


def test_reports_that_scatter_leave_a_wider_margin() -> None:
    steady = corrected(ESTIMATE, [(1000, 1100)] * 20)
    scattered = corrected(ESTIMATE, [(1000, 800), (1000, 1400)] * 10)
    assert scattered.margin > 2 * steady.margin


def test_a_report_on_a_few_tokens_says_nothing_of_the_words() -> None:
    assert ESTIMATE.after(10, 40) is ESTIMATE
    assert ESTIMATE.after(1000, 0) is ESTIMATE


def corrected(estimate: Estimate, reports: list[tuple[int, int]]) -> Estimate:
    for guessed, reported in reports:
        estimate = estimate.after(guessed, reported)
    return estimate


# ---------------------------------------------------------------------------------------------------- what is counted
def test_everything_that_a_model_is_told_counts() -> None:
    said = Message("user", (Data("ticket", "x" * 400),))
    called = Message("assistant", (ToolCall("1", "search", {"words": "x" * 400}),))
    found = Message("tool", (ToolResult("1", "search", "x" * 400),))
    request = Request((said, called, found), tools=(ToolSpec("search", "x" * 400),))
    typed = request.with_options(output_schema={"description": "x" * 400})
    sizes = [Request((said,)), Request((said, called)), Request((said, called, found)), request, typed]
    counted = [prompt_tokens(each, ESTIMATE) for each in sizes]
    assert all(100 < b - a < 140 for a, b in zip([0, *counted], counted, strict=False))


def test_each_message_costs_more_than_its_words() -> None:
    one = Request((Message("user", (Text("ab" * 8),)),))
    many = Request(tuple(Message("user", (Text("ab"),)) for _ in range(8)))
    assert prompt_tokens(many, ESTIMATE) > prompt_tokens(one, ESTIMATE) + 20


@pytest.mark.parametrize(
    ("kind", "size", "tokens"),
    [("image/png", 4_000_000, IMAGE_TOKENS), ("application/pdf", 64_000, 3_000), ("audio/mp3", 64_000, 48)],
)
def test_attachments_count_by_their_kind(kind: str, size: int, tokens: int) -> None:
    assert media_tokens(Media(kind, "A" * size)) == tokens


def test_of_texts_to_embed_the_longest_must_fit_and_all_are_paid_for() -> None:
    request = embed("x" * 400, "y" * 800)
    assert (window_tokens(request, ESTIMATE), prompt_tokens(request, ESTIMATE)) == (200, 300)


# ---------------------------------------------------------------------------------------------------------- tokenizers
def spec(**options: object) -> ModelSpec:
    return ModelSpec("m", **{"provider": "openai", "model": "gpt-4o", **options})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def forgotten() -> None:
    tokenizers._arrived.clear()
    tokenizers._of_file.cache_clear()


def arrived(model: ModelSpec) -> object:
    """The tokenizer of a model, waited for."""
    tokenizer_of(model)
    for thread in threading.enumerate():
        if thread.name == "tiktoken":
            thread.join(5)
    return tokenizer_of(model)


def put(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: object) -> None:
    """A package in place of one that may not be installed."""
    module = ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_vocabulary_that_never_arrives_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def encoding_for_model(_: str) -> None:
        never.wait(20)
        raise ConnectionError("no network")

    put(monkeypatch, "tiktoken", encoding_for_model=encoding_for_model)
    began = time.monotonic()
    assert [tokenizer_of(spec()) for _ in range(100)] == [None] * 100
    assert time.monotonic() - began < 10
    never.set()


def test_a_vocabulary_that_has_arrived_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = SimpleNamespace(name="words", encode_ordinary=str.split)
    put(monkeypatch, "tiktoken", encoding_for_model=lambda _: encoding)
    found = arrived(spec())
    assert isinstance(found, Tokenizer)
    assert prompt_tokens(prompt("one two three"), found) == 3 + 4
    assert tokenizer_of(spec(provider="anthropic")) is None


def test_without_a_network_or_the_package_tokens_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    def encoding_for_model(_: str) -> None:
        raise ConnectionError("no network")

    put(monkeypatch, "tiktoken", encoding_for_model=encoding_for_model)
    assert arrived(spec()) is None
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    assert arrived(spec(model="gpt-4")) is None


def test_a_tokenizer_file_that_is_not_there_is_told_with_its_model(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"'m': tokenizer = 'no\.json' is not there"):
        tokenizer_of(spec(settings={"tokenizer": "no.json"}, folder=tmp_path))


def test_without_its_package_a_tokenizer_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert tokenizer_of(spec(settings={"tokenizer": "tokenizer.json"}, folder=tmp_path)) is None


def test_a_tokenizer_file_counts_by_its_own_words(tmp_path: Path) -> None:
    package = pytest.importorskip("tokenizers", reason="the package tokenizers is an extra")
    words = package.models.WordLevel({"one": 0, "two": 1, "[UNK]": 2}, unk_token="[UNK]")
    made = package.Tokenizer(words)
    made.pre_tokenizer = package.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    found = tokenizer_of(spec(settings={"tokenizer": "tokenizer.json"}, folder=tmp_path))
    assert found is not None
    assert found.text("one two one two \ud800") == 5
    (tmp_path / "odd.json").write_text("{}")
    assert tokenizer_of(spec(settings={"tokenizer": "odd.json"}, folder=tmp_path)) is None


def test_half_a_character_and_a_very_long_word_can_be_counted() -> None:
    counted: list[int] = []

    def count(text: str) -> int:
        counted.append(len(text))
        return 1

    assert Tokenizer("t", count).text("x" * 50_000 + "\ud800") == 3
    assert max(counted) <= 20_000


# ------------------------------------------------------------------------------------------------ what providers report
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            Told(9001, 8192),
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4744 in the "
            "messages, 256 in the completion).",
            Told(4744, 4096),
        ),
        ("prompt is too long: 208310 tokens > 200000 maximum", Told(208310, 200000)),
        ("input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000", Told(199000, 200000)),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (99999).", Told(1200000, 99999)),
        ("the request exceeds the available context size (n_prompt_tokens: 9000, n_ctx: 4096)", Told(9000, 4096)),
        ("request (9000 tokens) exceeds the available context size (4096 tokens)", Told(9000, 4096)),
        ("maximum context length is 32,768 tokens", Told(None, 32768)),
        ("maximum context length is 2 tokens", Told(None, None)),
        ("The request is too large.", Told()),
    ],
)  # fmt: skip
def test_the_numbers_are_read_out_of_a_providers_words(words: str, told: Told) -> None:
    assert told_in(words) == told


@given(st.text(max_size=300))
def test_any_words_can_be_read(words: str) -> None:
    told_in(words)
