"""What a judge is worth, held against people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.charts.theme import INK, altair_, finished, frame, sentence
from toolkit.colours import BLUE
from toolkit.evaluation.estimates import Estimate

if TYPE_CHECKING:
    from toolkit.evaluation.agreement import Agreement

CELL, MOST_LABELS = 46, 12
STRONGEST = 0.28
"""How strong the blue of the fullest cell is: the ink of light and dark pages reads on all of them."""


def agreement(found: Agreement) -> Any:
    """How often judge and people gave which grade: the diagonal is agreement. A sentence where no row has both."""
    altair = altair_()
    if not found.n:
        return sentence("No answer has a grade by the judge and one by people: label some rows that it judged.")
    if len(found.labels) > MOST_LABELS:
        return sentence(f"{len(found.labels)} different grades are too many for a picture. {found}.")
    most = max(max(row) for row in found.confusion)
    rows = [
        {"judge": judge, "people": person, "rows": count, "share": STRONGEST * count / most}
        for judge, line in zip(found.labels, found.confusion, strict=True)
        for person, count in zip(found.labels, line, strict=True)
    ]
    x = altair.X("people:N", title="grade by people", sort=list(found.labels), axis=altair.Axis(labelAngle=0))
    y = altair.Y("judge:N", title="grade by the judge", sort=list(found.labels))
    base = altair.Chart(frame(rows)).encode(x=x, y=y, tooltip=["judge", "people", altair.Tooltip("rows:Q", format=",")])
    cells = base.mark_rect(color=BLUE).encode(opacity=altair.Opacity("share:Q", scale=None, legend=None))
    number = base.mark_text(fontSize=13, fontWeight=600, color=INK).encode(text=altair.Text("rows:Q", format=","))
    kappa = found.kappa
    told = [f"{found.n:,} rows"]
    if isinstance(kappa, Estimate):
        told[0] += f"; kappa {kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]"
    title = altair.Title("Judge and people, in rows", subtitle=told)
    size = {"step": CELL}
    return finished(altair.layer(cells, number).properties(width=size, height=size, title=title))
