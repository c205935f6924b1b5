"""What fake models say: values that satisfy their schemas, right as often as asked, and words that echo the request."""

from __future__ import annotations

import datetime
import enum
import math
import re
import uuid
from random import Random
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, TypeAdapter

from tests.fake.asking import ASKED, TICKET, ask, chat, during, post
from toolkit import fake
from toolkit.errors import ContentFiltered, InvalidRequest
from toolkit.fake.patterns import sample
from toolkit.fake.schemas import satisfying, violating
from toolkit.fake.values import Unsatisfiable
from toolkit.messages import Data, Message, Text, ToolCall, ToolResult, ToolSpec
from toolkit.models import anthropic, openai
from toolkit.prompts.outputs import Output
from toolkit.records import Reply, Request

WORDS = ("where", "is", "my", "parcel")
DIALECTS = {"openai": openai, "anthropic": anthropic}


# -------------------------------------------------------------------------------------------------------------- schemas
_names = st.sampled_from(["a", "b", "c", "d/e", "f~g"])
_scalars = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 3, "maxLength": 9},
        {"type": "string", "maxLength": 0},
        {"type": "string", "pattern": "^[A-Z]{2,3}-\\d{4}(x|yz)?$"},
        {"type": "string", "pattern": "\\w+", "minLength": 12},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "uuid"},
        {"type": "integer"},
        {"type": "integer", "exclusiveMinimum": 3, "maximum": 5},
        {"type": "integer", "multipleOf": 7, "minimum": 100},
        {"type": "number", "minimum": 0.25, "exclusiveMaximum": 0.5},
        {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 1},
        {"type": "number", "maximum": -1e6},
        {"type": ["null", "integer"]},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["x", 1, None, {"y": []}]},
        {"const": {"only": [1, 2]}},
        {"type": "string", "not": {"enum": ["where", "is"]}},
        {"$ref": "#/$defs/node"},
        {"$ref": "#/$defs/word", "description": "a word"},
        {"allOf": [{"type": "integer", "minimum": 4}, {"maximum": 8}]},
        {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 5}]},
        True,
        {},
    ]
)
DEFS = {
    "word": {"type": "string", "minLength": 1},
    "node": {
        "type": "object",
        "properties": {
            "name": {"$ref": "#/$defs/word"},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        },
        "required": ["name", "next"],
        "additionalProperties": False,
    },
}


def _wider(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def objects(drawn: tuple[dict[str, Any], bool]) -> dict[str, Any]:
        properties, closed = drawn
        some = [name for index, name in enumerate(properties) if index % 2 == 0]
        return {"type": "object", "properties": properties, "required": some, "additionalProperties": not closed}

    return (
        st.tuples(st.dictionaries(_names, below, max_size=4), st.booleans()).map(objects)
        | st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, below, st.integers(0, 3))
        | st.builds(
            lambda items: {"type": "array", "prefixItems": items, "items": False},
            st.lists(below, min_size=1, max_size=3),
        )
        | st.builds(lambda branches: {"anyOf": branches}, st.lists(below, min_size=1, max_size=3))
        | below.map(lambda value: {"type": "object", "additionalProperties": value, "minProperties": 2})
        | below.map(lambda items: {"type": "array", "contains": items, "maxItems": 3})
    )


_schemas = st.recursive(_scalars, _wider, max_leaves=8).map(
    lambda schema: {**schema, "$defs": DEFS} if isinstance(schema, dict) else schema
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(schema=_schemas, seed=st.integers(0, 1000))
def test_a_value_satisfies_its_schema_and_a_violating_one_does_not(schema: Any, seed: int) -> None:
    Draft202012Validator.check_schema(schema)
    value = satisfying(schema, dice=Random(seed), words=WORDS)
    Draft202012Validator(schema).validate(value)
    assert value == satisfying(schema, dice=Random(seed), words=WORDS)
    wrong = violating(schema, value)
    assert not Draft202012Validator(schema).is_valid(wrong) or wrong == "this is not what was asked for"


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "colour"},
        {"enum": []},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "minimum": "three"},
        {"type": "string", "pattern": "("},
        {"type": "string", "not": {}},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"allOf": [{"type": "integer"}, {"type": "string"}]},
    ],
)
def test_a_schema_that_nothing_satisfies_is_said_to_be_so(schema: Any) -> None:
    with pytest.raises(Unsatisfiable):
        satisfying(schema, dice=Random(1), words=WORDS)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool = True


class Tree(BaseModel):
    name: Annotated[str, Field(pattern=r"^[a-z]+$", max_length=8)]
    below: list[Tree] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    colours: set[Colour]
    pair: tuple[int, str]
    planted: datetime.datetime
    day: datetime.date | None
    id: uuid.UUID
    share: Annotated[float, Field(ge=0, lt=1, multiple_of=0.05)]
    notes: dict[str, int]


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_pydantic_model_takes_what_its_schema_gives(seed: int) -> None:
    Tree.model_validate(satisfying(Tree.model_json_schema(), dice=Random(seed), words=WORDS))


