"""A router that asks: a cheap model reads the request and names who should answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from toolkit.errors import CallError, StepError
from toolkit.prompts.prompting import prompt
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens
from toolkit.records import Candidate, Decision, Request
from toolkit.routing.router import Asking, Router, RoutingFacts, judged, settle

QUESTION = "Which of these models should answer the request? The first is the cheapest. Answer with its name alone."
LONGEST = 4_000


@dataclass(frozen=True, init=False)
class Judge(Router):
    """The model that `by` names, out of `models`, cheapest first; the first that may be asked where it names none.

    `by` is a member of the fleet that is shown the beginning of the request, as a call of its own: sent, recorded and
    charged at `<step>/route`. Constraints around the router hold for it too. Where it cannot be asked, or one model is
    left, nobody is asked. Its word is taken as certain: probability 1.
    """

    models: tuple[str, ...]
    by: str
    question: str

    def __init__(self, *models: str, by: str, question: str = QUESTION) -> None:
        if len(models) < 2 or len(set(models)) < len(models):
            raise ValueError("Judge: name two or more different models to choose from")
        for name, value in {"models": models, "by": by, "question": question}.items():
            object.__setattr__(self, name, value)

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        if self.by not in facts.models:
            raise StepError(f"the router {self!r} asks {self.by!r}, which is not in the fleet")
        candidates = judged(facts, self.models)
        left = [candidate.model for candidate in candidates if candidate.eligible]
        text = facts.request.text.strip()[:LONGEST] or "(no text)"
        wanted = prompt(self.question, models=left, request=text).with_options(max_output_tokens=32, temperature=0.0)
        tokens = prompt_tokens(wanted, ESTIMATE)
        of_judge = replace(facts, request=wanted, input_tokens=tokens, min_input_tokens=tokens)
        (judge,) = judged(of_judge, (self.by,))
        if len(left) > 1 and judge.eligible:
            return self._asking(wanted, facts, candidates)
        reason = f"{self.by} cannot be asked who" if len(left) > 1 else "the only one that may be asked"
        return settle(candidates, self.models, router=self, reason=reason, facts=facts)

    def names(self) -> tuple[str, ...]:
        return self.models

    def __repr__(self) -> str:
        told = "" if self.question == QUESTION else f", question={self.question!r}"
        return f"Judge({', '.join(map(repr, self.models))}, by={self.by!r}{told})"

    def _asking(self, wanted: Request, facts: RoutingFacts, candidates: tuple[Candidate, ...]) -> Asking:
        try:
            reply = yield self.by, wanted
        except CallError as error:
            reason = f"{self.by} could not say who: {error}"
            return settle(candidates, self.models, router=self, reason=reason, facts=facts)
        picked = named_in(reply.text, [candidate.model for candidate in candidates if candidate.eligible])
        order = self.models if picked is None else (picked, *(name for name in self.models if name != picked))
        reason = f"{self.by} names nobody who may be asked" if picked is None else f"{self.by} names it"
        return settle(candidates, order, router=self, reason=reason, facts=facts)


def named_in(text: str, models: list[str]) -> str | None:
    """The one of these models that a text names, as a word of its own; None where it names none, or several."""
    said = [name for name in models if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE)]
    return said[0] if len(said) == 1 else None
