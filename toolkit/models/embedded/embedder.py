"""`embedder`: vectors of 128 numbers and length 1; texts near in meaning are near in angle, roughly.

In: an embeddings request. Out: one vector for each of its inputs. How the vectors are made: `space`. Settings: `corpus`
(rows of id, title, text), `training` and `examples` (rows of a text column, named by `text`, and `passages`: the ids
of those that answer it), `concepts`.
"""

from __future__ import annotations

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.model import Embedded
from toolkit.models.embedded.rows import Row, read_rows, training_rows
from toolkit.models.embedded.space import Space
from toolkit.models.embedded.words import Vocabulary, read_concepts
from toolkit.models.function import estimated_tokens
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request, Usage


class Embedder(Embedded):
    """Vectors for texts; see the module."""

    files = ("corpus",)

    def load(self) -> None:
        self._space = read_space(self.spec)

    def answer(self, request: Request) -> Reply:
        if request.operation != "embeddings":
            raise InvalidRequest(f"{self.spec.name} makes vectors; send an embeddings request with inputs")
        if not request.inputs:
            raise InvalidRequest(f"{self.spec.name} got an embeddings request without inputs")
        return Reply(
            vectors=tuple(tuple(vector) for vector in self._space.of(request.inputs).tolist()),
            usage=Usage(sum(estimated_tokens(text) for text in request.inputs), 0),
            finish_reasons=("stop",),
            response_model=self.spec.name,
        )


def read_space(spec: ModelSpec) -> Space:
    """The space that a model's settings describe."""
    return Space(read_rows(spec.path("corpus")), taught(spec), column=column(spec), concepts=concepts(spec))


def taught(spec: ModelSpec) -> list[Row]:
    """The rows to learn from: the training part, and the examples."""
    own = training_rows(spec.path("training")) if "training" in spec.settings else []
    return own + (read_rows(spec.path("examples")) if "examples" in spec.settings else [])


def column(spec: ModelSpec) -> str:
    """The column that holds the text of a row."""
    return str(spec.settings.get("text", "ticket"))


def concepts(spec: ModelSpec) -> Vocabulary | None:
    """The concepts of the setting `concepts`, if there are any."""
    return read_concepts(spec.path("concepts")) if "concepts" in spec.settings else None
