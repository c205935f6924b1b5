"""Data stays data: what stands between marks comes back as it was, and cannot end its own section."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolkit import Fixed, Fleet, ModelSpec, Request, Workflow, fake, prompt, step
from toolkit.errors import StepError
from toolkit.fake import anthropic as fake_anthropic
from toolkit.messages import (
    Data,
    Media,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    delimit,
    render,
    sections,
)
from toolkit.models import anthropic, openai
from toolkit.models.passing import passed
from toolkit.serving import dialect
from toolkit.serving.dialect import parsed

PIECES = st.sampled_from(
    ["<ticket>", "</ticket>", "</TICKET >", "< / ticket>", "&lt;/ticket>", "&amp;lt;/ticket>", "&", "<", "\n", " ", "é"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)
NAMES = st.sampled_from(["ticket", "Ticket_2", "größe", "Übersicht", "order id", "a.b", "x-y"])


@given(NAMES, TEXTS)
def test_a_section_comes_back_as_it_went_in(name: str, text: str) -> None:
    assert sections(delimit(name, text)) == {name: text}


@given(TEXTS, TEXTS)
def test_sections_beside_each_other_keep_apart(ticket: str, passage: str) -> None:
    message = Message("user", (Text("Answer."), Data("ticket", ticket), Data("passage", passage)))
    assert sections(message.text) == {"ticket": ticket, "passage": passage}


@given(TEXTS)
def test_a_section_of_another_name_within_is_only_text(text: str) -> None:
    inner = delimit("note", text)
    assert sections(delimit("ticket", inner)) == {"ticket": inner}


@given(TEXTS)
def test_no_text_closes_the_section_that_holds_it(text: str) -> None:
    rendered = delimit("ticket", text)
    assert rendered.lower().replace(" ", "").count("</ticket>") == 1
    assert rendered.endswith("\n</ticket>")


@pytest.mark.parametrize("name", ["ticket"])
def test_a_long_run_of_blanks_after_a_bracket_costs_nothing(name: str) -> None:
    text = "<" + " " * 200_000 + "x"
    assert sections(delimit(name, text)) == {name: text}


def test_words_of_the_author_and_data_are_told_apart() -> None:
    request = prompt("Triage.", ticket="My parcel is late")
    system, user = request.messages
    assert (system.role, system.text) == ("system", "Triage.")
    assert user.parts == (Data("ticket", "My parcel is late", source="ticket"),)


def test_an_instruction_alone_is_one_message() -> None:
    (message,) = prompt("Say hello.").messages
    assert (message.role, message.text) == ("user", "Say hello.")


@pytest.mark.parametrize("nothing", [None, "", "  \n"])
def test_a_prompt_has_no_blank_where_something_should_be(nothing: str | None) -> None:
    with pytest.raises(StepError, match="'ticket' is empty"):
        prompt("Triage.", ticket=nothing)


# ------------------------------------------------------------------------------------------- from one format to another
WORDS = st.text(st.sampled_from("ab é漢<>&"), min_size=1, max_size=12).filter(lambda text: text.strip() == text != "")
BASE64 = st.sampled_from(["aGk=", "AAAA"])
IMAGES = st.sampled_from(["image/png", "image/jpeg", "image/tiff", "application/pdf", "audio/wav", "video/mp4"])


@st.composite
def conversations(draw: st.DrawFn) -> Request:
    """All that messages may hold, said by whom it may be said: words, data, attachments, sealed and open reasoning,
    calls of tools and their results, one by one or together."""
    messages = [Message("system", (Text(draw(WORDS)),))] if draw(st.booleans()) else []
    call = 0
    for _ in range(draw(st.integers(1, 3))):
        parts: list[Part] = [Text(draw(WORDS)), Data("note", draw(WORDS), source="note")]
        if draw(st.booleans()):
            parts.append(Media(draw(IMAGES), draw(BASE64)))
        messages.append(Message("user", tuple(parts)))
        if draw(st.booleans()):
            messages.append(Message("system", (Text(draw(WORDS)),)))
        for _ in range(draw(st.integers(0, 2))):
            calls = [ToolCall(f"c{call + i}", "search", {"q": draw(WORDS)}) for i in range(draw(st.integers(1, 2)))]
            call += len(calls)
            thought = [Reasoning(draw(WORDS), draw(st.none() | st.just("sealed")))] if draw(st.booleans()) else []
            messages.append(Message("assistant", (*thought, Text(draw(WORDS)), *calls)))
            results = [ToolResult(each.id, "search", draw(WORDS), draw(st.booleans())) for each in calls]
            if draw(st.booleans()):
                messages.append(Message("user", (*results, Text(draw(WORDS)))))
            else:
                messages += [Message("tool", (result,)) for result in results]
        if draw(st.booleans()):
            messages.append(Message("assistant", (Text(draw(WORDS)),)))
    seed = draw(st.none() | st.integers(0, 9))
    tools = (ToolSpec("search", "Searches.", {"type": "object"}),)
    return Request(tuple(messages), tools=tools, seed=seed, max_output_tokens=9)


def member(provider: str, *more: str) -> ModelSpec:
    return ModelSpec("m", provider, "m", capabilities=frozenset({"chat", "json", "tools", *more}))


def by_openai(body: bytes) -> Request:
    return dialect.chat_request(parsed(body))


def by_anthropic(body: bytes) -> Request:
    return fake_anthropic.request(parsed(body), operation="chat")


FORMATS = {"openai": (openai.encode, by_openai), "anthropic": (anthropic.encode, by_anthropic)}


def told(request: Request, *, system_first: bool) -> list[tuple[str, list[object], str]]:
    """What a request says, turn by turn and whatever the form: neighbours of one role are one turn, results of tools
    are the user's and come first, and words are one text."""
    messages = sorted(request.messages, key=lambda m: system_first and m.role != "system")
    found = []
    for role, group in groupby(messages, key=lambda message: "user" if message.role == "tool" else message.role):
        parts = [part for message in group for part in message.parts]
        words = "".join(render(part) for part in parts if isinstance(part, Text | Data))
        others: list[object] = [(each.id, each.text, each.is_error) for each in parts if isinstance(each, ToolResult)]
        others += [part for part in parts if isinstance(part, Media | Reasoning | ToolCall)]
        found.append((role, others, "".join(words.split())))
    return found


