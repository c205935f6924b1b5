"""Routers: frozen values that turn a request into a decision. Pure: no clock, no network, no chance of their own."""

from toolkit.routing.custom import Custom
from toolkit.routing.explore import Explore
from toolkit.routing.fastest import Balanced, Fastest
from toolkit.routing.joined import Joined
from toolkit.routing.judge import Judge
from toolkit.routing.learned import Learned
from toolkit.routing.measured import Measured, Measurement
from toolkit.routing.router import Asking, Constraint, ModelFacts, Router, RoutingFacts, judged, settle, then
from toolkit.routing.rules import ByFunction, Rule, Rules
from toolkit.routing.shadow import Shadow
from toolkit.routing.similarity import Similarity
from toolkit.routing.simple import Cheapest, Fixed, Ladder, Uniform
from toolkit.routing.split import Split, Sticky
from toolkit.routing.thompson import Thompson
from toolkit.routing.where import Where

__all__ = [
    "Asking",
    "Balanced",
    "ByFunction",
    "Cheapest",
    "Constraint",
    "Custom",
    "Explore",
    "Fastest",
    "Fixed",
    "Joined",
    "Judge",
    "Ladder",
    "Learned",
    "Measured",
    "Measurement",
    "ModelFacts",
    "Router",
    "RoutingFacts",
    "Rule",
    "Rules",
    "Shadow",
    "Similarity",
    "Split",
    "Sticky",
    "Thompson",
    "Uniform",
    "Where",
    "judged",
    "settle",
    "then",
]
