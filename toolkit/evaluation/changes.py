"""The rows whose quality differs between two contenders. Pure: `Scored` in, a table of rows out."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.errors import RunError
from toolkit.evaluation.scored import Scored


def changed_rows(scored: Scored, contender: str, by: float) -> Any:
    from pandas import DataFrame

    if contender not in scored.contenders:
        raise RunError(f"there is no contender {contender!r}; there are {', '.join(scored.contenders)}")
    place = scored.contenders.index(contender)
    with np.errstate(invalid="ignore"):
        change = scored.quality[:, place] - scored.quality[:, 0]
        rows = np.flatnonzero(np.abs(change) > by)
    rows = rows[np.argsort(change[rows], kind="stable")]
    first = scored.contenders[0]
    told: dict[str, Any] = {"row_id": [scored.row_ids[int(n)] for n in rows] if scored.row_ids is not None else rows}
    if scored.segments is not None:
        told[scored.segment or "segment"] = scored.segments[rows]
    told |= {f"quality of {first}": scored.quality[rows, 0], f"quality of {contender}": scored.quality[rows, place]}
    told["change"] = change[rows]
    if scored.cost is not None:
        told |= {f"cost of {first} (USD)": scored.cost[rows, 0], f"cost of {contender} (USD)": scored.cost[rows, place]}
    return DataFrame(told)
