"""Routers: frozen values that turn a request into a decision. Pure: no clock, no network, no chance of their own."""

from toolkit.routing.explore import Explore
from toolkit.routing.learned import Learned
from toolkit.routing.router import Asking, ModelFacts, Router, RoutingFacts, judged, settle
from toolkit.routing.rules import ByFunction, Rule, Rules
from toolkit.routing.simple import Cheapest, Fixed, Ladder, Uniform

__all__ = [
    "Asking",
    "ByFunction",
    "Cheapest",
    "Explore",
    "Fixed",
    "Ladder",
    "Learned",
    "ModelFacts",
    "Router",
    "RoutingFacts",
    "Rule",
    "Rules",
    "Uniform",
    "judged",
    "settle",
]
