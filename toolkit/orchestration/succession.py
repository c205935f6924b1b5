"""Routers as they follow each other in a folder: the one that serves, those it replaced, and the page that tells why.

routers/triage/card.json …                    the router that serves, as Learned('routers/triage')
routers/triage.before/20261129-3f2a9c01/…     one that was replaced, on that day
"""

from __future__ import annotations

import shutil
from pathlib import Path

from toolkit.errors import FleetError
from toolkit.evaluation.succeeding import Succession
from toolkit.orchestration.plainly import tabled
from toolkit.records import new_id, now
from toolkit.routing.knowledge import CARD, Card, Knowledge
from toolkit.routing.learned import Learned


def champion_in(folder: Path | str, *, worth: float | None = None) -> Learned | None:
    """The router that serves from a folder, with that aim; None where there is none. Raises FleetError."""
    if not (Path(folder) / CARD).exists():
        return None
    try:
        return Learned(Knowledge.load(folder), worth=worth)
    except (ValueError, KeyError, OSError) as error:
        raise FleetError(f"cannot read the learned router in {str(folder)!r}: {error}") from error


def enthroned(found: Succession, folder: Path | str) -> Path | None:
    """Put the challenger in the champion's place; where the champion is kept now, None where there was none.

    The new one is written beside it first, so that what is there is always whole.
    """
    folder = Path(folder)
    coming = folder.with_name(f"{folder.name}.coming-{new_id()[-8:]}")
    found.challenger.knowledge.save(coming)
    kept = None
    try:
        if folder.exists():
            name = found.champion.knowledge.hash[:8] if found.champion is not None else "unread"
            kept = folder.with_name(f"{folder.name}.before") / f"{now():%Y%m%d-%H%M%S}-{name}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(kept)
        coming.rename(folder)
    except OSError as error:
        if kept is not None and kept.exists() and not folder.exists():
            kept.rename(folder)
        shutil.rmtree(coming, ignore_errors=True)
        raise FleetError(f"the new router cannot be put into {folder}: {error}; the old one serves on") from error
    return kept


def report(found: Succession, folder: Path | str, kept: Path | None) -> str:
    """The page of a challenge: the verdict, both cards, and where the routers are."""
    places = [f"`Learned({str(folder)!r})` is now the {'challenger' if found.replaces else 'champion, as before'}."]
    if kept is not None:
        places.append(f"The one before is kept in `{kept}`: to have it back, move that folder to `{folder}`.")
    verdict = "the champion stays" if not found.replaces else "replaced" if found.champion else "the first router"
    parts = [
        f"# {found.step}: {verdict}",
        found.why[:1].upper() + found.why[1:] + ".",
        f"Learned from {found.learned_from:,} requests; {found.held_out:,} others were held out, of which no router of "
        "any night learns.",
        " ".join(places),
        "## The challenger's card",
        card(found.challenger.knowledge.card),
    ]
    if found.champion is not None:
        parts += ["## The champion's card", card(found.champion.knowledge.card)]
    return "\n\n".join(parts)


def card(told: Card) -> str:
    """A card in words, and what is gained by task."""
    gains = sorted(told.gain_by_task.items(), key=lambda each: -each[1])[:20]
    rows = [(task or "(none told)", f"{gain:+.4f}") for task, gain in gains]
    table = tabled(("task", "gain in quality net of cost"), rows)
    return f"{told}\n\n{table}" if gains else str(told)
