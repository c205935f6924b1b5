"""Routing by examples: a request goes to the model whose labelled examples are most like it.

alike = tk.Similarity({"coder": ["fix this loop", ...], "small": ["thank you", ...]}, otherwise=tk.Fixed("large"))
alike.save("routers/alike.json")                    Similarity('routers/alike.json', otherwise=Fixed('large'))
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from toolkit.errors import FleetError
from toolkit.records import Decision, canonical, content_hash
from toolkit.routing.router import Asking, Router, RoutingFacts, judged, settle, then

WORD = re.compile(r"[^\W_]+")
AT_LEAST = 0.3


@dataclass(frozen=True)
class Examples:
    """Texts by the model that should answer such."""

    texts: Mapping[str, tuple[str, ...]]

    @cached_property
    def hash(self) -> str:
        return content_hash(canonical({model: list(texts) for model, texts in self.texts.items()}))

    def likeness(self, text: str) -> dict[str, float]:
        """For each model the highest cosine, from 0 to 1, of its examples with a text, in weights of TF-IDF."""
        found: dict[int, float] = {}
        for word, weight in _unit(_counted(text, self._rarity)).items():
            for place, its in self._index.get(word, ()):
                found[place] = found.get(place, 0.0) + weight * its
        best = dict.fromkeys(self.texts, 0.0)
        for place, cosine in found.items():
            owner = self._owners[place]
            best[owner] = max(best[owner], min(cosine, 1.0))
        return best

    @cached_property
    def _owners(self) -> tuple[str, ...]:
        return tuple(model for model, texts in self.texts.items() for _ in texts)

    @cached_property
    def _rarity(self) -> Mapping[str, float]:
        seen = Counter(word for texts in self.texts.values() for text in texts for word in set(_words(text)))
        return {word: math.log((1 + len(self._owners)) / (1 + count)) + 1 for word, count in seen.items()}

    @cached_property
    def _index(self) -> Mapping[str, Sequence[tuple[int, float]]]:
        """Word → the examples that have it, with its weight there."""
        index: dict[str, list[tuple[int, float]]] = {}
        for place, text in enumerate(text for texts in self.texts.values() for text in texts):
            for word, weight in _unit(_counted(text, self._rarity)).items():
                index.setdefault(word, []).append((place, weight))
        return index


@dataclass(frozen=True, init=False, eq=False)
class Similarity(Router):
    """The model with the example most like the request; `otherwise` decides where none is `at_least` so like (cosine).

    A candidate's score is that cosine. `examples` is a file of `save`, or the texts by model.
    """

    source: str
    otherwise: Router
    at_least: float
    examples: Examples

    def __init__(
        self,
        examples: str | Path | Mapping[str, Sequence[str]] | Examples,
        *,
        otherwise: Router,
        at_least: float = AT_LEAST,
    ) -> None:
        if not 0 <= at_least <= 1:
            raise ValueError(f"Similarity: at_least is a cosine between 0 and 1, not {at_least}")
        if isinstance(examples, Mapping):
            examples = Examples({model: tuple(texts) for model, texts in examples.items()})
        value = _loaded(str(examples)) if isinstance(examples, str | Path) else examples
        source = str(examples) if isinstance(examples, str | Path) else value.hash
        told = {"source": source, "otherwise": otherwise, "at_least": at_least, "examples": value}
        for name, each in told.items():
            object.__setattr__(self, name, each)

    def decide(self, facts: RoutingFacts) -> Decision | Asking:
        scores = self.examples.likeness(facts.request.text)
        candidates = tuple(replace(c, score=scores[c.model]) for c in judged(facts, self.examples.texts))
        best = max((c for c in candidates if c.eligible), key=lambda c: scores[c.model], default=None)
        if best is None or scores[best.model] < self.at_least:
            return then(self.otherwise.decide(facts), self._unlike)
        order = sorted(scores, key=lambda name: -scores[name])
        reason = f"most like an example of {best.model}, cosine {scores[best.model]:.2f}"
        return replace(settle(candidates, order, router=self, reason=reason, facts=facts), snapshot=self.examples.hash)

    def names(self) -> tuple[str, ...] | None:
        named = self.otherwise.names()
        return None if named is None else tuple(dict.fromkeys([*self.examples.texts, *named]))

    def save(self, path: Path | str) -> Similarity:
        """Write the examples into a file of JSON; the same router, named by it."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        told = {model: list(texts) for model, texts in self.examples.texts.items()}
        target.write_text(json.dumps({"examples": told}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _loaded.cache_clear()
        return Similarity(target, otherwise=self.otherwise, at_least=self.at_least)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Similarity) and (repr(self), self.examples.hash) == (repr(other), other.examples.hash)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        told = "" if self.at_least == AT_LEAST else f", at_least={self.at_least!r}"
        return f"Similarity({self.source!r}, otherwise={self.otherwise!r}{told})"

    def _unlike(self, made: Decision) -> Decision:
        return replace(
            made,
            router=self._label,
            reason=f"like no example of who may be asked: {made.reason}",
            snapshot=made.snapshot or self.examples.hash,
        )


@lru_cache(maxsize=32)
def _loaded(path: str) -> Examples:
    """Read once: a file that is written anew is another router, for the next process."""
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))["examples"]
        return Examples({str(model): tuple(map(str, texts)) for model, texts in told.items()})
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise FleetError(
            f"cannot read the examples in {path!r}: {error}; Similarity({{…}}).save(…) writes them"
        ) from error


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _counted(text: str, rarity: Mapping[str, float]) -> dict[str, float]:
    """The weights of a text's words. One that no example has counts as the rarest: it makes the text less like them."""
    rarest = max(rarity.values(), default=1.0)
    return {word: (1 + math.log(count)) * rarity.get(word, rarest) for word, count in Counter(_words(text)).items()}


def _unit(weights: Mapping[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(weight * weight for weight in weights.values()))
    return {word: weight / length for word, weight in weights.items()}
