"""`embedder`: vectors whose angles follow meaning."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.embedded.embedded_samples import SUPPORT, asking, reply, rows, vectors
from toolkit.errors import InvalidRequest


def cosine(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_every_text_gets_a_vector_of_128_numbers_and_length_one(texts: list[str]) -> None:
    for vector in vectors(*texts):
        assert len(vector) == 128
        assert math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-9)


def test_a_text_has_one_vector_whatever_stands_beside_it() -> None:
    alone = vectors("my parcel is late")[0]
    beside = vectors("where is my invoice", "my parcel is late")[1]

    assert cosine(alone, beside) == pytest.approx(1.0)


def test_texts_about_one_thing_are_nearer_than_texts_about_two() -> None:
    late, late_german, password = vectors("my parcel is late", "mein Paket ist verspätet", "I forgot my password")

    assert cosine(late, late_german) > cosine(late, password)


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("how do I reset a forgotten password", "account-password"),
        ("the carton was crushed and the mugs broken", "delivery-damaged"),
        ("¿hacen envíos a Suiza?", "delivery-countries"),
        ("wie wasche ich den Daunenschlafsack", "product-wash-down"),
    ],
)
def test_the_right_passage_is_among_the_three_nearest(question: str, passage: str) -> None:
    handbook = rows("handbook.jsonl")
    asked = vectors(question)[0]
    placed = vectors(*(f"{row['title']}\n{row['text']}" for row in handbook))
    nearest = sorted(range(len(handbook)), key=lambda n: -cosine(asked, placed[n]))[:3]

    assert passage in [handbook[n]["id"] for n in nearest]


def test_what_is_no_embeddings_request_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="makes vectors"):
        reply("embedder", asking(ticket="hello"))
    assert (SUPPORT / "handbook.jsonl").exists()
