"""What was learnt of a fleet: expected quality and cost of each model at a request, and where that is not known.

A frozen value, saved as JSON and arrays (never pickle) with its card; `hash` names it in every decision made from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from toolkit.routing.dearness import Dearness, log_lengths
from toolkit.routing.features import Vocabulary
from toolkit.routing.frontier import Floats, Frontier
from toolkit.routing.predictors import Scaling
from toolkit.routing.trust import Trust

FORMAT = 3
CARD, ARRAYS, WORDS = "card.json", "arrays.npz", "words.json"
NESTED: dict[str, Any] = {"scaling": Scaling, "dearness": Dearness}
TRUSTS = ("trust", "trust_elsewhere")


@dataclass(frozen=True)
class Card:
    """What the knowledge rests on, how good it is by rows held out in training, and where it abstains.

    `gap_closed` is the share of the way from the best mixture of single models to the oracle, with its standard error;
    `gain_by_task` the gain in quality net of cost over single models, averaged over exchange rates.
    """

    data_hash: str
    trained_at: datetime
    rows: int
    models: tuple[str, ...]
    tasks: Mapping[str, int]
    gap_closed: float
    gap_closed_error: float
    calibration_error: float
    routes: bool
    routes_unseen_tasks: bool
    settings: Mapping[str, Any]
    gain_by_task: Mapping[str, float]

    def __str__(self) -> str:
        """The card in words."""
        good = [task for task, gain in self.gain_by_task.items() if gain > 0]
        lines = [
            f"Learnt on {self.trained_at:%Y-%m-%d} from {self.rows:,} requests of {len(self.tasks)} tasks and "
            f"{len(self.models)} models (data {self.data_hash}).",
            f"On rows held out in training it closes {self.gap_closed:.3f} ± {self.gap_closed_error:.3f} of the gap "
            f"between the best mixture of single models and an oracle; expected quality is off by "
            f"{self.calibration_error:.3f}.",
            f"It gains on {len(good)} of {len(self.gain_by_task)} tasks: {', '.join(good) or 'none'}."
            if self.routes
            else "That is not surely more than nothing: it abstains everywhere.",
            "It abstains on requests unlike its training"
            + ("." if self.routes_unseen_tasks else ", and on tasks that it has not seen."),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Expected:
    """What is expected of n requests: quality and cost (n, k), and why each is unlike the training ("" where not).

    `merit` is what choices are made by, net of `cost`: a model's mean and its lead at this request, without what all
    models share. Where nothing is believed, merit and cost are the models' means.
    """

    merit: Floats
    quality: Floats
    cost: Floats
    unlike: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """The fitted predictors. Outputs of the `by_*` weights and `offset` are ease and each model's lead, in that order.

    `trust` is how far they are believed at tasks of the training, `trust_elsewhere` at others.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    vocabulary: Vocabulary = field(repr=False)
    scaling: Scaling = field(repr=False)
    by_word: NDArray[np.float32] = field(repr=False)
    by_plain_word: NDArray[np.float32] = field(repr=False)
    by_surface: Floats = field(repr=False)
    by_task: Floats = field(repr=False)
    by_no_task: Floats = field(repr=False)
    offset: Floats = field(repr=False)
    mean_quality: Floats = field(repr=False)
    mean_cost: Floats = field(repr=False)
    dearness: Dearness = field(repr=False)
    regions: NDArray[np.float32] = field(repr=False)
    nearness: Floats = field(repr=False)
    curve_rates: Floats = field(repr=False)
    curve_cost: Floats = field(repr=False)
    trust: Trust
    trust_elsewhere: Trust
    card: Card = field(repr=False, kw_only=True)

    def expect(self, texts: Sequence[str], tasks: Sequence[str | None]) -> Expected:
        """What to expect of requests. Where one is unlike the training: the models' means."""
        words, surface = self.vocabulary.read(texts)
        told = words @ self._by_word_and_region
        outputs = self.by_task.shape[1]
        by_region = told[:, 2 * outputs :]
        found = told[:, :outputs] + self.vocabulary.stretch(words)[:, None] * told[:, outputs : 2 * outputs]
        found += self.offset + self.scaling.of_rows(surface) @ self.by_surface
        place = self._place_of_task
        places = np.array([place.get(task or "", -1) for task in tasks], dtype=np.int64)
        found += np.where(places[:, None] >= 0, self.by_task[places], self.by_no_task)
        near = (by_region >= self.nearness).any(axis=1)
        unlike = tuple(self._unlike(task, int(p), bool(n)) for task, p, n in zip(tasks, places, near, strict=True))
        familiar = np.array([not why for why in unlike], dtype=bool)
        here, elsewhere = self.trust, self.trust_elsewhere
        leads = familiar * np.where(places >= 0, here.leads, elsewhere.leads)
        merit = self.mean_quality + leads[:, None] * found[:, 1:]
        ease = (familiar * np.where(places >= 0, here.ease, elsewhere.ease))[:, None] * found[:, :1]
        priced = familiar & np.where(places >= 0, here.priced, elsewhere.priced)
        ratio = self.dearness.at(log_lengths(texts), places)
        cost = self.mean_cost * np.where(priced[:, None], ratio, 1.0)
        return Expected(merit, np.clip(merit + ease, 0, 1), cost, unlike)

    @property
    def zero(self) -> Frontier:
        """What mixtures of single models reach, by the training data: where to fall back to."""
        return Frontier.of(self.mean_cost, self.mean_quality)

    @cached_property
    def hash(self) -> str:
        """The name of the knowledge: 128 bits in hexadecimal."""
        made = blake2b(digest_size=16)
        for name, array in sorted(self._arrays().items()):
            made.update(name.encode() + np.ascontiguousarray(array).tobytes())
        made.update(orjson.dumps([self.models, self.tasks, self.vocabulary.words, *self._trusts().values()]))
        return made.hexdigest()

    def _unlike(self, task: str | None, place: int, near: bool) -> str:
        if not self.trust.any:
            return "what was learnt is not surely better than none"
        if place < 0 and self.tasks != ("",) and not self.trust_elsewhere.any:
            return f"the task {task!r} was not in the training" if task else "its task is not told, as in the training"
        return "" if near else "the words are unlike those of the training"

    @cached_property
    def _place_of_task(self) -> dict[str, int]:
        return {task: place for place, task in enumerate(self.tasks)}

    @cached_property
    def _by_word_and_region(self) -> Floats:
        """In the words' own precision: else all of it would be turned into that for each request."""
        return np.hstack([self.by_word, self.by_plain_word, self.regions]).astype(np.float64)

    # --------------------------------------------------------------------------------------------------------- saving
    def save(self, folder: Path | str) -> Path:
        """Write card.json, words.json and arrays.npz into a folder, which is made; an existing one is replaced."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / ARRAYS, allow_pickle=False, **self._arrays())
        vocabulary = self.vocabulary
        words = {"words": vocabulary.words, "common_lines": sorted(vocabulary.common_lines)}
        (folder / WORDS).write_bytes(orjson.dumps(words))
        told = {
            "format": FORMAT,
            "hash": self.hash,
            **self._trusts(),
            "tasks": self.tasks,
            "card": asdict(self.card),
            "in_words": str(self.card),
        }
        (folder / CARD).write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> Knowledge:
        """Read what `save` wrote. Raises ValueError where it is of another format, or is not what its hash says."""
        folder = Path(folder)
        told = orjson.loads((folder / CARD).read_bytes())
        if told["format"] != FORMAT:
            raise ValueError(f"{folder} is of format {told['format']}, this version reads {FORMAT}: fit it again")
        words = orjson.loads((folder / WORDS).read_bytes())
        with np.load(folder / ARRAYS, allow_pickle=False) as file:
            arrays = dict(file)
        card = told["card"]
        card |= {"trained_at": datetime.fromisoformat(card["trained_at"]), "models": tuple(card["models"])}
        vocabulary = Vocabulary(
            tuple(words["words"]), arrays.pop("pairs"), arrays.pop("idf"), frozenset(words["common_lines"])
        )
        inner = {
            name: kind(**{each.name: arrays.pop(f"{name}.{each.name}") for each in fields(kind)})
            for name, kind in NESTED.items()
        }
        found = cls(
            models=tuple(card["models"]),
            tasks=tuple(told["tasks"]),
            vocabulary=vocabulary,
            trust=Trust(**told["trust"]),
            trust_elsewhere=Trust(**told["trust_elsewhere"]),
            card=Card(**card),
            **inner,
            **arrays,
        )
        if found.hash != told["hash"]:
            raise ValueError(f"{folder} has been changed since it was saved: its content is not what its hash says")
        return found

    def _arrays(self) -> dict[str, Any]:
        arrays = {each.name: getattr(self, each.name) for each in fields(self)}
        kept = {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}
        for name, kind in NESTED.items():
            kept |= {f"{name}.{each.name}": getattr(arrays[name], each.name) for each in fields(kind)}
        return {**kept, "pairs": self.vocabulary.pairs, "idf": self.vocabulary.idf}

    def _trusts(self) -> dict[str, Any]:
        return {name: asdict(getattr(self, name)) for name in TRUSTS}
