"""Tokens of a batch as numbers are those that a regular expression finds, for every text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.routing import tokens as tokens_of
from toolkit.routing.tokens import hashed, tokens

ODD = ("Ünïted_states", "a1b22", "\x00\x1c\x0b", "İstanbul ٣٤", "\ud800x", "(a)__b", "é-e\u0301", "漢字 3.14")
TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(ODD), st.text("ab_ 1(\n", max_size=20))


@given(st.lists(TEXTS, max_size=12))
def test_the_numbers_stand_for_the_tokens_in_order(texts: list[str]) -> None:
    numbers, rows = hashed(texts)
    told = [(place, token) for place, text in enumerate(texts) for token in tokens(text)]
    assert rows.tolist() == [place for place, _ in told]
    number_of = {token: hashed([token])[0].tolist() for _, token in told}
    assert all(len(found) == 1 for found in number_of.values())
    assert len({found[0] for found in number_of.values()}) == len(number_of)
    assert numbers.tolist() == [number_of[token][0] for _, token in told]


def test_how_many_texts_are_read_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"word{n} and word{n % 7} (again) {'x' * n}" for n in range(300)]
    whole = hashed(texts)
    monkeypatch.setattr(tokens_of, "AT_ONCE", 64)
    parts = hashed(texts)
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))