@settings(deadline=None)
@given(
    pattern=st.sampled_from(
        [r"^\d{3}-[A-F0-9]+$", r"(ab|cd)*e?", r"[^a-z]{2}", r"^(\w)\1$", r"a{2,}", r"\s\S\D", r"^$", r"[\w.-]+@x\.org"]
    ),
    seed=st.integers(0, 1000),
)
def test_a_sampled_text_matches_its_pattern(pattern: str, seed: int) -> None:
    assert re.search(pattern, sample(pattern, Random(seed)))


# -------------------------------------------------------------------------------------------------------------- quality
class Triage(BaseModel):
    intent: Literal["refund", "delivery", "account", "billing"]
    urgent: bool


TYPED = Output.of(Triage)


def triage(words: str) -> Request:
    told = (Message("system", (Text("Triage."),)), Message("user", (Data("ticket", words, "ticket"),)))
    return Request(messages=told, output_schema=TYPED.schema)


async def answers(served: fake.Served, model: str, dialect: Any, count: int, **options: Any) -> list[Any]:
    found = []
    for number in range(count):
        reply = await ask(served, model, dialect, request=triage(f"ticket {number} of many"), **options)
        assert isinstance(reply, Reply), reply
        found.append(TYPED.read(reply.text))
    return found


def test_models_agree_on_what_is_right_and_are_right_as_often_as_their_quality_says() -> None:
    count = 120

    async def talk(served: fake.Served) -> None:
        right = await answers(served, "perfect", openai, count)
        assert len({orjson.dumps(value) for value in right}) > 4
        assert await answers(served, "perfect too", anthropic, count) == right
        fair = await answers(served, "fair", openai, count)
        agreeing = sum(mine == truth for mine, truth in zip(fair, right, strict=True))
        assert 0.6 * count < agreeing < 0.95 * count
        assert served.counts()["models"]["fair"]["wrong"] == count - agreeing
        assert served.counts()["models"]["perfect"]["wrong"] == 0

    during(talk, {"perfect": {}, "perfect too": {}, "fair": {"quality": 0.8}})


def test_a_model_tells_how_sure_it_is_and_is_less_so_when_wrong() -> None:
    async def talk(served: fake.Served) -> None:
        mean = {}
        for model in ("right", "wrong"):
            replies = [await ask(served, model, openai, request=triage(f"{n}"), logprobs=True) for n in range(40)]
            sure = [reply.confidence for reply in replies if isinstance(reply, Reply) and reply.confidence is not None]
            assert len(sure) == 40
            mean[model] = sum(sure) / 40
        assert mean["wrong"] + 0.1 < mean["right"]

    during(talk, {"right": {}, "wrong": {"quality": 0.0}})


# --------------------------------------------------------------------------------------------------------- words, tools
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_free_text_echoes_the_request_and_usage_says_what_it_took(dialect: str, stream: bool) -> None:
    async def talk(served: fake.Served) -> None:
        reply = await ask(served, "m", DIALECTS[dialect], stream=stream)
        assert isinstance(reply, Reply)
        assert TICKET in reply.text
        usage = reply.usage
        assert usage.input_tokens == math.ceil(len(ASKED.text.encode()) / 4)
        assert usage.output_tokens == math.ceil(len(reply.text.encode()) / 4) + 7
        assert usage.reasoning_output_tokens == 7
        assert usage.cache_read_input_tokens == usage.input_tokens // 2
        assert (reply.finish_reasons, reply.response_model) == (("stop",), "m")

    during(talk, {"m": {"reasoning_tokens": 7, "cached_share": 0.5}})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_is_as_long_as_asked_and_cut_at_the_callers_limit(dialect: str) -> None:
    async def talk(served: fake.Served) -> None:
        whole = await ask(served, "m", DIALECTS[dialect])
        assert isinstance(whole, Reply)
        assert len(whole.text.encode()) // 4 in (299, 300)
        cut = await ask(served, "m", DIALECTS[dialect], request=ASKED.with_options(max_output_tokens=10))
        assert isinstance(cut, Reply)
        assert (cut.text, cut.finish_reasons) == (whole.text.encode()[:40].decode(), ("length",))

    during(talk, {"m": {"answer_tokens": 300}})