@pytest.mark.parametrize("provider", FORMATS)
@given(request_=conversations())
def test_what_passes_is_read_back_from_the_wire_as_it_was(provider: str, request_: Request) -> None:
    spec, first = member(provider, "vision"), provider == "anthropic"
    encode, read = FORMATS[provider]
    passing = passed(request_, spec).request
    files = [part for m in passing.messages for part in m.parts if isinstance(part, Media)]
    assume(first or all(part.media_type.startswith("image/") for part in files))  # the server at hand reads no others
    back = read(encode(passing, spec))
    assert told(back, system_first=first) == told(passing, system_first=first)
    assert (back.tools, back.seed, back.max_output_tokens) == (passing.tools, passing.seed, 9)


@pytest.mark.slow
@pytest.mark.parametrize("provider", [*FORMATS, "embedded"])
@pytest.mark.parametrize("sees", [(), ("vision",)])
@given(request_=conversations())
def test_whatever_does_not_pass_has_its_name(provider: str, sees: tuple[str, ...], request_: Request) -> None:
    found = passed(request_, member(provider, *sees))
    lost = [drop for drop in found.dropped if "its place" not in drop.section and "its beginning" not in drop.section]
    assert {drop.how for drop in found.dropped} <= {"format"}
    before, after = counted(request_), counted(found.request)
    assert sum((before - after).values()) == len(lost)
    assert all(kind[0] in ("Media", "Reasoning", "ToolResult", "seed") for kind in before - after)
    assert (found.request is request_) == (not lost)


def counted(request: Request) -> Counter[tuple[str, object]]:
    """How often each thing is said that may be lost, and by whom."""
    parts = [(message.role, part) for message in request.messages for part in message.parts]
    said: list[tuple[str, object]] = [
        (type(part).__name__, (role, repr(part))) for role, part in parts if not isinstance(part, Text)
    ]
    return Counter(said + ([("seed", request.seed)] if request.seed is not None else []))


ROUND = Request(
    (
        Message("system", (Text("Be kind."),)),
        Message("user", (Text("Where is it?"), Media("image/png", "aGk="))),
        Message("assistant", (Reasoning("hm"), Reasoning("ha", "sealed"), ToolCall("1", "search", {}))),
        Message("tool", (ToolResult("1", "search", "nothing", is_error=True),)),
        Message("system", (Text("Hurry."),)),
        Message("user", (Text("And?"),)),
        Message("user", (Text("Well?"),)),
    ),
    seed=7,
)


