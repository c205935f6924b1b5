"""The embedded fleet: small real models that run in this process, without a download and without a key.

They are pattern matchers and small statistical models, trained in a second on the example's own rows; none of them is
a language model. They do real work, make real mistakes and tell an honest confidence, which is what routing needs.

`EMBEDDED` maps the word that models.toml knows (`model = "linear"`) to the class; `build(spec)` makes one. Nothing is
read or trained before the first request.
"""

from __future__ import annotations

from toolkit.errors import FleetError
from toolkit.models.embedded.critic import Critic
from toolkit.models.embedded.embedder import Embedder
from toolkit.models.embedded.extractive import Extractive
from toolkit.models.embedded.keywords import Keywords
from toolkit.models.embedded.linear import Linear
from toolkit.models.embedded.model import Embedded
from toolkit.models.embedded.reader import Reader
from toolkit.models.embedded.sql import Sql
from toolkit.models.spec import ModelSpec, Provider

__all__ = ["EMBEDDED", "Embedded", "build"]

EMBEDDED: dict[str, type[Embedded]] = {
    "critic": Critic,
    "keywords": Keywords,
    "linear": Linear,
    "reader": Reader,
    "embedder": Embedder,
    "extractive": Extractive,
    "sql": Sql,
}


_LOADED: dict[tuple[object, ...], Embedded] = {}
"""Models of this process by what they were made of: several runs share one that is trained already."""


def build(spec: ModelSpec) -> Provider:
    """The embedded model that `spec.model` names. Raises FleetError where there is none, or a file it needs is gone."""
    if spec.model not in EMBEDDED:
        known = ", ".join(EMBEDDED)
        raise FleetError(f"model {spec.name!r}: there is no embedded model {spec.model!r}; choose one of {known}")
    made = EMBEDDED[spec.model](spec)
    return _LOADED.setdefault((spec.name, spec.model, spec.folder, made.fingerprint()), made)
