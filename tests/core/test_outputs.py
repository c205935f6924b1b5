"""Typed outputs: what a model may write for a declared type, what is refused and why, and the way there and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Literal

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, computed_field

from toolkit.errors import InvalidOutput
from toolkit.prompts.outputs import Output


class Triage(BaseModel):
    intent: Literal["refund", "other"]
    urgent: bool = False


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: str = Field(alias="type")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.kind)


class Node(BaseModel):
    name: str
    below: list[Node] = []


@dataclass
class Point:
    x: float
    y: float


class Colour(Enum):
    RED = "red"


READ = [
    (None, " any words ", " any words "),
    (str, "{}", "{}"),
    (Triage, '{"intent": "refund", "urgent": true}', {"intent": "refund", "urgent": True}),
    (Triage, '{"intent": "refund"}', {"intent": "refund", "urgent": False}),
    (Triage, '```json\n{"intent": "other"}\n```', {"intent": "other", "urgent": False}),
    (Triage, '  ```\n{"intent": "other"}```  ', {"intent": "other", "urgent": False}),
    (Point, '{"x": 1, "y": 2.5}', {"x": 1.0, "y": 2.5}),
    (Literal["yes", "no"], "yes", "yes"),
    (Literal["yes", "no"], '"yes"', "yes"),
    (Literal["yes", "no"], '{"value": "yes"}', "yes"),
    (Literal["1", "2"], "2", "2"),
    (Literal["true", "false"], "true", "true"),
    (int, "42", 42),
    (float, '{"value": 4}', 4.0),
    (bool, "true", True),
    (list[str], '["a", "b"]', ["a", "b"]),
    (list[Triage], '{"value": [{"intent": "other"}]}', [{"intent": "other", "urgent": False}]),
    (dict[str, int], '{"value": 3}', {"value": 3}),
    (date, "2026-03-01", "2026-03-01"),
    (Colour, "red", "red"),
    (int | None, "null", None),
    (Aliased, '{"type": "x"}', {"type": "x"}),
    (Node, '{"name": "a", "below": [{"name": "b"}]}', {"name": "a", "below": [{"name": "b", "below": []}]}),
    ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": 1}', {"n": 1}),
    ({"type": "integer"}, "7", 7),
    ({"type": "integer"}, '{"value": 7}', 7),
    ({"type": "string"}, "7", "7"),
    ({"enum": ["a", "b"]}, "a", "a"),
]


@pytest.mark.parametrize(("declared", "text", "value"), READ)
def test_a_text_is_read_as_the_declared_type(declared: Any, text: str, value: Any) -> None:
    assert Output.of(declared).read(text) == value


REFUSED = [
    (Triage, "I think it is a refund", "no JSON"),
    (Triage, '{"intent": "complaint"}', "intent: Input should be 'refund' or 'other'"),
    (Triage, "{}", "intent: Field required"),
    (Triage, '"refund"', "answer: "),
    (Literal["yes", "no"], "perhaps", "Input should be 'yes' or 'no'"),
    (int, "many", "answer: "),
    (list[str], "[1, 2]", "0: Input should be a valid string"),
    ({"type": "object", "required": ["n"]}, "{}", "answer: 'n' is a required property"),
    ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": "x"}', "n: 'x' is not of type 'integer'"),
    ({"type": "integer"}, '"x"', "'x' is not of type 'integer'"),
]


@pytest.mark.parametrize(("declared", "text", "why"), REFUSED)
def test_what_does_not_fit_is_refused_and_the_message_says_why(declared: Any, text: str, why: str) -> None:
    with pytest.raises(InvalidOutput) as refused:
        Output.of(declared).read(text)
    assert why in str(refused.value)


def test_of_many_faults_the_first_three_are_named() -> None:
    many = list[int]
    with pytest.raises(InvalidOutput, match=r"\(and 2 more\)"):
        Output.of(many).read('["a", "b", "c", "d", "e"]')


ROUND = [Triage(intent="refund"), Point(1.0, 2.0), date(2026, 3, 1), Colour.RED, [Triage(intent="other")], 5]


@pytest.mark.parametrize("typed", ROUND)
def test_what_is_recorded_comes_back_as_the_typed_object(typed: Any) -> None:
    output = Output.of(list[Triage] if isinstance(typed, list) else type(typed))
    recorded = orjson.loads(orjson.dumps(output.check(typed)))
    assert output.revive(recorded) == typed


def test_an_alias_and_a_computed_field_survive_the_way_there_and_back() -> None:
    output = Output.of(Aliased)
    recorded = output.read('{"type": "long"}')
    assert output.revive(recorded).size == 4


@pytest.mark.parametrize("declared", [Triage, Literal["a", "b"], list[Triage], Node, date, {"type": "integer"}])
def test_the_schema_that_a_model_is_sent_is_an_object_and_a_valid_schema(declared: Any) -> None:
    schema = Output.of(declared).schema
    assert schema is not None
    Draft202012Validator.check_schema(dict(schema))
    assert schema.get("type") == "object"


@pytest.mark.parametrize("key", ["$defs", "definitions"])
def test_definitions_stay_where_references_look_for_them(key: str) -> None:
    declared = {"type": "array", "items": {"$ref": f"#/{key}/n"}, key: {"n": {"type": "integer"}}}
    output = Output.of(declared)
    assert output.schema is not None
    Draft202012Validator(dict(output.schema)).validate({"value": [1, 2]})
    assert output.read("[1, 2]") == [1, 2]


def test_free_text_has_no_schema() -> None:
    assert Output.of(None).schema is None
    assert Output.of(None).revive("x") == "x"


@pytest.mark.parametrize("declared", [{"type": "strange"}, object()])
def test_what_is_no_type_is_refused_when_declared(declared: Any) -> None:
    with pytest.raises(Exception, match=r"strange|schema"):
        Output.of(declared)
