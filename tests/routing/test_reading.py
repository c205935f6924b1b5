"""What is read off a text, off an answer, and off a history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolkit as tk
from tests.core.core_samples import Model
from tests.routing.routing_samples import pool
from toolkit.errors import RowsError, RunError
from toolkit.evaluation.cascade import Cascade, answer_cues
from toolkit.evaluation.experience import experience
from toolkit.fleet import Fleet
from toolkit.grading import Case, Grader
from toolkit.ledger import History
from toolkit.money.prices import Price
from toolkit.records import Grade
from toolkit.routing.features import Vocabulary
from toolkit.routing.lookup import Lookup

TEXTS = ("two and two", "two and three", "three and two is 55", "is it 17 or 99?")


def test_words_and_pairs_of_at_least_two_texts_are_known() -> None:
    words = Vocabulary.of(TEXTS)
    weights, _ = words.read(["two and three"])
    assert weights.shape[1] == len(words.words) + len(words.pairs) and weights.nnz == 4


def test_numbers_are_known_by_their_length() -> None:
    words = Vocabulary.of(TEXTS)
    first, second = (words.read([text])[0].toarray() for text in ("is it 17", "is it 42"))
    assert np.array_equal(first, second)


def test_a_line_that_many_requests_share_is_one_word_and_its_words_say_nothing() -> None:
    shared, other = "Example: the answer to everything is here.", "Answer: the example is everything to here."
    words = Vocabulary.of([f"{line}\nquestion {name}" for name in "abcdefghijkl" for line in (shared, other)])
    told = [words.read([f"{line}\nquestion a"])[0] for line in (shared, other)]
    alone, _ = words.read(["question a"])
    assert [each.nnz - alone.nnz for each in told] == [2, 2], "the line, and the pair of it and what follows"
    assert (told[0] != told[1]).nnz == 4
    assert words.read([f"{shared}\nquestion a"])[1][0, 0] < np.log1p(len(shared))


def test_plain_words_are_counted_over_signs_and_numbers_between_them() -> None:
    words = Vocabulary.of(["pay 5 euros, then a beer"] * 2)
    named = [(words.words[pair // len(words.words)], words.words[pair % len(words.words)]) for pair in words.pairs]
    plain = {pair for pair, wanted in zip(named, words.plain[len(words.words) :], strict=True) if wanted}
    assert plain == {("pay", "euros"), ("euros", "then"), ("then", "beer")} and ("pay", "0") in named


@given(st.lists(st.text(max_size=80) | st.sampled_from(TEXTS), min_size=1, max_size=6))
def test_plain_words_alone_are_stretched_to_length_one_or_nothing(texts: list[str]) -> None:
    known = Vocabulary.of(TEXTS)
    words, _ = known.read(texts)
    plain = words.multiply(known.plain).multiply(known.stretch(words)[:, None])
    norms = np.sqrt(np.asarray(plain.multiply(plain).sum(axis=1)).ravel())
    assert np.allclose(norms[norms > 0], 1) and np.array_equal(norms > 0, (words @ known.plain) > 0)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6))
def test_every_row_has_length_one_or_nothing(texts: list[str]) -> None:
    weights, surface = Vocabulary.of(TEXTS).read(texts)
    norms = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    assert ((norms <= 1 + 1e-9) & (norms >= 0)).all() and np.isfinite(surface).all()


NUMBERS = st.integers(0, 40) | st.integers(0, 2**64 - 1)


@given(st.lists(NUMBERS, unique=True, max_size=200), st.lists(NUMBERS, max_size=50))
def test_a_lookup_says_where_each_number_stands(known: list[int], others: list[int]) -> None:
    asked = np.array([*others, *known], np.uint64)
    found = Lookup.of(np.array(known, np.uint64)).find(asked)
    places = {number: place for place, number in enumerate(known)}
    assert found.tolist() == [places.get(int(number), -1) for number in asked]


def test_words_that_have_one_number_are_one_word() -> None:
    one = "".join("ab"[n.bit_count() % 2] for n in range(1024))  # after Thue and Morse, whom no base tells apart
    other = one.translate(str.maketrans("ab", "ba"))
    words = Vocabulary.of([f"{one} {other}"] * 2)
    assert (words.read([one])[0] != words.read([other])[0]).nnz == 0 and words.read([one])[0].nnz == 1


def test_words_of_another_version_are_refused() -> None:
    words = Vocabulary.of(TEXTS)
    with pytest.raises(ValueError, match="fit it again"):
        replace(words, words=("another", *words.words))


@given(st.lists(st.text(max_size=60), min_size=2, max_size=5))
def test_a_batch_is_read_as_each_text_alone(texts: list[str]) -> None:
    words = Vocabulary.of(TEXTS)
    together = words.read(texts)
    for row, text in enumerate(texts):
        alone = words.read([text])
        assert np.allclose(together[0][row].toarray(), alone[0].toarray())
        assert np.allclose(together[1][row], alone[1][0])


# ------------------------------------------------------------------------------------------------------------ answers
@pytest.mark.parametrize(
    ("answer", "right", "wrong"),
    [
        ("3 * 4 = 12 and 12 + 1 = 13", 2, 0),
        ("3 * 4 = 13", 0, 1),
        ("$5.50 x 2 = $11", 1, 0),
        ("10 / 3 = 3.33", 1, 0),
        ("7 / 0 = 1", 0, 0),
        ("no sums", 0, 0),
    ],
)
def test_sums_in_an_answer_are_checked(answer: str, right: int, wrong: int) -> None:
    cues = answer_cues("", answer)
    assert cues[2] == pytest.approx(np.log1p(right)) and cues[3] == pytest.approx(np.log1p(wrong))


@given(st.text(max_size=120), st.text(max_size=120))
def test_the_cues_of_any_answer_are_finite(query: str, answer: str) -> None:
    assert np.isfinite(answer_cues(query, answer)).all()


def test_a_cascade_learns_which_answers_to_distrust() -> None:
    whole = pool(600, signal=0.0)
    wrong = whole.score[:, 0] == 0
    said = np.full(whole.score.shape, "", dtype=object)
    said[:, 0] = [f"2 + 2 = {5 if bad else 4}" for bad in wrong]
    whole = replace(whole, responses=said)
    first, last = whole.take(np.arange(400)), whole.take(np.arange(400, 600))
    leads = Cascade.fit(first).leads(last)[:, 1]
    assert leads[wrong[400:]].mean() > leads[~wrong[400:]].mean() + 0.5


def test_a_cascade_pays_for_the_cheap_answer_always() -> None:
    whole = pool(100)
    said = np.full(whole.score.shape, "fine", dtype=object)
    whole = replace(whole, responses=said)
    costs = Cascade.fit(whole).costs(whole)
    assert np.allclose(costs[:, 1], whole.cost[:, 0] + whole.cost[:, 1]) and np.allclose(costs[:, 0], whole.cost[:, 0])


def test_a_cascade_without_answers_is_refused() -> None:
    with pytest.raises(RowsError, match="no recorded answers of cheap"):
        Cascade.fit(pool(100))


# ------------------------------------------------------------------------------------------------------------ history
class Short(Grader):
    """Short tickets are answered well by the small model, all by the large one."""

    def grade(self, case: Case) -> Grade | None:
        good = case.value == "large" or len(str(case.fields["ticket"])) < 12
        return Grade("Short()", "assertion", float(good))

    def __repr__(self) -> str:
        return "Short()"


def test_a_history_gives_examples_with_text_task_grade_and_cost(tmp_path: Path) -> None:
    fleet = Fleet({})
    for name, paid in (("small", 0.001), ("large", 0.02)):
        fleet = fleet.with_function(name, Model(name), price=Price(request=paid))

    @tk.step(route=tk.Uniform("small", "large"), grade=Short())
    def reply(ticket: str) -> tk.Request:
        return tk.prompt("Answer.", ticket=ticket)

    rows = [{"ticket": f"ticket {n}" + " is long" * (n % 2), "task": ("short", "long")[n % 2]} for n in range(60)]
    tk.Workflow("desk", [reply]).run(rows, fleet, home=tmp_path, seed=3)
    found = experience(History(tmp_path), "reply")
    assert found.models == ("large", "small") and len(found.texts) == 60 and set(found.tasks) == {"short", "long"}
    assert (np.isnan(found.quality).sum(axis=1) == 1).all() and (found.quality[~np.isnan(found.quality)] <= 1).all()
    assert all("ticket" in text and "Answer." in text for text in found.texts)
    with pytest.raises(RunError, match="no graded attempts of step 'other'"):
        experience(History(tmp_path), "other")
