"""Prompts are fitted to windows: what must stay stays, what comes out always fits, and what went is told."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import CutMiddle, DropOldest, Keep, Reply, Request, Retrieve, Summarise, embed, prompt
from toolkit.context import GAP, CannotFit, Fit, Fitted, Room, Shortening, output_share_tokens, text_bytes
from toolkit.context.exchanges import exchanges, old_exchanges
from toolkit.context.ranking import bm25, cosine
from toolkit.context.summarising import EARLIER, split
from toolkit.errors import ContextOverflow
from toolkit.messages import Data, Message, Part, Text, ToolCall, ToolResult
from toolkit.prompts.tokens import BYTES, ESTIMATE, prompt_tokens

ALPHABET = st.sampled_from(["a", "é", "漢", "🙂", " ", "\n", "</ticket>", "<", "&lt;/ticket>"])
DATA = st.lists(ALPHABET, min_size=1, max_size=200).map("".join).filter(lambda text: bool(text.strip()))
WORDS = st.text(st.sampled_from("ab é漢\n"), max_size=60)


def room(tokens: int) -> Room:
    return Room(tokens, ESTIMATE)


def fitted(fit: Fit, request: Request, tokens: int, *, says: str = "a summary") -> Fitted:
    """What a strategy makes of a request; a model that it asks says always the same, or gives vectors by length."""
    return driven(fit.fit(request, room(tokens)), says)[0]


def driven(shortening: Fitted | Shortening, says: str = "a summary") -> tuple[Fitted, list[tuple[str, Request]]]:
    asked: list[tuple[str, Request]] = []
    if isinstance(shortening, Fitted):
        return shortening, asked
    try:
        wanted = next(shortening)
        while True:
            asked.append(wanted)
            vectors = tuple((float("likes" in text), 1.0) for text in wanted[1].inputs)
            wanted = shortening.send(Reply(parts=(Text(says),), vectors=vectors))
    except StopIteration as stop:
        found: Fitted = stop.value
        return found, asked


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def said(text: str) -> Message:
    return Message("assistant", (Text(text),))


def talk(turns: int, size: int = 400) -> Request:
    """A conversation: an instruction, `turns` questions with their answers, and a last question."""
    messages = [Message("system", (Text("Be kind."),))]
    for turn in range(turns):
        messages += [user(f"question {turn} ".ljust(size, "q")), said(f"answer {turn} ".ljust(size, "a"))]
    return Request((*messages, user("the last question")))


@st.composite
def conversations(draw: st.DrawFn) -> Request:
    """Turns of user and assistant, with rounds of tools, parallel ones too, and system messages anywhere."""
    messages: list[Message] = [said(draw(WORDS))] if draw(st.booleans()) else []
    call = 0
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            messages.append(Message("system", (Text(draw(WORDS)),)))
        messages.append(Message("user", (Text(draw(WORDS)), Data("note", draw(WORDS)))))
        for _ in range(draw(st.integers(0, 2))):
            calls = tuple(
                ToolCall(f"c{call + i}", "search", {"q": draw(WORDS)}) for i in range(draw(st.integers(1, 2)))
            )
            call += len(calls)
            results: list[Part] = [ToolResult(each.id, "search", draw(WORDS)) for each in calls]
            messages.append(Message("assistant", calls))
            if draw(st.booleans()):
                messages.append(Message("user", tuple(results)))
            else:
                messages += [Message("tool", (result,)) for result in results]
        if draw(st.booleans()):
            messages.append(said(draw(WORDS)))
    return Request(tuple(messages))


STRATEGIES = [
    Keep(), CutMiddle(40), DropOldest(), DropOldest(keep=2), Retrieve(), Summarise("small", tokens=5, piece_bytes=40),
    DropOldest() | CutMiddle(40), Summarise("small", tokens=5, piece_bytes=40) | DropOldest(), Retrieve(embedder="e"),
]  # fmt: skip


# ------------------------------------------------------------------------------------------------- laws of all of them
@pytest.mark.parametrize("fit", STRATEGIES, ids=repr)
@given(request_=conversations(), tokens=st.integers(0, 400))
def test_what_comes_out_fits_and_its_rules_are_kept(fit: Fit, request_: Request, tokens: int) -> None:
    try:
        found = fitted(fit, request_, tokens)
    except CannotFit:
        assert prompt_tokens(request_, ESTIMATE) > tokens
        return
    assert prompt_tokens(found.request, ESTIMATE) <= tokens or prompt_tokens(found.request, ESTIMATE) <= 0
    assert [m for m in found.request.messages if m.role == "system"] == [
        m for m in request_.messages if m.role == "system"
    ]
    assert texts(exchanges(found.request.messages)[-1].messages) == texts(exchanges(request_.messages)[-1].messages)
    assert calls(found.request) == results(found.request)
    assert (found.request == request_) == (not found.dropped)


@pytest.mark.parametrize("fit", STRATEGIES, ids=repr)
@given(request_=conversations())
def test_what_fits_is_the_very_same(fit: Fit, request_: Request) -> None:
    assert fitted(fit, request_, 100_000) == Fitted(request_)


@pytest.mark.parametrize("fit", [Keep(), CutMiddle(40), DropOldest(), DropOldest() | CutMiddle(40)], ids=repr)
@given(request_=conversations(), tokens=st.integers(0, 400))
def test_the_least_is_the_point_below_which_nothing_fits(fit: Fit, request_: Request, tokens: int) -> None:
    if tokens >= fit.least_tokens(request_, ESTIMATE):
        assert prompt_tokens(fitted(fit, request_, tokens).request, ESTIMATE) <= tokens


def texts(messages: tuple[Message, ...]) -> list[str]:
    """The words of messages that no strategy may touch."""
    return [part.text for message in messages for part in message.parts if isinstance(part, Text)]


def calls(request: Request) -> list[str]:
    return sorted(part.id for message in request.messages for part in message.parts if isinstance(part, ToolCall))


def results(request: Request) -> list[str]:
    return sorted(part.id for message in request.messages for part in message.parts if isinstance(part, ToolResult))


# ------------------------------------------------------------------------------------------------- keep, and the room
def test_keeping_everything_says_how_to_shorten() -> None:
    with pytest.raises(CannotFit, match=r"Keep\(\), there is room for 1,000; declare fit=") as error:
        Keep().fit(prompt("Answer.", ticket="x" * 5000), room(1000))
    assert isinstance(error.value, ContextOverflow)


def test_the_outputs_share_and_the_counters_margin_are_kept_free() -> None:
    assert output_share_tokens(Request()) == 256
    assert output_share_tokens(Request(max_output_tokens=600)) == 600
    assert Room.of(1256, 256, BYTES).tokens == 1000
    assert Room.of(1256, 256, BYTES, shrink=0.75).tokens == 750
    assert Room.of(1256, 256, ESTIMATE).tokens == pytest.approx(1000 / 1.1, abs=1)
    assert Room.of(100, 256, ESTIMATE).tokens == 0


def test_texts_to_embed_each_have_the_window_to_themselves() -> None:
    request = embed("x" * 900, "y" * 1000)
    assert Keep().fit(request, room(250)) == Fitted(request)
    with pytest.raises(CannotFit):
        Keep().fit(request, room(249))


def test_the_outputs_schema_counts() -> None:
    request = prompt("Answer.")
    typed = request.with_options(output_schema={"type": "object", "description": "é" * 100})
    assert text_bytes(typed) > text_bytes(request) + 200
    assert prompt_tokens(typed, ESTIMATE) > prompt_tokens(request, ESTIMATE) + 50


def test_a_strategy_of_ones_own_has_one_method_to_write() -> None:
    class Loud(Fit):
        def shorten(self, request: Request, room: Room) -> Fitted:
            return Fitted(prompt("Answer in short."))

    assert fitted(Loud() | Keep(), prompt("x" * 5000), 100).request == prompt("Answer in short.")
    with pytest.raises(NotImplementedError):
        Fit().fit(prompt("x" * 5000), room(1))


def test_strategies_are_joined_and_their_repr_builds_them() -> None:
    joined = DropOldest(keep=2) | CutMiddle() | Summarise("small")
    assert repr(joined) == "DropOldest(keep=2) | CutMiddle(least=400) | " + repr(Summarise("small"))
    assert eval(repr(joined)) == joined
    assert joined.names() == ("small",)


# ----------------------------------------------------------------------------------------------------------- the middle
@given(ticket=DATA, passages=DATA, least=st.integers(40, 400), tokens=st.integers(0, 600))
def test_what_is_cut_keeps_its_head_and_its_tail(ticket: str, passages: str, least: int, tokens: int) -> None:
    request = prompt("Réponds d'après les passages.", ticket=ticket, passages=passages)
    try:
        found = fitted(CutMiddle(least), request, tokens)
    except CannotFit:
        assert CutMiddle(least).least_tokens(request, ESTIMATE) > tokens
        return
    assert found.request.messages[0] == request.messages[0]
    lost = {drop.section: drop for drop in found.dropped}
    for before, after in zip(request.messages[1].parts, found.request.messages[1].parts, strict=True):
        assert isinstance(before, Data)
        assert isinstance(after, Data)
        size = len(before.text.encode()) - len(after.text.encode())
        assert size == (lost[before.name].bytes if before.name in lost else 0)
        if before.name in lost:
            head, tail = after.text.split(GAP)
            assert before.text.startswith(head)
            assert before.text.endswith(tail)
            assert lost[before.name].how == "cut in the middle"
        else:
            assert before == after


def test_the_longest_text_is_cut_first_and_results_of_tools_are_cut_too() -> None:
    request = prompt("Answer.", short="s" * 500, long="l" * 5000)
    found = fitted(CutMiddle(), request, 1000)
    assert [drop.section for drop in found.dropped] == ["long"]
    assert found.request.messages[1].parts[0] == request.messages[1].parts[0]
    called = Request(
        (
            user("Go."),
            Message("assistant", (ToolCall("1", "search", {}),)),
            Message("tool", (ToolResult("1", "search", "r" * 5000, is_error=True),)),
        )
    )
    found = fitted(CutMiddle(), called, 500)
    assert [drop.section for drop in found.dropped] == ["search"]
    result = found.request.messages[2].parts[0]
    assert isinstance(result, ToolResult)
    assert result.is_error


def test_words_of_the_author_are_never_cut() -> None:
    request = prompt("word " * 1000)
    for fit in STRATEGIES:
        with pytest.raises(CannotFit):
            fitted(fit, request, 250)


def test_a_floor_below_the_mark_of_a_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="least must be"):
        CutMiddle(10)


# ------------------------------------------------------------------------------------------------------- oldest turns
@given(request_=conversations(), tokens=st.integers(0, 400), keep=st.integers(1, 3))
def test_what_is_left_of_a_conversation_is_its_end_and_begins_with_the_user(
    request_: Request, tokens: int, keep: int
) -> None:
    found = DropOldest(keep).shorten(request_, room(tokens))
    before, after = ([m for m in each.messages if m.role != "system"] for each in (request_, found.request))
    assert after == before[len(before) - len(after) :]
    assert not found.dropped or after[0].role == "user"
    assert len(exchanges(after)) >= min(keep, len(exchanges(before)))


def test_the_oldest_turns_go_first_and_no_more_than_it_takes() -> None:
    request = talk(6)
    found = fitted(DropOldest(), request, 700)
    assert [drop.section for drop in found.dropped] == ["messages[1:3]", "messages[3:5]", "messages[5:7]"]
    assert {drop.how for drop in found.dropped} == {"dropped as oldest"}
    assert [drop.bytes for drop in found.dropped] == [800, 800, 800]
    assert found.request.messages == (request.messages[0], *request.messages[7:])


def test_as_many_turns_as_declared_are_kept() -> None:
    assert len(fitted(DropOldest(keep=2), talk(6), 400).request.messages) == 1 + 2 + 1
    with pytest.raises(CannotFit):
        fitted(DropOldest(keep=3), talk(6), 400)
    with pytest.raises(ValueError, match="the last turn is the question"):
        DropOldest(keep=0)


def test_a_turn_is_not_over_while_a_call_waits_for_its_result() -> None:
    messages = (
        user("one"),
        Message("assistant", (ToolCall("1", "search", {}),)),
        user("hurry"),
        Message("tool", (ToolResult("1", "search", "found"),)),
        user("two"),
    )
    assert [exchange.places for exchange in exchanges(messages)] == [(0, 1, 2, 3), (4,)]
    assert [exchange.name for exchange in old_exchanges(messages, 1)] == ["messages[0:4]"]


# --------------------------------------------------------------------------------------------------------- the likest
def test_passages_least_like_the_question_go_and_the_list_stays_a_list() -> None:
    passages = [
        {"id": i, "text": text * 20} for i, text in enumerate(["about refunds ", "of parcels ", "the weather "])
    ]
    request = prompt("Answer from the passages.", ticket="Where are my parcels, and my refunds?", passages=passages)
    found = fitted(Retrieve(), request, 220)
    part = found.request.messages[1].parts[1]
    assert isinstance(part, Data)
    assert [passage["id"] for passage in orjson.loads(part.text)] == [0, 1]
    assert [(drop.section, drop.how) for drop in found.dropped] == [("passages[2]", "least like the question")]
    assert found.dropped[0].bytes == len(orjson.dumps(passages[2]))


def test_of_each_list_some_stay_and_paragraphs_count_where_they_are_named() -> None:
    handbook = "\n\n".join(["On parcels. " * 10, "On refunds. " * 10, "On the weather. " * 10, "On birds. " * 10])
    request = prompt("Answer.", ticket="refunds?", handbook=handbook)
    with pytest.raises(CannotFit):
        fitted(Retrieve(), request, 80)
    found = fitted(Retrieve(sections=("handbook",), keep=2), request, 120)
    part = found.request.messages[1].parts[1]
    assert isinstance(part, Data)
    assert [text[:10] for text in part.text.split("\n\n")] == ["On parcels", "On refunds"]
    assert [drop.section for drop in found.dropped] == ["handbook[2]", "handbook[3]"]


def test_a_gap_between_paragraphs_is_marked() -> None:
    handbook = "\n\n".join(["On refunds. " * 5, "On birds. " * 5, "More on refunds. " * 5])
    found = fitted(Retrieve(sections=("handbook",)), prompt("Answer.", ticket="refunds?", handbook=handbook), 66)
    part = found.request.messages[1].parts[1]
    assert isinstance(part, Data)
    assert part.text == "On refunds. " * 5 + "\n…\n" + "More on refunds. " * 5


def test_old_turns_unlike_the_question_go_before_older_ones_that_are_like_it() -> None:
    messages = (user("My parcel is late. " * 20), said("Sorry."), user("Nice weather. " * 20), said("Yes."))
    request = Request((*messages, user("Where is the parcel?")))
    found = fitted(Retrieve(), request, 140)
    assert found.request.messages == (*messages[:2], request.messages[-1])


def test_an_embedder_of_the_fleet_can_say_what_is_like_the_question() -> None:
    passages = ["x" * 200, "likes " * 40, "y" * 200]
    request = prompt("Answer.", ticket="who likes what?", passages=passages)
    found, asked = driven(Retrieve(embedder="vectors").fit(request, room(120)))
    ((model, wanted),) = asked
    assert (model, wanted.operation, wanted.inputs[0]) == ("vectors", "embeddings", "who likes what?")
    part = found.request.messages[1].parts[1]
    assert isinstance(part, Data)
    assert orjson.loads(part.text) == [passages[1]]


def test_a_word_that_is_rare_weighs_more_and_texts_without_one_weigh_nothing() -> None:
    first, second, third = bm25("The parcel", ["the the the", "the parcel", "birds"])
    assert second > first > third == 0
    assert bm25("包裹在哪里", ["天气很好", "我的包裹"]) == [0, pytest.approx(1.39, abs=0.2)]
    assert bm25("", ["a"]) == [0]
    assert cosine([1, 0], [[2, 0], [0, 3], [0, 0]]) == [1, 0, 0]


@pytest.mark.parametrize("options", [{"keep": 0}, {"sections": "handbook"}])
def test_what_cannot_be_meant_is_refused(options: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError), match="Retrieve"):
        Retrieve(**options)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------- summaries
def test_old_turns_become_a_summary_that_is_data_of_the_first_turn_left() -> None:
    fit = Summarise("small", tokens=50, piece_bytes=800)
    found, asked = driven(fit.fit(talk(6), room(600)), "They asked much.")
    assert [model for model, _ in asked] == ["small"] * 5
    assert all(wanted.max_output_tokens == 50 for _, wanted in asked)
    assert "question 0" in asked[0][1].text and "answer 0" in asked[0][1].text
    first = found.request.messages[1]
    assert first.parts[0] == Data(EARLIER, "\n\n".join(["They asked much."] * 5), source="summary")
    assert [drop.section for drop in found.dropped][:2] == ["messages[1:3]", "messages[3:5]"]
    assert {drop.how for drop in found.dropped} == {"summarised by small"}


@given(turns=st.integers(3, 12), more=st.integers(1, 4), size=st.integers(50, 900))
def test_a_growing_conversation_is_summarised_in_the_same_pieces(turns: int, more: int, size: int) -> None:
    fit = Summarise("small", tokens=10, piece_bytes=1000)
    before, after = (driven(fit.shorten(talk(count, size), room(0)))[1] for count in (turns, turns + more))
    assert [wanted for wanted in before[:-1] if wanted not in after] == []


def test_a_long_section_becomes_the_summaries_of_its_pieces() -> None:
    document = "\n\n".join(f"Paragraph {i}. ".ljust(500, "w") for i in range(40))
    request = prompt("Answer.", ticket="What is in it?", document=document)
    found, asked = driven(Summarise("small", tokens=50, piece_bytes=2000).fit(request, room(1000)))
    assert len(asked) == 6
    assert "".join(part.text for _, wanted in asked for part in wanted.messages[1].parts if isinstance(part, Data)) == (
        document
    )
    part = found.request.messages[1].parts[1]
    assert isinstance(part, Data)
    assert part.text == "\n".join(["a summary"] * 6)
    assert [(drop.section, drop.bytes) for drop in found.dropped] == [("document", len(document))]


def test_what_is_shorter_than_its_summary_would_be_is_left() -> None:
    with pytest.raises(CannotFit):
        fitted(Summarise("small"), prompt("Answer.", ticket="x" * 700), 100)


def test_a_model_that_says_nothing_is_no_summary() -> None:
    with pytest.raises(CannotFit, match="small gave an empty summary"):
        fitted(Summarise("small", tokens=50, piece_bytes=800), talk(6), 600, says=" ")


def test_summaries_that_are_still_too_long_are_cut_by_what_is_joined() -> None:
    fit = Summarise("small", tokens=50, piece_bytes=800) | CutMiddle(100)
    found = fitted(fit, talk(6), 150, says="Long. " * 60)
    assert [drop.section for drop in found.dropped][-1] == EARLIER


@given(st.text(st.sampled_from("ab \n漢🙂"), max_size=400), st.integers(8, 100))
def test_a_text_is_split_without_losing_a_character(text: str, longest: int) -> None:
    pieces = split(text, longest)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= longest for piece in pieces)
