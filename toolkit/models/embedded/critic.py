"""`critic`: says whether a label fits a text, by a linear classifier's own opinion. A judge, and a weak one.

In: a section `ticket` and a section `answer`, a label of the column that the setting `judges` names; a schema with
`passed` and `reason`. Out: passed where the classifier gives that label at least the probability `least` (0.25). It is
wrong about as often as the classifier is, and in the same places: hold it against people's labels before you lean on
it. The other settings are those of `linear`.
"""

from __future__ import annotations

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.asked import Field, fields, only, section, subject
from toolkit.models.embedded.linear import Linear
from toolkit.models.function import text_reply
from toolkit.records import Reply, Request


class Critic(Linear):
    """A trained classifier that judges labels; see the module."""

    def load(self) -> None:
        super().load()
        self._column = str(self.spec.settings.get("judges", "label"))
        self._least = float(self.spec.settings.get("least", 0.25))
        labels = sorted({str(row[self._column]) for row in self._rows if row.get(self._column) is not None})
        field = Field(self._column, frozenset({"string"}), tuple(labels), required=True)
        self._judging = self._classifier(field)

    def answer(self, request: Request) -> Reply:
        self.chat_only(request)
        answer = section(request, ("answer",))
        if request.output_schema is None or answer is None or self._judging is None:
            raise InvalidRequest(
                f"{self.spec.name} judges the section 'answer', a label of {self._column!r}, by a schema"
            )
        likely = self._judging.probabilities(self._texts.of([subject(request)]))
        mine = max(likely, key=lambda label: likely[label])
        given = likely.get(answer.strip().strip('"'), 0.0)
        reason = f"it reads like {mine} ({likely[mine]:.2f}); the answer has {given:.2f}"
        told = only(fields(request.output_schema), {"reason": reason, "passed": given >= self._least}, self.spec.name)
        return text_reply(request, told, confidence=max(given, 1 - given), model=self.spec.name)
