"""Prompts are fitted to windows: data is cut, words are not, and what comes out always fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import CutMiddle, Keep, Request, embed, prompt
from toolkit.context import GAP, Fit, room_bytes, text_bytes, window_bytes
from toolkit.errors import ContextOverflow
from toolkit.messages import Data, Text

ALPHABET = st.sampled_from(["a", "é", "漢", "🙂", " ", "\n", "</ticket>", "<", "&lt;/ticket>"])
DATA = st.lists(ALPHABET, min_size=1, max_size=200).map("".join).filter(lambda text: bool(text.strip()))


@given(ticket=DATA, passages=DATA, least=st.integers(40, 400), room=st.integers(0, 1500))
def test_what_is_cut_always_fits_and_the_instruction_stays(ticket: str, passages: str, least: int, room: int) -> None:
    request, fit = prompt("Réponds d'après les passages.", ticket=ticket, passages=passages), CutMiddle(least)
    if fit.least_bytes(request) > room:
        if text_bytes(request) > room:
            with pytest.raises(ContextOverflow):
                fit.fit(request, room)
        return
    fitted, dropped = fit.fit(request, room)
    assert text_bytes(fitted) <= room
    assert fitted.messages[0] == request.messages[0]
    lost = {drop.section: drop.bytes for drop in dropped}
    for before, after in zip(request.messages[1].parts, fitted.messages[1].parts, strict=True):
        assert isinstance(before, Data)
        assert isinstance(after, Data)
        assert len(before.text.encode()) - len(after.text.encode()) == lost.get(before.name, 0)
        if before.name in lost:
            head, tail = after.text.split(GAP)
            assert before.text.startswith(head)
            assert before.text.endswith(tail)
        else:
            assert before == after


def test_the_longest_section_is_cut_first() -> None:
    request = prompt("Answer.", short="s" * 500, long="l" * 5000)
    fitted, dropped = CutMiddle().fit(request, 4000)
    assert [drop.section for drop in dropped] == ["long"]
    assert fitted.messages[1].parts[0] == request.messages[1].parts[0]


def test_what_fits_is_left_as_it_is() -> None:
    request = prompt("Answer.", ticket="short")
    for fit in (CutMiddle(), Keep()):
        assert fit.fit(request, 10_000) == (request, ())


def test_words_of_the_author_are_never_cut() -> None:
    request = Request(messages=prompt("word " * 1000).messages)
    with pytest.raises(ContextOverflow, match="even shortened"):
        CutMiddle().fit(request, 1000)
    assert isinstance(request.messages[0].parts[0], Text)


def test_keeping_everything_says_how_to_shorten() -> None:
    with pytest.raises(ContextOverflow, match=r"fit=CutMiddle\(\)"):
        Keep().fit(prompt("Answer.", ticket="x" * 5000), 1000)


def test_a_floor_below_the_mark_of_a_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="least must be"):
        CutMiddle(10)


def test_the_outputs_share_of_the_window_is_kept_free() -> None:
    assert room_bytes(1000, Request()) == (1000 - 256) * 4
    assert room_bytes(1000, Request(max_output_tokens=600)) == 400 * 4
    assert room_bytes(100, Request()) == 0


def test_texts_to_embed_each_have_the_window_to_themselves() -> None:
    request = embed("x" * 900, "y" * 1000)
    assert window_bytes(request) == 1000
    assert room_bytes(250, request) == 1000
    assert Keep().fit(request, 1000) == (request, ())


def test_the_outputs_schema_counts() -> None:
    request = prompt("Answer.")
    typed = request.with_options(output_schema={"type": "object", "description": "é" * 100})
    assert text_bytes(typed) > text_bytes(request) + 200


def test_a_strategy_of_ones_own_has_one_method_to_write() -> None:
    with pytest.raises(NotImplementedError):
        Fit().fit(Request(), 1)