TOOL = ToolSpec("look_up", "Finds a parcel.", {"type": "object", "properties": {"id": {"type": "integer"}}})
OTHER = ToolSpec("weather", "Tells the weather.", {})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_tool_is_called_on_the_first_turn_and_what_it_gave_is_in_the_answer(dialect: str, stream: bool) -> None:
    asked = ASKED.with_options(tools=(TOOL,))

    async def talk(served: fake.Served) -> None:
        reply = await ask(served, "m", DIALECTS[dialect], request=asked, stream=stream)
        assert isinstance(reply, Reply)
        (call,) = (part for part in reply.parts if isinstance(part, ToolCall))
        assert (call.name, reply.finish_reasons) == ("look_up", ("tool_calls",))
        assert isinstance(call.arguments["id"], int)
        told = (Message("assistant", (call,)), Message("tool", (ToolResult(call.id, call.name, "It is in Kiel."),)))
        then = await ask(
            served, "m", DIALECTS[dialect], request=asked.with_options(messages=(*ASKED.messages, *told)), stream=stream
        )
        assert isinstance(then, Reply)
        assert "It is in Kiel." in then.text

    during(talk, {"m": {"tools": "first-turn"}})


@pytest.mark.parametrize(
    ("tools", "choice", "called"),
    [
        ("never", "auto", None),
        ("never", "required", True),
        ("never", {"type": "function", "function": {"name": "weather"}}, "weather"),
        ("always", "auto", True),
        ("always", "none", None),
    ],
)
def test_the_callers_choice_of_tools_is_heeded(tools: str, choice: Any, called: str | bool | None) -> None:
    offered = [
        {"type": "function", "function": {"name": tool.name, "parameters": tool.parameters}} for tool in (TOOL, OTHER)
    ]

    async def talk(served: fake.Served) -> None:
        response = await post(served, "/v1/chat/completions", chat(tools=offered, tool_choice=choice))
        calls = response.json()["choices"][0]["message"].get("tool_calls") or []
        assert bool(calls) is bool(called)
        if isinstance(called, str):
            assert calls[0]["function"]["name"] == called

    during(talk, {"m": {"tools": tools}})


def test_vectors_are_of_length_one_and_near_for_texts_that_share_words() -> None:
    texts = ("where is my parcel", "where is my red parcel", "a refund, please", "")

    async def talk(served: fake.Served) -> tuple[tuple[float, ...], ...]:
        reply = await ask(served, "m", openai, request=Request(operation="embeddings", inputs=texts))
        again = await ask(served, "m", openai, request=Request(operation="embeddings", inputs=texts[:1]))
        assert isinstance(reply, Reply)
        assert isinstance(again, Reply)
        assert reply.vectors[:1] == again.vectors
        return reply.vectors

    vectors = during(talk, {"m": {"dimensions": 64}})
    assert [len(vector) for vector in vectors] == [64] * 4
    assert all(math.isclose(math.hypot(*vector), 1.0) for vector in vectors)
    near, far = (sum(a * b for a, b in zip(vectors[0], vectors[n], strict=True)) for n in (1, 2))
    assert near > 0.6 > far


# --------------------------------------------------------------------------------------------------------------- script
def test_a_script_answers_by_pattern_before_anything_is_made_up() -> None:
    script = [
        {"match": "(?i)PARCEL", "model": "m", "answer": "It is on its way."},
        {"match": "poison", "fault": "content_filter"},
        {"match": "ticket 7", "answer": {"intent": "billing", "urgent": True}},
    ]

    async def talk(served: fake.Served) -> None:
        reply = await ask(served, "m", anthropic)
        assert isinstance(reply, Reply)
        assert reply.text == "It is on its way."
        other = await ask(served, "other", openai)
        assert isinstance(other, Reply)
        assert other.text != "It is on its way."
        assert isinstance(await ask(served, "m", openai, request=triage("poison")), ContentFiltered)
        typed = await ask(served, "other", openai, request=triage("ticket 7"))
        assert isinstance(typed, Reply)
        assert TYPED.read(typed.text) == {"intent": "billing", "urgent": True}
        wrong = await ask(served, "bad", openai, request=triage("ticket 7"))
        assert isinstance(wrong, Reply)
        assert TYPED.read(wrong.text) != {"intent": "billing", "urgent": True}

    during(talk, {"m": {}, "other": {}, "bad": {"quality": 0.0}}, script=script)


def test_a_schema_that_nothing_satisfies_is_an_invalid_request() -> None:
    async def talk(served: fake.Served) -> None:
        asked = ASKED.with_options(output_schema={"type": "object", "properties": {"a": False}, "required": ["a"]})
        assert isinstance(await ask(served, "m", openai, request=asked), InvalidRequest)

    during(talk, {"m": {}})


def test_a_typed_answer_fits_whatever_type_a_step_declares() -> None:
    output = Output.of(list[Triage])

    async def talk(served: fake.Served) -> None:
        reply = await ask(served, "m", openai, request=ASKED.with_options(output_schema=output.schema))
        assert isinstance(reply, Reply)
        TypeAdapter(list[Triage]).validate_python(output.read(reply.text))

    during(talk, {"m": {}})
