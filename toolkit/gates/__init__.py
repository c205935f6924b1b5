"""Gates: whether a model may be asked now, how often and how much at once. Pure: a frozen state and the state after.

    Breaker      shut after failures in a row, opened by a probe
    Timetable    when requests go out, so that no minute sees more than it may
    Load         how many calls may be under way, by how many the model refuses
    Gate         the three together: what processes know of a model, kept by a `Keeper`

Who waits at a model's door is the business of `toolkit.asking.doors`.
"""

from toolkit.gates.breaker import OPEN, PROBE_SECONDS, SHUT_SECONDS, THRESHOLD, Breaker
from toolkit.gates.gate import Gate
from toolkit.gates.keeping import Keeper, OwnKeeper, Step
from toolkit.gates.load import FREE, Load, Window
from toolkit.gates.pace import BURST_SECONDS, SLAB_SECONDS, Pace, Timetable

__all__ = [
    "BURST_SECONDS",
    "FREE",
    "OPEN",
    "PROBE_SECONDS",
    "SHUT_SECONDS",
    "SLAB_SECONDS",
    "THRESHOLD",
    "Breaker",
    "Gate",
    "Keeper",
    "Load",
    "OwnKeeper",
    "Pace",
    "Step",
    "Timetable",
    "Window",
]
