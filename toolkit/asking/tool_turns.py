"""A turn of a step with tools: a reply as plain JSON, who takes the next turn, and what is graded. Pure.

    {"calls": [parts]}     the model calls tools: all that it said, with its reasoning and what must go back with it
    {"value": …}           the last turn: the step's own value, read as the type that it declares

The two are told apart by who made them and never by what the words say: a model that writes JSON that looks like a call
has written text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from toolkit.errors import InvalidOutput
from toolkit.grading import Case, Grader, Marking
from toolkit.messages import Message, Part, Reasoning, Text, ToolCall
from toolkit.prompts.outputs import Output
from toolkit.records import Decision, Grade, Json, Reply, canonical
from toolkit.routing.router import Router, RoutingFacts, judged, settle

_PARTS: Mapping[str, type[Text] | type[Reasoning] | type[ToolCall]] = {
    "text": Text,
    "reasoning": Reasoning,
    "tool_call": ToolCall,
}


@dataclass(frozen=True)
class TurnOutput(Output):
    """How a turn is read: `final` reads the one that ends it. Its schema is what models are told, in every turn."""

    final: Output = field(default_factory=Output)

    @classmethod
    def ending_in(cls, final: Output) -> TurnOutput:
        """The reader of turns of which the last is read by `final`."""
        return cls(final.declared, final.schema, final.wrapped, final=final)

    def read_reply(self, reply: Reply) -> Json:
        """A turn as JSON. Raises InvalidOutput where the last one does not fit, or says nothing."""
        if any(isinstance(part, ToolCall) for part in reply.parts):
            said = [part for part in reply.parts if isinstance(part, Text | Reasoning | ToolCall)]
            return {"calls": orjson.loads(canonical(said))}
        if not reply.text.strip():
            raise InvalidOutput("the answer is empty, and calls no tool")
        return {"value": self.final.read(reply.text)}

    def check(self, value: Json) -> Json:
        """A turn whose last value still fits. Raises InvalidOutput."""
        return {"value": self.final.check(value["value"])} if "value" in value else value


def message_of(turn: Mapping[str, Json]) -> Message | None:
    """What a model said that calls tools; None for the last turn."""
    if "calls" not in turn:
        return None
    return Message("assistant", tuple(_part(part) for part in turn["calls"]))


def calls_of(message: Message) -> tuple[ToolCall, ...]:
    """The calls in a message, in the order in which the model made them."""
    return tuple(part for part in message.parts if isinstance(part, ToolCall))


def _part(told: Mapping[str, Json]) -> Part:
    return _PARTS[told["type"]](**told)


@dataclass(frozen=True)
class AtTheEnd(Grader):
    """Grades the answer of a step, and not the calls of tools on the way to it."""

    grader: Grader

    def grade(self, case: Case) -> Grade | Marking | None:
        if not isinstance(case.value, Mapping) or "value" not in case.value:
            return None
        return self.grader.grade(replace(case, value=case.value["value"]))

    def names(self) -> tuple[str, ...]:
        return self.grader.names()

    def needs(self) -> tuple[str, ...]:
        return self.grader.needs()

    def recorded_as(self) -> str:
        return self.grader.recorded_as()


@dataclass(frozen=True)
class GoesOn(Router):
    """Whoever called the tools takes the next turn: its reasoning is signed for itself, and its cache knows the rest.

    Where it cannot be asked, and for policies that fall back or escalate, the models behind it in the router's own
    order are there; those before it are not.
    """

    model: str
    router: Router

    def decide(self, facts: RoutingFacts) -> Decision:
        names = self.router.names()
        decided = self.router.decide(facts)
        order = decided.order if isinstance(decided, Decision) else names or tuple(facts.models)
        if self.model in order:
            order = order[order.index(self.model) :]
        elif isinstance(decided, Decision):
            return decided
        reason = f"{self.model} goes on with what it began"
        return settle(judged(facts, names), order, router=self, reason=reason, facts=facts)

    def names(self) -> tuple[str, ...] | None:
        return self.router.names()
