"""What notebooks show of the record: a run that is watched, its rows, one row in time, rows that changed.

Nothing of it is needed to run anything, and it writes nothing. `toolkit.widgets.live` alone needs a kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.lazily import lazily

if TYPE_CHECKING:
    from toolkit.widgets.compare import Changes as Changes
    from toolkit.widgets.compare import changes as changes
    from toolkit.widgets.labelling import Labeller as Labeller
    from toolkit.widgets.labelling import label as label
    from toolkit.widgets.live import Watch as Watch
    from toolkit.widgets.live import watch as watch
    from toolkit.widgets.reviewing import Reviewing as Reviewing
    from toolkit.widgets.reviewing import review as review
    from toolkit.widgets.row import RowView as RowView
    from toolkit.widgets.row import row_view as row_view
    from toolkit.widgets.run import RunView as RunView
    from toolkit.widgets.run import show as show
    from toolkit.widgets.standing import Standing as Standing
    from toolkit.widgets.standing import standing_of as standing_of

_HOMES = {
    "Changes": "toolkit.widgets.compare",
    "changes": "toolkit.widgets.compare",
    "Labeller": "toolkit.widgets.labelling",
    "label": "toolkit.widgets.labelling",
    "Watch": "toolkit.widgets.live",
    "watch": "toolkit.widgets.live",
    "Reviewing": "toolkit.widgets.reviewing",
    "review": "toolkit.widgets.reviewing",
    "RowView": "toolkit.widgets.row",
    "row_view": "toolkit.widgets.row",
    "RunView": "toolkit.widgets.run",
    "show": "toolkit.widgets.run",
    "Standing": "toolkit.widgets.standing",
    "standing_of": "toolkit.widgets.standing",
}
"""What loads where it is first used, so that a run is watched at once."""

__all__ = [
    "Changes", "Labeller", "Reviewing", "RowView", "RunView", "Standing", "Watch", "changes", "label", "review",
    "row_view", "show", "standing_of", "watch",
]  # fmt: skip
__getattr__ = lazily(__name__, _HOMES)
