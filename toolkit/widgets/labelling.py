"""Finished answers labelled by people in a notebook, with keys; and how far people and judges agree.

    tk.label(run, step="reply", rubric="It answers what was asked.", shows=("ticket",), by="lena", sample=40)
    tk.label((one, other), step="reply", rubric="The more useful one.", by="lena")      # pairs, blinded

What is asked, kept and recorded is `toolkit.evaluation.labelling`'s. Without widgets the same is told as HTML or text.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toolkit.asking.settings import DEFAULT_HOME
from toolkit.errors import ToolkitError, sentence
from toolkit.evaluation.agreement import Agreement
from toolkit.evaluation.labelling import Labelling, ask
from toolkit.grading.judges import Pairwise, Pointwise
from toolkit.people.inbox import user
from toolkit.widgets.labelling_desk import LabelDesk, headline, told
from toolkit.widgets.review_page import Page, shown

if TYPE_CHECKING:
    from toolkit.runs.running import Running


def label(
    runs: Running | str | Sequence[Running | str],
    *,
    step: str,
    rubric: str | Pointwise | Pairwise,
    by: str | None = None,
    shows: tuple[str, ...] = (),
    scale: Literal["1-5", "pass/fail"] = "pass/fail",
    sample: int | None = None,
    seed: int = 0,
    home: Path | str | None = None,
) -> Labeller:
    """Have a person label the answers of a step of one run, or say which of two runs has the better ones.

    `rubric` says what makes an answer good, in words, or is a judge: the same one that a model judges by, so that both
    can be compared. `shows` names fields of the row to be seen beside the answer. `sample` answers are picked by chance
    and `seed`, the same ones for every person. `by` is who labels. Where nothing can be labelled, the page says why.
    """
    several = (runs,) if isinstance(runs, str) or not isinstance(runs, Sequence) else tuple(runs)
    by = by or os.environ.get("TOOLKIT_USER") or user()
    if not several:
        return Labeller(None, fault="there is nothing to label: give a run, or two of them")
    if home is None and isinstance(several[0], str):
        home = os.environ.get("TOOLKIT_HOME") or DEFAULT_HOME
    try:
        if isinstance(rubric, str):
            rubric = Pairwise(rubric, shows) if len(several) == 2 else Pointwise(rubric, shows, scale=scale)
        return Labeller(ask(several, rubric, by=by, step=step, sample=sample, seed=seed, home=home))
    except ToolkitError as error:
        return Labeller(None, fault=sentence(error))


class Labeller:
    """What shows a labelling; `record()` makes grades of the labels given so far."""

    def __init__(self, labelling: Labelling | None, *, fault: str = "") -> None:
        self.labelling = labelling
        self.fault = fault
        self.desk = None if labelling is None else LabelDesk(labelling)
        self._page: Page | None = None

    @property
    def agreements(self) -> Mapping[str, Agreement]:
        """This person beside every other grader of the same answers, people and judges, by the grader's name."""
        return {} if self.desk is None else self.desk.agreements

    def record(self) -> int:
        """Make grades of the labels given so far; how many are new."""
        before = 0 if self.desk is None else self.desk.unrecorded
        if self.desk is not None:
            self.desk.do({"do": "record"})
        return before

    def close(self) -> None:
        """Take the page off the notebook; labels stay."""
        if self._page is not None:
            self._page.close()

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        first, *rest = self._lines()
        font = "font-family:system-ui,-apple-system,sans-serif;font-size:13px;line-height:1.5;color:inherit"
        return (
            f'<div style="{font}"><div><b>{escape(first)}</b></div>'
            + "".join(f"<div>{escape(line)}</div>" for line in rest)
            + "</div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self._still()

    def _ipython_display_(self) -> None:
        if self.desk is None:
            from IPython.display import display

            display(self._still(), raw=True)  # type: ignore[no-untyped-call]
        else:
            shown(self._still(), self._made)

    def _still(self) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _made(self) -> Page:
        assert self.desk is not None
        self._page = self._page or Page(self.desk, "label")
        return self._page

    def _lines(self) -> list[str]:
        if self.desk is None or self.labelling is None:
            return [self.fault]
        lines = [headline(self.desk), f"rubric: {self.labelling.judge.rubric}"]
        if self.desk.unrecorded:
            lines.append(f"{self.desk.unrecorded:,} of them are not recorded as grades yet: .record() does it")
        for name, found in self.agreements.items():
            figures = told(name, found)
            agreed = f"agree on {figures['agreed']}" if figures["agreed"] else figures["why"]
            kappa = f", kappa {figures['kappa']}" if figures["kappa"] else ""
            lines.append(f"with {figures['name']}: {agreed}{kappa}; {figures['n']:,} answers")
        if self.desk.done < len(self.labelling.items):
            home = self.labelling.home
            at = "" if str(home) == DEFAULT_HOME else f" --home {shlex.quote(str(home))}"
            where = f"--run {self.labelling.run_id} --person {shlex.quote(self.labelling.by)}{at}"
            lines.append(f"without this page: toolkit inbox answer --interactive {where}")
        return lines