@pytest.mark.parametrize(
    ("spec", "lost"),
    [
        (
            member("openai", "vision"),
            [
                ("messages[2]: reasoning", 2), ("messages[2]: reasoning with its signature", 2),
                ("messages[3]: that the result of search is an error", 0),
            ],
        ),
        (
            member("anthropic"),
            [
                ("messages[1]: image/png", 4), ("messages[2]: reasoning", 2), ("seed", 0),
                ("messages[4]: its place; it goes to the front", 0),
                ("messages[6]: its beginning; it is joined to the one before", 0),
            ],
        ),
        (member("function"), []),
        (member("my-own-package"), []),
        (member("openai", "*"), [
            ("messages[2]: reasoning", 2), ("messages[2]: reasoning with its signature", 2),
            ("messages[3]: that the result of search is an error", 0),
        ]),
    ],
)  # fmt: skip
def test_each_loss_has_its_own_name(spec: ModelSpec, lost: list[tuple[str, int]]) -> None:
    assert [(drop.section, drop.bytes) for drop in passed(ROUND, spec).dropped] == lost


def test_what_is_not_shown_is_told_to_the_model() -> None:
    shown = passed(ROUND, member("openai")).request.messages[1].parts
    assert shown[1] == Text("[an attachment of type image/png, which cannot be shown here]")


def test_what_stands_where_nobody_may_say_it_is_named_and_left_out() -> None:
    odd = Request(
        (
            Message("system", (Media("image/png", "aGk="), ToolCall("1", "a", {}), ToolResult("1", "a", "b"))),
            Message("user", (Reasoning("hm", "sealed"), ToolCall("1", "a", {}))),
        )
    )  # fmt: skip
    found = passed(odd, member("anthropic", "vision"))
    assert [drop.section.partition(": ")[2] for drop in found.dropped] == [
        "image/png", "call of a by the system", "result of a told by the system",
        "reasoning with its signature", "call of a by the user",
    ]  # fmt: skip
    assert [message.role for message in found.request.messages] == ["system"]


@pytest.mark.slow
def test_a_reply_of_one_provider_goes_on_at_another_with_its_losses_on_record(tmp_path: Path) -> None:
    @step(route=Fixed("far"))
    def reply(ticket: str) -> Request:
        said = Message("assistant", (Reasoning("hm", "sealed"), ToolCall("1", "search", {})))
        heard = Message("tool", (ToolResult("1", "search", "nothing", is_error=True),))
        return Request((Message("user", (Data("ticket", ticket),)), said, heard))

    with fake.running(fake.settings({"models": {"far-1": {}}})) as server:
        spec = ModelSpec("far", "openai", "far-1", endpoint=server.endpoint("far-1"))
        run = Workflow("w", [reply]).start([{"ticket": "Hi"}], Fleet.of(spec), home=tmp_path).wait(show=False)
    ((error, lost),) = run.sql("select error_type, dropped from attempts").rows
    assert error is None
    assert [each["section"] for each in orjson.loads(lost)] == [
        "messages[1]: reasoning with its signature",
        "messages[2]: that the result of search is an error",
    ]


# -------------------------------------------------------------------------------------------- results of tools, in turn
def test_results_told_together_become_messages_of_their_own_before_other_words() -> None:
    together = Message("user", (Text("Both."), ToolResult("1", "a", "one"), ToolResult("2", "b", "two")))
    body = parsed(openai.encode(Request((together,)), member("openai")))
    assert body["messages"] == [
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "tool", "tool_call_id": "2", "content": "two"},
        {"role": "user", "content": "Both."},
    ]
    (turn,) = parsed(anthropic.encode(Request((together,)), member("anthropic")))["messages"]
    assert [block["type"] for block in turn["content"]] == ["tool_result", "tool_result", "text"]


def test_sound_and_documents_have_fields_of_their_own() -> None:
    media = (Media("audio/mpeg", "aGk="), Media("audio/wav", "aGk="), Media("application/pdf", "aGk="))
    body = parsed(openai.encode(Request((Message("user", media),)), member("openai", "vision")))
    assert body["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "file", "file": {"filename": "attachment.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    ]
