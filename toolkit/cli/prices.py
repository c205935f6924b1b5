"""`toolkit prices`: what the models of a fleet cost, what is on record, how far reported costs are from computed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.options import DEFAULT_HOME, Home

if TYPE_CHECKING:
    from toolkit.ledger.reading.table import Table
    from toolkit.money.prices import Price

COLUMNS = ("model", "version", "input", "output", "cache read", "cache write", "request")
DRIFT_COLUMNS = ("model", "calls", "reported USD", "computed USD", "ratio", "median off", "worst off", ">worst attempt")


def prices(
    fleet: Annotated[Path | None, typer.Option("--fleet", help="A models.toml whose prices to list.")] = None,
    note: Annotated[
        bool, typer.Option("--note", help="Put them on record, so that the view `repriced` shows history under them.")
    ] = False,
    drift: Annotated[bool, typer.Option("--drift", help="Costs that providers report against computed ones.")] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """List prices with their versions: those on record, or a fleet's; note a fleet's; or show how far costs drift."""
    from toolkit.errors import FleetError
    from toolkit.ledger.reading.history import History
    from toolkit.ledger.views import questions

    if note and fleet is None:
        raise FleetError("--note needs to know whose prices: add --fleet models.toml")
    if fleet is not None:
        _show_fleet(fleet, home, note=note)
    if drift:
        _show_drift(History(home).sql(questions.PRICE_DRIFT))
    elif fleet is None:
        _show(History(home).sql(questions.PRICES))


def _show_fleet(path: Path, home: Path, *, note: bool) -> None:
    from toolkit.cli.tables import console
    from toolkit.fleet import Fleet

    fleet = Fleet.load(path)
    book = fleet.prices
    _show((name, version, *_amounts(price)) for version, name, price in book.entries())
    unknown = [name for name in fleet if book.price(name) is None and fleet[name].is_hosted]
    if unknown:
        console().print(f"unknown, so that their calls have no cost: {', '.join(unknown)}", markup=False)
    if note:
        _note(book.entries(), home)
        console().print(f"noted in {home}; the view repriced shows all attempts under them", markup=False)


def _note(entries: Iterable[tuple[str, str, Price]], home: Path) -> None:
    from toolkit.ledger import Journal, price_entry
    from toolkit.records import now
    from toolkit.runs.run_names import check_record

    check_record(home)
    with Journal.open(home) as journal:
        journal.write(*(price_entry(*entry, noted_at=now()) for entry in entries))
        journal.flush()


def _amounts(price: Price) -> tuple[float | None, ...]:
    return price.input, price.output, price.cache_read, price.cache_write, price.request


def _show(rows: Iterable[Iterable[object]]) -> None:
    from toolkit.cli.tables import console, table

    cells = [
        (name, version, *("–" if amount is None else f"{amount:g}" for amount in amounts))
        for name, version, *amounts in rows
    ]
    if not cells:
        console().print("no price is known")
        return
    console().print(table("US dollars per million tokens, and per request", COLUMNS, cells, words=2))


def _show_drift(found: Table) -> None:
    from toolkit.cli.tables import console, count, table, usd

    if not found.rows:
        console().print("no call has both a reported and a computed cost")
        return
    cells = [
        (model, count(calls), usd(reported), usd(computed), _times(ratio), _off(median), _off(worst), attempt or "")
        for model, calls, reported, computed, ratio, median, worst, attempt in found
    ]
    console().print(table("Reported against computed", DRIFT_COLUMNS, cells))


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.3f}"


def _off(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:+.1f} %"
