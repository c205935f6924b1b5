"""Charts of the record, in Altair: colours that colour-blind readers tell apart, units on every axis, light and dark.

In: a `History` and what to look at, or a result. Out: a chart, which a notebook shows alive and as a picture, and which
`.save("name.svg")` or `.save("name.png")` keeps, without a network. Where there is nothing to draw it is a sentence.
`finished(chart)` puts the same theme on a chart of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.colours import BLUE as BLUE
from toolkit.colours import GREEN as GREEN
from toolkit.colours import GREY as GREY
from toolkit.colours import ORANGE as ORANGE
from toolkit.colours import PALETTE as PALETTE
from toolkit.colours import PURPLE as PURPLE
from toolkit.colours import SKY as SKY
from toolkit.colours import VERMILION as VERMILION
from toolkit.lazily import lazily

if TYPE_CHECKING:
    from toolkit.charts.choosing import exchange as exchange
    from toolkit.charts.comparing import comparison as comparison
    from toolkit.charts.days import drift as drift
    from toolkit.charts.frontiers import frontier as frontier
    from toolkit.charts.judges import agreement as agreement
    from toolkit.charts.record import costs as costs
    from toolkit.charts.record import timeline as timeline
    from toolkit.charts.supposing import supposition as supposition
    from toolkit.charts.theme import finished as finished

_HOMES = {
    "comparison": "toolkit.charts.comparing",
    "drift": "toolkit.charts.days",
    "exchange": "toolkit.charts.choosing",
    "finished": "toolkit.charts.theme",
    "frontier": "toolkit.charts.frontiers",
    "agreement": "toolkit.charts.judges",
    "costs": "toolkit.charts.record",
    "timeline": "toolkit.charts.record",
    "supposition": "toolkit.charts.supposing",
}
"""What loads where it is first used: comparing takes SciPy, which takes seconds."""

__all__ = [
    "BLUE", "GREEN", "GREY", "ORANGE", "PALETTE", "PURPLE", "SKY", "VERMILION",
    "agreement", "comparison", "costs", "drift", "exchange", "finished", "frontier", "supposition", "timeline",
]  # fmt: skip
__getattr__ = lazily(__name__, _HOMES)
