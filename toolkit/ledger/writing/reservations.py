"""What is spent and held back of each budget, over all processes: actions inside the writer's transactions.

    reserve ─▶ (the call) ─▶ settle            the holder died meanwhile: reconcile

Every action changes the sums of the scopes and the reservation together, so that spent and reserved are never less than
what the calls on record and those under way have cost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from toolkit.ledger.writing.transaction import Transaction
from toolkit.money.budgets import Balance, Cap, Denied, Unit, Worst, denied

BALANCE = "select spent, reserved from budgets where scope = :scope and unit = :unit"
ADD = """
    insert into budgets (scope, unit, spent, reserved) values (:scope, :unit, :spent, :reserved)
    on conflict (scope, unit) do update set
        spent = budgets.spent + excluded.spent, reserved = budgets.reserved + excluded.reserved"""
BEGIN = """
    insert into budgets (scope, unit, spent, reserved) values (:scope, :unit, :spent, 0)
    on conflict (scope, unit) do nothing"""
HOLD = """
    insert into reservations (id, run_id, holder, scopes, usd, tokens, reserved_at)
    values (:id, :run_id, :holder, :scopes, :usd, :tokens, :reserved_at)"""
HELD = "select scopes, usd, tokens from reservations where id = :id"
RELEASE = "delete from reservations where id = :id"
ALL_HELD = "select id, run_id, holder, usd, tokens, reserved_at from reservations order by reserved_at, id"
ALL_BALANCES = "select scope, unit, spent, reserved from budgets order by scope, unit"
# Of the history:
RECORDED = """
    select id, error_type, cost_usd, input_tokens + output_tokens from attempts where id in (select unnest($ids))"""
_SPENDING = """
    select step, model, sum(coalesce(cost_usd, reserved_usd, 0)), sum(coalesce(input_tokens + output_tokens, 0))
    from attempts where {where} group by all"""
RUN_SPENDING = _SPENDING.format(where="run_id = $of")
DAY_SPENDING = _SPENDING.format(
    where="started_at >= $of::timestamptz and started_at < $of::timestamptz + interval 1 day"
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is held back for one call. `id` is that of its attempt; `holder` is the process whose call it is."""

    id: str
    run_id: str
    holder: str | None
    caps: tuple[Cap, ...]
    worst: Worst


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as it is kept. `at` is seconds since 1970."""

    id: str
    run_id: str
    holder: str | None
    usd: float | None
    tokens: float | None
    at: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call has cost; None where that is not known, and all that was held back counts."""

    usd: float | None = None
    tokens: float | None = None

    def of(self, unit: Unit) -> float | None:
        return self.tokens if unit == "tokens" else self.usd


NOTHING = Spent(0.0, 0.0)
UNKNOWN = Spent()
Balances = Mapping[tuple[str, Unit], Balance]


# ------------------------------------------------------------------------------------------------------------- actions
def reserve(transaction: Transaction, wanted: Reservation) -> Denied | Balances:
    """Hold back a call's worst case in all of its scopes, or in none; the balances after that."""
    found = {(cap.scope, cap.unit): _balance(transaction, cap.scope, cap.unit) for cap in wanted.caps}
    refused = denied(wanted.caps, found, wanted.worst)
    if refused is not None:
        return refused
    scopes: dict[str, list[str]] = {}
    for scope, unit in found:
        needs, before = wanted.worst.of(unit), found[scope, unit]
        transaction.run(ADD, scope=scope, unit=unit, spent=0.0, reserved=needs)
        found[scope, unit] = Balance(before.spent, before.reserved + needs)
        scopes.setdefault(unit, []).append(scope)
    transaction.run(
        HOLD,
        id=wanted.id,
        run_id=wanted.run_id,
        holder=wanted.holder,
        scopes=orjson.dumps(scopes).decode(),
        usd=wanted.worst.usd,
        tokens=wanted.worst.tokens,
        reserved_at=time.time(),
    )
    return found


def settle(transaction: Transaction, id: str, spent: Spent) -> bool:
    """Put what a call has cost in the place of what was held back for it; False where nothing is held any more."""
    found = transaction.rows(HELD, id=id)
    if not found:
        return False
    ((scopes, usd, tokens),) = found
    for unit, names in orjson.loads(scopes).items():
        held = (tokens if unit == "tokens" else usd) or 0.0
        cost = spent.of(unit)
        for scope in names:
            transaction.run(ADD, scope=scope, unit=unit, spent=held if cost is None else cost, reserved=-held)
    transaction.run(RELEASE, id=id)
    return True


def settled(transaction: Transaction, id: str, spent: Spent, caps: Iterable[Cap]) -> Balances:
    """Settle it; the balances of those caps after that."""
    settle(transaction, id, spent)
    return {(cap.scope, cap.unit): _balance(transaction, cap.scope, cap.unit) for cap in caps}


def reconcile(transaction: Transaction, costs: Mapping[str, Spent]) -> tuple[str, ...]:
    """Settle reservations whose holders are gone, by what is on record of their calls; the ids that were still held."""
    return tuple(id for id, spent in costs.items() if settle(transaction, id, spent))


def begin(transaction: Transaction, spent: Mapping[tuple[str, Unit], float]) -> None:
    """Open scopes that are not there yet with what was spent in them before; those that are there stay as they are."""
    for (scope, unit), before in spent.items():
        transaction.run(BEGIN, scope=scope, unit=unit, spent=before)


# ------------------------------------------------------------------------------------------------------------- looking
def balances(transaction: Transaction) -> dict[tuple[str, Unit], Balance]:
    """The balances of all scopes."""
    return {(scope, unit): Balance(*found) for scope, unit, *found in transaction.rows(ALL_BALANCES)}


def held(transaction: Transaction, run_ids: Iterable[str] | None = None) -> list[Held]:
    """The reservations, oldest first; of those runs only if given."""
    found = (Held(*row) for row in transaction.rows(ALL_HELD))
    wanted = None if run_ids is None else set(run_ids)
    return [each for each in found if wanted is None or each.run_id in wanted]


def _balance(transaction: Transaction, scope: str, unit: Unit) -> Balance:
    found = transaction.rows(BALANCE, scope=scope, unit=unit)
    return Balance(*found[0]) if found else Balance()
